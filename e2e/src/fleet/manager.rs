//! Runs the real manager as a process with its own ServiceAccount.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};

use super::{SERVICE_ACCOUNT, SOON, SYSTEM};
use crate::{Cluster, Launch, Process, binaries, endpoint, eventually, port};

static STARTS: AtomicUsize = AtomicUsize::new(0);

/// A running manager.
pub struct Manager {
    /// Its process.
    pub process: Process,
    /// The address of its metrics.
    pub metrics: String,
    /// The address of `/healthz` and `/readyz`.
    pub health: String,
}

/// The configuration of a manager.
pub struct ManagerLaunch {
    name: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    program: Option<PathBuf>,
    directory: PathBuf,
}

impl ManagerLaunch {
    /// Creates a configuration. The log is written to this directory.
    pub fn new(name: &str, directory: &Path) -> Self {
        // Short, because scenarios wait until the lease of a killed leader expires.
        let args = ["--lease-duration=3s", "--settle=300ms", "--handover=5s"];
        let args = args.map(str::to_owned).to_vec();
        Self { name: name.to_owned(), args, env: Vec::new(), program: None, directory: directory.to_owned() }
    }

    /// Runs this program: the `hypermirror` of another version.
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// Adds a flag, `--name=value`, or sets another value for it.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        let arg = arg.into();
        let name = |arg: &str| arg.split('=').next().map(str::to_owned);
        self.args.retain(|present| name(present) != name(&arg));
        self.args.push(arg);
        self
    }

    /// Enables the agent with this image. The agent gets free ports, because the nodes of a test bed share the machine's network.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub fn agent(self, image: &str) -> Result<Self> {
        let (metrics, health) = (port::free()?, port::free()?);
        Ok(self
            .arg(format!("--agent-image={image}"))
            .arg("--agent-reload=signal")
            .arg(format!("--agent-metrics-port={metrics}"))
            .arg(format!("--agent-health-port={health}")))
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Starts it on a management cluster, without waiting until it is ready.
    ///
    /// # Errors
    ///
    /// If it exits before it serves its endpoints.
    pub async fn start(mut self, cluster: &Cluster) -> Result<Manager> {
        if self.args.iter().any(|arg| arg == "--webhook=serve") {
            let directory = self.directory.join(&self.name).join("webhook");
            super::admission::issue(&directory)?;
            let flag = "--webhook-certificate-dir=";
            if !self.args.iter().any(|arg| arg.starts_with(flag)) {
                self = self.arg(format!("{flag}{}", directory.display()));
            }
        }
        let kubeconfig = cluster.kubeconfig_for_service_account(SYSTEM, SERVICE_ACCOUNT).await?;
        // Each start has its own log, because the addresses are read from it.
        let start = STARTS.fetch_add(1, Ordering::Relaxed);
        let program = self.program.map_or_else(binaries::operator, Ok)?;
        let mut launch = Launch::new(&format!("{}-{start}", self.name), program, &self.directory)
            .arg("manager")
            .args(["--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0"])
            .arg(format!("--namespace={SYSTEM}"))
            .arg(format!("--identity={}", self.name))
            .args(self.args)
            .env("KUBECONFIG", kubeconfig);
        for (name, value) in &self.env {
            launch = launch.env(name, value);
        }
        let mut process = launch.spawn()?;
        let metrics = process.wait_for_log_field("metrics server listening", "address", SOON).await?;
        let health = process.wait_for_log_field("health server listening", "address", SOON).await?;
        Ok(Manager { process, metrics: format!("http://{metrics}/metrics"), health: format!("http://{health}") })
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it is not ready in time.
    pub async fn start_ready(self, cluster: &Cluster) -> Result<Manager> {
        let mut manager = self.start(cluster).await?;
        let url = format!("{}/readyz", manager.health);
        manager.process.wait_until_ready(&url, SOON).await?;
        Ok(manager)
    }
}

impl Manager {
    /// Starts a manager with the usual flags and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it is not ready in time.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        ManagerLaunch::new("manager", cluster.directory()).start_ready(cluster).await
    }

    /// Waits until it is the leader.
    ///
    /// # Errors
    ///
    /// If it does not in time.
    pub async fn leads(&self) -> Result<()> {
        eventually(SOON, "the manager is the leader", async || {
            anyhow::ensure!(self.metric("hypermirror_leader").await? > 0.5, "it is not the leader");
            Ok(Some(()))
        })
        .await
    }

    /// The sum of all series of one metric, or the value of one series (`name{label="value"}`).
    ///
    /// # Errors
    ///
    /// If the metrics cannot be read or have no such series.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = endpoint::get(&self.metrics).await?.body;
        let of_name =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '));
        let values = text.lines().filter(of_name).map(|line| {
            let value = line.rsplit(' ').next().context("a line without a value")?;
            value.parse::<f64>().with_context(|| line.to_owned())
        });
        let values: Vec<f64> = values.collect::<Result<_>>()?;
        anyhow::ensure!(!values.is_empty(), "no series {name}");
        Ok(values.into_iter().sum())
    }
}
