//! Scans of large repositories: the time against a bare loop of the same requests in the same run, and the memory of a long
//! tag list.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures and its progress")]

mod memory;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hypermirror::registry::policy::PolicyOptions;
use hypermirror::registry::scan::{ContentCache, ScanOptions, scan};
use hypermirror::registry::transport::{Transport, TransportOptions};
use hypermirror::registry::{Client, Credential, RegistryAddress, Repository, Target};
use hypermirror_bench::{Spread, delay};
use hypermirror_e2e::MockRegistry;
use serde_json::json;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const REPOSITORY: &str = "team/app";
const LONG: &str = "team/long";
const FEW: &str = "team/few";

/// Scans of large repositories, on a registry in this process.
#[derive(Parser)]
#[command(name = "registry")]
struct Arguments {
    /// Tags of the repository that is scanned whole.
    #[arg(long, default_value_t = 5_000)]
    tags: usize,
    /// Tags of the repository whose list is read, in pages of 1,000.
    #[arg(long, default_value_t = 160_000)]
    long: usize,
    /// Runs of each.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Requests of the bare loop at once: as many as the client sends at most.
    #[arg(long, default_value_t = PolicyOptions::default().concurrency)]
    at_once: usize,
    /// Round trip that is added between client and registry, in milliseconds, in the second row.
    #[arg(long, default_value_t = 10)]
    round_trip: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // The library of the bare loop wants one, although nothing here is over TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The registry has threads of its own: what it costs is no time of the client's runtime.
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let registry = server.block_on(MockRegistry::start())?;
    registry.behave(|behavior| behavior.page_size = 1_000);
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("| {} tags | bare loop, ms | scan, ms | ratio |\n|---|---|---|---|", arguments.tags);
    fill(&registry, REPOSITORY, arguments.tags);
    for round_trip in [0, arguments.round_trip] {
        let host = match round_trip {
            0 => registry.host(),
            _ => server.block_on(delay::proxy(registry.host(), Duration::from_millis(round_trip) / 2))?,
        };
        let (bare, scanned) = client.block_on(compare(&registry, &host, &arguments))?;
        let ratio = scanned.median / bare.median;
        println!("| with {round_trip} ms round trip | {bare:.0} | {scanned:.0} | {ratio:.2} |");
    }
    fill(&registry, FEW, 1);
    fill(&registry, LONG, arguments.long);
    println!("\n{} tags in pages of 1,000\n", arguments.long);
    client.block_on(memory::compare(&registry, FEW, LONG))
}

/// One image under so many tags.
fn fill(registry: &MockRegistry, repository: &str, tags: usize) {
    let mut store = registry.store();
    let config = store.add_blob(repository, "{}");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": &*config, "size": 2},
        "layers": [],
    });
    let digest = store.add_manifest(repository, IMAGE, manifest.to_string());
    for number in 0..tags {
        store.tag(repository, &format!("v1.{number}.0"), &digest);
    }
}

/// Both, in turns: what slows the machine slows both.
async fn compare(registry: &MockRegistry, host: &str, arguments: &Arguments) -> Result<(Spread, Spread)> {
    let (mut bare, mut scanned) = (Vec::new(), Vec::new());
    for round in 0..=arguments.rounds {
        eprint!("\rround {round} of {}", arguments.rounds);
        registry.clear_requests();
        let times = [bare_loop(host, arguments).await?, whole_scan(host, arguments).await?];
        // The first round warms up.
        if round > 0 {
            bare.push(times[0]);
            scanned.push(times[1]);
        }
    }
    eprintln!();
    Ok((Spread::of_milliseconds(bare), Spread::of_milliseconds(scanned)))
}

/// The same requests with the HTTP library alone: no check, no retry, no pace.
async fn bare_loop(host: &str, arguments: &Arguments) -> Result<Duration> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let begin = Instant::now();
    let mut next = Some(format!("/v2/{REPOSITORY}/tags/list?n=1000"));
    let mut tags = Vec::new();
    while let Some(path) = next {
        let answer = client.get(format!("http://{host}{path}")).send().await?.error_for_status()?;
        let link = answer.headers().get("link").and_then(|link| link.to_str().ok()).map(str::to_owned);
        let page: serde_json::Value = serde_json::from_slice(&answer.bytes().await?)?;
        let names = page["tags"].as_array().context("no tags")?;
        tags.extend(names.iter().filter_map(|tag| tag.as_str().map(str::to_owned)));
        next = link.and_then(|link| Some(link.split_once('<')?.1.split_once('>')?.0.to_owned()));
    }
    ensure!(tags.len() == arguments.tags, "{} tags", tags.len());
    let head = |tag: String| {
        let request = client.head(format!("http://{host}/v2/{REPOSITORY}/manifests/{tag}")).header("accept", IMAGE);
        async move { anyhow::Ok(request.send().await?.error_for_status()?.headers().contains_key("docker-content-digest")) }
    };
    let heads: Vec<bool> = stream::iter(tags).map(head).buffer_unordered(arguments.at_once).try_collect().await?;
    ensure!(heads.iter().all(|has_digest| *has_digest), "no digest");
    Ok(begin.elapsed())
}

async fn whole_scan(host: &str, arguments: &Arguments) -> Result<Duration> {
    let client = Client::new(Transport::new(TransportOptions::default())?, PolicyOptions::default());
    let repository = Repository::new(RegistryAddress::parse(&format!("http://{host}"))?, REPOSITORY)?;
    let target = Target { repository: &repository, credential: &Credential::Anonymous };
    let begin = Instant::now();
    let found = scan(&client, target, &ContentCache::default(), &ScanOptions::default(), |_| {}).await?;
    ensure!(
        found.tags.len() == arguments.tags && found.tags.iter().all(|tag| tag.error().is_none()),
        "not all were read"
    );
    Ok(begin.elapsed())
}
