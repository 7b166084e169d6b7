//! The dashboard with a large fleet: the time until a browser has a page, and the memory of the process.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use hypermirror_bench::Spread;
use hypermirror_bench::process::Memory;
use serde_json::{Value, json};

/// Pages of a large fleet.
#[derive(Parser)]
#[command(name = "dashboard")]
struct Arguments {
    /// Hosted clusters.
    #[arg(long, default_value_t = 1_000)]
    clusters: usize,
    /// Requests of each page.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Longest time for the page of the fleet, in milliseconds; the median must be shorter.
    #[arg(long, default_value_t = 200.0)]
    limit: f64,
}

/// A dashboard that ends with this value.
struct Dashboard {
    child: Child,
    address: String,
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        // It has ended already if this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Dashboard {
    /// Reads the fleet from standard input, once: what is measured is pages, and not reading.
    fn start(fleet: &Value) -> Result<Self> {
        let own = std::env::current_exe().context("failed to find this program")?;
        let program: PathBuf = own.with_file_name("hypermirror");
        let mut command = Command::new(&program);
        command.args(["dashboard", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("failed to start {}", program.display()))?;
        let mut dashboard = Self { child, address: String::new() };
        let mut stdin = dashboard.child.stdin.take().context("no standard input")?;
        stdin.write_all(fleet.to_string().as_bytes())?;
        drop(stdin);
        let stdout = dashboard.child.stdout.take().context("no standard output")?;
        BufReader::new(stdout).read_line(&mut dashboard.address)?;
        ensure!(dashboard.address.starts_with("http://127.0.0.1:"), "no address: {:?}", dashboard.address);
        Ok(dashboard)
    }

    /// The first part of addresses, and the cookie of a browser that opened the dashboard.
    fn base(&self) -> Result<(&str, String)> {
        let (base, token) = self.address.trim().split_once("/?token=").context("no token")?;
        let port = base.rsplit(':').next().unwrap_or_default();
        Ok((base, format!("hypermirror-{port}={token}")))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let dashboard = Dashboard::start(&fleet(arguments.clusters))?;
    let (base, cookie) = dashboard.base()?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    println!(
        "{} hosted clusters, milliseconds until the whole page is there, median (min to max) of {}\n",
        arguments.clusters, arguments.rounds
    );
    println!("| page | time | size, kB |");
    println!("|---|---|---|");
    let mut first = None;
    for path in ["/", "/?q=cluster-99", "/coverage", "/findings", "/clusters/clusters/cluster-7"] {
        let (mut times, mut size) = (Vec::<Duration>::new(), 0);
        // The first one also computes what later ones reuse.
        for round in 0..=arguments.rounds {
            let begun = Instant::now();
            let reply = client.get(format!("{base}{path}")).header("cookie", &cookie).send().await?;
            ensure!(reply.status() == 200, "{path}: {}", reply.status());
            size = reply.bytes().await?.len();
            if round > 0 {
                times.push(begun.elapsed());
            }
        }
        let spread = Spread::of_milliseconds(times);
        first.get_or_insert(spread.median);
        println!("| {path} | {spread:.1} | {} |", size / 1000);
    }
    let memory = Memory::of(dashboard.child.id())?;
    println!("\nmemory of the process: {:.0} MB, at most {:.0} MB", memory.resident, memory.peak);
    let median = first.unwrap_or_default();
    ensure!(
        median < arguments.limit,
        "the page of the fleet takes {median:.0} ms, the limit is {:.0} ms",
        arguments.limit
    );
    Ok(())
}

/// HostedClusters with reports and coverage, one in ten not ready.
fn fleet(clusters: usize) -> Value {
    let object = |kind: &str, version: &str, name: &str, spec: Value, status: Value| {
        json!({
            "apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "clusters"},
            "spec": spec, "status": status
        })
    };
    let objects = (0..clusters).flat_map(|number| {
        let name = format!("cluster-{number}");
        let (status, reason) = if number % 10 == 0 { ("False", "NodesFailing") } else { ("True", "AsExpected") };
        let condition = |kind: &str| {
            json!({
                "type": kind, "status": status, "reason": reason, "message": "11 of 12 nodes use the declared mirrors",
                "lastTransitionTime": "2026-01-01T00:00:00Z"
            })
        };
        let report = json!({
            "sourceCount": 3, "conditions": [condition("ControlPlaneUpToDate"), condition("GuestSynced"), condition("NodesUpToDate"), condition("Ready")],
            "controlPlane": {"summary": "3/3", "targets": []}, "nodes": {"summary": "11/12", "total": 12, "applied": 11}
        });
        let coverage = json!({"summary": "570/570", "counts": {"held": 570}, "lastCheckTime": "2026-01-01T00:00:00Z"});
        let sources = json!([{"source": "quay.example/ocp", "mirrors": [format!("mirror-{number}.example/ocp")]}]);
        [
            object("HostedCluster", "hypershift.openshift.io/v1beta1", &name, json!({"imageContentSources": sources}), json!({})),
            object("HostedClusterMirrors", "hypermirror.dev/v1alpha1", &name, json!({}), report),
            object("MirrorCoverage", "hypermirror.dev/v1alpha1", &name, json!({}), coverage),
        ]
    });
    json!({"apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<_>>()})
}
