//! API priority and fairness refuses requests of the manager under edits.

use std::time::{Duration, Instant};

use anyhow::Result;
use hypermirror_e2e::faults::{World, throttle};
use tokio::time::sleep;

use crate::outcome::Outcome;
use crate::{Arguments, LIMIT, bed, replicas};

/// Shares of the API server's capacity, and for how long: everything is refused for longer than a Lease lasts; then a trickle.
const PHASES: [(u32, Duration); 2] = [(0, Duration::from_secs(25)), (1, Duration::from_secs(25))];
const BETWEEN: Duration = Duration::from_secs(5);

pub async fn measure(arguments: &Arguments) -> Result<Vec<Outcome>> {
    let world = World::start(bed(), arguments.clusters).await?;
    let replicas = replicas(&world, arguments, &[]).await?;
    let run = world.begin().await?;
    let edits = world.edits(arguments.pace(), arguments.seed);
    let mut leaderless = Vec::new();
    for _ in 0..arguments.rounds {
        sleep(BETWEEN).await;
        for (shares, duration) in PHASES {
            throttle::throttle(&world.scene.fleet, shares).await?;
            sleep(duration).await;
        }
        throttle::lift(&world.scene.fleet).await?;
        let lifted = Instant::now();
        replicas.leads(LIMIT).await?;
        leaderless.push(lifted.elapsed());
    }
    edits.end().await?;
    let settled = world.settled(LIMIT).await?;
    let verdict = world.judge(&run, true).await?;
    let note = format!("{} requests were refused with 429", verdict.refused_with(429));
    let name = "API priority and fairness: 25 s of 429 for everything, 25 s of a trickle";
    let outcome = Outcome::new(name, arguments.rounds, world.names.len(), verdict);
    Ok(vec![outcome.recovered(&leaderless, settled).note(note)])
}
