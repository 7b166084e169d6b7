//! Edits of a fleet by the manager and by a bare client, on the same objects in the same run.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hypermirror_e2e::audit::Mark;
use hypermirror_e2e::fleet::{SERVICE_ACCOUNT, SYSTEM, TARGETS};
use hypermirror_e2e::{Audit, Cluster, Fleet, Testbed, eventually};
use kube::Client;

use crate::bare::{self, BarePatch};
use crate::fleet::mirror_set;
use crate::manager::{self, LIMIT, Manager};
use crate::window::Window;

/// A write of a target.
pub const PATCHES: &str = "patch deployments";
/// The creation of a report.
pub const CREATIONS: &str = "patch hostedclustermirrors";
/// A write of a report.
pub const REPORTS: &str = "patch hostedclustermirrors/status";

/// How long a hosted cluster may take in a wait for the whole fleet: three writes at a quarter of the rate that was measured.
const FOR_EACH: Duration = Duration::from_millis(150);

/// One edit, by the manager or by the bare client.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    /// Time from the edit to the last patch.
    pub seconds: f64,
    /// CPU time of the manager or of the bare client.
    pub client: f64,
    /// CPU time including the API server and etcd, which varies less on a shared machine.
    pub all: f64,
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s, CPU time {:.1} s, including the servers {:.1} s", self.seconds, self.client, self.all)
    }
}

/// A fleet, the manager if it runs, and a bare client with the manager's user.
pub struct Stage<'a> {
    bed: &'a Testbed,
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The client of the administrator.
    pub fleet: Fleet,
    /// The audit log.
    pub audit: Audit,
    /// Number of hosted clusters.
    pub clusters: usize,
    /// The number of the last edit.
    pub edit: usize,
    client: Client,
    sources: usize,
    manager: Option<Manager>,
    starts: usize,
    patches: Vec<BarePatch>,
}

impl<'a> Stage<'a> {
    /// A fleet with this number of hosted clusters, and a mirror set with this number of sources, which is not applied yet.
    ///
    /// # Errors
    ///
    /// If the API server does not answer.
    pub async fn new(bed: &'a Testbed, fleet: Fleet, clusters: usize, sources: usize) -> Result<Self> {
        let cluster = bed.management();
        let client = cluster.client_for_service_account(SYSTEM, SERVICE_ACCOUNT).await?;
        let audit = cluster.audit().await?;
        let (manager, patches) = (None, Vec::new());
        Ok(Self { bed, cluster, fleet, audit, clusters, edit: 0, client, sources, manager, starts: 0, patches })
    }

