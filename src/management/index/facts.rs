//! What is known of one hosted cluster, taken at one moment: pointers only, so that others wait for a moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{ClusterKey, HostedClusterMirrorsStatus};

use super::Index;
use super::config_maps::ConfigMapState;
use super::declared::Declaration;
use super::targets::KnownTarget;
use crate::fleet::claims::Refusal;
use crate::hosted::facts::RolloutFacts;
use crate::hosted::guest::GuestOutcome;
use crate::hosted::memory::Memory;
use crate::hosted::pool_config::KnownPool;
use crate::hosted::sources::ManagementLayer;
use crate::hosted::verdict::SourceTrouble;

/// What facts are made of.
#[derive(Debug)]
pub struct Taken {
    /// The HostedCluster.
    pub object: Arc<HostedCluster>,
    /// What is declared for it; none as long as one of its ConfigMaps has to be read first.
    pub declaration: Option<Declaration>,
    /// Those of its ConfigMaps that have to be read.
    pub unread: Vec<String>,
    /// Its NodePools, by name.
    pub pools: Arc<BTreeMap<String, KnownPool>>,
    /// Its targets, by place: none in a namespace that is not its own.
    pub targets: Vec<KnownTarget>,
    /// The report that stands.
    pub report: Option<Arc<HostedClusterMirrorsStatus>>,
    /// Why its control-plane namespace is not its own.
    pub refusal: Option<Refusal>,
    /// What the last look at its guest came to.
    pub guest: Option<Arc<GuestOutcome>>,
    /// How it stands with the rollout budget.
    pub rollout: RolloutFacts,
    /// It holds a place for which nothing may have been written.
    pub has_claim: bool,
    /// What this process remembers of it.
    pub memory: Arc<Memory>,
    /// The management layer.
    pub management: Arc<ManagementLayer>,
    /// Moves with its mirrors.
    pub management_revision: u64,
    /// Moves with everything that decides which maps are wanted.
    pub revision: u64,
    /// A mirror kind is gone, and nobody saw its objects.
    pub is_blind: bool,
    /// What is wrong with the kinds and their objects.
    pub troubles: Vec<SourceTrouble>,
}

impl Index {
    /// Takes what is known of a hosted cluster; none if there is none.
    pub fn take(&self, key: &ClusterKey, now: Instant) -> Option<Taken> {
        let cluster = self.cluster(key)?;
        let namespace = key.control_plane_namespace();
        let refusal = self.claims.refusal(key).cloned();
        let targets = if refusal.is_none() { self.targets.known(&namespace) } else { self.targets.known("") };
        Some(Taken {
            object: Arc::clone(&cluster.object),
            declaration: self.declaration(key),
            unread: self.unread(key),
            pools: self.guests.pools(key),
            targets,
            report: cluster.report.clone(),
            refusal,
            guest: self.guests.outcome(key),
            rollout: self.rollout(key),
            has_claim: self.rollouts.has_claim(key),
            memory: Arc::clone(&cluster.memory),
            management: self.management(),
            management_revision: self.management_revision,
            revision: self.revision,
            is_blind: self.mirrors.blind(),
            troubles: self.mirrors.troubles(now),
        })
    }

    /// How a hosted cluster stands with the rollout budget, without a place that it asked for.
    pub fn rollout(&self, key: &ClusterKey) -> RolloutFacts {
        RolloutFacts {
            in_flight: self.rollouts.in_flight(key),
            last: self.last_rollout(key),
            is_left_out: self.rollouts.is_left_out(key),
            ..RolloutFacts::default()
        }
    }

    /// The ConfigMaps that a hosted cluster refers to and that are new, or for which there is room now.
    fn unread(&self, key: &ClusterKey) -> Vec<String> {
        let is_unread = |name: &String| match self.config_maps.state(&key.namespace, name) {
            ConfigMapState::Stale(_) => true,
            ConfigMapState::Loaded(content) => self.has_room(&content),
            ConfigMapState::Unlisted(_) | ConfigMapState::Missing => false,
        };
        self.referred(key).into_iter().filter(is_unread).collect()
    }
}
