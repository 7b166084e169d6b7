//! One mirror edit over a fleet: how long it takes, against a bare client that makes the same patches; what is written;
//! how much memory and processor time the manager takes; what a restart costs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures and its progress")]

mod bare;
mod fleet;
mod rounds;
mod window;

use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use hypermirror_e2e::{Crds, Fleet, Testbed};

use crate::rounds::Bench;

/// One mirror edit over a fleet, on a real API server.
#[derive(Parser, Clone, Copy)]
#[command(name = "fanout")]
struct Arguments {
    /// How many hosted clusters there are.
    #[arg(long, default_value_t = 1000)]
    clusters: usize,
    /// How many other Deployments stand in each control-plane namespace.
    #[arg(long, default_value_t = 40)]
    bystanders: usize,
    /// How many sources the mirror set has, each with two mirrors.
    #[arg(long, default_value_t = 20)]
    sources: usize,
    /// How many times the manager and the bare client make an edit, in turn.
    #[arg(long, default_value_t = 4)]
    rounds: usize,
    /// Measure no bare client: the manager alone.
    #[arg(long)]
    no_bare: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let started = Instant::now();
    let bed = Testbed::builder().start().await?;
    let fleet = Fleet::install(bed.management(), &Crds::of_the_fleet()?).await?;
    let made = fleet::create(&fleet.client, arguments.clusters, arguments.bystanders).await?;
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
    println!("\ntook {:.0} s in all", started.elapsed().as_secs_f64());
    Ok(())
}
