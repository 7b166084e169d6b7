//! Faults one after another, under edits that never stop. `hack/bench/run --faults` does the same for longer, with more of them.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use hypermirror_e2e::faults::{Pace, Replicas, Successor, World, storm, throttle};
use hypermirror_e2e::{Testbed, eventually};

/// For a fleet on a loaded machine. A successful run takes a fraction of it.
const LIMIT: Duration = Duration::from_mins(2);
const PACE: Pace = Pace { shared: Duration::from_secs(2), own: Duration::from_millis(100) };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_leaders_expired_watches_and_throttling_lose_nothing_and_write_nothing_twice() -> Result<()> {
    let world = World::start(Testbed::builder(), 30).await?;
    let mut replicas = Replicas::start(world.scene.management(), 2, &[]).await?;
    world.settled(LIMIT).await?;
    let run = world.begin().await?;
    let edits = world.edits(PACE, 1);

    for successor in [Successor::SameIdentity, Successor::NewIdentity, Successor::SameIdentity] {
        written(&replicas).await?;
        replicas.kill_leader(successor, LIMIT).await?;
    }
    written(&replicas).await?;
    let lists = world.judge(&run, true).await?.lists;
    storm::expire_watches(&world.scene.bed).await?;
    replicas.leads(LIMIT).await?;
    written(&replicas).await?;
    throttle::throttle(&world.scene.fleet, 0).await?;
    eventually(LIMIT, "nobody can renew the Lease", async || Ok(replicas.leader().await.is_none().then_some(())))
        .await?;
    throttle::lift(&world.scene.fleet).await?;
    replicas.leads(LIMIT).await?;

    edits.end().await?;
    world.settled(LIMIT).await?;
    let verdict = world.judge(&run, true).await?;
    if let Some(complaint) = verdict.complaint() {
        bail!("{complaint}");
    }
    // The faults were real, and so was the work between them.
    ensure!(verdict.terms >= 1 && verdict.refused_with(429) > 0, "{verdict:?}");
    ensure!(verdict.lists >= lists + 10, "no watch had to list anew: {lists} lists before, {} after", verdict.lists);
    ensure!(verdict.patches > world.names.len() * 3, "{verdict:?}");
    ensure!(verdict.others.is_empty(), "{:?}", verdict.others);
    Ok(())
}

/// Waits until the leader has written something, so that the next fault meets it at work.
async fn written(replicas: &Replicas<'_>) -> Result<()> {
    eventually(LIMIT, "the leader writes", async || {
        let Some(place) = replicas.leader().await else { return Ok(None) };
        let patches = replicas.running[place].manager.metric("hypermirror_target_patches_total").await?;
        Ok((patches > 5.0).then_some(()))
    })
    .await
}
