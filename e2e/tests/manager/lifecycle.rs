//! Hosted clusters and targets come and go.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::objects::{Entry, hosted_cluster, idms, report};
use hypermirror_e2e::fleet::{NAMESPACE, SOON, TARGETS, deployments};
use hypermirror_e2e::{Crds, Scene, Testbed, consistently, eventually};
use serde_json::json;

const ONE: &[Entry<'_>] = &[("s.example", &["m.example/s"], None)];
const VALUE: &str = "s.example=m.example/s";

#[tokio::test]
async fn nothing_is_written_for_a_hosted_cluster_that_is_being_deleted() -> Result<()> {
    let bed = Testbed::builder().controller_manager(true);
    let scene = Scene::with(bed, &Crds::of_the_fleet()?).await?;
    let fleet = &scene.fleet;
    for name in ["goes", "stays"] {
        fleet.hosted_cluster(name, &[], "=").await?;
    }
    let goes = hosted_cluster("goes", &[]);
    fleet.merge(&goes, &json!({"metadata": {"finalizers": ["hypermirror.test/hold"]}})).await?;
    fleet.apply(&idms("one", ONE)).await?;
    let _manager = scene.manager().await?;
    fleet.reads(&["goes", "stays"], VALUE).await?;
    fleet.condition("goes", "Ready", "True", "AsExpected").await?;

    fleet.delete(&goes).await?;
    let mark = scene.audit.mark().await?;
    fleet.apply(&idms("one", &[("s.example", &["m.example/other"], None)])).await?;
    fleet.reads(&["stays"], "s.example=m.example/other").await?;
    consistently(Duration::from_secs(1), "it is left alone", async || {
        let namespace = deployments::namespace("goes");
        let touched = |write: &hypermirror_e2e::audit::Event| write.namespace == namespace || write.name == "goes";
        ensure!(!scene.writes(mark).await?.iter().any(touched));
        Ok(())
    })
    .await?;
    assert!(fleet.api_of(&report("goes"))?.get_opt("goes").await?.is_some());

    fleet.merge(&goes, &json!({"metadata": {"finalizers": null}})).await?;
    eventually(SOON, "the report goes with its hosted cluster", async || {
        Ok(fleet.api_of(&report("goes"))?.get_opt("goes").await?.is_none().then_some(()))
    })
    .await?;
    // Whoever deletes the hosted cluster deletes its control plane: nothing is taken out of it before.
    fleet.reads(&["goes"], VALUE).await
}

#[tokio::test]
async fn a_report_is_owned_by_its_hosted_cluster_and_restored_after_a_deletion() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    fleet.apply(&idms("one", ONE)).await?;
    let _manager = scene.manager().await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;
    let uid = fleet.api_of(&hosted_cluster("a", &[]))?.get("a").await?.metadata.uid;
    let reported = fleet.api_of(&report("a"))?.get("a").await?;
    let owners = reported.metadata.owner_references.context("no owner")?;
    assert_eq!((owners.len(), Some(&owners[0].uid)), (1, uid.as_ref()));
    assert_eq!(reported.metadata.namespace.as_deref(), Some(NAMESPACE));

    fleet.delete(&report("a")).await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;
    Ok(())
}

#[tokio::test]
async fn a_target_is_picked_up_when_it_appears_and_again_when_it_is_recreated() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.apply(&deployments::namespace_of("a")).await?;
    fleet.apply(&hosted_cluster("a", &[])).await?;
    fleet.apply(&idms("one", ONE)).await?;
    let _manager = scene.manager().await?;
    fleet.condition("a", "ControlPlaneUpToDate", "Unknown", "TargetsMissing").await?;

    fleet.apply(&deployments::target("a", TARGETS[0], Some("="), "=")).await?;
    fleet.condition("a", "ControlPlaneUpToDate", "True", "TargetsIncomplete").await?;
    assert_eq!(fleet.effective("a", TARGETS[0]).await?.as_deref(), Some(VALUE));
    for name in &TARGETS[1..] {
        fleet.apply(&deployments::target("a", name, Some("="), "=")).await?;
    }
    fleet.reads(&["a"], VALUE).await?;
    fleet.condition("a", "ControlPlaneUpToDate", "True", "AsExpected").await?;

    let mark = scene.audit.mark().await?;
    for name in TARGETS {
        let target = deployments::target("a", name, Some("="), "=");
        fleet.delete(&target).await?;
        fleet.apply(&target).await?;
    }
    fleet.reads(&["a"], VALUE).await?;
    assert_eq!(scene.patches(mark).await?.len(), 3);

    // One that never had the env var gets ours alone.
    let target = deployments::target("a", TARGETS[2], None, "=");
    fleet.delete(&target).await?;
    fleet.apply(&target).await?;
    fleet.reads(&["a"], VALUE).await?;
    assert_eq!(deployments::env_values(&fleet.deployment("a", TARGETS[2]).await?), [VALUE]);
    Ok(())
}
