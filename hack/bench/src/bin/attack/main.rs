//! What an owner or a guest's administrator can do to everybody else: memory of the manager, its Lease, and how long the
//! edits of 20 honest hosted clusters take before and under each attack.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures and its progress")]

mod attacks;
mod honest;

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use hypermirror_bench::Spread;
use hypermirror_bench::manager::{Manager, usage};
use hypermirror_e2e::fleet::admission;
use hypermirror_e2e::fleet::objects::lease;
use hypermirror_e2e::{Crds, Fleet, Testbed, port};

use crate::attacks::Attack;
use crate::honest::Honest;

/// Rounds of edits between two switches: attack and control alternate, so that what moves by itself moves both.
const BLOCK: usize = 5;

/// Attacks on a manager, on a real API server.
#[derive(Parser, Clone)]
#[command(name = "attack")]
struct Arguments {
    /// How many times all honest hosted clusters are edited with an attack switched off, and as often with it on.
    #[arg(long, default_value_t = 30)]
    rounds: usize,
    /// The honest hosted clusters.
    #[arg(long, default_value_t = 20)]
    clusters: usize,
    /// How long after each switch the edits begin, in seconds.
    #[arg(long, default_value_t = 5)]
    lead: u64,
    /// These attacks alone.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Attack>,
}

/// The edits with an attack off or on, and what they cost meanwhile.
#[derive(Default)]
struct Half {
    /// By block, in milliseconds.
    edits: Vec<Vec<f64>>,
    wall: f64,
    manager: f64,
    api_server: f64,
}

/// What one attack came to.
struct Row {
    attack: &'static str,
    peak: f64,
    leases: i64,
    control: Half,
    under: Half,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let bed = Testbed::builder().start().await?;
    let fleet = Fleet::install(bed.management(), &Crds::of_the_fleet()?).await?;
    let honest = Honest::create(&fleet, arguments.clusters).await?;
    println!("{HEAD}");
    let is_asked = |attack: &Attack| arguments.only.is_empty() || arguments.only.contains(attack);
    for (number, attack) in Attack::ALL.into_iter().filter(is_asked).enumerate() {
        eprintln!("{}", attack.name());
        println!("{}", measure(&arguments, &bed, &fleet, &honest, (number, attack)).await?);
    }
    Ok(())
}

async fn measure(
    arguments: &Arguments,
    bed: &Testbed,
    fleet: &Fleet,
    honest: &Honest,
    (number, attack): (usize, Attack),
) -> Result<Row> {
    let port = port::free()?;
    let manager = Manager::start_with(bed.management(), number, &webhook(bed, port, attack)?).await?;
    let mut prepared = attack.prepare(fleet, port).await?;
    manager.rests().await?;
    let transitions = transitions(fleet).await?;
    let mut row = Row { attack: attack.name(), peak: 0.0, leases: 0, control: Half::default(), under: Half::default() };
    let mut before = None;
    for block in 0..arguments.rounds.div_ceil(BLOCK) {
        for is_on in [block % 2 == 1, block % 2 == 0] {
            if before.replace(is_on) != Some(is_on) {
                prepared.switch(is_on).await?;
                tokio::time::sleep(Duration::from_secs(arguments.lead)).await;
            }
            let half = if is_on { &mut row.under } else { &mut row.control };
            half.measure(&manager, bed, honest, BLOCK.min(arguments.rounds - block * BLOCK)).await?;
        }
    }
    row.leases = self::transitions(fleet).await? - transitions;
    row.peak = manager.usage()?.peak * 1e6 / f64::from(1 << 20);
    prepared.end().await?;
    manager.stop().await?;
    Ok(row)
}

/// The flags of the webhook, where that is attacked.
fn webhook(bed: &Testbed, port: u16, attack: Attack) -> Result<Vec<String>> {
    if attack != Attack::Webhook {
        return Ok(Vec::new());
    }
    let directory = bed.directory().join("webhook");
    admission::issue(&directory)?;
    Ok(vec![
        "--webhook=serve".to_owned(),
        format!("--webhook-bind-address=127.0.0.1:{port}"),
        format!("--webhook-certificate-dir={}", directory.display()),
    ])
}

impl Half {
    async fn measure(&mut self, manager: &Manager, bed: &Testbed, honest: &Honest, rounds: usize) -> Result<()> {
        let times = || -> Result<(f64, f64)> {
            let api_server = bed.management().api_server_id().context("there is no API server")?;
            Ok((manager.usage()?.cpu, usage(api_server)?.cpu))
        };
        let (start, before) = (Instant::now(), times()?);
        let edits = honest.edit(rounds).await?;
        self.edits.push(edits.iter().map(|edit| edit.as_secs_f64() * 1000.0).collect());
        let after = times()?;
        self.wall += start.elapsed().as_secs_f64();
        self.manager += after.0 - before.0;
        self.api_server += after.1 - before.1;
        Ok(())
    }

    fn percentile(&self, percent: usize) -> f64 {
        Spread::percentile(self.edits.iter().flatten().copied(), percent)
    }
}

/// How often the Lease changed hands.
async fn transitions(fleet: &Fleet) -> Result<i64> {
    let lease = lease();
    let name = lease["metadata"]["name"].as_str().unwrap_or_default();
    let lease = fleet.api_of(&lease)?.get_opt(name).await?.context("there is no Lease")?;
    Ok(lease.data["spec"]["leaseTransitions"].as_i64().unwrap_or_default())
}

/// The ratio is the middle one of the blocks' 99th percentiles: the edits of a round are slow together, so that a moment in which
/// the machine does something else decides the 99th percentile of all.
const HEAD: &str = "\
| attack | memory, at most | Lease lost | p50 control, attack | p99 control, attack | ratio by block | manager's processor time | API server's |
|---|---|---|---|---|---|---|---|";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attack, peak, leases, control, under } = self;
        let of = |percent| (control.percentile(percent), under.percentile(percent));
        let (p50, p99) = (of(50), of(99));
        let p99_of = |edits: &Vec<f64>| Spread::percentile(edits.iter().copied(), 99);
        let ratio =
            Spread::of(under.edits.iter().zip(&control.edits).map(|(under, control)| p99_of(under) / p99_of(control)));
        write!(
            f,
            "| {attack} | {peak:.0} MiB | {leases} | {:.0}, {:.0} ms | {:.0}, {:.0} ms | {ratio} | {:.0}, {:.0} % | {:.0}, {:.0} % |",
            p50.0,
            p50.1,
            p99.0,
            p99.1,
            100.0 * control.manager / control.wall,
            100.0 * under.manager / under.wall,
            100.0 * control.api_server / control.wall,
            100.0 * under.api_server / under.wall,
        )
    }
}
