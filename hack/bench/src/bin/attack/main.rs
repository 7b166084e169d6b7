//! What an owner or a guest's administrator can do to everybody else: memory of the manager, its Lease, and how long the
//! edits of 20 honest hosted clusters take before and under each attack.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures and its progress")]

mod attacks;
mod honest;

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use hypermirror_bench::Spread;
use hypermirror_bench::manager::Manager;
use hypermirror_e2e::fleet::objects::lease;
use hypermirror_e2e::{Crds, Fleet, Testbed};

use crate::attacks::Attack;
use crate::honest::Honest;

/// Attacks on a manager, on a real API server.
#[derive(Parser, Clone, Copy)]
#[command(name = "attack")]
struct Arguments {
    /// How many times all honest hosted clusters are edited before an attack, and as often under it.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// The honest hosted clusters.
    #[arg(long, default_value_t = 20)]
    clusters: usize,
    /// How long an attack lasts before the edits under it begin, in seconds.
    #[arg(long, default_value_t = 10)]
    lead: u64,
    /// This attack alone.
    #[arg(long)]
    only: Option<Attack>,
}

/// What one attack came to.
struct Row {
    attack: &'static str,
    peak: f64,
    leases: i64,
    before: Vec<Duration>,
    under: Vec<Duration>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let bed = Testbed::builder().start().await?;
    let fleet = Fleet::install(bed.management(), &Crds::of_the_fleet()?).await?;
    let honest = Honest::create(&fleet, arguments.clusters).await?;
    let mut rows = Vec::new();
    let attacks = Attack::ALL.into_iter().filter(|attack| arguments.only.is_none_or(|only| only == *attack));
    for (number, attack) in attacks.enumerate() {
        eprintln!("{}", attack.name());
        let manager = Manager::start(bed.management(), number).await?;
        manager.rests().await?;
        let transitions = transitions(&fleet).await?;
        let before = honest.edit(arguments.rounds).await?;
        let running = attack.start(&fleet).await?;
        tokio::time::sleep(Duration::from_secs(arguments.lead)).await;
        let under = honest.edit(arguments.rounds).await?;
        let leases = self::transitions(&fleet).await? - transitions;
        let peak = manager.usage()?.peak * 1e6 / f64::from(1 << 20);
        rows.push(Row { attack: attack.name(), peak, leases, before, under });
        running.end(&fleet).await?;
        manager.stop().await?;
    }
    print(&rows);
    Ok(())
}

/// How often the Lease changed hands.
async fn transitions(fleet: &Fleet) -> Result<i64> {
    let lease = lease();
    let name = lease["metadata"]["name"].as_str().unwrap_or_default();
    let lease = fleet.api_of(&lease)?.get_opt(name).await?.context("there is no Lease")?;
    Ok(lease.data["spec"]["leaseTransitions"].as_i64().unwrap_or_default())
}

fn print(rows: &[Row]) {
    println!("| attack | memory, at most | Lease lost | p50 before, under | p99 before, under | ratio |");
    println!("|---|---|---|---|---|---|");
    for Row { attack, peak, leases, before, under } in rows {
        let of = |edits: &[Duration], percent| {
            Spread::percentile(edits.iter().map(|edit| edit.as_secs_f64() * 1000.0), percent)
        };
        let (p50, p99) = ((of(before, 50), of(under, 50)), (of(before, 99), of(under, 99)));
        println!(
            "| {attack} | {peak:.0} MiB | {leases} | {:.0}, {:.0} ms | {:.0}, {:.0} ms | {:.2} |",
            p50.0,
            p50.1,
            p99.0,
            p99.1,
            p99.1 / p99.0
        );
    }
}
