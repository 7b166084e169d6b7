//! A test bed: one etcd, with a management cluster and guest clusters.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{
    binaries::Servers,
    cluster::Cluster,
    endpoint, eventually,
    files::ClusterFiles,
    kit::Kit,
    port,
    process::{Launch, Process, tail},
    seed::Seed,
    servers::{self, API_SERVER, Ports},
};

/// If set, the directories of test beds are kept, to inspect logs and keys.
const KEEP_VARIABLE: &str = "HYPERMIRROR_E2E_KEEP";

const ETCD_START_LIMIT: Duration = Duration::from_secs(30);

/// Maximum number of test beds that start at the same time. More would time out, because they compete for the CPU.
const STARTS_AT_ONCE: usize = 4;

/// The configuration of a test bed.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Builder {
    guests: usize,
    controller_manager: bool,
    guest_controller_managers: bool,
    api_server_args: Vec<String>,
    detached: Option<PathBuf>,
    management_kit: Option<Kit>,
    guest_kit: Option<Kit>,
}

impl Builder {
    /// Number of guest clusters. The default is none.
    pub fn guests(mut self, guests: usize) -> Self {
        self.guests = guests;
        self
    }

    /// Whether the management cluster has a controller manager, which creates Pods of Deployments (they stay pending),
    /// collects owned objects and deletes namespaces.
    pub fn controller_manager(mut self, wanted: bool) -> Self {
        self.controller_manager = wanted;
        self
    }

    /// Whether each guest cluster has a controller manager.
    pub fn guest_controller_managers(mut self, wanted: bool) -> Self {
        self.guest_controller_managers = wanted;
        self
    }

    /// Adds an argument to the command line of each API server.
    pub fn api_server_arg(mut self, arg: impl Into<String>) -> Self {
        self.api_server_args.push(arg.into());
        self
    }

    /// What the management cluster has from the start.
    pub fn management_kit(mut self, kit: Kit) -> Self {
        self.management_kit = Some(kit);
        self
    }

    /// What each guest cluster has from the start.
    pub fn guest_kit(mut self, kit: Kit) -> Self {
        self.guest_kit = Some(kit);
        self
    }

    /// Uses `directory` for all files, and does not stop the servers when the test bed is dropped.
    pub fn detached(mut self, directory: impl Into<PathBuf>) -> Self {
        self.detached = Some(directory.into());
        self
    }

    /// Starts everything and waits until each API server is ready.
    ///
    /// # Errors
    ///
    /// If a program is missing or a server does not get ready: with the end of its log.
    pub async fn start(self) -> Result<Testbed> {
        let servers = Servers::from_env();
        let detached = self.detached.is_some();
        let directory = Directory::new(self.detached.as_deref())?;
        let etcd_directory = directory.path().join("etcd");
        std::fs::create_dir_all(&etcd_directory)?;
        let etcd_port = port::free()?;
        let remove = matches!(directory, Directory::Temporary(_)).then(|| directory.path());
        let etcd = servers::etcd(&servers, &etcd_directory, etcd_port, remove)?;
        let etcd = Etcd::start(etcd.detached(detached), etcd_port)?;
        let mut bed = Testbed { clusters: Vec::new(), etcd, directory, detached };
        bed.etcd.ready().await?;
        for index in 0..=self.guests {
            let cluster = self.cluster(&servers, bed.directory(), index, etcd_port)?;
            bed.clusters.push(cluster);
        }
        let starts = stream::iter(&bed.clusters).map(|cluster| self.equip(&servers, cluster, etcd_port));
        starts.buffer_unordered(STARTS_AT_ONCE).try_collect::<Vec<()>>().await?;
        for cluster in bed.clusters.iter().filter(|cluster| self.wants_controller_manager(cluster.name())) {
            cluster.start_controller_manager(&servers, detached)?;
        }
        Ok(bed)
    }

    /// Starts the API server of a cluster with its kit: that of an earlier test bed, or else installs it.
    async fn equip(&self, servers: &Servers, cluster: &Cluster, etcd: u16) -> Result<()> {
        let kit = if cluster.name() == MANAGEMENT { &self.management_kit } else { &self.guest_kit };
        let Some(kit) = kit else { return cluster.start_api_server().await };
        let settings = format!("{:?} {}", self.api_server_args, self.wants_controller_manager(cluster.name()));
        let (etcd, program) = (format!("http://127.0.0.1:{etcd}"), servers.find(API_SERVER)?);
        let seed = Seed::new(kit, cluster.name(), &etcd, &program, &settings)?;
        let planted = seed.plant().await?;
        cluster.start_api_server().await?;
        let client = cluster.admin_client().await?;
        if planted {
            return kit.served(&client).await;
        }
        kit.install(&client).await?;
        seed.harvest().await
    }

    fn wants_controller_manager(&self, cluster: &str) -> bool {
        if cluster == MANAGEMENT { self.controller_manager } else { self.guest_controller_managers }
    }

