//! The parts of the manager that a reconcile of a hosted cluster needs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hypermirror_api::ClusterKey;
use kube::Client;
use tokio::sync::watch;

use super::admission::AdmissionState;
use super::fleet_gate::FleetGate;
use super::heavy::Heavy;
use super::leader::Leader;
use super::options::{GuestOptions, Mode, OlmCatalogs};
use super::reading::Reading;
use super::rollouts::RolloutBudget;
use super::store::Store;
use crate::hosted::facts::{Flags, Moment};
use crate::management::apply::Writer;
use crate::management::lease::{LeaseMemory, Term};
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

/// The parts. Each has a lock of its own, if it needs one.
pub struct Context {
    /// The configuration.
    pub settings: Settings,
    /// The client of the management cluster.
    pub client: Client,
    /// The writer of the management cluster.
    pub writer: Writer,
    /// The watched state and the queues.
    pub store: Store,
    /// Whether this replica may write.
    pub leader: Leader,
    /// The ConfigMaps to read.
    pub reading: Arc<Reading>,
    /// Expensive work.
    pub heavy: Arc<Heavy>,
    /// The metrics.
    pub metrics: ManagerMetrics,
    /// The gate for mass removals.
    pub gate: FleetGate,
    /// The rollout budget.
    pub rollouts: RolloutBudget,
    /// The annotations of the Lease.
    pub lease: watch::Sender<LeaseMemory>,
    /// The installed admission.
    pub admission: AdmissionState,
    /// Whether the process is shutting down, so that no work starts.
    pub stopping: watch::Sender<bool>,
}

impl Context {
    /// Creates the parts.
    pub fn new(settings: Settings, client: Client, metrics: ManagerMetrics, term: Term, heavy: Heavy) -> Arc<Self> {
        let flags = &settings.flags;
        let store = Store::new(flags.targets.len(), flags.rollouts, metrics.clone());
        let leader = Leader::new(term, client.clone(), &settings.namespace, &settings.identity);
        let writer = Writer::new(client.clone(), metrics.clone());
        let rollouts = RolloutBudget::new(store.clone(), writer.clone(), leader.clone(), Arc::clone(flags), &metrics);
        Arc::new(Self {
            gate: FleetGate::new(settings.max_removal),
            admission: AdmissionState::new(client.clone(), store.clone(), settings.mode),
            reading: Arc::default(),
            heavy: Arc::new(heavy),
            lease: watch::Sender::new(LeaseMemory::default()),
            stopping: watch::Sender::new(false),
            settings,
            client,
            writer,
            store,
            leader,
            metrics,
            rollouts,
        })
    }

    /// Whether this replica may write for a hosted cluster, which must own its control-plane namespace.
    pub fn may_write_for(&self, key: &ClusterKey) -> bool {
        self.leader.may_write() && self.store.owns_namespace(key)
    }

    /// Whether the removal of hypermirror from all hosted clusters is requested.
    pub fn uninstalls(&self) -> bool {
        self.lease.borrow().uninstall
    }
}

/// The current time.
pub fn moment() -> Moment {
    Moment { instant: Instant::now(), time: jiff::Timestamp::now() }
}
