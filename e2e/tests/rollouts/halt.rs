//! No rollout starts after failures.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::objects::hosted_cluster;
use hypermirror_e2e::fleet::{NAMESPACE, SOON, TARGETS, deployments};
use hypermirror_e2e::{Fleet, consistently, eventually};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::flights::flights;
use super::stage::{Stage, VALUE};

/// The hosted clusters about which there is a warning of this reason.
async fn warned(fleet: &Fleet, reason: &str) -> Result<BTreeSet<String>> {
    let api: Api<Event> = Api::namespaced(fleet.client.clone(), NAMESPACE);
    let events = api.list(&ListParams::default()).await?.items.into_iter();
    let of_reason =
        events.filter(|event| event.reason.as_deref() == Some(reason) && event.type_.as_deref() == Some("Warning"));
    Ok(of_reason.filter_map(|event| event.regarding?.name).collect())
}

#[tokio::test]
async fn none_begins_after_a_failure_until_it_recovers() -> Result<()> {
    let stage = Stage::start(12, Duration::from_millis(100)).await?;
    let (scene, fleet) = (&stage.scene, &stage.scene.fleet);
    stage.pods.hold();
    let launch = |name: &str| scene.launch(name).arg("--max-concurrent-rollouts=3").arg("--rollout-timeout=2s");
    let manager = launch("first").start_ready(scene.management()).await?;
    manager.leads().await?;
    let mark = scene.audit.mark().await?;
    stage.edit().await?;

    let failed = eventually(SOON, "three are not back in time, and the others are reported", async || {
        let (failed, halted) = (stage.with_reason("RolloutFailed").await?, stage.with_reason("RolloutHalted").await?);
        ensure!((failed.len(), halted.len()) == (3, 9), "{failed:?} {halted:?}");
        Ok(Some(failed))
    })
    .await?;
    let halted = stage.with_reason("RolloutHalted").await?;
    let message = fleet.condition(&halted[0], "ControlPlaneUpToDate", "False", "RolloutHalted").await?;
    assert!(failed.iter().all(|name| message.contains(&format!("{NAMESPACE}/{name}"))), "{message}");
    let failed: BTreeSet<String> = failed.into_iter().collect();
    eventually(SOON, "events tell it once", async || {
        let reported = (warned(fleet, "RolloutFailed").await?, warned(fleet, "RolloutHalted").await?);
        ensure!(reported == (failed.clone(), halted.iter().cloned().collect()), "{reported:?}");
        Ok(Some(()))
    })
    .await?;
    assert!(warned(fleet, "RolloutWaiting").await?.is_empty(), "to wait is no trouble");
    eventually(SOON, "metrics tell it", async || {
        ensure!(manager.metric("hypermirror_rollouts_halted").await? > 0.5);
        ensure!(manager.metric("hypermirror_rollouts{state=\"Failed\"}").await? > 2.5);
        Ok(Some(()))
    })
    .await?;

    // Whoever leads next is as careful.
    drop(manager);
    let manager = launch("second").start_ready(scene.management()).await?;
    manager.leads().await?;
    consistently(Duration::from_secs(1), "none begins", async || {
        let in_flight = flights(scene, mark).await?.left.len();
        ensure!(in_flight == 3, "{in_flight}");
        Ok(())
    })
    .await?;

    stage.pods.mend(&stage.names()).await?;
    stage.all_done().await?;
    let flights = flights(scene, mark).await?;
    assert_eq!((flights.most, flights.patches.len()), (3, 36));
    eventually(SOON, "the halt is over", async || {
        Ok((manager.metric("hypermirror_rollouts_halted").await? < 0.5).then_some(()))
    })
    .await
}

/// The hosted cluster `clusters-other/b`; helpers know its control-plane namespace by the name `other-b`.
fn of_another_owner(mirror: &str) -> Value {
    let mut cluster = hosted_cluster("b", &[("own.example", &[mirror], None)]);
    cluster["metadata"]["namespace"] = json!("clusters-other");
    cluster
}

#[tokio::test]
async fn an_owner_that_breaks_its_own_control_plane_stops_its_own_namespace_alone() -> Result<()> {
    let stage = Stage::start(2, Duration::from_millis(100)).await?;
    let (scene, fleet) = (&stage.scene, &stage.scene.fleet);
    fleet.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "clusters-other"}})).await?;
    fleet.apply(&deployments::namespace_of("other-b")).await?;
    for target in TARGETS {
        fleet.apply(&deployments::target("other-b", target, Some("="), "=")).await?;
    }
    stage.pods.available(fleet, &["other-b"]).await?;
    fleet.apply(&of_another_owner("one.example")).await?;
    let launch = |name: &str| scene.launch(name).arg("--max-concurrent-rollouts=3").arg("--rollout-timeout=2s");
    let manager = launch("first").start_ready(scene.management()).await?;
    fleet.reads(&["other-b"], "own.example=one.example").await?;
    fleet.condition("c000", "ControlPlaneUpToDate", "True", "AsExpected").await?;

    stage.pods.hold_next("c000");
    let edit = |name: &str| hosted_cluster(name, &[("s.example", &["m.example/s"], None)]);
    fleet.apply(&edit("c000")).await?;
    fleet.condition("c000", "ControlPlaneUpToDate", "False", "RolloutFailed").await?;
    let mark = deployments::annotation(&fleet.deployment("c000", TARGETS[0]).await?, "hypermirror.dev/rollout");
    ensure!(mark.as_ref().is_some_and(|mark| mark.ends_with("[cause=own]")), "{mark:?}");
    fleet.apply(&edit("c001")).await?;
    let message = fleet.condition("c001", "ControlPlaneUpToDate", "False", "RolloutHalted").await?;
    ensure!(message.contains("clusters/c000"), "{message}");
    // Another owner goes on, under the next leader, too, and so does what is declared for everybody.
    fleet.apply(&of_another_owner("two.example")).await?;
    fleet.reads(&["other-b"], "own.example=two.example").await?;
    ensure!(manager.metric("hypermirror_rollouts_halted").await? < 0.5);
    drop(manager);
    let manager = launch("second").start_ready(scene.management()).await?;
    stage.edit().await?;
    fleet.reads(&["other-b"], "own.example=two.example,s.example=m.example/s").await?;
    eventually(SOON, "metrics count the failed one", async || {
        Ok((manager.metric("hypermirror_rollouts{state=\"Failed\"}").await? > 0.5).then_some(()))
    })
    .await?;

    stage.pods.mend(&["c000"]).await?;
    fleet.reads(&["c000", "c001"], VALUE).await
}
