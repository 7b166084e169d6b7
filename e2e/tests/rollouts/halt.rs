//! None begins after failures.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::{NAMESPACE, SOON};
use hypermirror_e2e::{Fleet, consistently, eventually};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;

use super::flights::flights;
use super::stage::Stage;

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

    let failed = eventually(SOON, "three are not back in time, and the others are told", async || {
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
        let told = (warned(fleet, "RolloutFailed").await?, warned(fleet, "RolloutHalted").await?);
        ensure!(told == (failed.clone(), halted.iter().cloned().collect()), "{told:?}");
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

#[tokio::test]
async fn as_many_failures_as_are_configured_stop_nobody() -> Result<()> {
    let stage = Stage::start(6, Duration::from_millis(100)).await?;
    let (scene, fleet) = (&stage.scene, &stage.scene.fleet);
    let launch = scene.launch("manager").arg("--max-concurrent-rollouts=3").arg("--rollout-timeout=1s");
    let manager = launch.arg("--max-failed-rollouts=2").start_ready(scene.management()).await?;
    manager.leads().await?;
    let mark = scene.audit.mark().await?;
    // Its pods are there when it begins, and do not come back.
    stage.pods.hold_next("c000");
    stage.edit().await?;
    fleet.condition("c000", "ControlPlaneUpToDate", "False", "RolloutFailed").await?;
    eventually(SOON, "the others are done", async || {
        let done = stage.with_reason("AsExpected").await?;
        ensure!(done.len() == 5, "{done:?}");
        Ok(Some(()))
    })
    .await?;
    assert!(manager.metric("hypermirror_rollouts_halted").await? < 0.5);
    stage.pods.mend(&["c000"]).await?;
    stage.all_done().await?;
    assert_eq!(flights(scene, mark).await?.most, 3);
    Ok(())
}
