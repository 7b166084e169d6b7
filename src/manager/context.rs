//! What the manager's parts share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hypermirror_api::report::Admission;
use hypermirror_api::{ClusterKey, HostedClusterMirrorsStatus};
use kube::Client;
use tokio::sync::{Notify, watch};

use super::config_maps::Reading;
use super::fleet_gate::FleetGate;
use super::heavy::Heavy;
use super::options::{GuestOptions, Mode, OlmCatalogs};
use super::queue::Queue;
use crate::fleet::removal::FleetMember;
use crate::fleet::rollout::Rollouts;
use crate::hosted::facts::{Flags, Moment};
use crate::hosted::sources::ManagementLayer;
use crate::management::apply::Writer;
use crate::management::index::Index;
use crate::management::lease::{self, LeaseMemory, Term};
use crate::process::first_look::FirstLook;
use crate::telemetry::metrics::ManagerMetrics;

/// How the manager works, from its flags.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Change, or only tell.
    pub mode: Mode,
    /// What decides, the same for every hosted cluster.
    pub flags: Arc<Flags>,
    /// Which HostedClusters are in our care.
    pub selector: kube::core::Selector,
    /// The mass-loss limit.
    pub max_removal: u8,
    /// For further edits of what nodes boot with.
    pub rollout_batch: Duration,
    /// Whether OLM catalogs are written.
    pub olm_catalogs: OlmCatalogs,
    /// For the stock operators, before a catalog is written.
    pub catalog_patience: Duration,
    /// The namespace of the Lease.
    pub namespace: String,
    /// This instance, as the Lease names its holder.
    pub identity: String,
    /// For the guests.
    pub guests: GuestOptions,
}

/// Shared by watches, workers, reporter and servers.
pub struct Context {
    /// From the flags.
    pub settings: Settings,
    /// The management cluster.
    pub client: Client,
    /// Its writer.
    pub writer: Writer,
    /// What is known.
    index: Mutex<Index>,
    /// What has to be looked at.
    pub queue: Queue,
    /// Whose guest has to be looked at.
    pub guest_queue: Queue,
    /// Whether everything was seen once.
    pub first_look: FirstLook,
    /// Somebody may refer to another ConfigMap now.
    pub references_changed: Notify,
    /// The ConfigMaps that have to be read.
    pub reading: Reading,
    /// What costs much.
    pub heavy: Heavy,
    /// Held while the management layer is resolved: what is resolved later is newer.
    resolving: Mutex<()>,
    /// What is counted.
    pub metrics: ManagerMetrics,
    /// The mass-loss gate.
    pub gate: FleetGate,
    /// What the Lease remembers.
    pub memory: watch::Sender<LeaseMemory>,
    /// Whether this instance leads.
    pub term: Term,
    /// Whether the admission was taken away because the fleet is left.
    pub admission_gone: AtomicBool,
    /// Which admission is installed; none as long as nobody knows.
    admission: Mutex<Option<Admission>>,
    /// Whether the process ends: no new work begins.
    pub stopping: watch::Sender<bool>,
}

impl Context {
    /// Puts the parts together.
    pub fn new(settings: Settings, client: Client, metrics: ManagerMetrics, term: Term, heavy: Heavy) -> Arc<Self> {
        let mut index = Index::new(settings.flags.targets.len());
        index.rollouts = Rollouts::new(settings.flags.rollouts);
        Arc::new(Self {
            writer: Writer::new(client.clone(), metrics.clone()),
            index: Mutex::new(index),
            queue: Queue::default(),
            guest_queue: Queue::default(),
            first_look: FirstLook::default(),
            references_changed: Notify::new(),
            reading: Reading::default(),
            heavy,
            resolving: Mutex::new(()),
            gate: FleetGate::new(settings.max_removal),
            memory: watch::Sender::new(LeaseMemory::default()),
            settings,
            client,
            metrics,
            term,
            admission_gone: AtomicBool::new(false),
            admission: Mutex::default(),
            stopping: watch::Sender::new(false),
        })
    }

    /// The index, for a moment: never across an await.
    pub fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The report of a hosted cluster that stands.
    pub fn report(&self, key: &ClusterKey) -> Option<Arc<HostedClusterMirrorsStatus>> {
        self.index().cluster(key).and_then(|cluster| cluster.report.clone())
    }

    /// Which admission is installed, as far as known.
    pub fn admission(&self) -> Option<Admission> {
        *self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers it; answers whether it is another one than before.
    pub fn set_admission(&self, admission: Admission) -> bool {
        let before = self.admission.lock().unwrap_or_else(PoisonError::into_inner).replace(admission);
        before != Some(admission)
    }

    /// Whether this instance may write: it leads and has seen everything once.
    pub fn may_write(&self) -> bool {
        self.term.lasts() && self.first_look.is_open()
    }

    /// Whether this instance may write for a hosted cluster: its control-plane namespace is its own.
    pub fn may_write_for(&self, key: &ClusterKey) -> bool {
        self.may_write() && self.index().owns_namespace(key)
    }

    /// Whether the Lease itself, asked now, says that this instance leads.
    ///
    /// # Errors
    /// [`kube::Error`] if the Lease cannot be read.
    pub async fn holds_lease(&self) -> kube::Result<bool> {
        lease::is_held(&self.client, &self.settings.namespace, &self.settings.identity, self.term.number()).await
    }

    /// Whether the fleet is left and the admission is still to be taken away, which goes first.
    pub fn waits_for_admission(&self) -> bool {
        self.memory.borrow().uninstall && !self.admission_gone.load(Ordering::Relaxed)
    }

    /// Resolves the management layer again, and has every hosted cluster looked at: what is wrong with an object
    /// matters to each of them, also where the map stays as it is.
    pub fn resolve_management(&self) {
        // The index is free meanwhile, and so is this thread for other tasks.
        let resolve = || {
            let _turn = self.resolving.lock().unwrap_or_else(PoisonError::into_inner);
            let entries = self.index().mirrors.entries();
            let layer = ManagementLayer::new(entries.iter());
            self.index().take_management(layer);
        };
        tokio::task::block_in_place(resolve);
        let index = self.index();
        let layer = index.management();
        let keys = index.keys();
        drop(index);
        self.metrics.tell_layer(&layer);
        self.queue.add_all(keys);
    }

    /// The fleet as the mass-loss gate looks at it.
    pub fn members(&self) -> Vec<FleetMember> {
        self.index().members(&self.settings.selector, jiff::Timestamp::now())
    }

    /// Queues every hosted cluster.
    pub fn queue_all(&self) {
        self.references_changed.notify_one();
        let keys = self.index().keys();
        self.queue.add_all(keys.clone());
        self.guest_queue.add_all(keys);
    }

    /// Queues hosted clusters that changed themselves, and their guests.
    pub fn queue_changed(&self, keys: impl IntoIterator<Item = ClusterKey>) {
        for key in keys {
            self.references_changed.notify_one();
            self.queue.add(key.clone());
            self.guest_queue.add(key);
        }
    }
}

/// Now.
pub fn moment() -> Moment {
    Moment { instant: Instant::now(), time: jiff::Timestamp::now() }
}
