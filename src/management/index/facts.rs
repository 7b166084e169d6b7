//! Collects the facts of one hosted cluster at one time. Only pointers are copied, so that the lock is held briefly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{ClusterKey, HostedClusterMirrorsStatus};

use super::Index;
use super::config_maps::ConfigMapState;
use super::declared::Declaration;
use super::guests::KubeconfigSecret;
use super::targets::KnownTarget;
use crate::fleet::claims::Refusal;
use crate::hosted::coverage::KnownCoverage;
use crate::hosted::facts::{FleetFacts, RolloutFacts};
use crate::hosted::guest::GuestOutcome;
use crate::hosted::memory::Memory;
use crate::hosted::pool_config::KnownPool;

/// The inputs of facts.
#[derive(Debug)]
pub struct KnownFacts {
    /// The HostedCluster.
    pub object: Arc<HostedCluster>,
    /// Its declaration. `None` while one of its ConfigMaps has to be read first.
    pub declaration: Option<Declaration>,
    /// The ConfigMaps to read.
    pub unread: Vec<String>,
    /// Its NodePools, by name.
    pub pools: Arc<BTreeMap<String, KnownPool>>,
    /// Its targets, by index. Empty if it does not own its control-plane namespace.
    pub targets: Vec<KnownTarget>,
    /// Its MirrorCoverage, if it has one.
    pub coverage: Option<Arc<KnownCoverage>>,
    /// The current report.
    pub report: Option<Arc<HostedClusterMirrorsStatus>>,
    /// Why it does not own its control-plane namespace.
    pub refusal: Option<Refusal>,
    /// The preferred kubeconfig of its guest cluster.
    pub kubeconfig: Option<KubeconfigSecret>,
    /// The result of the last reconcile of its guest cluster.
    pub guest: Option<Arc<GuestOutcome>>,
    /// Its state in the rollout budget.
    pub rollout: RolloutFacts,
    /// Whether it has a slot for which nothing may have been written.
    pub has_claim: bool,
    /// The memory of this process.
    pub memory: Arc<Memory>,
    /// The part of the fleet's facts that the index has.
    pub fleet: FleetFacts,
    /// Changes with everything that affects desired maps.
    pub revision: u64,
    /// Number of the last known edit.
    pub edits: u64,
}

impl Index {
    /// Collects the inputs for a hosted cluster, if it exists.
    pub fn facts(&self, key: &ClusterKey, now: Instant) -> Option<KnownFacts> {
        let cluster = self.cluster(key)?;
        let namespace = key.control_plane_namespace();
        // Nothing in a namespace is shown to a hosted cluster that does not own it, so that no later step has to remember to ask.
        let refusal = self.claims.refusal(key).cloned();
        let targets = if refusal.is_none() { self.targets.known(&namespace) } else { self.targets.known("") };
        Some(KnownFacts {
            object: Arc::clone(&cluster.object),
            declaration: self.declaration(key),
            unread: self.unread(key),
            pools: self.guests.pools(key),
            targets,
            coverage: self.coverages.get(key),
            report: cluster.report.clone(),
            refusal,
            kubeconfig: self.kubeconfig(key),
            guest: self.guests.outcome(key),
            rollout: self.rollout(key),
            has_claim: self.rollouts.has_claim(key),
            memory: Arc::clone(&cluster.memory),
            fleet: FleetFacts {
                management: self.management(),
                management_revision: self.management_revision,
                is_blind: self.mirrors.blind(),
                problems: self.mirrors.problems(now),
                ..FleetFacts::default()
            },
            revision: self.revision,
            edits: self.edits.number,
        })
    }

    /// The state of a hosted cluster in the rollout budget, without the result of a request for a slot.
    pub fn rollout(&self, key: &ClusterKey) -> RolloutFacts {
        RolloutFacts {
            in_flight: self.rollouts.in_flight(key),
            last: self.last_rollout(key),
            is_skipped: self.rollouts.is_skipped(key),
            ..RolloutFacts::default()
        }
    }

    /// The referenced ConfigMaps of a hosted cluster that are new, or are now within the limits.
    fn unread(&self, key: &ClusterKey) -> Vec<String> {
        let is_unread = |name: &String| match self.config_maps.state(&key.namespace, name) {
            ConfigMapState::Stale(_) => true,
            ConfigMapState::Loaded(content) => self.has_room(&content),
            ConfigMapState::Unlisted(_) | ConfigMapState::Missing => false,
        };
        self.referred(key).into_iter().filter(is_unread).collect()
    }
}
