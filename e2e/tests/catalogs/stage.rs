//! A hosted cluster with the catalogs that stock HyperShift runs.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::audit::{Event, Mark};
use hypermirror_e2e::fleet::manager::Manager;
use hypermirror_e2e::fleet::objects::hosted_cluster;
use hypermirror_e2e::fleet::{Fleet, SOON, deployments};
use hypermirror_e2e::{Scene, binaries, consistently, eventually};
use serde_json::{Value, json};

/// The catalogs.
pub const CATALOGS: [&str; 3] = ["certified", "community", "redhat"];
/// How long stock HyperShift gets where a scenario waits for it to be over.
pub const PATIENCE: Duration = Duration::from_secs(2);
const DIGEST: &str = "sha256:00000000000000000000000000000000000000000000000000000000000000";
const TRIGGERS: &str = "image.openshift.io/triggers";

/// The stock image of one catalog.
pub fn stock(catalog: &str) -> String {
    format!("registry.redhat.io/redhat/{catalog}-operator-index@{DIGEST}01")
}

/// The image that is annotated for one catalog.
pub fn annotated(catalog: &str) -> String {
    format!("m.example/catalogs/{catalog}@{DIGEST}0a")
}

/// The annotations of these catalogs.
pub fn images(catalogs: &[&str]) -> Value {
    let pairs = catalogs.iter().map(|catalog| {
        let key = format!("hypershift.openshift.io/{catalog}-operators-catalog-image");
        (key, Value::from(annotated(catalog)))
    });
    Value::Object(pairs.collect())
}

/// The Deployment of a catalog, as stock HyperShift writes it.
pub fn deployment(cluster: &str, catalog: &str, image: &str) -> Value {
    let name = format!("{catalog}-operators-catalog");
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": name, "namespace": deployments::namespace(cluster),
            "annotations": {TRIGGERS: "[]", "hypershift.openshift.io/desired-state-hash": "x"}
        },
        "spec": {
            "selector": {"matchLabels": {"olm.catalogSource": catalog}},
            "template": {
                "metadata": {"labels": {"olm.catalogSource": catalog}},
                "spec": {
                    "initContainers": [{"name": "extract-content", "image": image, "command": ["cp"]}],
                    "containers": [{"name": "registry", "image": image}]
                }
            }
        }
    })
}

/// A scene with one hosted cluster `a`, its catalogs and these annotations.
pub async fn scene(placement: Option<&str>, annotations: &Value) -> Result<Scene> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    if let Some(placement) = placement {
        // It cannot be changed later.
        let mut placed = hosted_cluster("a", &[]);
        placed["spec"]["olmCatalogPlacement"] = placement.into();
        fleet.apply_as("installer", &placed).await?;
    }
    fleet.hosted_cluster("a", &[], "=").await?;
    for catalog in CATALOGS {
        fleet.apply(&deployment("a", catalog, &stock(catalog))).await?;
    }
    let patch = json!({"metadata": {"annotations": annotations}});
    fleet.merge(&hosted_cluster("a", &[]), &patch).await?;
    Ok(scene)
}

/// Starts a manager that gives stock HyperShift this time.
pub async fn manager(scene: &Scene, patience: Duration) -> Result<Manager> {
    let launch = scene.launch("manager").arg(format!("--catalog-patience={}ms", patience.as_millis()));
    launch.start_ready(scene.management()).await
}

/// The images of a catalog's two containers, and whether it follows an ImageStream.
pub async fn running(fleet: &Fleet, catalog: &str) -> Result<([String; 2], bool)> {
    let object = fleet.api_of(&deployment("a", catalog, ""))?.get(&format!("{catalog}-operators-catalog")).await?;
    let object = serde_json::to_value(object)?;
    let image = |list: &str| {
        let path = format!("/spec/template/spec/{list}/0/image");
        object.pointer(&path).and_then(Value::as_str).map(str::to_owned).with_context(|| path.clone())
    };
    let images = [image("containers")?, image("initContainers")?];
    Ok((images, object["metadata"]["annotations"].get(TRIGGERS).is_some()))
}

/// What a command prints about the management cluster, and its exit code.
pub async fn run(scene: &Scene, arguments: &[&str]) -> Result<(String, Option<i32>)> {
    let mut command = tokio::process::Command::new(binaries::operator()?);
    let kubeconfig = scene.management().kubeconfig_path();
    command.args(arguments).env_remove("POD_NAMESPACE").env("KUBECONFIG", kubeconfig);
    let output = command.output().await?;
    Ok((String::from_utf8(output.stdout)?, output.status.code()))
}

/// Waits until every catalog runs the image that is annotated for it.
pub async fn all_run_what_is_annotated(fleet: &Fleet) -> Result<()> {
    eventually(SOON, "every catalog runs what is annotated", async || {
        for catalog in CATALOGS {
            let runs = running(fleet, catalog).await?;
            ensure!(runs == ([annotated(catalog), annotated(catalog)], false), "{catalog}: {runs:?}");
        }
        Ok(Some(()))
    })
    .await
}

/// The manager's writes to anything of the catalogs.
pub async fn catalog_writes(scene: &Scene, mark: Mark) -> Result<Vec<Event>> {
    let mut writes = scene.writes(mark).await?;
    writes.retain(|write| write.name.ends_with("-operators-catalog") || write.name == "catalogs");
    Ok(writes)
}

/// Fails if the manager writes to a catalog within the next seconds: longer than stock HyperShift is given.
pub async fn no_catalog_is_written(scene: &Scene, mark: Mark) -> Result<()> {
    consistently(2 * PATIENCE, "no catalog is written", async || {
        let writes: Vec<String> = catalog_writes(scene, mark).await?.iter().map(Event::summary).collect();
        ensure!(writes.is_empty(), "{writes:#?}");
        Ok(())
    })
    .await
}
