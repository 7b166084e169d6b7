//! Images: what the operator before copied with Jobs, and what it got wrong.

mod refused;
mod seed;
mod synced;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::MockRegistry;
use serde_json::{Value, json};

use super::stage::Stage;

/// An Image with this spec.
pub fn image(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "skopeo.io/v1alpha1", "kind": "Image",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// The spec of an Image between two repositories of the world.
pub fn spec(mode: &str, source: &str, destination: &str, version: &str) -> Value {
    json!({
        "mode": mode, "frequency": "1h",
        "source": {"name": source, "version": version}, "destination": {"name": destination, "version": version},
    })
}

/// Waits until an Image has this phase.
pub async fn phase(stage: &Stage, object: &Value, phase: &str) -> Result<Value> {
    stage.wait_for_status(object, phase, |status| status["phase"] == phase).await
}

/// Asks for a run and waits until it is acknowledged.
pub async fn run(stage: &Stage, object: &Value, value: &str) -> Result<Value> {
    let annotation = json!({"metadata": {"annotations": {"hypermirror.dev/copy-now": value}}});
    stage.fleet.merge(object, &annotation).await?;
    stage.wait_for_status(object, value, |status| status["lastHandledCopyNow"] == value).await
}

/// The digest of a tag.
pub fn digest(registry: &MockRegistry, repository: &str, tag: &str) -> Option<String> {
    registry.store().manifest(repository, tag).map(|(digest, _)| digest.to_string())
}

/// Both sides have the same image under these tags.
pub fn assert_same(source: (&MockRegistry, &str), destination: (&MockRegistry, &str), tags: &[&str]) -> Result<()> {
    for tag in tags {
        let wanted = digest(source.0, source.1, tag).context("the source lacks it")?;
        let held = digest(destination.0, destination.1, tag);
        ensure!(held.as_ref() == Some(&wanted), "{tag}: {held:?} instead of {wanted}");
    }
    Ok(())
}

/// The requests about a repository, by method and path.
pub fn requests(registry: &MockRegistry, repository: &str) -> Vec<String> {
    let part = format!("/v2/{repository}/");
    registry.lines().into_iter().filter(|line| line.contains(&part)).collect()
}
