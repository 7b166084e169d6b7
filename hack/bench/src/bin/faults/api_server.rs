//! The API server and its etcd go away under edits.

use std::time::{Duration, Instant};

use anyhow::Result;
use hypermirror_e2e::faults::World;
use tokio::time::sleep;

use crate::outcome::Outcome;
use crate::{Arguments, LIMIT, bed, replicas};

/// Time for which the API server is away: shorter and longer than a Lease.
const AWAY: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(25)];
/// Time between two outages.
const BETWEEN: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
enum Outage {
    Stopped,
    Killed,
    Etcd,
}

pub async fn measure(arguments: &Arguments) -> Result<Vec<Outcome>> {
    let world = World::start(bed(), arguments.clusters).await?;
    let replicas = replicas(&world, arguments, &[]).await?;
    let mut outcomes = Vec::new();
    for (outage, name) in [
        (Outage::Stopped, "API server stopped and started, away for 2 and 25 s"),
        (Outage::Killed, "API server killed and started, away for 2 and 25 s"),
        (Outage::Etcd, "etcd killed and started"),
    ] {
        let run = world.begin().await?;
        let edits = world.edits(arguments.pace(), arguments.seed);
        let mut leaderless = Vec::new();
        for round in 0..arguments.rounds {
            sleep(BETWEEN).await;
            outage.inject(&world, AWAY[round % AWAY.len()]).await?;
            let back = Instant::now();
            replicas.leads(LIMIT).await?;
            leaderless.push(back.elapsed());
        }
        edits.end().await?;
        let settled = world.settled(LIMIT).await?;
        let verdict = world.judge(&run, matches!(outage, Outage::Stopped)).await?;
        outcomes.push(Outcome::new(name, arguments.rounds, world.names.len(), verdict).recovered(&leaderless, settled));
    }
    Ok(outcomes)
}

impl Outage {
    async fn inject(self, world: &World, away: Duration) -> Result<()> {
        let cluster = world.scene.management();
        match self {
            Self::Stopped => cluster.stop_api_server().await?,
            Self::Killed => cluster.kill_api_server()?,
            Self::Etcd => return world.scene.bed.restart_etcd().await,
        }
        sleep(away).await;
        cluster.start_api_server().await
    }
}
