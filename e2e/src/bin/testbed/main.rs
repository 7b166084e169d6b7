//! Servers of the bed for a person: they run in the background until they are ended.
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

/// Real API servers on the loopback address: a management cluster and guests.
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
        /// How many guest clusters there are beside the management cluster.
        #[arg(long, default_value_t = 0)]
        guests: usize,
        /// Give the management cluster a controller manager.
        #[arg(long)]
        controller_manager: bool,
        /// Give the first guest a real node: kubelet, CRI-O, pods. Needs root.
        #[arg(long)]
        node: bool,
    },
    /// End the servers and remove their data.
    Down,
    /// Print the path of a cluster's kubeconfig.
    Kubeconfig {
        /// `management`, `guest-0`, `guest-1` and so on.
        #[arg(default_value = "management")]
        cluster: String,
    },
    /// Say which servers run and which clusters are ready; exit code 1 if none runs.
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
        bail!("no real node can be had here: {reason}");
    }
    if !recorded::running(&directory)?.is_empty() {
        println!("already up; to start anew: hack/testbed/testbed down");
        return status(directory).await.map(|_| ());
    }
    // What an earlier run left: its processes are gone, its data would not fit new keys.
    recorded::forget(&directory)?;
    let begin = Instant::now();
    let builder = Testbed::builder().guests(guests).controller_manager(controller_manager);
    let builder = builder.guest_controller_managers(node).detached(&directory);
    let (bed, node) = match start(builder, node).await {
        Ok(started) => started,
        Err(error) => {
            down(directory).await.context("end what had started")?;
            return Err(error);
        }
    };
    println!("up after {:.1} s:", begin.elapsed().as_secs_f32());
    for cluster in bed.clusters() {
        println!("  {:<12} {}  {}", cluster.name(), cluster.url(), cluster.kubeconfig_path().display());
    }
    if let Some(node) = node {
        println!("  {:<12} a node of guest-0, its files below {}", node.name(), node.directory().display());
        println!("crictl: {} --runtime-endpoint unix://{}", crictl()?.display(), node.socket().display());
    }
    println!("use:  export KUBECONFIG=$(hack/testbed/testbed kubeconfig{})", if guests > 0 { " [NAME]" } else { "" });
    println!("logs: {}/*/*.log, audit logs beside them", directory.display());
    println!("end:  hack/testbed/testbed down");
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
        println!("nothing runs");
    }
    // Clients before what they talk to: an API server without its etcd takes long to end.
    let (etcd, others): (Vec<_>, Vec<_>) = running.into_iter().partition(|process| process.program == "etcd");
    for processes in [others, etcd] {
        for process in &processes {
            process.handle.ask_to_end()?;
        }
        for process in processes {
            println!("ended {}", process.end().await?);
        }
    }
    recorded::forget(&directory)
}

fn kubeconfig(directory: &Path, cluster: &str) -> Result<PathBuf> {
    let path = directory.join(cluster).join("admin.kubeconfig");
    ensure!(path.is_file(), "no cluster {cluster}; hack/testbed/testbed status says what is up");
    Ok(path)
}

async fn status(directory: PathBuf) -> Result<ExitCode> {
    let running = recorded::running(&directory)?;
    if running.is_empty() {
        println!("down");
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
