//! What is left of a node when it ends: nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hypermirror_e2e::{RealNode, Testbed, eventually, needs_node, process::Handle};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::PostParams};
use serde_json::json;

use super::{LIMIT, Served};

/// A bed and a node for one scenario alone. The node is dropped first.
pub(super) async fn own(name: &str) -> Result<(Testbed, RealNode)> {
    let bed = Testbed::builder().controller_manager(true).start().await?;
    let node = RealNode::start(bed.management(), name).await?;
    Ok((bed, node))
}

/// A pod with everything that a node has to take down: a process, a projected volume, a place in the store.
async fn run_a_pod(bed: &Testbed, image: &Served) -> Result<()> {
    let pods: Api<Pod> = Api::default_namespaced(bed.management().admin_client().await?);
    let pod = json!({
        "metadata": { "name": "app" },
        "spec": {
            "hostNetwork": true,
            "containers": [{ "name": "app", "image": format!("{}/ns/app:v1", image.registry.host()) }],
        },
    });
    let pod = serde_json::from_value(pod)?;
    eventually(LIMIT, "the namespace has its ServiceAccount", async || {
        Ok(Some(pods.create(&PostParams::default(), &pod).await?))
    })
    .await?;
    eventually(LIMIT, "the pod runs", async || {
        let status = pods.get("app").await?.status.context("no status")?;
        ensure!(status.phase.as_deref() == Some("Running"), "{}", serde_json::to_string(&status)?);
        Ok(Some(()))
    })
    .await
}

/// Paths of files of processes in which `text` is found.
fn found_in(file: &str, text: &str) -> Result<Vec<PathBuf>> {
    let paths = std::fs::read_dir("/proc")?.filter_map(|entry| Some(entry.ok()?.path().join(file)));
    Ok(paths
        .filter(|path| std::fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text)))
        .collect())
}

fn nothing_left(directory: &Path, processes: &[u32], containers: &[String]) -> Result<()> {
    let directory = directory.to_str().context("a path of text")?;
    for file in ["cmdline", "environ", "mountinfo"] {
        ensure!(found_in(file, directory)?.is_empty(), "{directory} is in {:?}", found_in(file, directory)?);
    }
    for id in processes {
        ensure!(Handle::open(*id)?.is_none(), "process {id} is left");
    }
    let left = groups_of(containers);
    ensure!(left.is_empty(), "{left:?} are left");
    Ok(())
}

/// The ids of the node's sandboxes and containers.
async fn container_ids(node: &RealNode) -> Result<Vec<String>> {
    let sandboxes = node.crictl().run(&["pods", "--quiet", "--no-trunc"]).await?;
    let containers = node.crictl().run(&["ps", "--all", "--quiet", "--no-trunc"]).await?;
    let ids: Vec<_> = sandboxes.lines().chain(containers.lines()).map(str::to_owned).collect();
    ensure!(ids.len() >= 2, "{ids:?}");
    Ok(ids)
}

/// The control groups of these containers, wherever they are.
fn groups_of(ids: &[String]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = directories.pop() {
        // Groups come and go; those of others are not ours to wonder about.
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.filter_map(|entry| entry.ok().filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()))) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if ids.iter().any(|id| name.contains(id)) {
                found.push(entry.path());
            }
            directories.push(entry.path());
        }
    }
    found
}

#[tokio::test]
async fn a_node_that_is_dropped_with_a_pod_on_it_leaves_nothing_behind() -> Result<()> {
    needs_node!();
    let (bed, node) = own("dropped").await?;
    let image = Served::start("ns/app:v1").await?;
    run_a_pod(&bed, &image).await?;

    let mut unit = node.spawn("unit", Path::new("/bin/sleep"), &["1000"], &[]).await?;
    unit.check()?;
    let (directory, processes) = (node.directory().to_owned(), node.processes()?);
    assert!(processes.contains(&unit.handle().id()));
    let containers = container_ids(&node).await?;
    assert!(!groups_of(&containers).is_empty());
    // The first process, CRI-O, the kubelet, a monitor and the container.
    assert!(processes.len() >= 5, "{processes:?}");
    assert!(!found_in("mountinfo", directory.to_str().context("a path of text")?)?.is_empty());
    drop(node);
    nothing_left(&directory, &processes, &containers)?;
    drop(bed);
    assert!(!directory.exists());
    Ok(())
}

#[tokio::test]
async fn a_node_can_be_drained_before_it_ends() -> Result<()> {
    needs_node!();
    let (bed, node) = own("drained").await?;
    let image = Served::start("ns/app:v1").await?;
    run_a_pod(&bed, &image).await?;
    let containers = container_ids(&node).await?;
    node.drain().await?;
    assert_eq!(node.crictl().run(&["ps", "--quiet"]).await?.trim(), "");
    let (directory, processes) = (node.directory().to_owned(), node.processes()?);
    drop(node);
    nothing_left(&directory, &processes, &containers)?;
    drop(bed);
    Ok(())
}

const HOLD: &str = "HYPERMIRROR_E2E_HOLD";

#[tokio::test]
async fn a_node_ends_with_a_test_that_is_killed() -> Result<()> {
    needs_node!();
    // The test program starts itself again with only this test, which holds a node until it is killed.
    if std::env::var_os(HOLD).is_some() {
        let (_bed, node) = own("held").await?;
        let held = json!({ "message": "held", "directory": node.directory(), "processes": node.processes()? });
        eprintln!("\n{held}");
        return std::future::pending().await;
    }
    let scratch = tempfile::tempdir()?;
    let test = "a_node_ends_with_a_test_that_is_killed";
    let launch = hypermirror_e2e::Launch::own_test("held", module_path!(), test, scratch.path())?;
    let mut held = launch.env(HOLD, "yes").spawn()?;
    let directory = held.wait_for_log_field("held", "directory", 2 * LIMIT).await?;
    let processes = held.wait_for_log_field("held", "processes", LIMIT).await?;
    let processes: Vec<u32> = serde_json::from_str(&processes)?;
    held.kill()?;
    eventually(LIMIT, "nothing is left", async || {
        nothing_left(Path::new(&directory), &processes, &[])?;
        ensure!(!Path::new(&directory).exists(), "{directory} is left");
        Ok(Some(()))
    })
    .await
}
