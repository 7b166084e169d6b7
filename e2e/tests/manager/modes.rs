//! What the manager does not write: in observe mode, and outside its selector.

use anyhow::Result;
use hypermirror_e2e::fleet::objects::{Entry, hosted_cluster, idms, report};
use hypermirror_e2e::fleet::{SOON, TARGETS};
use hypermirror_e2e::{Scene, eventually};
use serde_json::json;

const NEVER: &[Entry<'_>] = &[("s.example", &["m.example/s"], Some("NeverContactSource"))];

#[tokio::test]
async fn an_observer_writes_nothing_but_reports() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    fleet.apply(&idms("one", NEVER)).await?;
    let mark = scene.audit.mark().await?;
    let _observer = scene.launch("observer").arg("--mode=observe").start_ready(scene.management()).await?;

    let message = fleet.condition("a", "ControlPlaneUpToDate", "False", "Observing").await?;
    assert!(message.contains("hypermirror diff"), "{message}");
    let reported = fleet.report("a").await?;
    assert_eq!(reported["sources"][0]["source"], "s.example", "{reported}");
    assert_eq!(reported["controlPlane"]["summary"], "0/3", "{reported}");
    fleet.apply(&idms("one", &[("t.example", &["m.example/t"], None)])).await?;
    fleet.wait_for_map("a", "t.example=m.example/t").await?;
    let mut resources: Vec<String> = scene.writes(mark).await?.into_iter().map(|write| write.resource).collect();
    resources.sort_unstable();
    resources.dedup();
    assert_eq!(resources, ["events", "hostedclustermirrors"]);
    Ok(())
}

#[tokio::test]
async fn entries_are_removed_from_a_hosted_cluster_that_the_selector_no_longer_matches() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    for name in ["ours", "theirs"] {
        fleet.hosted_cluster(name, &[], "=").await?;
    }
    let ours = hosted_cluster("ours", &[]);
    fleet.merge(&ours, &json!({"metadata": {"labels": {"mirrors": "yes"}}})).await?;
    fleet.apply(&idms("one", NEVER)).await?;
    let before = fleet.deployment("ours", TARGETS[1]).await?;
    let launch = scene.launch("manager").arg("--hosted-cluster-selector=mirrors=yes");
    let _manager = launch.start_ready(scene.management()).await?;
    fleet.reads(&["ours"], "s.example=m.example/s").await?;
    let with = fleet.deployment("ours", TARGETS[1]).await?;
    assert_ne!(
        with["spec"]["template"]["spec"]["containers"][0]["args"],
        before["spec"]["template"]["spec"]["containers"][0]["args"]
    );
    fleet.condition("ours", "Ready", "True", "AsExpected").await?;

    fleet.merge(&ours, &json!({"metadata": {"labels": {"mirrors": "no"}}})).await?;
    fleet.reads(&["ours"], "=").await?;
    let after = fleet.deployment("ours", TARGETS[1]).await?;
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(after["metadata"]["annotations"], before["metadata"]["annotations"]);
    eventually(SOON, "the report is gone", async || {
        Ok(fleet.api_of(&report("ours"))?.get_opt("ours").await?.is_none().then_some(()))
    })
    .await?;

    fleet.merge(&ours, &json!({"metadata": {"labels": {"mirrors": "yes"}}})).await?;
    fleet.reads(&["ours"], "s.example=m.example/s").await?;
    fleet.reads(&["theirs"], "=").await?;
    assert!(fleet.api_of(&report("theirs"))?.get_opt("theirs").await?.is_none(), "never in our care");
    Ok(())
}
