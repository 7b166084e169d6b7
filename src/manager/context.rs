//! The shared state of the manager.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hypermirror_api::report::Admission;
use hypermirror_api::{ClusterKey, HostedClusterMirrorsStatus};
use kube::Client;
use tokio::sync::{Notify, watch};

use super::fleet_gate::FleetGate;
use super::heavy::Heavy;
use super::options::{GuestOptions, Mode, OlmCatalogs};
use super::queue::Queue;
use super::reading::Reading;
use crate::fleet::removal::FleetMember;
use crate::fleet::rollout::Rollouts;
use crate::hosted::facts::{Flags, Moment};
use crate::hosted::sources::ManagementLayer;
use crate::management::apply::Writer;
use crate::management::index::Index;
use crate::management::lease::{self, LeaseMemory, Term};
use crate::process::first_look::FirstLook;
use crate::telemetry::metrics::ManagerMetrics;

/// The configuration of the manager, from its flags.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether to apply changes or only to report them.
    pub mode: Mode,
    /// The configuration of turns, which is the same for all hosted clusters.
    pub flags: Arc<Flags>,
    /// The selector of managed HostedClusters.
    pub selector: kube::core::Selector,
    /// The limit for mass removals, in percent.
    pub max_removal: u8,
    /// Time to wait for further edits of boot ConfigMaps.
    pub rollout_batch: Duration,
    /// Whether to write OLM catalogs.
    pub olm_catalogs: OlmCatalogs,
    /// Time for stock operators to write a catalog themselves.
    pub catalog_patience: Duration,
    /// The namespace of the Lease.
    pub namespace: String,
    /// The identity of this replica on the Lease.
    pub identity: String,
    /// The configuration for guest clusters.
    pub guests: GuestOptions,
}

/// The state shared by watches, workers, reporter and servers.
pub struct Context {
    /// The configuration.
    pub settings: Settings,
    /// The client of the management cluster.
    pub client: Client,
    /// The writer of the management cluster.
    pub writer: Writer,
    /// The state of all watched objects.
    index: Mutex<Index>,
    /// The hosted clusters to reconcile.
    pub queue: Queue,
    /// The guest clusters to reconcile.
    pub guest_queue: Queue,
    /// Whether all first lists are complete.
    pub first_look: FirstLook,
    /// Notified when references to ConfigMaps may have changed.
    pub references_changed: Notify,
    /// Notified when the HostedCluster CRD has the field of the reference again.
    pub field_restored: Notify,
    /// The ConfigMaps to read.
    pub reading: Reading,
    /// Expensive work.
    pub heavy: Heavy,
    /// Held while the management layer is resolved, so that a later result is never older.
    resolving: Mutex<()>,
    /// The metrics.
    pub metrics: ManagerMetrics,
    /// The gate for mass removals.
    pub gate: FleetGate,
    /// The annotations of the Lease.
    pub memory: watch::Sender<LeaseMemory>,
    /// Whether this replica leads.
    pub term: Term,
    /// Whether the admission was removed, as the first step of the removal from all hosted clusters.
    pub admission_gone: AtomicBool,
    /// The installed admission. `None` until it is known.
    admission: Mutex<Option<Admission>>,
    /// Whether the process is shutting down, so that no work starts.
    pub stopping: watch::Sender<bool>,
}

impl Context {
    /// Creates the state.
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
            field_restored: Notify::new(),
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

    /// Locks the index. Never hold it across an await.
    pub fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current report of a hosted cluster.
    pub fn report(&self, key: &ClusterKey) -> Option<Arc<HostedClusterMirrorsStatus>> {
        self.index().cluster(key).and_then(|cluster| cluster.report.clone())
    }

    /// The installed admission, if it is known.
    pub fn admission(&self) -> Option<Admission> {
        *self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the installed admission. Returns whether it has changed.
    pub fn set_admission(&self, admission: Admission) -> bool {
        let before = self.admission.lock().unwrap_or_else(PoisonError::into_inner).replace(admission);
        before != Some(admission)
    }

    /// Whether this replica may write: it leads, and all first lists are complete.
    pub fn may_write(&self) -> bool {
        self.term.lasts() && self.first_look.is_open()
    }

    /// Whether this replica may write for a hosted cluster, which must own its control-plane namespace.
    pub fn may_write_for(&self, key: &ClusterKey) -> bool {
        self.may_write() && self.index().owns_namespace(key)
    }

    /// Reads from the Lease whether this replica leads.
    ///
    /// # Errors
    /// [`kube::Error`] if the Lease cannot be read.
    pub async fn holds_lease(&self) -> kube::Result<bool> {
        lease::is_held(&self.client, &self.settings.namespace, &self.settings.identity, self.term.number()).await
    }

    /// Whether hypermirror is being removed from the fleet and the admission still has to be removed, which must happen first.
    pub fn waits_for_admission(&self) -> bool {
        self.memory.borrow().uninstall && !self.admission_gone.load(Ordering::Relaxed)
    }

    /// Resolves the management layer again and enqueues all hosted clusters, because problems with objects are in all their
    /// reports, also if the map does not change.
    pub fn resolve_management(&self) {
        // Neither the index nor this thread is blocked meanwhile.
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
        self.metrics.record_layer(&layer);
        self.queue.add_all(keys);
    }

    /// The input of the gate for mass removals.
    pub fn members(&self) -> Vec<FleetMember> {
        self.index().members(&self.settings.selector, jiff::Timestamp::now())
    }

    /// Enqueues all hosted clusters.
    pub fn queue_all(&self) {
        self.references_changed.notify_one();
        let keys = self.index().keys();
        self.queue.add_all(keys.clone());
        self.guest_queue.add_all(keys);
    }

    /// Enqueues changed hosted clusters and their guest clusters.
    pub fn queue_changed(&self, keys: impl IntoIterator<Item = ClusterKey>) {
        for key in keys {
            self.references_changed.notify_one();
            self.queue.add(key.clone());
            self.guest_queue.add(key);
        }
    }
}

/// The current time.
pub fn moment() -> Moment {
    Moment { instant: Instant::now(), time: jiff::Timestamp::now() }
}
