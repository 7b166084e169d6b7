//! Servers of the test bed for manual tests. They run in the background until `testbed down`.
#![expect(clippy::print_stdout, reason = "a command talks to its user on standard output")]

mod recorded;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use hypermirror_e2e::{
    RealNode, Testbed,
    bed::Builder,
    binaries::{Servers, repository_root},
    credentials,
};
use recorded::Recorded;

/// Run real API servers on the loopback address: a management cluster and guest clusters.
#[derive(Parser)]
#[command(name = "testbed")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the servers.
    Up {
        /// Number of guest clusters.
        #[arg(long, default_value_t = 0)]
        guests: usize,
        /// Run kube-controller-manager in the management cluster.
        #[arg(long)]
        controller_manager: bool,
        /// Run a real node (kubelet, CRI-O, pods) in the first guest cluster. Requires root.
        #[arg(long)]
        node: bool,
    },
    /// Stop the servers and remove their data.
    Down,
    /// Print the path of the kubeconfig of a cluster.
    Kubeconfig {
        /// `management`, `guest-0`, `guest-1` and so on.
        #[arg(default_value = "management")]
        cluster: String,
    },
    /// Show the running servers and whether the clusters are ready. The exit code is 1 if none is running.
    Status,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let directory = repository_root().join("target/testbed/run");
    match Arguments::parse().command {
        Command::Up { guests, controller_manager, node } => {
            let guests = if node { guests.max(1) } else { guests };
            up(directory, guests, controller_manager, node).await?;
        }
        Command::Down => down(directory).await?,
        Command::Kubeconfig { cluster } => println!("{}", kubeconfig(&directory, &cluster)?.display()),
        Command::Status => return status(directory).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn up(directory: PathBuf, guests: usize, controller_manager: bool, node: bool) -> Result<()> {
    if let Some(reason) = node.then(RealNode::unavailable).flatten() {
        bail!("failed to start a real node: {reason}");
    }
    if !recorded::running(&directory)?.is_empty() {
        println!("already running; to stop: hack/testbed/testbed down");
        return status(directory).await.map(|_| ());
    }
    // Remove the data of an earlier run, which does not match the new keys.
    recorded::forget(&directory)?;
    let begin = Instant::now();
    let builder = Testbed::builder().guests(guests).controller_manager(controller_manager);
    let builder = builder.guest_controller_managers(node).detached(&directory);
    let (bed, node) = match start(builder, node).await {
        Ok(started) => started,
        Err(error) => {
            down(directory).await.context("failed to stop the servers that had started")?;
            return Err(error);
        }
    };
    println!("ready after {:.1} s:", begin.elapsed().as_secs_f32());
    for cluster in bed.clusters() {
        println!("  {:<12} {}  {}", cluster.name(), cluster.url(), cluster.kubeconfig_path().display());
    }
    if let Some(node) = node {
        println!("  {:<12} node of guest-0, files in {}", node.name(), node.directory().display());
        println!("crictl: {} --runtime-endpoint unix://{}", crictl()?.display(), node.socket().display());
    }
    println!(
        "to use:   export KUBECONFIG=$(hack/testbed/testbed kubeconfig{})",
        if guests > 0 { " [NAME]" } else { "" }
    );
    println!("logs:     {}/*/*.log, with the audit logs in the same directories", directory.display());
    println!("to stop:  hack/testbed/testbed down");
    Ok(())
}

async fn start(builder: Builder, node: bool) -> Result<(Testbed, Option<RealNode>)> {
    let bed = builder.start().await?;
    let node = if node { Some(RealNode::start(bed.guest(0), "node-0").await?) } else { None };
    Ok((bed, node))
}

fn crictl() -> Result<PathBuf> {
    Servers::from_env().find("crictl")
}

async fn down(directory: PathBuf) -> Result<()> {
    let running = recorded::running(&directory)?;
    if running.is_empty() {
        println!("no servers are running");
    }
    // Stop clients before their servers: an API server without etcd takes long to stop.
    let (etcd, others): (Vec<_>, Vec<_>) = running.into_iter().partition(|process| process.program == "etcd");
    for processes in [others, etcd] {
        for process in &processes {
            process.handle.terminate()?;
        }
        for process in processes {
            println!("stopped {}", process.end().await?);
        }
    }
    recorded::forget(&directory)
}

fn kubeconfig(directory: &Path, cluster: &str) -> Result<PathBuf> {
    let path = directory.join(cluster).join("admin.kubeconfig");
    ensure!(path.is_file(), "cluster {cluster} is not running; run hack/testbed/testbed status to list the clusters");
    Ok(path)
}

async fn status(directory: PathBuf) -> Result<ExitCode> {
    let running = recorded::running(&directory)?;
    if running.is_empty() {
        println!("no servers are running");
        return Ok(ExitCode::FAILURE);
    }
    for Recorded { cluster, program, handle } in &running {
        println!("  {cluster:<12} {program:<24} process {}", handle.id());
    }
    for cluster in running.iter().filter(|process| process.program == "kube-apiserver").map(|p| &p.cluster) {
        let path = kubeconfig(&directory, cluster)?;
        let state = if ready(&path).await.is_ok() { "ready" } else { "not ready" };
        println!("  {cluster:<12} {state:<24} {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

async fn ready(kubeconfig: &Path) -> Result<()> {
    let client = credentials::client(&std::fs::read_to_string(kubeconfig)?).await?;
    client.request_text(http::Request::get("/readyz").body(Vec::new())?).await?;
    Ok(())
}
