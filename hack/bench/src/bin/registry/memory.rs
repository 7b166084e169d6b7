//! The memory of `hypermirror scan`, as a process of its own.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hypermirror_bench::process::Memory;
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::binaries::operator;
use tokio::process::Command;
use tokio::time::timeout;

/// How often the memory is read. The peak never shrinks: the last reading lacks only what came after it.
const INTERVAL: Duration = Duration::from_millis(5);

/// Scans of the repository `long` against one of `few`, which has one tag.
pub async fn compare(registry: &MockRegistry, few: &str, long: &str) -> Result<()> {
    println!("| `hypermirror scan` | peak, MB | more than of one tag, MB |\n|---|---|---|");
    let base = peak(registry, few, &[]).await?;
    println!("| a repository of one tag | {base:.1} | |");
    let rows: [(&str, &[&str]); 3] = [
        ("one tag of the long list", &["--tags", "v1\\.7\\.0"]),
        ("the newest ten of the long list", &["--limit", "10"]),
        ("the whole long list", &[]),
    ];
    for (what, arguments) in rows {
        registry.clear_requests();
        let peak = peak(registry, long, arguments).await?;
        println!("| {what} | {peak:.1} | {:.1} |", peak - base);
    }
    Ok(())
}

async fn peak(registry: &MockRegistry, repository: &str, arguments: &[&str]) -> Result<f64> {
    let mut scan = Command::new(operator()?)
        .args(["scan", "--plain-http", &format!("{}/{repository}", registry.host()), "-o", "json"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let process = scan.id().context("the scan has ended already")?;
    let mut peak = 0.0_f64;
    let status = loop {
        if let Ok(status) = timeout(INTERVAL, scan.wait()).await {
            break status?;
        }
        // Between the end of the process and its being waited for there is nothing to read.
        if let Ok(memory) = Memory::of(process) {
            peak = peak.max(memory.peak);
        }
    };
    ensure!(status.success(), "scan of {repository}: {status}");
    (peak > 0.0).then_some(peak).context("the scan ended before its memory was read")
}
