//! What stands in the stock value: somebody else's entries, and ours that are not wanted any more.

use anyhow::Result;
use hypermirror_e2e::Scene;
use hypermirror_e2e::fleet::objects::{hosted_cluster, idms};
use hypermirror_e2e::fleet::{TARGETS, deployments};
use serde_json::json;

const MANAGEMENT_MIRRORS: &str = "hypermirror.dev/management-mirrors";

#[tokio::test]
async fn foreign_entries_of_the_stock_value_survive() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    let stock = "=,z.example=foreign.example/z,s.example=foreign.example/s,a.example=foreign.example/a";
    fleet.hosted_cluster("a", &[], stock).await?;
    let before = fleet.deployment("a", TARGETS[0]).await?;
    let _manager = scene.manager().await?;

    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    let foreign = "z.example=foreign.example/z,s.example=foreign.example/s,a.example=foreign.example/a";
    fleet.reads(&["a"], &format!("s.example=m.example/s,{foreign}")).await?;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s", "m.example/second"], None)])).await?;
    let two = "s.example=m.example/s,s.example=m.example/second";
    fleet.reads(&["a"], &format!("{two},{foreign}")).await?;
    let with = fleet.deployment("a", TARGETS[0]).await?;
    assert_eq!(deployments::env_values(&with)[0], stock, "the stock value stays as it was");

    fleet.delete(&idms("one", &[])).await?;
    fleet.reads(&["a"], stock).await?;
    let after = fleet.deployment("a", TARGETS[0]).await?;
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(after["metadata"]["annotations"], before["metadata"]["annotations"]);
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_opts_out_loses_the_management_mirrors_although_the_stock_value_names_them() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    let stock = "s.example=m.example/s,z.example=foreign.example/z";
    for name in ["in", "out"] {
        fleet.hosted_cluster(name, &[("own.example", &["m.example/own"], None)], stock).await?;
    }
    let object = hosted_cluster("out", &[]);
    let ignore = json!({"metadata": {"annotations": {MANAGEMENT_MIRRORS: "Ignore"}}});
    fleet.merge(&object, &ignore).await?;
    let _manager = scene.manager().await?;

    let with = "own.example=m.example/own,s.example=m.example/s,z.example=foreign.example/z";
    let without = "own.example=m.example/own,z.example=foreign.example/z";
    fleet.reads(&["out"], without).await?;
    fleet.reads(&["in"], with).await?;
    fleet.condition("out", "Ready", "True", "AsExpected").await?;

    fleet.merge(&object, &json!({"metadata": {"annotations": {MANAGEMENT_MIRRORS: null}}})).await?;
    fleet.reads(&["out"], with).await?;
    fleet.merge(&object, &ignore).await?;
    fleet.reads(&["out"], without).await?;
    fleet.reads(&["in"], with).await
}

#[tokio::test]
async fn a_deleted_entry_that_a_stale_stock_value_still_names_does_not_come_back() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    fleet.apply(&idms("two", &[("t.example", &["m.example/t"], None)])).await?;
    let stale = "s.example=m.example/s,t.example=m.example/t";
    fleet.hosted_cluster("a", &[], stale).await?;
    fleet.hosted_cluster("b", &[], "s.example=m.example/s,z.example=foreign.example/z").await?;
    let manager = scene.manager().await?;
    fleet.reads(&["a"], stale).await?;
    fleet.reads(&["b"], "s.example=m.example/s,t.example=m.example/t,z.example=foreign.example/z").await?;

    fleet.delete(&idms("one", &[])).await?;
    fleet.reads(&["a"], "t.example=m.example/t").await?;
    fleet.reads(&["b"], "t.example=m.example/t,z.example=foreign.example/z").await?;
    fleet.apply(&idms("two", &[("t.example", &["m.example/t", "m.example/u"], None)])).await?;
    let second = "t.example=m.example/t,t.example=m.example/u";
    fleet.reads(&["a"], second).await?;
    fleet.reads(&["b"], &format!("{second},z.example=foreign.example/z")).await?;

    fleet.wait_for_map("b", second).await?;
    drop(manager);
    let manager = scene.manager().await?;
    fleet.apply(&idms("two", &[("t.example", &["m.example/u"], None)])).await?;
    fleet.reads(&["a"], "t.example=m.example/u").await?;
    fleet.reads(&["b"], "t.example=m.example/u,z.example=foreign.example/z").await?;

    // The last one goes while nobody looks.
    fleet.wait_for_map("a", "t.example=m.example/u").await?;
    fleet.wait_for_map("b", "t.example=m.example/u").await?;
    drop(manager);
    fleet.delete(&idms("two", &[])).await?;
    let _manager = scene.manager().await?;
    fleet.reads(&["a"], "=").await?;
    fleet.reads(&["b"], "z.example=foreign.example/z").await
}

#[tokio::test]
async fn retired_entries_are_dropped_once_the_stock_value_has_them_no_longer() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    fleet.hosted_cluster("a", &[], "s.example=m.example/s").await?;
    let _manager = scene.manager().await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;
    fleet.delete(&idms("one", &[])).await?;
    fleet.reads(&["a"], "=").await?;
    let retired = deployments::annotation(&fleet.deployment("a", TARGETS[0]).await?, "hypermirror.dev/retired");
    assert_eq!(retired.as_deref(), Some("s.example=m.example/s"));

    for name in TARGETS {
        let path = format!("/spec/template/spec/containers/0/env/{}", 1);
        let stock = json!([
            {"op": "test", "path": format!("{path}/name"), "value": deployments::ENV},
            {"op": "replace", "path": format!("{path}/value"), "value": "="}
        ]);
        fleet.json_patch(&deployments::target("a", name, None, "="), &stock).await?;
    }
    hypermirror_e2e::eventually(hypermirror_e2e::fleet::SOON, "nothing of ours is left", async || {
        for name in TARGETS {
            let deployment = fleet.deployment("a", name).await?;
            anyhow::ensure!(deployments::env_values(&deployment) == ["="], "{deployment}");
            let ours = deployment["metadata"]["annotations"].to_string();
            anyhow::ensure!(!ours.contains("hypermirror.dev"), "{ours}");
        }
        Ok(Some(()))
    })
    .await
}
