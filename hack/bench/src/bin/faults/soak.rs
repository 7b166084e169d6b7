//! A long run without faults: memory, open files, threads and tasks of the leader stay flat.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hypermirror_bench::process::Memory;
use hypermirror_bench::trend::Trend;
use hypermirror_e2e::eventually;
use hypermirror_e2e::faults::edits::locked;
use hypermirror_e2e::faults::{Editor, Replicas, World};
use hypermirror_e2e::fleet::Fleet;
use hypermirror_e2e::fleet::manager::Manager;
use hypermirror_e2e::{Crds, Scene};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::outcome::Outcome;
use crate::{Arguments, LIMIT, bed, replicas};

const INTERVAL: Duration = Duration::from_secs(10);
/// What may grow in an hour, as a part of the mean: the least that a leak which matters within a month exceeds, and more than what a run
/// without one shows.
const FLAT: f64 = 0.05;
/// Edits of hosted clusters with guests are this many times as frequent as of others.
const FAVOURED: usize = 10;

/// One measurement, by name.
type Samples = BTreeMap<&'static str, Vec<(f64, f64)>>;

pub async fn measure(arguments: &Arguments) -> Result<Vec<Outcome>> {
    let bed = bed().guests(arguments.guests).guest_kit(Scene::guest_kit(&Crds::of_the_fleet()?)?);
    let world = World::start(bed, arguments.clusters.div_ceil(5)).await?;
    let guests = Scene::guests(&world.scene.bed).await?;
    for (name, guest) in world.names.iter().zip(world.scene.bed.guests()) {
        world.scene.fleet.guest_of(name, guest).await?;
    }
    let replicas = replicas(&world, arguments, &[]).await?;
    for name in world.names.iter().take(guests.len()) {
        world.scene.fleet.condition_within(LIMIT, name, "GuestSynced", "True", "AsExpected").await?;
    }
    let run = world.begin().await?;
    let mut names = world.names.clone();
    for _ in 1..FAVOURED {
        names.extend_from_within(..guests.len());
    }
    let edits = Editor::start(&world.scene.fleet, &names, &world.ledger, arguments.pace(), arguments.seed);
    let samples = watch(&replicas, Duration::from_mins(arguments.minutes)).await?;
    edits.end().await?;
    let settled = world.settled(LIMIT).await?;
    for (name, guest) in world.names.iter().zip(&guests) {
        arrived(&world, name, guest).await?;
    }
    let verdict = world.judge(&run, true).await?;
    let name = format!("nothing but edits for {} minutes, {} guest clusters", arguments.minutes, guests.len());
    let mut outcome = Outcome::new(&name, 1, world.names.len(), verdict).recovered(&[], settled);
    for (what, samples) in &samples {
        let trend = Trend::of(samples);
        let Trend { mean, max, per_hour } = trend;
        let percent = FLAT * 100.0;
        let note =
            format!("{what}: mean {mean:.1}, at most {max:.1}, {per_hour:+.2} an hour ({} samples)", samples.len());
        if !trend.is_flat(FLAT) {
            outcome.wrong.push(format!("{note}: more than {percent} % an hour"));
        }
        outcome = outcome.note(note);
    }
    Ok(vec![outcome])
}

/// Waits until a guest cluster has the mirrors of its hosted cluster.
async fn arrived(world: &World, cluster: &str, guest: &Fleet) -> Result<()> {
    let wanted = format!("m.example/n{}", locked(&world.ledger).state(cluster).own);
    let sets =
        json!({"apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorSet", "metadata": {"name": "cluster"}});
    eventually(LIMIT, &format!("the guest cluster of {cluster} has {wanted}"), async || {
        let set = guest.api_of(&sets)?.get("cluster").await?.data.to_string();
        ensure!(set.contains(&format!("{wanted}\"")), "{set}");
        Ok(Some(()))
    })
    .await
}

/// Samples the replica that leads at the start.
async fn watch(replicas: &Replicas<'_>, duration: Duration) -> Result<Samples> {
    let place = replicas.leader().await.context("no replica leads")?;
    let leader = &replicas.running.get(place).context("the leader is gone")?.manager;
    let mut samples = Samples::new();
    let (start, mut ticks) = (Instant::now(), interval(INTERVAL));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut missed = Vec::new();
    while start.elapsed() < duration {
        ticks.tick().await;
        let at = start.elapsed().as_secs_f64();
        // On a machine that is short of processors an answer may be late.
        match sample(leader).await {
            Ok(values) => {
                for (what, value) in values {
                    samples.entry(what).or_default().push((at, value));
                }
            }
            Err(error) => missed.push(format!("{error:#}")),
        }
        if samples.values().next().is_some_and(|list| list.len() % 30 == 0) {
            let last = samples.iter().filter_map(|(what, list)| Some(format!("{what} {:.1}", list.last()?.1)));
            eprintln!("{at:.0} s: {}", last.collect::<Vec<_>>().join(", "));
        }
    }
    let taken = samples.values().map(Vec::len).max().unwrap_or_default();
    ensure!(missed.len() * 10 <= taken, "{taken} samples, and {} missed: {:?}", missed.len(), missed.first());
    Ok(samples)
}

async fn sample(manager: &Manager) -> Result<[(&'static str, f64); 5]> {
    let process = manager.process.handle().id();
    let memory = Memory::of(process)?;
    let entries = |directory: &str| -> Result<f64> {
        let count = std::fs::read_dir(format!("/proc/{process}/{directory}"))?.count();
        Ok(f64::from(u32::try_from(count)?))
    };
    Ok([
        ("resident memory, MB", memory.resident),
        ("anonymous memory, MB", memory.anonymous),
        ("open files", entries("fd")?),
        ("threads", entries("task")?),
        ("tasks", manager.metric("hypermirror_tasks").await?),
    ])
}
