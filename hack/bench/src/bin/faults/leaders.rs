//! Leaders are killed under edits.

use std::time::{Duration, Instant};

use anyhow::Result;
use hypermirror_e2e::faults::{Successor, World};
use tokio::time::sleep;

use crate::outcome::Outcome;
use crate::{Arguments, LIMIT, bed, replicas};

pub async fn measure(arguments: &Arguments) -> Result<Vec<Outcome>> {
    let world = World::start(bed(), arguments.clusters).await?;
    let mut replicas = replicas(&world, arguments, &[]).await?;
    let run = world.begin().await?;
    let edits = world.edits(arguments.pace(), arguments.seed);
    let (start, mut leaderless) = (Instant::now(), [Vec::new(), Vec::new()]);
    while start.elapsed() < Duration::from_mins(arguments.kill_minutes) {
        // In the middle of what it does.
        sleep(Duration::from_secs(arguments.kill_after)).await;
        let [same, new] = &mut leaderless;
        let (successor, times) =
            if same.len() > new.len() { (Successor::NewIdentity, new) } else { (Successor::SameIdentity, same) };
        let took = replicas.kill_leader(successor, LIMIT).await?;
        eprintln!(
            "{:.0} s: killed; a replica leads again after {:.1} s",
            start.elapsed().as_secs_f64(),
            took.as_secs_f64()
        );
        times.push(took);
    }
    edits.end().await?;
    let settled = world.settled(LIMIT).await?;
    let verdict = world.judge(&run, true).await?;
    let [same, new] = leaderless;
    let times: Vec<Duration> = same.iter().chain(&new).copied().collect();
    let note = format!(
        "{} killed ones came back with their identity, as a restarted container ({}), {} were replaced ({})",
        same.len(),
        longest(&same),
        new.len(),
        longest(&new)
    );
    let name = format!("leader killed {} s after it began to lead", arguments.kill_after);
    Ok(vec![Outcome::new(&name, times.len(), world.names.len(), verdict).recovered(&times, settled).note(note)])
}

fn longest(times: &[Duration]) -> String {
    let spread = hypermirror_bench::Spread::of(times.iter().map(Duration::as_secs_f64));
    format!("{spread:.1} s without a leader")
}
