//! Runs the manager as a process with the flags of a production installation, and measures it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hypermirror_e2e::fleet::{SERVICE_ACCOUNT, SYSTEM};
use hypermirror_e2e::{Cluster, Launch, Process, endpoint, eventually};

/// Timeout of all waits. No step takes this long.
pub const LIMIT: Duration = Duration::from_mins(5);

/// A running manager.
pub struct Manager {
    process: Process,
    metrics: String,
    /// Time from the start of the process until it is ready.
    pub ready_after: Duration,
}

/// Memory and CPU time of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Current resident memory, MB.
    pub resident: f64,
    /// Peak resident memory, MB.
    pub peak: f64,
    /// CPU time, seconds.
    pub cpu: f64,
}

impl Manager {
    /// Starts it and waits until it is ready and the leader.
    ///
    /// # Errors
    ///
    /// If the manager, its metrics or its process cannot be reached.
    pub async fn start(cluster: &Cluster, number: usize) -> Result<Self> {
        Self::start_with(cluster, number, &[]).await
    }

    /// The same, with these flags.
    ///
    /// # Errors
    ///
    /// When the manager, its metrics or its process cannot be reached.
    pub async fn start_with(cluster: &Cluster, number: usize, flags: &[String]) -> Result<Self> {
        let manager = Self::standby(cluster, number, flags).await?;
        manager.leads().await?;
        Ok(manager)
    }

    /// Starts it and waits until it is ready, whoever leads.
    ///
    /// # Errors
    ///
    /// When the manager or its process cannot be reached.
    pub async fn standby(cluster: &Cluster, number: usize, flags: &[String]) -> Result<Self> {
        let kubeconfig = cluster.kubeconfig_for_service_account(SYSTEM, SERVICE_ACCOUNT).await?;
        let launch = Launch::operator(&format!("manager-{number}"), cluster.directory())?
            .args(["manager", "--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0"])
            .args([format!("--namespace={SYSTEM}"), format!("--identity=manager-{number}")])
            .args(flags.iter().cloned())
            .env("KUBECONFIG", kubeconfig);
        let start = Instant::now();
        let mut process = launch.spawn()?;
        let metrics = process.wait_for_log_field("metrics server listening", "address", LIMIT).await?;
        let health = process.wait_for_log_field("health server listening", "address", LIMIT).await?;
        process.wait_until_ready(&format!("http://{health}/readyz"), LIMIT).await?;
        Ok(Self { process, metrics: format!("http://{metrics}/metrics"), ready_after: start.elapsed() })
    }

    /// Waits until it is the leader.
    ///
    /// # Errors
    ///
    /// When it is not in time.
    pub async fn leads(&self) -> Result<()> {
        eventually(LIMIT, "the manager is the leader", async || {
            Ok((self.count("hypermirror_leader").await? == 1).then_some(()))
        })
        .await
    }

    /// Stops it.
    ///
    /// # Errors
    ///
    /// If the manager, its metrics or its process cannot be reached.
    pub async fn stop(mut self) -> Result<()> {
        let status = self.process.stop().await?;
        anyhow::ensure!(status.success(), "the manager exited with {status}");
        Ok(())
    }

    /// Memory and CPU time.
    ///
    /// # Errors
    ///
    /// If the manager, its metrics or its process cannot be reached.
    pub fn usage(&self) -> Result<Usage> {
        usage(self.process.handle().id())
    }

    /// The number of its open files.
    ///
    /// # Errors
    ///
    /// If its process cannot be read.
    pub fn open_files(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.process.handle().id()))?.count())
    }

    /// The number of its threads.
    ///
    /// # Errors
    ///
    /// If its process cannot be read.
    pub fn threads(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/task", self.process.handle().id()))?.count())
    }

    /// The sum of all series of a metric. Zero if there are none yet.
    ///
    /// # Errors
    ///
    /// If the manager, its metrics or its process cannot be reached.
    pub async fn count(&self, name: &str) -> Result<usize> {
        Ok(self.series(name).await?.values().sum())
    }

    /// All series of a counter, by their labels.
    ///
    /// # Errors
    ///
    /// If the manager, its metrics or its process cannot be reached.
    pub async fn series(&self, name: &str) -> Result<BTreeMap<String, usize>> {
        let text = endpoint::get(&self.metrics).await?.body;
        let of_name = |line: &str| -> Option<(String, usize)> {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']))?;
            let (labels, value) = rest.rsplit_once(' ')?;
            Some((labels.to_owned(), value.parse().ok()?))
        };
        Ok(text.lines().filter_map(of_name).collect())
    }

    /// Waits until there was no request and no reconcile for two seconds.
    ///
    /// # Errors
    ///
    /// If the manager, its metrics or its process cannot be reached.
    pub async fn rests(&self) -> Result<()> {
        self.rests_within(LIMIT).await
    }

    /// The same, with another limit.
    ///
    /// # Errors
    ///
    /// If the manager, its metrics or its process cannot be reached.
    pub async fn rests_within(&self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        let mut last = (0, 0);
        while start.elapsed() < limit {
            let now = self.count("hypermirror_reconcile_duration_seconds_count").await?
                + self.requests("hostedclustermirrors").await?
                + self.requests("deployments").await?;
            last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
            if last.1 == 4 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        bail!("the manager does not become idle")
    }

    async fn requests(&self, resource: &str) -> Result<usize> {
        let series = self.series("hypermirror_client_requests_total").await?;
        Ok(series.iter().filter(|(labels, _)| labels.contains(resource)).map(|(_, count)| count).sum())
    }
}

/// Of `self` or a process id.
///
/// # Errors
///
/// If the manager, its metrics or its process cannot be reached.
pub fn usage(process: impl fmt::Display) -> Result<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let megabytes = |field: &str| -> Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).with_context(|| field.to_owned())?;
        let kibibytes: f64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024.0 / 1_000_000.0)
    };
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The fields after the name, which may hold blanks: user and system time are the 12th and 13th, in ticks of 10 ms.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap_or_default());
    Ok(Usage { resident: megabytes("VmRSS")?, peak: megabytes("VmHWM")?, cpu: ticks.sum::<f64>() / 100.0 })
}
