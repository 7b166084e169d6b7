//! The memory of `hypermirror scan`, as a process of its own.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use hypermirror_bench::process::peak_of;
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::binaries::operator;
use tokio::process::Command;

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
    let mut scan = Command::new(operator()?);
    scan.args(["scan", "--plain-http", &format!("{}/{repository}", registry.host()), "-o", "json"])
        .args(arguments)
        .stdout(Stdio::null());
    peak_of(&mut scan).await.with_context(|| format!("scan of {repository}"))
}
