//! Catalogs whose images are annotated.

use std::time::Duration;

use anyhow::Result;
use hypermirror_e2e::fleet::objects::hosted_cluster;
use serde_json::json;

use super::stage::{
    CATALOGS, PATIENCE, all_run_what_is_annotated, annotated, catalog_writes, deployment, images, manager,
    no_catalog_is_written, run, scene, stock,
};

#[tokio::test]
async fn annotated_images_are_written_once_when_stock_hypershift_had_its_time() -> Result<()> {
    let scene = scene(Some("management"), &images(&CATALOGS)).await?;
    let fleet = &scene.fleet;
    let mark = scene.audit.mark().await?;
    let begun = jiff::Timestamp::now();
    let _manager = manager(&scene, PATIENCE).await?;
    fleet.condition("a", "CatalogsValid", "False", "Updating").await?;
    fleet.condition("a", "Ready", "False", "Updating").await?;
    all_run_what_is_annotated(fleet).await?;
    fleet.condition("a", "CatalogsValid", "True", "AsExpected").await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;
    let writes = catalog_writes(&scene, mark).await?;
    assert_eq!(writes.len(), 3, "{writes:#?}");
    let patience = jiff::SignedDuration::try_from(PATIENCE)?;
    assert!(writes.iter().all(|write| write.received.duration_since(begun) >= patience), "{writes:#?}");

    // What is not annotated any more is stock HyperShift's again, and the condition says so.
    let mark = scene.audit.mark().await?;
    let gone: serde_json::Map<_, _> =
        images(&CATALOGS).as_object().unwrap().keys().map(|key| (key.clone(), json!(null))).collect();
    fleet.merge(&hosted_cluster("a", &[]), &json!({"metadata": {"annotations": gone}})).await?;
    let reported = fleet
        .wait_for_report("a", "that nothing is annotated", |report| {
            report.to_string().contains("annotations for OLM catalogs were removed")
        })
        .await?;
    assert!(
        reported["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|c| c["type"] == "CatalogsValid" && c["status"] == "True")
    );
    no_catalog_is_written(&scene, mark).await
}

#[tokio::test]
async fn where_stock_hypershift_does_it_in_time_nothing_is_written() -> Result<()> {
    let scene = scene(None, &images(&CATALOGS)).await?;
    let fleet = &scene.fleet;
    let mark = scene.audit.mark().await?;
    let _manager = manager(&scene, Duration::from_secs(10)).await?;
    fleet.condition("a", "CatalogsValid", "False", "Updating").await?;
    for catalog in CATALOGS {
        let mut done = deployment("a", catalog, &annotated(catalog));
        done["metadata"]["annotations"].as_object_mut().unwrap().remove("image.openshift.io/triggers");
        let patch = json!({
            "metadata": {"annotations": {"image.openshift.io/triggers": null}},
            "spec": {"template": {"spec": done["spec"]["template"]["spec"]}}
        });
        fleet.merge(&done, &patch).await?;
    }
    fleet.condition("a", "CatalogsValid", "True", "AsExpected").await?;
    all_run_what_is_annotated(fleet).await?;
    no_catalog_is_written(&scene, mark).await
}

#[tokio::test]
async fn a_manager_that_only_reports_names_the_differences_and_writes_nothing() -> Result<()> {
    let scene = scene(None, &images(&CATALOGS)).await?;
    let fleet = &scene.fleet;
    let mark = scene.audit.mark().await?;
    let launch = scene.launch("manager").arg("--catalog-patience=500ms").arg("--olm-catalogs=report");
    let _manager = launch.start_ready(scene.management()).await?;
    let message = fleet.condition("a", "CatalogsValid", "False", "CatalogDiffers").await?;
    assert!(message.contains(&annotated("redhat")) && message.contains(&stock("redhat")), "{message}");
    assert!(message.contains("--olm-catalogs=report"), "{message}");
    no_catalog_is_written(&scene, mark).await?;

    let (shown, code) = run(&scene, &["diff"]).await?;
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("Deployment clusters-a/redhat-operators-catalog (unless stock"), "{shown}");
    assert!(shown.contains(&format!("+ {}", annotated("community"))), "{shown}");
    let (shown, _) = run(&scene, &["check"]).await?;
    assert!(shown.contains("CatalogDiffers"), "{shown}");
    let (shown, code) = run(&scene, &["diff", "--olm-catalogs=report"]).await?;
    assert_eq!((shown.as_str(), code), ("", Some(0)));
    Ok(())
}
