//! Replicas of the manager, which are killed and come back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::Cluster;
use crate::eventually;
use crate::fleet::manager::{Manager, ManagerLaunch};

/// Who comes after a replica that was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Successor {
    /// The kubelet starts the container again: the pod keeps its name, which is the identity on the Lease.
    SameIdentity,
    /// The pod is replaced.
    NewIdentity,
}

/// One replica.
pub struct Replica {
    /// Its identity on the Lease.
    pub identity: String,
    /// The running manager.
    pub manager: Manager,
}

/// Replicas with equal flags.
pub struct Replicas<'a> {
    cluster: &'a Cluster,
    flags: Vec<String>,
    env: Vec<(String, String)>,
    made: usize,
    /// Those that run.
    pub running: Vec<Replica>,
}

impl<'a> Replicas<'a> {
    /// Starts replicas with these flags and waits until one leads.
    ///
    /// # Errors
    ///
    /// If they do not get ready.
    pub async fn start(cluster: &'a Cluster, count: usize, flags: &[&str]) -> Result<Self> {
        Self::start_with(cluster, count, flags, &[]).await
    }

    /// The same, with these environment variables; `{identity}` in a value is replaced.
    ///
    /// # Errors
    ///
    /// If they do not get ready.
    pub async fn start_with(
        cluster: &'a Cluster,
        count: usize,
        flags: &[&str],
        env: &[(&str, String)],
    ) -> Result<Self> {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let mut replicas = Self { cluster, flags, env, made: 0, running: Vec::new() };
        for _ in 0..count {
            let identity = replicas.new_identity();
            let replica = replicas.launch(identity).await?;
            replicas.running.push(replica);
        }
        replicas.leads(Duration::from_mins(1)).await?;
        Ok(replicas)
    }

    fn new_identity(&mut self) -> String {
        self.made += 1;
        format!("manager-{}", self.made)
    }

    async fn launch(&self, identity: String) -> Result<Replica> {
        let mut launch = ManagerLaunch::new(&identity, self.cluster.directory());
        for flag in &self.flags {
            launch = launch.arg(flag);
        }
        for (name, value) in &self.env {
            launch = launch.env(name, value.replace("{identity}", &identity));
        }
        let manager = launch.start_ready(self.cluster).await?;
        Ok(Replica { identity, manager })
    }

    /// The place of the replica that leads, if there is one.
    pub async fn leader(&self) -> Option<usize> {
        for (place, replica) in self.running.iter().enumerate() {
            if replica.manager.metric("hypermirror_leader").await.is_ok_and(|leads| leads > 0.5) {
                return Some(place);
            }
        }
        None
    }

    /// Waits until a replica leads, and returns the place of it and the time that took.
    ///
    /// # Errors
    ///
    /// If none does in time.
    pub async fn leads(&self, limit: Duration) -> Result<(usize, Duration)> {
        let start = Instant::now();
        let place = eventually(limit, "a replica leads", async || Ok(self.leader().await)).await?;
        Ok((place, start.elapsed()))
    }

    /// Kills the replica that leads with SIGKILL, starts its successor, and returns the time until a replica leads again.
    ///
    /// # Errors
    ///
    /// If none leads, before or after.
    pub async fn kill_leader(&mut self, successor: Successor, limit: Duration) -> Result<Duration> {
        let place = self.leader().await.context("no replica leads")?;
        let killed = Instant::now();
        let mut old = self.running.remove(place);
        old.manager.process.kill()?;
        let identity = match successor {
            Successor::SameIdentity => old.identity,
            Successor::NewIdentity => self.new_identity(),
        };
        let replica = self.launch(identity).await?;
        self.running.push(replica);
        self.leads(limit).await?;
        Ok(killed.elapsed())
    }
}
