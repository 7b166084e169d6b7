//! Measures one mirror edit on a fleet: its time compared with a bare client that sends the same patches, the writes, memory
//! and CPU time of the manager, and the cost of a restart.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures and its progress")]

mod rounds;

use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use hypermirror_bench::fleet;
use hypermirror_e2e::{Crds, Fleet, Testbed};

use crate::rounds::Bench;

/// One mirror edit over a fleet, on a real API server.
#[derive(Parser, Clone, Copy)]
#[command(name = "fanout")]
struct Arguments {
    /// Number of hosted clusters.
    #[arg(long, default_value_t = 1000)]
    clusters: usize,
    /// Number of other Deployments in each control-plane namespace.
    #[arg(long, default_value_t = 40)]
    bystanders: usize,
    /// Number of sources of the mirror set, each with two mirrors.
    #[arg(long, default_value_t = 20)]
    sources: usize,
    /// Number of rounds, each with an edit by the manager and one by the bare client.
    #[arg(long, default_value_t = 4)]
    rounds: usize,
    /// Measure only the manager, without the bare client.
    #[arg(long)]
    no_bare: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let started = Instant::now();
    let bed = Testbed::builder().start().await?;
    let fleet = Fleet::install(bed.management(), &Crds::of_the_fleet()?).await?;
    let made = fleet::create(&fleet.client, 0..arguments.clusters, arguments.bystanders).await?;
    eprintln!("created {made} objects in {:.0} s", started.elapsed().as_secs_f64());
    let mut bench = Bench::new(&bed, fleet, arguments).await?;
    bench.first_rollout().await?;
    if !arguments.no_bare {
        bench.calibrate().await?;
    }
    for round in 1..=arguments.rounds {
        bench.round(round).await?;
    }
    bench.restart().await?;
    bench.summary();
    println!("\nfinished after {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}
