//! The API server goes away, comes back, refuses: nothing is pruned and nothing written for it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hypermirror_e2e::audit::Mark;
use hypermirror_e2e::fleet::manager::Manager;
use hypermirror_e2e::fleet::objects::{idms, itms};
use hypermirror_e2e::fleet::{MANAGER_USER, SOON};
use hypermirror_e2e::{Crds, Scene, Testbed, consistently, endpoint, eventually};
use serde_json::{Value, json};

const VALUE: &str = "s.example=m.example/s,t.example=m.example/t";

/// One hosted cluster with a digest set and a tag set in force.
async fn in_force(scene: &Scene) -> Result<Manager> {
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    fleet.apply(&itms("two", &[("t.example", &["m.example/t"], None)])).await?;
    let manager = scene.manager().await?;
    fleet.reads(&["a"], VALUE).await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;
    Ok(manager)
}

/// Waits until the manager watches everything anew since the mark.
async fn watches_again(scene: &Scene, mark: Mark) -> Result<()> {
    for (resource, watches) in [
        ("hostedclusters", 1),
        ("hostedclustermirrors", 1),
        ("imagedigestmirrorsets", 1),
        ("imagetagmirrorsets", 1),
        ("imagecontentsourcepolicies", 1),
        ("leases", 1),
        ("customresourcedefinitions", 4),
        ("deployments", 3),
    ] {
        scene.watched(mark, resource, watches).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_api_server_that_is_away_for_half_a_minute_costs_nothing() -> Result<()> {
    let scene = Scene::start().await?;
    let mut manager = in_force(&scene).await?;
    let mark = scene.audit.mark().await?;
    scene.management().kill_api_server()?;
    eventually(SOON, "nobody leads without a Lease", async || {
        Ok((manager.metric("hypermirror_leader").await? < 0.5).then_some(()))
    })
    .await?;
    let health = format!("{}/healthz", manager.health);
    consistently(Duration::from_secs(30), "the manager lives", async || {
        ensure!(manager.process.exit_status()?.is_none(), "it ended");
        ensure!(endpoint::get(&health).await?.status == 200);
        ensure!(manager.metric("hypermirror_leader").await? < 0.5, "it leads without a Lease");
        Ok(())
    })
    .await?;
    scene.management().start_api_server().await?;
    manager.leads().await?;
    watches_again(&scene, mark).await?;
    scene.nothing_written(mark).await?;

    scene.fleet.apply(&idms("one", &[("s.example", &["m.example/other"], None)])).await?;
    scene.fleet.reads(&["a"], "s.example=m.example/other,t.example=m.example/t").await
}

#[tokio::test]
async fn a_manager_ends_in_order_although_the_api_server_does_not_answer() -> Result<()> {
    let scene = Scene::start().await?;
    let mut manager = in_force(&scene).await?;
    manager.leads().await?;
    scene.management().freeze_api_server().await?;
    let asked = Instant::now();
    let status = manager.process.stop().await?;
    scene.management().thaw_api_server()?;
    assert!(status.success(), "{status}");
    assert!(asked.elapsed() < Duration::from_secs(5), "took {:?}", asked.elapsed());
    Ok(())
}

/// Writes the rules of the manager with or without the right to read ImageDigestMirrorSets.
async fn may_read_digest_sets(scene: &Scene, may: bool) -> Result<()> {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "hypermirror-manager"}
    });
    let api = scene.fleet.api_of(&role)?;
    let mut rules = api.get("hypermirror-manager").await?.data["rules"].take();
    for rule in rules.as_array_mut().into_iter().flatten() {
        if rule["apiGroups"] == json!(["config.openshift.io"]) {
            let both = json!(["imagedigestmirrorsets", "imagetagmirrorsets"]);
            rule["resources"] = if may { both } else { json!(["imagetagmirrorsets"]) };
        }
    }
    let patch: Value = json!({"rules": rules});
    scene.fleet.merge(&role, &patch).await.map(|_| ())
}

#[tokio::test]
async fn a_kind_that_the_manager_may_not_read_any_more_loses_nothing() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    let _manager = in_force(&scene).await?;
    let mark = scene.audit.mark().await?;
    may_read_digest_sets(&scene, false).await?;
    // A running watch is not asked again: it has to break.
    scene.management().kill_api_server()?;
    scene.management().start_api_server().await?;
    let message = fleet.condition("a", "SourcesResolved", "Unknown", "SourceUnreadable").await?;
    assert!(message.contains("imagedigestmirrorsets") && message.contains("403"), "{message}");
    assert_eq!(scene.patches(mark).await?.len(), 0);
    fleet.apply(&itms("two", &[("t.example", &["m.example/t", "m.example/u"], None)])).await?;
    fleet.reads(&["a"], &format!("{VALUE},t.example=m.example/u")).await?;
    assert_eq!(scene.patches(mark).await?.len(), 3, "the other kinds go on");

    may_read_digest_sets(&scene, true).await?;
    fleet.condition("a", "SourcesResolved", "True", "AsExpected").await?;
    fleet.delete(&idms("one", &[])).await?;
    fleet.reads(&["a"], "t.example=m.example/t,t.example=m.example/u").await
}

#[tokio::test]
async fn an_api_server_without_streaming_lists_is_read_in_pages() -> Result<()> {
    let bed = Testbed::builder().api_server_arg("--feature-gates=WatchList=false");
    let scene = Scene::with(bed, &Crds::of_the_fleet()?).await?;
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    let mut wanted = Vec::new();
    for number in 10..70 {
        let source = format!("s{number}.example");
        fleet.apply(&idms(&format!("set-{number}"), &[(&source, &["m.example/s"], None)])).await?;
        wanted.push(format!("{source}=m.example/s"));
    }
    let mark = scene.audit.mark().await?;
    let _manager = scene.manager().await?;
    fleet.reads(&["a"], &wanted.join(",")).await?;
    fleet.delete(&idms("set-10", &[])).await?;
    fleet.reads(&["a"], &wanted[1..].join(",")).await?;

    let events = scene.audit.since(mark).await?;
    let pages = events.iter().filter(|event| {
        event.user == MANAGER_USER && event.verb == "list" && event.resource == "imagedigestmirrorsets"
    });
    assert_eq!(pages.filter(|page| page.uri.contains("limit=50") && page.code == 200).count(), 2);
    Ok(())
}
