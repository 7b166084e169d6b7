//! Catalogs whose registry is annotated.

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::objects::hosted_cluster;
use hypermirror_e2e::fleet::{SOON, deployments};
use hypermirror_e2e::{Scene, eventually};
use serde_json::{Value, json};

use super::stage::{CATALOGS, PATIENCE, catalog_writes, manager, running, scene, stock};

const OVERRIDES: &str = "hypershift.openshift.io/olm-catalogs-is-registry-overrides";

fn overridden(image: &str) -> String {
    image.replace("registry.redhat.io/redhat/", "m.example:5000/redhat/")
}

/// The kind of OpenShift's image streams, as far as it is needed.
fn image_streams() -> Value {
    let name = "imagestreams.image.openshift.io";
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
        "spec": {
            "group": "image.openshift.io", "scope": "Namespaced",
            "names": {"kind": "ImageStream", "listKind": "ImageStreamList", "plural": "imagestreams", "singular": "imagestream"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
            }]
        }
    })
}

fn image_stream(images: &[String]) -> Value {
    let tags = images.iter().zip(CATALOGS).map(|(image, catalog)| {
        json!({
            "name": format!("{catalog}-operators"), "from": {"kind": "DockerImage", "name": image},
            "referencePolicy": {"type": "Local"}, "importPolicy": {"scheduled": true}
        })
    });
    json!({
        "apiVersion": "image.openshift.io/v1", "kind": "ImageStream",
        "metadata": {"name": "catalogs", "namespace": deployments::namespace("a")},
        "spec": {"tags": tags.collect::<Vec<_>>()}
    })
}

async fn tags(scene: &Scene) -> Result<Value> {
    let object = scene.fleet.api_of(&image_stream(&[]))?.get("catalogs").await?;
    Ok(object.data["spec"]["tags"].clone())
}

#[tokio::test]
async fn stock_images_move_to_the_annotated_registry_and_keep_their_digest() -> Result<()> {
    let scene = scene(None, &json!({OVERRIDES: "registry.redhat.io=m.example:5000"})).await?;
    let fleet = &scene.fleet;
    let mark = scene.audit.mark().await?;
    let _manager = manager(&scene, PATIENCE).await?;
    eventually(SOON, "every catalog has moved", async || {
        for catalog in CATALOGS {
            let image = overridden(&stock(catalog));
            let runs = running(fleet, catalog).await?;
            ensure!(runs == ([image.clone(), image], true), "{catalog}: {runs:?}");
        }
        Ok(Some(()))
    })
    .await?;
    fleet.condition("a", "CatalogsValid", "True", "AsExpected").await?;
    let writes = catalog_writes(&scene, mark).await?;
    assert_eq!(writes.len(), 3, "{writes:#?}");
    Ok(())
}

#[tokio::test]
async fn where_there_is_an_image_stream_its_tags_move_and_the_deployments_are_left_to_it() -> Result<()> {
    let scene = scene(None, &json!({})).await?;
    let fleet = &scene.fleet;
    fleet.apply(&image_streams()).await?;
    let images = CATALOGS.map(|catalog| format!("registry.redhat.io/redhat/{catalog}-operator-index:v4.20"));
    eventually(SOON, "the kind is served", async || {
        fleet.apply(&image_stream(&images)).await?;
        Ok(Some(()))
    })
    .await?;
    let mark = scene.audit.mark().await?;
    let _manager = manager(&scene, PATIENCE).await?;
    let annotations = json!({OVERRIDES: "registry.redhat.io/redhat=m.example:5000/redhat"});
    fleet.merge(&hosted_cluster("a", &[]), &json!({"metadata": {"annotations": annotations}})).await?;
    let moved = image_stream(&images.map(|image| overridden(&image)))["spec"]["tags"].clone();
    eventually(SOON, "every tag has moved", async || {
        let tags = tags(&scene).await?;
        ensure!(tags == moved, "{tags}");
        Ok(Some(()))
    })
    .await?;
    fleet.condition("a", "CatalogsValid", "True", "AsExpected").await?;
    let writes = catalog_writes(&scene, mark).await?;
    assert_eq!(writes.len(), 1, "{writes:#?}");
    Ok(())
}
