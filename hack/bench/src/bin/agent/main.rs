//! Measures one agent on a real API server: time from an edit to the file on disk, memory, and CPU time when idle.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod stage;

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use hypermirror_bench::Spread;
use hypermirror_bench::process::{Memory, processor_time};
use hypermirror_e2e::binaries;

use crate::stage::Stage;

/// One agent on a real API server. `HYPERMIRROR_AGENT_BIN` measures another build of it.
#[derive(Parser, Clone, Copy)]
#[command(name = "agent")]
struct Arguments {
    /// Number of measured edits of one set.
    #[arg(long, default_value_t = 200)]
    edits: usize,
    /// Number of sources of the large set, each with two mirrors.
    #[arg(long, default_value_t = 1000)]
    sources: usize,
    /// Seconds without changes, to measure the idle CPU time.
    #[arg(long, default_value_t = 30)]
    idle: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    #[expect(clippy::cast_precision_loss, reason = "a size in MB with one digit")]
    let size = std::fs::metadata(binaries::agent()?)?.len() as f64 / 1_000_000.0;
    println!("size of the binary: {size:.1} MB");
    let stage = Stage::start().await?;
    stage.edit(1, 0).await?;
    let process = stage.agent.handle().id();
    println!("memory after the first file: {}", Memory::of(process)?);
    idle(process, arguments.idle, "1 source").await?;
    let mut delays = Vec::new();
    for edit in 1..=arguments.edits {
        delays.push(stage.edit(1, edit).await?.as_secs_f64() * 1000.0);
    }
    let slowest = Spread::percentile(delays.iter().copied(), 99);
    println!(
        "time from the response to an edit to the file on disk, {} edits: {:.1} ms",
        delays.len(),
        Spread::of(delays)
    );
    println!("  99th percentile {slowest:.1} ms");
    println!("memory after the edits: {}", Memory::of(process)?);
    let started = Instant::now();
    stage.edit(arguments.sources, 0).await?;
    println!("{} sources are on disk after {:.0} ms", arguments.sources, started.elapsed().as_secs_f64() * 1000.0);
    idle(process, arguments.idle, &format!("{} sources", arguments.sources)).await?;
    stage.edit(arguments.sources, 1).await?;
    println!("memory after another edit: {}", Memory::of(process)?);
    Ok(())
}

async fn idle(process: u32, seconds: u64, what: &str) -> Result<()> {
    // The report is written after the file.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = processor_time(process)?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let used = processor_time(process)?.saturating_sub(before).as_secs_f64() * 1000.0;
    println!("idle with {what} for {seconds} s: {used:.1} ms of CPU time; {}", Memory::of(process)?);
    Ok(())
}
