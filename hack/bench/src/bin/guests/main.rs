//! The manager and its guests: what many agents ask of one guest, and what dead guests cost the others.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures and its progress")]

mod agents;
mod dead;
mod outage;
mod requests;
mod stage;

use std::time::Instant;

use anyhow::Result;
use clap::Parser;

/// Guests on real API servers. `HYPERMIRROR_BIN` measures another build of the manager and the agent.
#[derive(Parser, Clone, Copy)]
#[command(name = "guests")]
struct Arguments {
    /// How many agents run on one guest; 0 leaves that part out.
    #[arg(long, default_value_t = 100)]
    agents: usize,
    /// For how many seconds nothing happens on that guest.
    #[arg(long, default_value_t = 30)]
    idle: u64,
    /// How many edits the agents follow.
    #[arg(long, default_value_t = 5)]
    edits: usize,
    /// How many guests there are, dead ones included; 0 leaves that part out. Each that lives takes 280 MB.
    #[arg(long, default_value_t = 20)]
    guests: usize,
    /// How many of them are dead: by turns nobody listens, or nobody answers.
    #[arg(long, default_value_t = 4)]
    dead: usize,
    /// How many times it is measured without dead guests and with them, in turn.
    #[arg(long, default_value_t = 4)]
    rounds: usize,
    /// How many edits of every guest at once there are in each of them.
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
        anyhow::ensure!(arguments.dead < arguments.guests, "--dead: one guest at least has to live");
        outage::measure(&arguments).await?;
    }
    println!("\ntook {:.0} s in all", started.elapsed().as_secs_f64());
    Ok(())
}
