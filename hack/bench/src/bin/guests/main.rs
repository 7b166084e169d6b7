//! Measures the manager with guest clusters: the requests of many agents in one guest cluster, and the effect of guest clusters
//! that are down on the others.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures and its progress")]

mod agents;
mod dead;
mod outage;
mod requests;
mod stage;

use std::time::Instant;

use anyhow::Result;
use clap::Parser;

/// Guests on real API servers. `HYPERMIRROR_BIN` and `HYPERMIRROR_AGENT_BIN` measure other
/// builds of the manager and the agent.
#[derive(Parser, Clone, Copy)]
#[command(name = "guests")]
struct Arguments {
    /// Number of agents in one guest cluster; 0 skips this part.
    #[arg(long, default_value_t = 100)]
    agents: usize,
    /// Seconds without changes in that guest cluster.
    #[arg(long, default_value_t = 30)]
    idle: u64,
    /// Number of edits that the agents apply.
    #[arg(long, default_value_t = 5)]
    edits: usize,
    /// Number of guest clusters, including those that are down; 0 skips this part. Each one that is up takes 280 MB.
    #[arg(long, default_value_t = 20)]
    guests: usize,
    /// Number of guest clusters that are down, alternately with a closed port and without a response.
    #[arg(long, default_value_t = 4)]
    dead: usize,
    /// Number of rounds, each without and with guest clusters that are down.
    #[arg(long, default_value_t = 4)]
    rounds: usize,
    /// Number of edits of all guest clusters in each round.
    #[arg(long, default_value_t = 4)]
    edits_of_all: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let started = Instant::now();
    if arguments.agents > 0 {
        agents::measure(&arguments).await?;
    }
    if arguments.guests > 0 {
        anyhow::ensure!(arguments.dead < arguments.guests, "--dead: at least one guest cluster must be up");
        outage::measure(&arguments).await?;
    }
    println!("\nfinished after {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}
