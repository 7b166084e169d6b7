//! Prints figures.

use std::collections::BTreeMap;

use anyhow::Result;
use hypermirror_bench::Spread;
use hypermirror_bench::manager::{Manager, Usage};

use crate::edits::{Block, Requests};

/// Times in milliseconds.
pub fn times(what: &str, runs: &[f64]) {
    let spread = Spread::of(runs.iter().copied());
    println!("  {what}: {spread:.0} ms, 99th percentile {:.0} ms ({} times)", slowest(runs), runs.len());
}

fn slowest(runs: &[f64]) -> f64 {
    Spread::percentile(runs.iter().copied(), 99)
}

/// The ratio of the 99th percentiles of two blocks, of one edit and of edits of all.
pub fn ratios(without: &Block, with: &Block) -> (f64, f64) {
    (slowest(&with.one) / slowest(&without.one), slowest(&with.all) / slowest(&without.all))
}

pub fn block(block: &Block) {
    times("one guest cluster, from the edit to the set", &block.one);
    times("all guest clusters, from the edit to the set in each", &block.all);
    times("all guest clusters, from the edit to the set in the last", &block.last);
    println!("  requests for one edit, for each stub: {:.2}", Spread::of(block.requests.iter().copied()));
    println!("  processor time of the manager for one edit of all: {:.2} s", Spread::of(block.cpu.iter().copied()));
}

/// Seconds, by kind.
pub fn seconds(what: &str, by_kind: &BTreeMap<&'static str, Vec<f64>>) {
    for (kind, runs) in by_kind {
        println!("  {what}, {kind}: {:.1} s ({} times)", Spread::of(runs.iter().copied()), runs.len());
    }
}

/// What the process of the manager uses.
pub async fn process(what: &str, manager: &Manager) -> Result<()> {
    let Usage { resident, peak, cpu } = manager.usage()?;
    let (files, threads) = (manager.open_files()?, manager.threads()?);
    let tasks = manager.count("hypermirror_tasks").await?;
    println!(
        "  {what}: {resident:.0} MB resident (at most {peak:.0}), {files} open files, {threads} threads, {tasks} tasks, {cpu:.1} s of \
         processor time"
    );
    Ok(())
}

/// Requests by kind, and their number for each guest cluster.
pub fn requests(what: &str, requests: &Requests, guests: f64) {
    let sum = u32::try_from(requests.values().sum::<usize>()).map_or(f64::MAX, f64::from);
    println!("  {what}: {sum:.0} requests to stubs, {:.1} for each", sum / guests);
    for (kind, count) in requests {
        println!("    {count} {kind}");
    }
}
