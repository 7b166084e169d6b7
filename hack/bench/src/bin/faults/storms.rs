//! Storms of 410: each watch has to list anew, several times, under edits.

use std::time::{Duration, Instant};

use anyhow::Result;
use hypermirror_e2e::faults::{World, storm};
use tokio::time::sleep;

use crate::outcome::Outcome;
use crate::{Arguments, LIMIT, bed, replicas};

const BETWEEN: Duration = Duration::from_secs(10);

pub async fn measure(arguments: &Arguments) -> Result<Vec<Outcome>> {
    let world = World::start(bed(), arguments.clusters).await?;
    let replicas = replicas(&world, arguments, &[]).await?;
    let run = world.begin().await?;
    let edits = world.edits(arguments.pace(), arguments.seed);
    let mut leaderless = Vec::new();
    for _ in 0..arguments.rounds {
        sleep(BETWEEN).await;
        storm::expire_watches(&world.scene.bed).await?;
        let back = Instant::now();
        replicas.leads(LIMIT).await?;
        leaderless.push(back.elapsed());
    }
    edits.end().await?;
    let settled = world.settled(LIMIT).await?;
    let verdict = world.judge(&run, true).await?;
    let note = format!("{} lists by {} replicas: watches that were answered 410", verdict.lists, arguments.replicas);
    let name = "etcd compacted and API server restarted: 410 for each watch";
    let outcome = Outcome::new(name, arguments.rounds, world.names.len(), verdict);
    Ok(vec![outcome.recovered(&leaderless, settled).note(note)])
}
