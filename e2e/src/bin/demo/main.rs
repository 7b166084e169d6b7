//! The live half of `make demo`: the example fleet on a real API server, before and after an edit.
#![allow(clippy::print_stdout)] // it is there to be read

mod show;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hypermirror_e2e::fleet::manager::ManagerLaunch;
use hypermirror_e2e::fleet::{Fleet, NAMESPACE, TARGETS};
use hypermirror_e2e::{Crds, Testbed, eventually};
use serde_json::json;

/// The hosted clusters of the example.
const CLUSTERS: [&str; 3] = ["east", "west", "lab"];
/// Long enough for a loaded machine.
const LIMIT: Duration = Duration::from_mins(1);

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match demo().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn demo() -> Result<()> {
    let example = std::env::args().nth(1).context("usage: demo EXAMPLE-DIRECTORY")?;
    let show = show::Show::new();
    show.title("Starting a real etcd and kube-apiserver, with the CRDs and the manager's own ServiceAccount");
    let bed = Testbed::builder().start().await?;
    let fleet = Fleet::install(bed.management(), &Crds::of_the_fleet()?).await?;
    apply_example(&fleet, Path::new(&example)).await?;
    let cli = show::Cli::new(bed.management().kubeconfig_path())?;

    show.title("The example is applied. Before anything is changed: what would be?");
    show.say("Each control plane has its three Deployments, with the override values that stock HyperShift wrote.");
    cli.run(&show, &["diff"])?;

    show.title("The manager starts (as its ServiceAccount, leader by a Lease)");
    let start = Instant::now();
    let manager = ManagerLaunch::new("manager", bed.management().directory()).start_ready(bed.management()).await?;
    all_ready(&fleet).await?;
    show.say(&format!(
        "every control plane was up to date and reported {} ms after its start",
        start.elapsed().as_millis()
    ));
    cli.run(&show, &["status"])?;
    let before = show.targets(&fleet, "east").await?;

    edit(&show, &fleet).await?;
    show.changes(&fleet, "east", &before).await?;
    cli.run(&show, &["status"])?;
    let image = "quay.io/openshift-release-dev/ocp-release:4.20.1-x86_64";
    show.say("\nThe same question as before, for a tag: tags are not what an ImageDigestMirrorSet is for.");
    let mirrors = format!("{example}/mirrors.yaml");
    cli.run(&show, &["explain", image, "-f", &mirrors])?;

    show.title("Cleaning up");
    drop(manager);
    drop(bed);
    show.say("The manager, the API server and etcd have ended; nothing is left behind.");
    show.say("Next: README.md, or the same commands on your own manifests: hypermirror check -f DIRECTORY");
    Ok(())
}

async fn apply_example(fleet: &Fleet, directory: &Path) -> Result<()> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)?.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    // Namespaces stand in the files of the hosted clusters and control planes, before what lives in them.
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

/// The backup registry becomes the first mirror of the release images; measures until the last Deployment says so.
async fn edit(show: &show::Show, fleet: &Fleet) -> Result<()> {
    show.title("An edit: ImageDigestMirrorSet/release, the backup registry first");
    let source = |name: &str, path: &str| {
        json!({
            "source": format!("quay.io/openshift-release-dev/{name}"),
            "mirrors": [format!("backup.corp.example:8443/{path}"), format!("mirror.corp.example:8443/{path}")],
            "mirrorSourcePolicy": "NeverContactSource"
        })
    };
    let sources = [source("ocp-release", "openshift/release-images"), source("ocp-v4.0-art-dev", "openshift/release")];
    let object = json!({
        "apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSet", "metadata": {"name": "release"}
    });
    let image = "quay.io/openshift-release-dev/ocp-release";
    let start = Instant::now();
    fleet.merge(&object, &json!({"spec": {"imageDigestMirrors": sources}})).await?;
    // lab has opted out of the management mirrors: it has nothing to follow.
    eventually(LIMIT, "east and west follow the edit", async || {
        for cluster in ["east", "west"] {
            for target in TARGETS {
                let value = fleet.effective(cluster, target).await?.unwrap_or_default();
                let place = |mirror: &str| value.find(&format!("{image}={mirror}.corp.example"));
                let first = place("backup").zip(place("mirror")).is_some_and(|(backup, mirror)| backup < mirror);
                anyhow::ensure!(first, "{NAMESPACE}-{cluster}/{target}: {value}");
            }
        }
        Ok(Some(()))
    })
    .await?;
    show.say(&format!(
        "every target of east and west read the new map {} ms after the edit",
        start.elapsed().as_millis()
    ));
    all_ready(fleet).await
}
