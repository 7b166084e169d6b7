//! Clocks of replicas step by an hour under edits.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::Fleet;
use hypermirror_e2e::faults::{Replicas, World};
use hypermirror_e2e::fleet::objects::lease;
use jiff::Timestamp;
use tokio::time::sleep;

use crate::outcome::Outcome;
use crate::{Arguments, LIMIT, bed, replicas};

/// Longer than a Lease: a standby that compared times would have taken over.
const BETWEEN: Duration = Duration::from_secs(20);
const HOUR: i64 = 3600;
/// What is preloaded into the managers.
const SHIM: &str = include_str!("clock.c");

pub async fn measure(arguments: &Arguments) -> Result<Vec<Outcome>> {
    let world = World::start(bed(), arguments.clusters).await?;
    let directory = world.scene.bed.directory().to_owned();
    let clocks = directory.join("clock-{identity}").display().to_string();
    let env = [("LD_PRELOAD", build(&directory)?.display().to_string()), ("CLOCK_OFFSET_FILE", clocks)];
    let mut replicas = replicas(&world, arguments, &env).await?;
    let run = world.begin().await?;
    let edits = world.edits(arguments.pace(), arguments.seed);
    let (mut steps, mut leaderless) = (0, Vec::new());
    for round in 0..arguments.rounds {
        // The holder's clock steps forth and back, then those of the others, then all are the same again.
        let (first, second) = if round % 2 == 0 { (HOUR, -HOUR) } else { (-HOUR, HOUR) };
        let holder = replicas.leader().await.context("no replica leads")?;
        for (of_holder, of_others) in [(first, 0), (second, 0), (0, first), (0, second), (first, second), (0, 0)] {
            for (place, replica) in replicas.running.iter().enumerate() {
                let offset = if place == holder { of_holder } else { of_others };
                set(&directory, &replica.identity, offset)?;
            }
            steps += 1;
            sleep(BETWEEN).await;
            let leads = replicas.leader().await;
            ensure!(leads == Some(holder), "a step of the clock changed the leader: {holder} led, now {leads:?}");
            renewed(&world.scene.fleet, of_holder).await?;
        }
        // A holder whose clock is ahead dies: its time of renewal is in the future, and nobody waits for that.
        let place = replicas.leader().await.context("no replica leads")?;
        let identity = &replicas.running.get(place).context("the leader is gone")?.identity;
        set(&directory, identity, HOUR)?;
        sleep(BETWEEN).await;
        leaderless.push(replace(&mut replicas, &directory).await?);
    }
    edits.end().await?;
    let settled = world.settled(LIMIT).await?;
    let verdict = world.judge(&run, true).await?;
    let note = format!("{} changes of the leader, all after a kill", verdict.terms);
    let mut outcome = Outcome::new("clocks of holder and standbys stepped by ±1 h", steps, world.names.len(), verdict)
        .recovered(&leaderless, settled)
        .note(note);
    if outcome.verdict.terms != arguments.rounds {
        let changes = outcome.verdict.terms;
        outcome.verdict.wrong.push(format!("{changes} changes of the leader for {} kills", arguments.rounds));
    }
    Ok(vec![outcome])
}

/// Kills the holder, and returns the time until another replica leads.
async fn replace(replicas: &mut Replicas<'_>, directory: &Path) -> Result<Duration> {
    let took = replicas.kill_leader(hypermirror_e2e::faults::Successor::NewIdentity, LIMIT).await?;
    for replica in &replicas.running {
        set(directory, &replica.identity, 0)?;
    }
    Ok(took)
}

/// Fails unless the Lease was renewed just now by a clock with this offset: otherwise the clock was not stepped.
async fn renewed(fleet: &Fleet, offset: i64) -> Result<()> {
    let lease = fleet.api_of(&lease())?.get("hypermirror-manager").await?;
    let time: Timestamp = lease.data["spec"]["renewTime"].as_str().context("no time of renewal")?.parse()?;
    let ahead = time.as_second() - Timestamp::now().as_second();
    ensure!((ahead - offset).abs() < 60, "renewed with a clock that is {ahead} s ahead; it was set to {offset} s");
    Ok(())
}

fn set(directory: &Path, identity: &str, offset: i64) -> Result<()> {
    let path = directory.join(format!("clock-{identity}"));
    // Renamed: a reader never finds a part.
    let next = directory.join("clock.next");
    std::fs::write(&next, offset.to_string())?;
    Ok(std::fs::rename(&next, path)?)
}

fn build(directory: &Path) -> Result<PathBuf> {
    let (source, library) = (directory.join("clock.c"), directory.join("clock.so"));
    std::fs::write(&source, SHIM)?;
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O2", "-o"]).args([&library, &source]);
    let begun = Instant::now();
    let status = command.status().context("failed to start cc")?;
    ensure!(status.success(), "cc: {status} after {:?}", begun.elapsed());
    Ok(library)
}