    fn cluster(&self, servers: &Servers, directory: &Path, index: usize, etcd: u16) -> Result<Cluster> {
        let name = index.checked_sub(1).map_or(MANAGEMENT.to_owned(), |guest| format!("guest-{guest}"));
        let api_server = port::free()?;
        let url = format!("https://127.0.0.1:{api_server}");
        let files = ClusterFiles::create(&directory.join(&name), &name, &url)?;
        let ports = Ports { etcd, api_server };
        let launch = servers::api_server(servers, &files, &name, ports, self.wants_controller_manager(&name))?;
        let launch = launch.args(&self.api_server_args);
        Ok(Cluster::new(&name, api_server, files, launch.detached(self.detached.is_some())))
    }
}

const MANAGEMENT: &str = "management";

/// Running servers. Dropping it ends them, API servers before etcd, and removes their directory.
#[derive(Debug)]
pub struct Testbed {
    // Fields are dropped in this order: etcd goes before its files do.
    clusters: Vec<Cluster>,
    etcd: Etcd,
    directory: Directory,
    detached: bool,
}

impl Testbed {
    /// Starts the configuration of a test bed.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The management cluster.
    pub fn management(&self) -> &Cluster {
        &self.clusters[0]
    }

    /// The guest clusters.
    pub fn guests(&self) -> &[Cluster] {
        &self.clusters[1..]
    }

    /// One guest cluster.
    ///
    /// # Panics
    ///
    /// If the test bed has fewer guest clusters.
    pub fn guest(&self, index: usize) -> &Cluster {
        &self.guests()[index]
    }

    /// All clusters, the management cluster first.
    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// The directory of this test bed. Tests can also write to it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The process id of etcd.
    pub fn etcd_id(&self) -> u32 {
        self.etcd.with(|process| process.handle().id())
    }

    /// The URL of etcd, which has no TLS.
    pub fn etcd_url(&self) -> &str {
        &self.etcd.url
    }

    /// Kills etcd with SIGKILL and starts it again, with the same data.
    ///
    /// # Errors
    ///
    /// If it cannot be signalled, or does not get ready again.
    pub async fn restart_etcd(&self) -> Result<()> {
        self.etcd.with(|process| {
            process.kill()?;
            *process = self.etcd.launch.spawn()?;
            Ok::<_, anyhow::Error>(())
        })?;
        self.etcd.ready().await
    }
}

#[derive(Debug)]
struct Etcd {
    launch: Launch,
    url: String,
    process: Mutex<Process>,
}

impl Etcd {
    fn start(launch: Launch, port: u16) -> Result<Self> {
        let process = Mutex::new(launch.spawn()?);
        Ok(Self { launch, url: format!("http://127.0.0.1:{port}"), process })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Process) -> T) -> T {
        act(&mut self.process.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn ready(&self) -> Result<()> {
        let health = format!("{}/health", self.url);
        eventually(ETCD_START_LIMIT, "etcd is ready", async || {
            let log = self.with(|process| Ok::<_, anyhow::Error>(process.exit_status()?.map(|_| process.log())))?;
            if let Some(log) = log {
                anyhow::bail!("etcd has exited; its log:\n{}", tail(&log?));
            }
            let answer = endpoint::get(&health).await?;
            anyhow::ensure!(answer.status == 200, "{answer:?}");
            Ok(Some(()))
        })
        .await
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        if self.detached {
            return;
        }
        for cluster in &self.clusters {
            cluster.terminate();
        }
        for cluster in &mut self.clusters {
            cluster.end();
        }
    }
}

/// A test bed that the tests of one file share, as a `static`. The first test starts it. It ends with the test program,
/// because the servers of `hack/testbed` watch their parent and remove their directory (stock servers do not).
#[derive(Debug)]
pub struct SharedBed {
    bed: OnceCell<Testbed>,
    build: fn() -> Builder,
}

impl SharedBed {
    /// Creates a shared test bed with this configuration.
    pub const fn new(build: fn() -> Builder) -> Self {
        Self { bed: OnceCell::const_new(), build }
    }

    /// The test bed, when it is ready.
    ///
    /// # Errors
    ///
    /// If it cannot be started. The next caller tries again.
    pub async fn get(&self) -> Result<&Testbed> {
        self.bed.get_or_try_init(|| (self.build)().start()).await
    }
}

#[derive(Debug)]
enum Directory {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Directory {
    fn new(fixed: Option<&Path>) -> Result<Self> {
        if let Some(path) = fixed {
            std::fs::create_dir_all(path).with_context(|| format!("failed to create {}", path.display()))?;
            return Ok(Self::Kept(path.to_owned()));
        }
        let temporary = tempfile::Builder::new().prefix("hypermirror-e2e-").tempdir()?;
        if std::env::var_os(KEEP_VARIABLE).is_none() {
            return Ok(Self::Temporary(temporary));
        }
        let path = temporary.keep();
        eprintln!("{KEEP_VARIABLE} is set: {} is kept", path.display());
        Ok(Self::Kept(path))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(directory) => directory.path(),
            Self::Kept(path) => path,
        }
    }
}
