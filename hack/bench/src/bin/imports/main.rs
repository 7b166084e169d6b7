//! Memory of the registry-manager while it watches many pods for imports, beside one that watches none.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use futures::stream::{self, TryStreamExt as _};
use hypermirror_bench::process::Memory;
use hypermirror_e2e::fleet::Fleet;
use hypermirror_e2e::mock::{Fixed, On, Rule};
use hypermirror_e2e::{Cluster, Crds, Launch, MockRegistry, Process, Testbed, binaries, eventually};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// No step takes longer.
const LIMIT: Duration = Duration::from_mins(5);
/// Requests that create pods at once.
const AT_ONCE: usize = 16;
/// Bytes of an annotation that makes pods as large as those of clusters are.
const PADDING: usize = 6_000;

/// Memory of the registry-manager while it watches pods for imports.
#[derive(Parser)]
#[command(name = "imports")]
struct Arguments {
    /// Pods in the namespaces that a rule names.
    #[arg(long, default_value_t = 1_500)]
    pods: usize,
    /// Those that cannot pull an image, all the same one.
    #[arg(long, default_value_t = 200)]
    failing: usize,
    /// Namespaces with pods.
    #[arg(long, default_value_t = 10)]
    namespaces: usize,
    /// Resident memory that is too much, in MB.
    #[arg(long, default_value_t = 60.0)]
    budget: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let source = MockRegistry::start().await?;
    // Every import fails: all pods wait all the while.
    source.add(Rule::new(On::any(), Fixed::status(http::StatusCode::NOT_FOUND)));
    let bed = Testbed::builder().start().await?;
    let cluster = bed.management();
    let client = cluster.admin_client().await?;
    let fleet = Fleet { client: client.clone() };
    Crds::of_the_fleet()?.install(&client).await?;
    let root = binaries::repository_root();
    Crds::read(&[root.join("manifests/crd/management.yaml")])?.install(&client).await?;
    let namespaces: Vec<String> = (0..arguments.namespaces.max(1)).map(|place| format!("team-{place}")).collect();
    fill(&fleet, &namespaces, &missing(&source.host()), &arguments).await?;
    fleet.apply(&namespace("images")).await?;
    let none = measured(cluster, "none", &[], &[]).await?;
    let host = source.host();
    fleet.apply(&rule(&host, &namespaces)).await?;
    let flags = [format!("--destination-allow={host}/mirror"), "--import-namespaces=images=*".to_owned()];
    let watching = measured(cluster, "imports", &flags, &[("FEATURE_COPY_ON_THE_FLY", "true")]).await?;
    println!("| registry-manager | peak, MB | resident, MB | anonymous, MB | budget |\n|---|---|---|---|---|");
    println!("| without imports | {:.1} | {:.1} | {:.1} | |", none.peak, none.resident, none.anonymous);
    let Arguments { pods, failing, budget, .. } = arguments;
    println!(
        "| {pods} pods, {failing} cannot pull | {:.1} | {:.1} | {:.1} | {budget} |",
        watching.peak, watching.resident, watching.anonymous
    );
    ensure!(watching.peak <= budget, "the peak is over the budget");
    Ok(())
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn rule(host: &str, namespaces: &[String]) -> Value {
    json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "ImportRule",
        "metadata": {"name": "all", "namespace": "images"},
        "spec": {
            "source": {"prefix": format!("{host}/source"), "plainHttp": true},
            "destination": {"prefix": format!("{host}/mirror"), "plainHttp": true},
            "namespaces": namespaces,
        },
    })
}

/// The image that some pods cannot pull.
fn missing(host: &str) -> String {
    format!("{host}/mirror/app@sha256:{}", "a".repeat(64))
}

/// Creates the pods, in turns in each namespace.
async fn fill(fleet: &Fleet, namespaces: &[String], image: &str, arguments: &Arguments) -> Result<()> {
    for name in namespaces {
        fleet.apply(&namespace(name)).await?;
        let account =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}});
        fleet.apply(&account).await?;
    }
    let create = |place: usize| {
        let api: Api<Pod> = Api::namespaced(fleet.client.clone(), &namespaces[place % namespaces.len()]);
        let is_failing = place < arguments.failing;
        async move { create(&api, place, image, is_failing).await }
    };
    stream::iter((0..arguments.pods).map(Ok)).try_for_each_concurrent(AT_ONCE, create).await
}

async fn create(api: &Api<Pod>, place: usize, image: &str, is_failing: bool) -> Result<()> {
    let name = format!("web-{place}");
    let pod = json!({
        "metadata": {"name": name, "annotations": {"padding": "x".repeat(PADDING)}},
        "spec": {"automountServiceAccountToken": false, "containers": [{"name": "app", "image": image}]},
    });
    api.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    let state = if is_failing { json!({"waiting": {"reason": "ImagePullBackOff"}}) } else { json!({"running": {}}) };
    let container =
        json!({"name": "app", "image": "", "imageID": "", "ready": !is_failing, "restartCount": 0, "state": state});
    let phase = if is_failing { "Pending" } else { "Running" };
    let status = json!({"status": {"phase": phase, "containerStatuses": [container]}});
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}

/// Runs a registry-manager until it has seen all pods, and measures it.
async fn measured(cluster: &Cluster, name: &str, flags: &[String], variables: &[(&str, &str)]) -> Result<Memory> {
    let mut launch = Launch::operator(name, cluster.directory())?
        .arg("registry-manager")
        .args(["--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0"])
        .args(["--inventory-bind-address=127.0.0.1:0", "--registry-networks=loopback", "--namespace=images"])
        .args(flags.iter().cloned())
        .env("KUBECONFIG", cluster.kubeconfig_path());
    for (variable, value) in variables {
        launch = launch.env(variable, *value);
    }
    let mut process: Process = launch.spawn()?;
    let metrics = process.wait_for_log_field("metrics server listening", "address", LIMIT).await?;
    let health = process.wait_for_log_field("health server listening", "address", LIMIT).await?;
    process.wait_until_ready(&format!("http://{health}/readyz"), LIMIT).await?;
    if !variables.is_empty() {
        let url = format!("http://{metrics}/metrics");
        eventually(LIMIT, "all pods are seen", async || {
            let body = hypermirror_e2e::endpoint::get(&url).await?.body;
            let line = body.lines().find(|line| line.starts_with("hypermirror_import_failing_pods "));
            Ok(line.filter(|line| !line.ends_with(" 0")).map(|_| ()))
        })
        .await?;
    }
    // Lists of all namespaces end at different times: the peak is read when nothing happens any more.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let memory = Memory::of(process.handle().id())?;
    process.stop().await.context("it does not end")?;
    Ok(memory)
}
