//! Stock catalogs move to mirrors of the management cluster that hold them.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::eventually;
use hypermirror_e2e::fleet::objects::{hosted_cluster, idms};
use hypermirror_e2e::fleet::{SOON, deployments};
use hypermirror_e2e::release::{Release, Repositories};
use serde_json::{Value, json};

use super::stage::Stage;

const STOCK: &str = "registry.redhat.io/redhat";

/// The Deployment of a catalog, as stock HyperShift writes it.
fn catalog(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": format!("{name}-operators-catalog"), "namespace": deployments::namespace("west")},
        "spec": {
            "selector": {"matchLabels": {"olm.catalogSource": name}},
            "template": {
                "metadata": {"labels": {"olm.catalogSource": name}},
                "spec": {
                    "initContainers": [{"name": "extract-content", "image": image, "command": ["cp"]}],
                    "containers": [{"name": "registry", "image": image}]
                }
            }
        }
    })
}

async fn image(stage: &Stage, name: &str) -> Result<String> {
    let object = stage.scene.fleet.api_of(&catalog(name, ""))?.get(&format!("{name}-operators-catalog")).await?;
    let image = object.data["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
    image.map(str::to_owned).context("no image")
}

#[tokio::test]
async fn a_stock_catalog_moves_to_a_mirror_that_holds_it_and_another_one_stays() -> Result<()> {
    let stage = Stage::set().await?;
    let fleet = &stage.scene.fleet;
    stage.share_pull_secret().await?;
    let host = stage.full.host();
    let places = Repositories { source: &host, images: "redhat/redhat-operator-index", release: "redhat/unused" };
    let held = Release::add(&mut stage.full.store(), places, &["redhat".to_owned()])?;
    let digest = &held.images.first().context("no image")?.1;
    let (moves, stays) = (format!("redhat-operator-index@{digest}"), "certified-operator-index:v4.20");
    fleet.apply(&catalog("redhat", &format!("{STOCK}/{moves}"))).await?;
    fleet.apply(&catalog("certified", &format!("{STOCK}/{stays}"))).await?;
    let mirror = format!("{host}/redhat");
    fleet.apply(&idms("catalogs", &[(STOCK, &[&mirror], None)])).await?;
    let annotation = json!({"metadata": {"annotations": {"hypermirror.dev/olm-catalogs-from-mirrors": "true"}}});
    fleet.merge(&hosted_cluster("west", &[]), &annotation).await?;
    let launch = stage.scene.launch("manager").arg("--catalog-patience=500ms");
    let _manager = launch.start_ready(stage.scene.management()).await?;

    eventually(SOON, "the catalog that the mirror holds has moved", async || {
        let found = image(&stage, "redhat").await?;
        ensure!(found == format!("{mirror}/{moves}"), "{found}");
        Ok(Some(()))
    })
    .await?;
    let message = fleet.condition("west", "CatalogsValid", "False", "CatalogDiffers").await?;
    ensure!(message.contains(stays) && message.contains("is proven to hold"), "{message}");
    ensure!(image(&stage, "certified").await? == format!("{STOCK}/{stays}"));
    Ok(())
}
