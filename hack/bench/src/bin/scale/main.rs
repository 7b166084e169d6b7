//! Growth with the number of hosted clusters: edits compared with a bare client, memory over many edits, start and takeover. One
//! fleet grows from size to size in one run. A text table, JSON and a picture.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures and its progress")]

mod picture;
mod size;
mod table;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use hypermirror_bench::edits::Stage;
use hypermirror_bench::fleet;
use hypermirror_e2e::{Crds, Fleet, Testbed};

use crate::size::Size;

/// A fleet that grows, on a real API server.
#[derive(Parser)]
#[command(name = "scale")]
struct Arguments {
    /// Numbers of hosted clusters, ascending.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 300, 1_000, 3_000, 10_000])]
    sizes: Vec<usize>,
    /// Number of sources of the mirror set, each with two mirrors.
    #[arg(long, default_value_t = 20)]
    sources: usize,
    /// Number of edits by the manager at each size.
    #[arg(long, default_value_t = 10)]
    edits: usize,
    /// Number of concurrent requests of the bare client.
    #[arg(long, default_value_t = 32)]
    at_once: usize,
    /// Maximum of the manager's memory, in MB.
    #[arg(long, default_value_t = 1_000.0)]
    memory: f64,
    /// File with figures of an earlier run, as JSON. They come first.
    #[arg(long)]
    earlier: Option<PathBuf>,
    /// Measure nothing: only show the figures of the earlier run.
    #[arg(long, requires = "earlier")]
    only_show: bool,
    /// File for the figures, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// File for the picture, as SVG.
    #[arg(long)]
    picture: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.sizes.is_sorted() && arguments.edits > 0, "the sizes must ascend, and one edit is the minimum");
    let started = Instant::now();
    let mut sizes = arguments.earlier.as_ref().map_or_else(|| Ok(Vec::new()), earlier)?;
    if arguments.only_show {
        write(&arguments, &sizes)?;
    } else {
        measure(&arguments, &mut sizes).await?;
    }
    println!("{}", table::of(&sizes));
    println!("finished after {:.0} s", started.elapsed().as_secs_f64());
    let peak = sizes.iter().map(|size| size.peak).fold(0.0, f64::max);
    ensure!(peak <= arguments.memory, "the manager took {peak:.0} MB; at most {:.0} MB are wanted", arguments.memory);
    Ok(())
}

fn earlier(path: &PathBuf) -> Result<Vec<Size>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| format!("{} has no figures of this benchmark", path.display()))
}

/// Measures all sizes, and adds them.
async fn measure(arguments: &Arguments, sizes: &mut Vec<Size>) -> Result<()> {
    let started = Instant::now();
    // The default of five minutes keeps all versions of each object for so long: gigabytes after a few edits.
    let bed = Testbed::builder().api_server_arg("--etcd-compaction-interval=1m").start().await?;
    let fleet = Fleet::install(bed.management(), &Crds::of_the_fleet()?).await?;
    let mut stage = Stage::new(&bed, fleet, 0, arguments.sources).await?;
    stage.edit_mirror_set().await?;
    for clusters in &arguments.sizes {
        let new = stage.clusters..*clusters;
        fleet::create(&stage.fleet.client, new.clone(), 0).await?;
        eprintln!("{clusters} hosted clusters after {:.0} s", started.elapsed().as_secs_f64());
        stage.clusters = *clusters;
        let size = size::measure(&mut stage, new.len(), arguments.edits, arguments.at_once).await?;
        eprintln!("{}", table::of(std::slice::from_ref(&size)));
        sizes.push(size);
        // After each size: the largest ones take an hour, and may meet the limits of the machine.
        write(arguments, sizes)?;
    }
    Ok(())
}

fn write(arguments: &Arguments, sizes: &[Size]) -> Result<()> {
    let put = |path: &PathBuf, text: String| std::fs::write(path, text).with_context(|| path.display().to_string());
    if let Some(path) = &arguments.json {
        put(path, serde_json::to_string_pretty(sizes)? + "\n")?;
    }
    if let Some(path) = &arguments.picture {
        put(path, picture::of(sizes))?;
    }
    Ok(())
}
