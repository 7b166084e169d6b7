//! Mirror kinds come and go while the manager runs, and while it does not.

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::manager::Manager;
use hypermirror_e2e::fleet::objects::{icsp, idms, itms, lease};
use hypermirror_e2e::fleet::{Fleet, SOON, TARGETS, deployments};
use hypermirror_e2e::process::Signal;
use hypermirror_e2e::{Crds, Scene, Testbed, eventually};
use serde_json::json;

const IDMS: &str = "imagedigestmirrorsets.config.openshift.io";
const ITMS: &str = "imagetagmirrorsets.config.openshift.io";
const KNOWN_KINDS: &str = "hypermirror.dev/known-kinds";

const BOTH: &str = "s.example=m.example/s,t.example=m.example/t";

/// Two digest sets, in force on one hosted cluster.
async fn two_sets(scene: &Scene) -> Result<Manager> {
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    apply_both(fleet).await?;
    let manager = scene.manager().await?;
    fleet.reads(&["a"], BOTH).await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;
    knows(fleet, "idms").await?;
    Ok(manager)
}

async fn apply_both(fleet: &Fleet) -> Result<()> {
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    fleet.apply(&idms("two", &[("t.example", &["m.example/t"], None)])).await?;
    Ok(())
}

/// Waits until the Lease remembers a kind.
async fn knows(fleet: &Fleet, kind: &str) -> Result<()> {
    eventually(SOON, &format!("the Lease knows {kind}"), async || {
        let known = known_kinds(fleet).await?;
        ensure!(known.split(',').any(|known| known == kind), "{known}");
        Ok(Some(()))
    })
    .await
}

async fn known_kinds(fleet: &Fleet) -> Result<String> {
    let found = fleet.api_of(&lease())?.get("hypermirror-manager").await?;
    Ok(found.metadata.annotations.and_then(|all| all.get(KNOWN_KINDS).cloned()).unwrap_or_default())
}

#[tokio::test]
async fn a_kind_that_is_installed_after_the_start_is_used() -> Result<()> {
    let crds = Crds::of_the_fleet()?;
    let scene = Scene::with(Testbed::builder(), &crds.without(&[ITMS])?).await?;
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    let _manager = scene.manager().await?;
    fleet.reads(&["a"], "s.example=m.example/s").await?;
    fleet.condition("a", "SourcesResolved", "True", "AsExpected").await?;

    crds.only(&[ITMS])?.install(&fleet.client).await?;
    fleet.apply(&itms("tags", &[("s.example", &["t.example/s"], None)])).await?;
    fleet.reads(&["a"], "s.example=m.example/s,s.example=t.example/s").await
}

#[tokio::test]
async fn nothing_is_removed_while_a_kind_is_absent() -> Result<()> {
    let (scene, crds) = (Scene::start().await?, Crds::of_the_fleet()?.only(&[IDMS])?);
    let fleet = &scene.fleet;
    let _manager = two_sets(&scene).await?;
    let mark = scene.audit.mark().await?;

    crds.delete(&fleet.client).await?;
    let message = fleet.condition("a", "SourcesResolved", "Unknown", "KindVanished").await?;
    assert!(message.contains(IDMS) && message.contains("hypermirror forget idms"), "{message}");
    assert_eq!(scene.patches(mark).await?.len(), 0, "nothing is lost with the CRD");

    fleet.apply(&itms("tags", &[("u.example", &["m.example/u"], None)])).await?;
    fleet.reads(&["a"], &format!("{BOTH},u.example=m.example/u")).await?;
    assert_eq!(scene.patches(mark).await?.len(), 3, "another kind's addition, once on each target");

    crds.install(&fleet.client).await?;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    fleet.condition("a", "SourcesResolved", "True", "AsExpected").await?;
    assert_eq!(scene.patches(mark).await?.len(), 3, "what is not restored yet stays for a while");
    // `two` does not come back: that is a removal, once there was time enough to restore it.
    fleet.reads(&["a"], "s.example=m.example/s,u.example=m.example/u").await?;
    assert_eq!(scene.patches(mark).await?.len(), 6);
    Ok(())
}

#[tokio::test]
async fn a_kind_that_is_gone_loses_nothing_across_a_restart_of_the_manager() -> Result<()> {
    let (scene, crds) = (Scene::start().await?, Crds::of_the_fleet()?.only(&[IDMS])?);
    let fleet = &scene.fleet;
    let manager = two_sets(&scene).await?;
    drop(manager);
    let mark = scene.audit.mark().await?;
    crds.delete(&fleet.client).await?;

    let _manager = scene.manager().await?;
    fleet.condition("a", "SourcesResolved", "Unknown", "KindVanished").await?;
    fleet.apply(&icsp("old", &[("s.example", &["i.example/s"], None)])).await?;
    fleet.reads(&["a"], "s.example=i.example/s,s.example=m.example/s,t.example=m.example/t").await?;
    assert_eq!(scene.patches(mark).await?.len(), 3, "an addition is no reason to wait");
    fleet.delete(&icsp("old", &[])).await?;

    crds.install(&fleet.client).await?;
    apply_both(fleet).await?;
    fleet.reads(&["a"], BOTH).await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;
    assert_eq!(scene.patches(mark).await?.len(), 6, "the removal waited until the kind was back");
    Ok(())
}