    /// The running manager.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn manager(&self) -> Result<&Manager> {
        self.manager.as_ref().context("the manager does not run")
    }

    /// Number of target Deployments.
    pub fn targets(&self) -> usize {
        self.clusters * TARGETS.len()
    }

    /// The limit of waits for the whole fleet.
    pub fn limit(&self) -> Duration {
        LIMIT + FOR_EACH * u32::try_from(self.clusters).unwrap_or(u32::MAX)
    }

    /// Starts the manager and waits until it is idle.
    ///
    /// # Errors
    ///
    /// If it cannot be reached.
    pub async fn start_manager(&mut self) -> Result<()> {
        self.starts += 1;
        let manager = Manager::start(self.cluster, self.starts).await?;
        manager.rests_within(self.limit()).await?;
        self.manager = Some(manager);
        Ok(())
    }

    /// Starts a manager beside the one that leads, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it cannot be reached.
    pub async fn start_standby(&mut self) -> Result<Manager> {
        self.starts += 1;
        Manager::standby(self.cluster, self.starts, &[]).await
    }

    /// Stops the manager, if it runs, and goes on with another one, if there is one.
    ///
    /// # Errors
    ///
    /// If it ends with an error.
    pub async fn replace_manager(&mut self, by: Option<Manager>) -> Result<()> {
        match std::mem::replace(&mut self.manager, by) {
            Some(manager) => manager.stop().await,
            None => Ok(()),
        }
    }

    /// CPU time of the API server and etcd.
    fn servers(&self) -> Result<f64> {
        let api_server = self.cluster.api_server_id().context("the API server does not run")?;
        Ok(manager::usage(api_server)?.cpu + manager::usage(self.bed.etcd_id())?.cpu)
    }

    /// The writes of the manager, or of the bare client.
    ///
    /// # Errors
    ///
    /// If the audit log cannot be read.
    pub async fn writes(&self, mark: Mark) -> Result<Window> {
        let user = format!("system:serviceaccount:{SYSTEM}:{SERVICE_ACCOUNT}");
        Ok(Window::new(self.audit.writes_by(mark, &user).await?))
    }

    /// Takes the patches of an edit by the manager as the templates of the bare client.
    ///
    /// # Errors
    ///
    /// If the audit log does not have their bodies.
    pub fn take_patches(&mut self, window: &Window) -> Result<()> {
        let patches: Result<_> = window.patches.iter().map(BarePatch::of).collect();
        self.patches = patches?;
        Ok(())
    }

    /// Edits the mirror set.
    ///
    /// # Errors
    ///
    /// If the API server rejects it.
    pub async fn edit_mirror_set(&mut self) -> Result<()> {
        self.edit += 1;
        self.fleet.apply(&mirror_set(self.sources, self.edit)).await?;
        Ok(())
    }

    /// Edits the mirror set and waits until the manager has patched all targets.
    async fn edit_and_wait(&mut self) -> Result<()> {
        let done = self.manager()?.count("hypermirror_target_patches_total").await?;
        self.edit_mirror_set().await?;
        let (manager, wanted) = (self.manager()?, self.targets());
        eventually(self.limit(), "all targets are patched", async || {
            let patched = manager.count("hypermirror_target_patches_total").await? - done;
            ensure!(patched >= wanted, "{patched} of {wanted}");
            Ok(Some(()))
        })
        .await
    }

    /// The writes of one edit: each target and each report once.
    pub fn expected(&self) -> [(&'static str, usize); 2] {
        [(PATCHES, self.targets()), (REPORTS, self.clusters)]
    }

    /// One edit by the manager, and its writes.
    ///
    /// # Errors
    ///
    /// If it does not become idle.
    pub async fn edit_by_manager(&mut self) -> Result<(Edit, Window)> {
        let mark = self.audit.mark().await?;
        let before = (self.manager()?.usage()?.cpu, self.servers()?);
        self.edit_and_wait().await?;
        let manager = self.manager()?;
        let client = manager.usage()?.cpu - before.0;
        let all = client + self.servers()? - before.1;
        manager.rests_within(self.limit()).await?;
        let window = self.writes(mark).await?;
        let events = self.audit.since(mark).await?;
        let edit = events.iter().find(|event| event.resource == "imagedigestmirrorsets" && event.is_write());
        let seconds = window.seconds(Some(edit.context("the edit is not in the audit log")?))?;
        Ok((Edit { seconds, client, all }, window))
    }

    /// One edit by the manager without a look at the audit log, which is large after many of them.
    ///
    /// # Errors
    ///
    /// If it does not become idle.
    pub async fn edit_again(&mut self) -> Result<()> {
        self.edit_and_wait().await?;
        self.manager()?.rests_within(self.limit()).await
    }

    /// The same edit by the bare client, while the manager is stopped.
    ///
    /// # Errors
    ///
    /// If a patch is rejected, or others were sent.
    pub async fn edit_by_bare_client(&mut self, at_once: usize) -> Result<Edit> {
        let next: Result<Vec<BarePatch>> = self.patches.iter().map(|patch| patch.next(self.edit)).collect();
        let next = next?;
        self.edit_mirror_set().await?;
        let mark = self.audit.mark().await?;
        let before = (manager::usage("self")?.cpu, self.servers()?);
        bare::send(&self.client, &next, at_once).await?;
        let client = manager::usage("self")?.cpu - before.0;
        let all = client + self.servers()? - before.1;
        let window = self.writes(mark).await?;
        window.expect(&[(PATCHES, self.targets())])?;
        self.patches = next;
        Ok(Edit { seconds: window.seconds(None)?, client, all })
    }
}
