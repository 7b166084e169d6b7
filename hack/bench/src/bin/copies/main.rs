//! Copies between registries: time and requests beside skopeo, regsync and crane in the same run, and memory of large blobs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures and its progress")]

mod content;
mod kinds;
mod tools;

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use hypermirror_bench::process::peak_of;
use hypermirror_bench::{Spread, delay};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::binaries::operator;
use tokio::process::Command;
use tokio::runtime::Runtime;

use crate::kinds::Kinds;
use crate::tools::{PREFIX, Tool, Work};

/// Copies between two registries in this process.
#[derive(Parser)]
#[command(name = "copies")]
struct Arguments {
    /// Images with shared layers.
    #[arg(long, default_value_t = 40)]
    images: usize,
    /// Tags of the repository that is copied again.
    #[arg(long, default_value_t = 300)]
    tags: usize,
    /// Size of each of four large layers, in MiB.
    #[arg(long, default_value_t = 1_024)]
    large: u64,
    /// Runs of each.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Round trip that is added on the way to each registry, in milliseconds.
    #[arg(long, default_value_t = 10)]
    round_trip: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // The registries have a thread of their own: what they cost is no time of whoever copies, as far as there are processors.
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bench = Bench { arguments, server, client };
    bench.shared_layers()?;
    bench.unchanged_tags()?;
    bench.large_layers()
}

struct Bench {
    arguments: Arguments,
    server: Runtime,
    client: Runtime,
}

/// One run: milliseconds, and requests to both registries.
struct Run {
    milliseconds: f64,
    requests: usize,
    source: Kinds,
    destination: Kinds,
}

impl Bench {
    /// Images with shared layers into an empty registry.
    fn shared_layers(&self) -> Result<()> {
        let Arguments { images, rounds, round_trip, .. } = self.arguments;
        let source = self.server.block_on(MockRegistry::start())?;
        let repositories = content::shared_layers(&source, images);
        let images: Vec<_> = repositories.into_iter().map(|repository| (repository, vec!["v1".to_owned()])).collect();
        println!(
            "| {} images with shared layers, {round_trip} ms round trip | ms | requests |\n|---|---|---|",
            images.len()
        );
        let tools = [Tool::Hypermirror, Tool::Skopeo, Tool::Regsync];
        let mut runs = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            for (tool, runs) in tools.iter().zip(&mut runs) {
                // A new one each time: nobody has seen its port before, so no cache of a tool knows it.
                let destination = self.server.block_on(MockRegistry::start())?;
                runs.push(self.run(*tool, &source, &destination, &images)?);
                ensure_complete(&source, &destination, &images)?;
            }
        }
        table(&tools, &runs);
        let last = runs.first().and_then(|runs| runs.last());
        last.inspect(|run| kinds::print(&run.source, &run.destination));
        Ok(())
    }

    /// A repository that the destination has already.
    fn unchanged_tags(&self) -> Result<()> {
        let Arguments { tags, rounds, round_trip, .. } = self.arguments;
        let source = self.server.block_on(MockRegistry::start())?;
        let images = [("team/tags".to_owned(), content::many_tags(&source, "team/tags", tags))];
        println!("\n| {tags} tags that are there already, {round_trip} ms round trip | ms | requests |\n|---|---|---|");
        let tools = [Tool::Hypermirror, Tool::Skopeo, Tool::Regsync, Tool::Crane];
        let mut runs = [const { Vec::new() }; 4];
        let mut destinations = Vec::new();
        for tool in tools {
            let destination = self.server.block_on(MockRegistry::start())?;
            self.run(tool, &source, &destination, &images)?;
            ensure_complete(&source, &destination, &images)?;
            destinations.push(destination);
        }
        // In turn: what else the machine does meets all of them.
        for _ in 0..rounds {
            for ((tool, destination), runs) in tools.iter().zip(&destinations).zip(&mut runs) {
                runs.push(self.run(*tool, &source, destination, &images)?);
            }
        }
        table(&tools, &runs);
        Ok(())
    }

    /// Four large layers at once, against one small image.
    fn large_layers(&self) -> Result<()> {
        let size = self.arguments.large << 20;
        println!("\n| `hypermirror copy` | peak, MB | more, MB |\n|---|---|---|");
        let mut base = None;
        for (images, size, what) in
            [(1, 1_024, "one layer of 1 KiB".to_owned()), (4, size, format!("4 layers of {} MiB", size >> 20))]
        {
            let (source, destination) =
                (self.server.block_on(MockRegistry::start())?, self.server.block_on(MockRegistry::start())?);
            let repositories = content::streams(&source, &destination, images, size);
            let mut copy = Command::new(operator()?);
            copy.args(["copy", "--plain-http"]);
            copy.args(repositories.iter().map(|repository| format!("{}/{repository}:v1", source.host())));
            copy.arg(format!("{}/{PREFIX}/", destination.host())).stdout(Stdio::null()).stderr(Stdio::null());
            let peak = self.client.block_on(peak_of(&mut copy)).context(what.clone())?;
            let more = base.map(|base: f64| format!("{:.1}", peak - base)).unwrap_or_default();
            println!("| {what} | {peak:.1} | {more} |");
            base = base.or(Some(peak));
        }
        Ok(())
    }

    fn run(
        &self,
        tool: Tool,
        source: &MockRegistry,
        destination: &MockRegistry,
        images: &[(String, Vec<String>)],
    ) -> Result<Run> {
        eprintln!("{}", tool.name());
        let half = Duration::from_millis(self.arguments.round_trip) / 2;
        let directory = tempfile::tempdir()?;
        let (from, to) = self.server.block_on(async {
            anyhow::Ok((delay::proxy(source.host(), half).await?, delay::proxy(destination.host(), half).await?))
        })?;
        source.clear_requests();
        destination.clear_requests();
        let work = Work { source: &from, destination: &to, images };
        let time = self.client.block_on(tool.run(&work, directory.path()))?;
        let requests = source.requests().len() + destination.requests().len();
        let (source, destination) = (kinds::of(source), kinds::of(destination));
        Ok(Run { milliseconds: time.as_secs_f64() * 1000.0, requests, source, destination })
    }
}

/// Every tag of the destination has the digest that the source has: no tool is fast because it leaves something out.
fn ensure_complete(source: &MockRegistry, destination: &MockRegistry, images: &[(String, Vec<String>)]) -> Result<()> {
    let held = destination.store();
    let last = |name: &str| name.rsplit('/').next().map(str::to_owned);
    for (repository, tags) in images {
        // skopeo keeps the last part of a path alone.
        let below = |tag: &str| {
            let mut all = held.repositories.iter().filter(|(name, _)| last(name) == last(repository));
            all.find_map(|(_, found)| found.tags.get(tag).cloned())
        };
        for tag in tags {
            let wanted = source.store().manifest(repository, tag).map(|(digest, _)| digest);
            ensure!(wanted.is_some() && below(tag) == wanted, "{repository}:{tag} was not copied");
        }
    }
    Ok(())
}

fn table(tools: &[Tool], runs: &[Vec<Run>]) {
    let median = |runs: &[Run]| Spread::of(runs.iter().map(|run| run.milliseconds)).median;
    let ours = runs.first().map(|runs| median(runs)).unwrap_or_default();
    for (tool, runs) in tools.iter().zip(runs) {
        let time = Spread::of(runs.iter().map(|run| run.milliseconds));
        let requests = Spread::of(runs.iter().map(|run| f64::from(u32::try_from(run.requests).unwrap_or(u32::MAX))));
        println!("| `{}` | {time:.0}, {:.2} times ours | {requests:.0} |", tool.name(), time.median / ours);
    }
}
