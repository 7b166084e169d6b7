//! Measures the manager with 1,000 guest clusters, of which a fifth is down: how long edits take, what they cost, and how long it
//! takes until failures are reported and repaired. Few of the guest clusters have a real API server; the others are stubs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures and its progress")]

mod arrivals;
mod bench;
mod dead;
mod edits;
mod stage;
mod stubs;
mod table;

use std::time::Instant;

use anyhow::{Result, ensure};
use clap::{Args, Parser};

/// 1,000 guest clusters.
#[derive(Parser)]
#[command(name = "many")]
enum Command {
    /// Measure.
    Measure(Arguments),
    /// Run the stubs, which is done by `measure`.
    Stubs {
        /// Number of stubs.
        #[arg(long)]
        number: usize,
        /// Number of nodes of each stub.
        #[arg(long)]
        nodes: usize,
    },
}

#[derive(Args, Clone, Copy)]
struct Arguments {
    /// Number of guest clusters.
    #[arg(long, default_value_t = 1000)]
    guests: usize,
    /// Number of these that have a real API server, which takes 280 MB. The others are stubs.
    #[arg(long, default_value_t = 20)]
    real: usize,
    /// Number of stubs that are down in each second block: half of them silent, the others with 503, half of these with Retry-After.
    #[arg(long, default_value_t = 200)]
    dead: usize,
    /// Number of nodes of each stub, whose agents are simulated. Real guest clusters have none.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Number of rounds, each without and with guest clusters that are down.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Number of edits of one guest cluster in each block.
    #[arg(long, default_value_t = 100)]
    edits: usize,
    /// Number of edits of all guest clusters in each block.
    #[arg(long, default_value_t = 3)]
    edits_of_all: usize,
    /// Seconds without changes.
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// Create the Deployments of the control planes, too. Without them, the times are those of guest clusters alone.
    #[arg(long)]
    deployments: bool,
    /// Soft limit of open files of the manager, which is 1,024 under many container runtimes.
    #[arg(long, default_value_t = 1024)]
    soft_limit: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = match Command::parse() {
        Command::Stubs { number, nodes } => return stubs::serve(number, nodes).await,
        Command::Measure(arguments) => arguments,
    };
    ensure!(arguments.real + arguments.dead < arguments.guests, "--dead: at least one stub must be up");
    let started = Instant::now();
    bench::measure(arguments).await?;
    println!("\nfinished after {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}
