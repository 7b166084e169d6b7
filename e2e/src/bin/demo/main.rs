//! The live half of `make demo`: the example fleet on a real API server, before and after an edit and a deletion, then
//! a guest cluster with a real node, where a pod waits for a mirror.
#![allow(clippy::print_stdout)] // the demo prints to standard output

mod cli;
mod coverage;
mod node;
mod registries;
mod show;
mod skopeo;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use cli::Cli;
use hypermirror_e2e::fleet::manager::ManagerLaunch;
use hypermirror_e2e::fleet::{Fleet, NAMESPACE, TARGETS};
use hypermirror_e2e::{Crds, RealNode, Served, Testbed, eventually};
use node::End;
use serde_json::{Value, json};
use show::Show;

/// The hosted clusters of the example.
const CLUSTERS: [&str; 3] = ["east", "west", "lab"];
/// The hosted clusters that use the mirrors of the management cluster.
const FOLLOWERS: [&str; 2] = ["east", "west"];
/// Timeout of each step, long enough for a loaded machine.
const LIMIT: Duration = Duration::from_mins(1);

/// The agent's image if there is no node: nothing pulls it.
const NOWHERE: &str =
    "quay.example/hypermirror@sha256:0000000000000000000000000000000000000000000000000000000000000001";

const SOURCE: &str = "quay.io/openshift-release-dev/ocp-release";

#[tokio::main]
async fn main() -> Result<()> {
    let example = std::env::args().nth(1).context("usage: demo EXAMPLE-DIRECTORY")?;
    let show = Show::new();
    let begin = Instant::now();
    show.title("Live: starting etcd and kube-apiserver with the CRDs of HyperShift and OpenShift");
    let no_node = RealNode::unavailable();
    let bed = Testbed::builder().guests(1).guest_controller_managers(no_node.is_none()).start().await?;
    let fleet = Fleet::install(bed.management(), &Crds::of_the_fleet()?).await?;
    apply_example(&fleet, Path::new(&example)).await?;
    show.note(&format!("ready, with the example manifests applied, after {:.1} s", begin.elapsed().as_secs_f32()));
    let cli = Cli::new(bed.management().kubeconfig_path())?;
    preview(&show, &cli)?;
    show.title("Starting the manager with its own ServiceAccount and the RBAC rules of manifests/base");
    let launch = ManagerLaunch::new("manager", bed.management().directory());
    // The manager needs the image of the agent as a flag, although the nodes are started later.
    let agent = if no_node.is_none() { Some(Served::agent("ns/hypermirror").await?) } else { None };
    let image = agent.as_ref().map_or_else(|| NOWHERE.to_owned(), |agent| agent.reference("ns/hypermirror"));
    let start = Instant::now();
    let manager = launch.agent(&image)?.start_ready(bed.management()).await?;
    all_ready(&fleet).await?;
    show.note(&format!("All control planes are up to date after {} ms. The reports:", start.elapsed().as_millis()));
    show.reports(&fleet).await?;
    show.targets(&fleet, "west").await?;

    edit(&show, &cli, &fleet).await?;
    delete(&show, &cli, &fleet).await?;
    coverage::prove(&show, &cli).await?;
    registries::scan(&show, bed.management(), &fleet).await?;
    let end = End { show: &show, cli: &cli, fleet: &fleet, guest: bed.guest(0) };
    match &no_node {
        None => end.on_a_node().await?,
        Some(why) if RealNode::installed("skopeo") && RealNode::installed("docker-registry") => {
            end.on_a_directory(why).await?;
        }
        Some(why) => show.note(&format!("\nSkipping the node: it needs skopeo and docker-registry at least: {why}.")),
    }

    show.title("Cleaning up");
    drop(manager);
    drop(bed);
    show.note(&format!(
        "The manager, the node, the API servers and etcd are stopped, and their files are removed, after {} s.",
        begin.elapsed().as_secs()
    ));
    show.note("Next: read README.md, or check your own manifests: target/debug/hypermirror check -f DIRECTORY");
    Ok(())
}

fn preview(show: &Show, cli: &Cli) -> Result<()> {
    show.title("Before the manager starts: what would it change?");
    show.note("The Deployments have the override values that stock HyperShift has set.");
    cli.run(show, &["diff"])
}

