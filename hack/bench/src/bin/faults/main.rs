//! Faults under edits: what each costs, and whether anything is lost, removed, written or rolled out for nothing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures and its progress")]

mod api_server;
mod clock;
mod leaders;
mod outcome;
mod soak;
mod storms;
mod throttled;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use hypermirror_e2e::Testbed;
use hypermirror_e2e::bed::Builder;
use hypermirror_e2e::faults::{Pace, Replicas, World};

use outcome::Outcome;

/// Faults on real API servers. `HYPERMIRROR_BIN` measures another build of the manager.
#[derive(Parser, Clone)]
#[command(name = "faults")]
struct Arguments {
    /// Only this fault (may be repeated; default: all)
    #[arg(long, value_enum)]
    only: Vec<Fault>,
    /// Number of hosted clusters; the soak has a fifth of them
    #[arg(long, default_value_t = 1000)]
    clusters: usize,
    /// Number of replicas of the manager
    #[arg(long, default_value_t = 3)]
    replicas: usize,
    /// Minutes for which leaders are killed
    #[arg(long, default_value_t = 10)]
    kill_minutes: u64,
    /// Seconds from the start of a leader's term until it is killed
    #[arg(long, default_value_t = 10)]
    kill_after: u64,
    /// Number of times that each other fault is injected
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Minutes of the soak
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Number of real guest clusters in the soak. Each takes 280 MB
    #[arg(long, default_value_t = 3)]
    guests: usize,
    /// Seconds between edits of mirrors that all hosted clusters get
    #[arg(long, default_value_t = 60)]
    edit_all: u64,
    /// Milliseconds between edits of one hosted cluster
    #[arg(long, default_value_t = 500)]
    edit_one: u64,
    /// Seed of the random edits
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File for the results as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// Leaders are killed
    Leader,
    /// The API server is stopped, killed, and loses its etcd
    ApiServer,
    /// Watches get 410 Gone
    Compaction,
    /// Clocks of the replicas step by an hour
    Clock,
    /// The API server answers 429
    Throttling,
    /// Nothing happens but edits
    Soak,
}

/// Timeout of each wait for the whole fleet.
const LIMIT: Duration = Duration::from_mins(10);
/// The shipped settings, where scenarios have shorter ones, and an agent that no node runs.
const FLAGS: [&str; 5] = [
    "--lease-duration=15s",
    "--settle=300ms",
    "--handover=2m",
    "--agent-image=quay.example/hypermirror@sha256:0000000000000000000000000000000000000000000000000000000000000001",
    "--agent-reload=none",
];

impl Arguments {
    fn wants(&self, fault: Fault) -> bool {
        self.only.is_empty() || self.only.contains(&fault)
    }

    fn pace(&self) -> Pace {
        Pace { shared: Duration::from_secs(self.edit_all), own: Duration::from_millis(self.edit_one) }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let started = Instant::now();
    let mut outcomes = Vec::new();
    for fault in Fault::value_variants().iter().copied().filter(|fault| arguments.wants(*fault)) {
        let begun = Instant::now();
        let found = match fault {
            Fault::Leader => leaders::measure(&arguments).await?,
            Fault::ApiServer => api_server::measure(&arguments).await?,
            Fault::Compaction => storms::measure(&arguments).await?,
            Fault::Clock => clock::measure(&arguments).await?,
            Fault::Throttling => throttled::measure(&arguments).await?,
            Fault::Soak => soak::measure(&arguments).await?,
        };
        eprintln!("{fault:?} took {:.0} s", begun.elapsed().as_secs_f64());
        found.iter().for_each(Outcome::print);
        outcomes.extend(found);
    }
    println!("\n{}", outcome::table(&outcomes));
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_string_pretty(&outcomes)?)?;
    }
    println!("finished after {:.0} s", started.elapsed().as_secs_f64());
    let wrong: usize = outcomes.iter().map(|outcome| outcome.verdict.wrong.len()).sum();
    ensure!(wrong == 0, "{wrong} faults of the manager");
    Ok(())
}

/// Replicas of the manager, once everything that is declared is in force.
async fn replicas<'w>(world: &'w World, arguments: &Arguments, env: &[(&str, String)]) -> Result<Replicas<'w>> {
    let start = Instant::now();
    let cluster = world.scene.bed.management();
    let replicas = Replicas::start_with(cluster, arguments.replicas, &FLAGS, env).await?;
    world.settled(LIMIT).await?;
    eprintln!("{} hosted clusters are up to date after {:.0} s", world.names.len(), start.elapsed().as_secs_f64());
    Ok(replicas)
}

/// An API server whose old revisions do not fill etcd.
fn bed() -> Builder {
    Testbed::builder().api_server_arg("--etcd-compaction-interval=1m")
}