#[tokio::test]
async fn a_report_that_is_older_than_the_deployments_rolls_nothing_back_when_its_kind_is_gone() -> Result<()> {
    let (scene, crds) = (Scene::start().await?, Crds::of_the_fleet()?.only(&[IDMS])?);
    let fleet = &scene.fleet;
    let manager = two_sets(&scene).await?;
    drop(manager);
    // As a manager leaves it that ends between its patches and its reports.
    let newer = BOTH.replace("m.example", "n.example");
    for target in TARGETS {
        let patch = json!([
            {"op": "replace", "path": "/metadata/annotations/hypermirror.dev~1overrides", "value": newer},
            {"op": "replace", "path": "/spec/template/spec/containers/0/env/1/value", "value": newer}
        ]);
        let now = fleet.deployment("a", target).await?;
        assert_eq!(deployments::env_values(&now), ["=", BOTH], "{target}");
        let place = now.pointer("/spec/template/spec/containers/0/env").and_then(serde_json::Value::as_array);
        let last = place.map_or(0, |env| env.len() - 1);
        let patch = patch.to_string().replace("/env/1/", &format!("/env/{last}/"));
        fleet.json_patch(&deployments::target("a", target, None, "="), &serde_json::from_str(&patch)?).await?;
    }
    crds.delete(&fleet.client).await?;
    let mark = scene.audit.mark().await?;

    let _manager = scene.manager().await?;
    fleet.condition("a", "SourcesResolved", "Unknown", "KindVanished").await?;
    fleet.condition("a", "ControlPlaneUpToDate", "True", "AsExpected").await?;
    eventually(SOON, "the report says what is in force", async || {
        let report = fleet.report("a").await?;
        Ok((report["sources"][0]["digestMirrors"][0] == "n.example/s").then_some(()))
    })
    .await?;
    assert_eq!(scene.patches(mark).await?.len(), 0, "no Deployment is written");
    Ok(())
}

async fn restart_api_server(scene: &Scene) -> Result<()> {
    scene.management().kill_api_server()?;
    scene.management().start_api_server().await
}

#[tokio::test]
async fn nothing_is_removed_when_a_kind_is_replaced_between_two_reads() -> Result<()> {
    let (scene, crds) = (Scene::start().await?, Crds::of_the_fleet()?.only(&[IDMS])?);
    let fleet = &scene.fleet;
    let manager = two_sets(&scene).await?;
    let mark = scene.audit.mark().await?;

    manager.process.handle().signal(Signal::STOP)?;
    // Its watches are cut before and there is no history afterwards: it finds the CRD, and a list without objects.
    restart_api_server(&scene).await?;
    crds.delete(&fleet.client).await?;
    crds.install(&fleet.client).await?;
    restart_api_server(&scene).await?;
    let back = scene.audit.mark().await?;
    manager.process.handle().signal(Signal::CONT)?;
    scene.watched(back, "imagedigestmirrorsets", 1).await?;
    // An edit of another kind shows that the manager is through with what it missed.
    fleet.apply(&itms("tags", &[("u.example", &["m.example/u"], None)])).await?;
    fleet.reads(&["a"], &format!("{BOTH},u.example=m.example/u")).await?;
    apply_both(fleet).await?;
    fleet.delete(&itms("tags", &[])).await?;
    fleet.reads(&["a"], BOTH).await?;
    assert_eq!(scene.patches(mark).await?.len(), 6, "nothing but the addition and its removal");
    Ok(())
}

#[tokio::test]
async fn forget_removes_the_entries_of_a_kind() -> Result<()> {
    let (scene, crds) = (Scene::start().await?, Crds::of_the_fleet()?.only(&[IDMS])?);
    let fleet = &scene.fleet;
    let manager = two_sets(&scene).await?;
    fleet.apply(&itms("tags", &[("u.example", &["m.example/u"], None)])).await?;
    fleet.reads(&["a"], &format!("{BOTH},u.example=m.example/u")).await?;
    crds.delete(&fleet.client).await?;
    fleet.condition("a", "SourcesResolved", "Unknown", "KindVanished").await?;

    let forget = json!({"metadata": {"annotations": {KNOWN_KINDS: "icsp,itms"}}});
    fleet.merge(&lease(), &forget).await?;
    fleet.reads(&["a"], "u.example=m.example/u").await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;
    drop(manager);
    let mark = scene.audit.mark().await?;
    let again = scene.manager().await?;
    again.leads().await?;
    eventually(SOON, "the hosted cluster was looked at", async || {
        ensure!(again.metric("hypermirror_reconcile_duration_seconds_count").await? >= 1.0);
        Ok(Some(()))
    })
    .await?;
    scene.nothing_written(mark).await?;
    assert_eq!(known_kinds(fleet).await?, "icsp,itms");
    Ok(())
}

#[tokio::test]
async fn a_source_that_is_never_contacted_stays_so_while_its_kind_is_gone_and_the_manager_starts_anew() -> Result<()> {
    let (scene, crds) = (Scene::start().await?, Crds::of_the_fleet()?.only(&[IDMS])?);
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], Some("NeverContactSource"))])).await?;
    let manager = scene.manager().await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;
    knows(fleet, "idms").await?;
    drop(manager);
    crds.delete(&fleet.client).await?;
    let mark = scene.audit.mark().await?;

    let _again = scene.manager().await?;
    fleet.condition("a", "SourcesResolved", "Unknown", "KindVanished").await?;
    fleet.apply(&itms("tags", &[("u.example", &["m.example/u"], None)])).await?;
    fleet.reads(&["a"], "s.example=m.example/s,u.example=m.example/u").await?;
    fleet.condition("a", "ControlPlaneUpToDate", "True", "AsExpected").await?;
    assert_eq!(scene.patches(mark).await?.len(), 3, "the addition alone, and no argument removed");
    let argument = fleet.deployment("a", "ignition-server").await?;
    let argument = argument.pointer("/spec/template/spec/containers/0/args").cloned().unwrap_or_default();
    ensure!(argument.to_string().contains("s.example=m.example/s"), "{argument}");
    let reported = fleet.report("a").await?;
    assert_eq!(reported["sources"][0]["policy"], "NeverContactSource", "{reported}");
    Ok(())
}
