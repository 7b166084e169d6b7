//! Targets that stock operators manage: they are asked to read the mirrors again.

use std::time::Duration;

use anyhow::{Result, ensure};
use hypermirror_e2e::audit::{Event, Mark};
use hypermirror_e2e::fleet::objects::{hosted_cluster, idms, itms};
use hypermirror_e2e::fleet::{TARGETS, deployments};
use hypermirror_e2e::{Scene, consistently};

/// A hosted cluster whose Deployments were written by the operators of stock HyperShift.
async fn stock_cluster(scene: &Scene, name: &str) -> Result<()> {
    let fleet = &scene.fleet;
    fleet.apply(&deployments::namespace_of(name)).await?;
    for target in TARGETS {
        let parent = target == TARGETS[0];
        let manager = if parent { "hypershift-operator-manager" } else { "hypershift-controlplane-manager" };
        fleet.apply_as(manager, &deployments::target(name, target, Some("="), "=")).await?;
    }
    fleet.apply(&hosted_cluster(name, &[])).await.map(|_| ())
}

async fn touches(scene: &Scene, mark: Mark) -> Result<Vec<String>> {
    let writes = scene.writes(mark).await?;
    Ok(writes.iter().filter(|write| write.resource == "hostedclusters").map(Event::summary).collect())
}

#[tokio::test]
async fn stock_operators_are_triggered_once_for_each_edit_of_digest_mirrors() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    stock_cluster(&scene, "stock").await?;
    fleet.hosted_cluster("plain", &[], "=").await?;
    let _manager = scene.launch("manager").arg("--handover=1s").start_ready(scene.management()).await?;
    let mark = scene.audit.mark().await?;

    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    fleet.reads(&["stock", "plain"], "s.example=m.example/s").await?;
    let touched = touches(&scene, mark).await?;
    assert_eq!(touched.len(), 1, "{touched:#?}");
    assert!(touched[0].contains("clusters/stock"), "{touched:#?}");
    fleet.condition("stock", "Ready", "True", "AsExpected").await?;

    let mark = scene.audit.mark().await?;
    fleet.apply(&itms("tags", &[("s.example", &["t.example/s"], None)])).await?;
    fleet.reads(&["stock", "plain"], "s.example=m.example/s,s.example=t.example/s").await?;
    fleet.condition("stock", "Ready", "True", "AsExpected").await?;
    consistently(Duration::from_secs(1), "nobody is asked for tag mirrors", async || {
        let touched = touches(&scene, mark).await?;
        ensure!(touched.is_empty(), "{touched:#?}");
        Ok(())
    })
    .await?;
    // Each target carries the edit in one write of its pod template; annotations may come first.
    let patches = scene.patches(mark).await?;
    let rollouts = |name: &str| {
        let of =
            patches.iter().filter(|write| write.namespace == deployments::namespace("stock") && write.name == name);
        of.filter(|write| write.request_object.as_ref().is_some_and(|patch| patch.to_string().contains("/spec/")))
            .count()
    };
    assert_eq!(TARGETS.map(rollouts), [1, 1, 1], "{patches:#?}");
    Ok(())
}

#[tokio::test]
async fn a_restart_triggers_no_stock_operators() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    stock_cluster(&scene, "stock").await?;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    let launch = || scene.launch("manager").arg("--handover=1s");
    let manager = launch().start_ready(scene.management()).await?;
    fleet.reads(&["stock"], "s.example=m.example/s").await?;
    fleet.condition("stock", "Ready", "True", "AsExpected").await?;
    drop(manager);
    let mark = scene.audit.mark().await?;
    let manager = launch().start_ready(scene.management()).await?;
    manager.leads().await?;
    consistently(Duration::from_secs(2), "nothing is written", async || scene.nothing_written(mark).await).await
}

#[tokio::test]
async fn edits_in_quick_succession_trigger_stock_operators_twice_and_change_a_target_twice() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    stock_cluster(&scene, "stock").await?;
    fleet.hosted_cluster("plain", &[], "=").await?;
    // Longer than a loaded machine takes from one edit to the next.
    let launch = scene.launch("manager").arg("--settle=2s").arg("--handover=1s");
    let _manager = launch.start_ready(scene.management()).await?;
    let mark = scene.audit.mark().await?;
    let mirrors: Vec<String> = (0..20).map(|edit| format!("m.example/{edit}")).collect();
    for mirror in &mirrors {
        fleet.apply(&idms("one", &[("s.example", &[mirror], None)])).await?;
    }
    fleet.reads(&["stock", "plain"], "s.example=m.example/19").await?;
    fleet.condition("stock", "Ready", "True", "AsExpected").await?;
    let touched = touches(&scene, mark).await?;
    assert!(touched.len() <= 2, "{touched:#?}");
    let patches = scene.patches(mark).await?;
    for cluster in ["stock", "plain"] {
        for target in TARGETS {
            let own = patches.iter().filter(|write| {
                let patch = write.request_object.as_ref().map(ToString::to_string).unwrap_or_default();
                let namespace = deployments::namespace(cluster);
                write.namespace == namespace && write.name == target && patch.contains("/spec/template")
            });
            assert!(own.count() <= 2, "{cluster}/{target}: {patches:#?}");
        }
    }
    Ok(())
}