async fn apply_example(fleet: &Fleet, directory: &Path) -> Result<()> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)?.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    // Namespaces are in the files of the hosted clusters and control planes, before the objects in them.
    files.sort();
    for file in files {
        fleet.apply_file(&file).await?;
    }
    Ok(())
}

async fn all_ready(fleet: &Fleet) -> Result<()> {
    for cluster in CLUSTERS {
        fleet.condition(cluster, "Ready", "True", "AsExpected").await?;
    }
    Ok(())
}

/// An object of the example.
fn object(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "config.openshift.io/v1", "kind": kind, "metadata": {"name": name}})
}

/// The backup registry becomes the first mirror of the release images.
async fn edit(show: &Show, cli: &Cli, fleet: &Fleet) -> Result<()> {
    show.title("Edit: move the backup registry to the first place in ImageDigestMirrorSet/release");
    let image = format!("{SOURCE}@sha256:5f4f3a3b2a9a35f5d3c1d3e7bb0f1c7c0a4b1a7c60ccf3d7e8a1d4c2b6e90f18");
    cli.explain(show, fleet, &image).await?;
    let before = show::values(fleet, &FOLLOWERS).await?;
    let set = object("ImageDigestMirrorSet", "release");
    let swap = json!([{
        "op": "move",
        "from": "/spec/imageDigestMirrors/0/mirrors/1",
        "path": "/spec/imageDigestMirrors/0/mirrors/0"
    }]);
    let start = Instant::now();
    fleet.json_patch(&set, &swap).await?;
    follow(fleet, |value| {
        let place = |mirror: &str| value.find(&format!("{SOURCE}={mirror}.corp.example"));
        place("backup").zip(place("mirror")).is_some_and(|(backup, mirror)| backup < mirror)
    })
    .await?;
    show.note(&format!(
        "\nAll Deployments of east and west are patched {} ms after the edit (lab has opted out):",
        start.elapsed().as_millis()
    ));
    show.changes(fleet, &before).await?;
    cli.explain(show, fleet, &image).await?;
    all_ready(fleet).await
}

/// Declares a mirror on a HostedCluster and waits until its nodes have confirmed it.
async fn mirrored(show: &Show, fleet: &Fleet, cluster: &str, source: &str, mirror: &str) -> Result<()> {
    let sources = json!([{"source": source, "mirrors": [mirror]}]);
    let patch = json!({"spec": {"imageContentSources": sources}});
    show.command(&format!("kubectl patch hostedcluster -n {NAMESPACE} {cluster} --type merge -p '{patch}'"));
    let object = json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedCluster",
        "metadata": {"name": cluster, "namespace": NAMESPACE}
    });
    let before = fleet.report(cluster).await?["guest"]["sets"].clone();
    fleet.merge(&object, &patch).await?;
    let is_confirmed = |report: &Value| {
        report["guest"]["sets"] != before
            && report["nodes"]["applied"] == report["nodes"]["total"]
            && report["conditions"].as_array().is_some_and(|conditions| {
                conditions.iter().any(|found| found["type"] == "NodesUpToDate" && found["status"] == "True")
            })
    };
    fleet.wait_for_report(cluster, "that all nodes are up to date", is_confirmed).await.map(|_| ())
}

/// Deletes the tag mirrors.
async fn delete(show: &Show, cli: &Cli, fleet: &Fleet) -> Result<()> {
    show.title("Deletion: delete ImageTagMirrorSet/tools, which removes only its own entries");
    let before = show::values(fleet, &FOLLOWERS).await?;
    let start = Instant::now();
    fleet.delete(&object("ImageTagMirrorSet", "tools")).await?;
    follow(fleet, |value| !value.contains("quay.io/karmab=")).await?;
    show.note(&format!("All Deployments are patched {} ms after the deletion:", start.elapsed().as_millis()));
    show.changes(fleet, &before).await?;
    all_ready(fleet).await?;
    cli.run(show, &["status"])
}

/// Waits until the value of every target that uses the mirrors of the management cluster matches.
async fn follow(fleet: &Fleet, wanted: impl Fn(&str) -> bool) -> Result<()> {
    eventually(LIMIT, "the targets of east and west are patched", async || {
        for cluster in FOLLOWERS {
            for target in TARGETS {
                let value = fleet.effective(cluster, target).await?.unwrap_or_default();
                ensure!(wanted(&value), "{NAMESPACE}-{cluster}/{target}: {value}");
            }
        }
        Ok(Some(()))
    })
    .await
}
