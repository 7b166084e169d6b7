//! ImageBuilders: what the operator before built with Jobs, and what it got wrong. Most scenarios play the controller of Jobs: what
//! decides here is what the API server takes, and what becomes of a Job's end. In `podman`, its pod really builds; in `real_node`, nothing is played.

mod edits;
mod podman;
mod real_node;
mod refused;
mod seed;
mod world;

use anyhow::{Context as _, Result};
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::mock::digest::Digest;
use hypermirror_e2e::{Fleet, MockRegistry, binaries, eventually};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::stage::{IMAGE, MIRROR, Stage};

/// An ImageBuilder with more in its spec.
pub fn builder(namespace: &str, name: &str, more: &Value) -> Value {
    let mut spec = json!({
        "architecture": "both",
        "image": {"name": format!("{MIRROR}/{namespace}/app"), "version": "v1", "credentialsSecret": {"name": "creds"}},
        "source": "FROM quay.io/base/app:1\nRUN true\n",
    });
    for (field, value) in more.as_object().unwrap() {
        match (spec[field].as_object_mut(), value.as_object()) {
            (Some(known), Some(more)) => known.extend(more.clone()),
            _ => spec[field] = value.clone(),
        }
    }
    json!({
        "apiVersion": "buildah.io/v1alpha1", "kind": "ImageBuilder",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// Lets builds run in a namespace, as the overlay does.
pub async fn allow(fleet: &Fleet, namespace: &str) -> Result<()> {
    let file = binaries::repository_root().join("manifests/overlays/image-builder-namespace/role.yaml");
    let text = std::fs::read_to_string(file)?.replace("namespace: builds", &format!("namespace: {namespace}"));
    for document in serde_yaml::Deserializer::from_str(&text) {
        fleet.apply(&Value::deserialize(document)?).await?;
    }
    Ok(())
}

/// Waits until an ImageBuilder has this phase.
pub async fn phase(stage: &Stage, object: &Value, phase: &str) -> Result<Value> {
    stage.wait_for_status(object, phase, |status| status["phase"] == phase).await
}

/// All objects of a kind in a namespace, by name.
pub async fn objects(fleet: &Fleet, version: &str, kind: &str, namespace: &str) -> Result<Vec<Value>> {
    let any = json!({"apiVersion": version, "kind": kind, "metadata": {"namespace": namespace}});
    let found = fleet.api_of(&any)?.list(&kube::api::ListParams::default()).await?;
    let items = found.items.into_iter().map(|item| {
        let mut item = serde_json::to_value(item)?;
        // Items of a list do not say what they are.
        (item["apiVersion"], item["kind"]) = (version.into(), kind.into());
        Ok(item)
    });
    items.collect()
}

/// Waits for so many Jobs in a namespace, in the order of their names.
pub async fn jobs(fleet: &Fleet, namespace: &str, count: usize) -> Result<Vec<Value>> {
    eventually(SOON, &format!("{count} Jobs in {namespace}"), async || {
        let found = objects(fleet, "batch/v1", "Job", namespace).await?;
        anyhow::ensure!(found.len() == count, "{} Jobs: {}", found.len(), names(&found).join(" "));
        Ok(Some(found))
    })
    .await
}

/// The names of objects.
pub fn names(objects: &[Value]) -> Vec<&str> {
    objects.iter().filter_map(|object| object["metadata"]["name"].as_str()).collect()
}

/// How a Job ends.
pub enum End<'a> {
    /// It has pushed this.
    Pushed(&'a str),
    /// It failed in this container.
    Failed(&'a str),
}

/// Ends a Job as the controller of Jobs and the kubelet would.
pub async fn end(fleet: &Fleet, job: &Value, end: &End<'_>) -> Result<()> {
    let (name, namespace) = (&job["metadata"]["name"], &job["metadata"]["namespace"]);
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("{}-x", name.as_str().context("no name")?), "namespace": namespace,
            "labels": {"batch.kubernetes.io/job-name": name}},
        "spec": job["spec"]["template"]["spec"],
    });
    pod["spec"]["nodeName"] = "somewhere".into();
    fleet.apply(&pod).await?;
    let container = |name: &str, code: i32, message: &str| {
        json!({"name": name, "image": "x", "imageID": "x", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "message": message, "startedAt": "2026-01-01T00:00:00Z"}}})
    };
    let ended = "2026-01-01T00:01:00Z";
    let condition = |kind: &str| {
        json!({"type": kind, "status": "True", "reason": "BackoffLimitExceeded", "message": "x",
        "lastTransitionTime": ended, "lastProbeTime": ended})
    };
    let (phase, containers, of_job) = match end {
        End::Pushed(digest) => {
            let containers = [container("build", 0, ""), container("push", 0, digest)];
            let conditions = [condition("SuccessCriteriaMet"), condition("Complete")];
            ("Succeeded", containers, json!({"succeeded": 1, "completionTime": ended, "conditions": conditions}))
        }
        End::Failed(name) => {
            let code = |own: &str| i32::from(own == *name) * 125;
            let containers = ["build", "push"].map(|own| container(own, code(own), ""));
            let conditions = [condition("FailureTarget"), condition("Failed")];
            ("Failed", containers, json!({"failed": 2, "conditions": conditions}))
        }
    };
    let [build, push] = containers;
    let status = json!({"status": {"phase": phase, "initContainerStatuses": [build], "containerStatuses": [push]}});
    patch_status(fleet, &pod, &status).await?;
    let mut status = json!({"status": {"startTime": "2026-01-01T00:00:00Z", "uncountedTerminatedPods": {}}});
    status["status"].as_object_mut().context("no status")?.extend(of_job.as_object().cloned().unwrap_or_default());
    patch_status(fleet, job, &status).await
}

async fn patch_status(fleet: &Fleet, object: &Value, status: &Value) -> Result<()> {
    let name = object["metadata"]["name"].as_str().context("no name")?;
    let patch = kube::api::Patch::Merge(status);
    fleet.api_of(object)?.patch_status(name, &kube::api::PatchParams::default(), &patch).await?;
    Ok(())
}

/// An image of an architecture, as Buildah pushes it: with the image that it was built from.
pub fn push(registry: &MockRegistry, repository: &str, tag: &str, architecture: &str) -> Digest {
    let mut store = registry.store();
    let config = json!({"architecture": architecture, "os": "linux"}).to_string();
    let (size, config) = (config.len(), store.add_blob(repository, config));
    let layer = store.add_blob(repository, format!("{repository}:{tag}"));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": IMAGE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": &*config, "size": size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": &*layer, "size": repository.len() + tag.len() + 1}],
        "annotations": {
            "org.opencontainers.image.base.name": "quay.io/base/app:1",
            "org.opencontainers.image.base.digest": format!("sha256:{}", "b".repeat(64)),
        },
    });
    let digest = store.add_manifest(repository, IMAGE, manifest.to_string());
    store.tag(repository, tag, &digest);
    digest
}
