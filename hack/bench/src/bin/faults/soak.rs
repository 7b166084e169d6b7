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

/// The samples of one replica while it led.
struct Term {
    identity: String,
    /// The measurements by name: seconds since the start of the run, and the value.
    samples: BTreeMap<&'static str, Vec<(f64, f64)>>,
}

impl Term {
    fn of(identity: &str) -> Self {
        Self { identity: identity.to_owned(), samples: BTreeMap::new() }
    }

    /// Number of samples.
    fn len(&self) -> usize {
        self.samples.values().map(Vec::len).max().unwrap_or_default()
    }
}

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
    let terms = watch(&replicas, Duration::from_mins(arguments.minutes)).await?;
    edits.end().await?;
    let settled = world.settled(LIMIT).await?;
    for (name, guest) in world.names.iter().zip(&guests) {
        arrived(&world, name, guest).await?;
    }
    let verdict = world.judge(&run, true).await?;
    let name = format!("nothing but edits for {} minutes, {} guest clusters", arguments.minutes, guests.len());
    let mut outcome = Outcome::new(&name, 1, world.names.len(), verdict).recovered(&[], settled);
    for (what, samples) in &longest(&terms)?.samples {
        let trend = Trend::of(samples);
        let Trend { mean, max, per_hour } = trend;
        let percent = FLAT * 100.0;
        let note =
            format!("{what}: mean {mean:.1}, at most {max:.1}, {per_hour:+.2} an hour ({} samples)", samples.len());
        if !trend.is_flat(FLAT) {
            outcome.verdict.wrong.push(format!("{note}: more than {percent} % an hour"));
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

/// The longest term. A trend needs most of the run: replicas do not need the same memory.
fn longest(terms: &[Term]) -> Result<&Term> {
    let all: usize = terms.iter().map(Term::len).sum();
    let longest = terms.iter().max_by_key(|term| term.len()).context("no samples")?;
    let each: Vec<String> = terms.iter().map(|term| format!("{} {}", term.identity, term.len())).collect();
    ensure!(longest.len() * 2 > all, "no replica led for most of the run; samples: {}", each.join(", "));
    Ok(longest)
}

/// Samples the replica that leads, whichever it is.
async fn watch(replicas: &Replicas<'_>, duration: Duration) -> Result<Vec<Term>> {
    let mut terms: Vec<Term> = Vec::new();
    let (start, mut ticks) = (Instant::now(), interval(INTERVAL));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut taken, mut missed) = (0, Vec::new());
    while start.elapsed() < duration {
        ticks.tick().await;
        let at = start.elapsed().as_secs_f64();
        // On a machine that is short of processors an answer may be late.
        match sample_leader(replicas).await {
            Ok((identity, values)) => {
                if terms.last().is_none_or(|term| term.identity != identity) {
                    eprintln!("{at:.0} s: {identity} leads");
                    terms.push(Term::of(identity));
                }
                taken += 1;
                for (what, value) in values {
                    terms.last_mut().context("a term has begun")?.samples.entry(what).or_default().push((at, value));
                }
                if taken % 30 == 0 {
                    let last = values.map(|(what, value)| format!("{what} {value:.1}"));
                    eprintln!("{at:.0} s: {}", last.join(", "));
                }
            }
            Err(error) => missed.push(format!("{error:#}")),
        }
    }
    ensure!(missed.len() * 10 <= taken, "{taken} samples, and {} missed: {:?}", missed.len(), missed.first());
    Ok(terms)
}

async fn sample_leader<'r>(replicas: &'r Replicas<'_>) -> Result<(&'r str, [(&'static str, f64); 5])> {
    let place = replicas.leader().await.context("no replica leads")?;
    let leader = replicas.running.get(place).context("the leader is gone")?;
    Ok((&leader.identity, sample(&leader.manager).await?))
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
