//! Never more than the budget, whoever leads.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hypermirror_e2e::eventually;
use hypermirror_e2e::fleet::SOON;

use super::flights::flights;
use super::stage::{LONG, Stage, VALUE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_hosted_clusters_never_more_than_ten_change_at_a_time() -> Result<()> {
    let stage = Stage::start(200, Duration::from_millis(200)).await?;
    let scene = &stage.scene;
    let launch = scene.launch("manager").arg("--max-concurrent-rollouts=10");
    let manager = launch.start_ready(scene.management()).await?;
    manager.leads().await?;
    let mark = scene.audit.mark().await?;
    let start = Instant::now();
    stage.edit().await?;
    eventually(SOON, "the others wait", async || {
        let waiting = manager.metric("hypermirror_rollouts{state=\"Waiting\"}").await?;
        ensure!(waiting > 100.0, "{waiting}");
        Ok(Some(()))
    })
    .await?;
    stage.all_done().await?;
    eprintln!("200 hosted clusters, 10 at a time: {:.1} s", start.elapsed().as_secs_f64());

    let flights = flights(scene, mark).await?;
    eprintln!("at most {} in flight", flights.most);
    assert!((5..=10).contains(&flights.most), "{} at a time", flights.most);
    assert_eq!(flights.patches.len(), 600);
    assert!(flights.patches.values().all(|count| *count == 1), "{:?}", flights.patches);
    assert!(flights.left.is_empty(), "{:?}", flights.left);
    stage.scene.fleet.reads(&["c000", "c199"], VALUE).await?;
    for state in ["InFlight", "Waiting", "Failed", "Unavailable"] {
        eventually(SOON, state, async || {
            let count = manager.metric(&format!("hypermirror_rollouts{{state=\"{state}\"}}")).await?;
            Ok((count < 0.5).then_some(()))
        })
        .await?;
    }

    // A resync writes nothing, under another leader neither.
    drop(manager);
    let mark = scene.audit.mark().await?;
    let manager = scene.launch("manager").arg("--max-concurrent-rollouts=10").start_ready(scene.management()).await?;
    manager.leads().await?;
    hypermirror_e2e::consistently(Duration::from_secs(2), "nothing is written", async || {
        scene.nothing_written(mark).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_killed_in_the_middle_of_a_wave_leaves_the_budget_to_the_next() -> Result<()> {
    let stage = Stage::start(40, Duration::from_millis(400)).await?;
    let scene = &stage.scene;
    let launch = |name: &str| scene.launch(name).arg("--max-concurrent-rollouts=4");
    let mut first = launch("first").start_ready(scene.management()).await?;
    first.leads().await?;
    let second = launch("second").start_ready(scene.management()).await?;
    let mark = scene.audit.mark().await?;
    stage.edit().await?;
    eventually(LONG, "some are done", async || {
        let patched = flights(scene, mark).await?.patches.len();
        ensure!(patched >= 20, "{patched} targets");
        Ok(Some(()))
    })
    .await?;
    // Pods stop in the middle, too: the next leader has to know who is in flight.
    stage.pods.hold();
    eventually(SOON, "as many as may are in flight", async || {
        let now = flights(scene, mark).await?;
        ensure!(now.left.len() == 4, "{:?}", now.left);
        Ok(Some(()))
    })
    .await?;
    first.process.kill()?;
    let before = flights(scene, mark).await?;
    assert!(before.patches.len() < 100, "{} targets were done before the leader was killed", before.patches.len());

    second.leads().await?;
    hypermirror_e2e::consistently(Duration::from_secs(1), "none begins", async || {
        let now = flights(scene, mark).await?;
        ensure!(now.left.is_subset(&before.left), "{:?} and {:?}", before.left, now.left);
        Ok(())
    })
    .await?;
    stage.pods.mend(&stage.names()).await?;
    stage.all_done().await?;
    let flights = flights(scene, mark).await?;
    eprintln!("at most {} in flight over two leaders", flights.most);
    assert!(flights.most <= 4, "{} at a time", flights.most);
    assert_eq!(flights.patches.len(), 120);
    assert!(flights.patches.values().all(|count| *count == 1), "{:?}", flights.patches);
    Ok(())
}

#[tokio::test]
async fn a_hosted_cluster_that_was_unavailable_before_is_skipped_and_not_counted() -> Result<()> {
    let stage = Stage::start(4, Duration::from_millis(100)).await?;
    let (scene, fleet) = (&stage.scene, &stage.scene.fleet);
    stage.pods.break_down("c001").await?;
    let launch = scene.launch("manager").arg("--max-concurrent-rollouts=1").arg("--rollout-timeout=1s");
    let manager = launch.start_ready(scene.management()).await?;
    manager.leads().await?;
    let mark = scene.audit.mark().await?;
    stage.edit().await?;
    fleet.reads(&["c000", "c002", "c003"], VALUE).await?;
    let message = fleet.condition("c001", "ControlPlaneUpToDate", "False", "TargetsUnavailable").await?;
    assert!(message.contains("control-plane-operator, ignition-server, hosted-cluster-config-operator"), "{message}");
    fleet.reads(&["c001"], "=").await?;
    eventually(SOON, "it is counted apart", async || {
        let unavailable = manager.metric("hypermirror_rollouts{state=\"Unavailable\"}").await?;
        ensure!(unavailable > 0.5 && manager.metric("hypermirror_rollouts_halted").await? < 0.5);
        Ok(Some(()))
    })
    .await?;

    stage.pods.mend(&["c001"]).await?;
    fleet.reads(&["c001"], VALUE).await?;
    stage.all_done().await?;
    assert_eq!(flights(scene, mark).await?.most, 1);
    Ok(())
}
