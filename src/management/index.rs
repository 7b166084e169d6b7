//! The state of all watched objects. Each method for an event returns the hosted clusters to reconcile. Without a client.

pub mod change;
pub mod claims;
pub mod cluster;
pub mod config_maps;
pub mod coverages;
pub mod declared;
mod facts;
pub mod guests;
pub mod lags;
mod members;
pub mod mirror_kinds;
pub mod reports;
mod rollouts;
pub mod targets;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use hypermirror_api::{ClusterKey, HostedClusterMirrorsStatus};

use self::claims::Claims;
use self::cluster::{Cluster, SeenCluster};
use self::config_maps::ConfigMaps;
use self::coverages::Coverages;
pub use self::facts::KnownFacts;
use self::guests::{Guests, KubeconfigSecret};
use self::lags::Edits;
use self::mirror_kinds::MirrorKinds;
use self::reports::ReportVersion;
use self::targets::lists::{ListedTarget, TargetList};
use self::targets::{TargetMeta, TargetSlot, Targets};
use crate::fleet::rollout::{Budget, Rollouts};
use crate::hosted::known::EntrySet;
use crate::hosted::memory::Memory;
use crate::hosted::observed::ObservedTarget;
use crate::hosted::sources::ManagementLayer;

/// Maximum number of remembered previous entries of the management layer, about 10 MB.
const REMEMBERED: usize = 50_000;

/// The whole state, under one lock, which is never held across an await.
#[derive(Debug)]
pub struct Index {
    /// The mirror objects of the management cluster.
    pub mirrors: MirrorKinds,
    /// The guest clusters.
    pub guests: Guests,
    /// The rollout budget.
    pub rollouts: Rollouts<ClusterKey>,
    /// The ConfigMaps that hosted clusters reference.
    pub config_maps: ConfigMaps,
    /// The MirrorCoverages.
    pub coverages: Coverages,
    reference_field_served: bool,
    management: Arc<ManagementLayer>,
    clusters: HashMap<ClusterKey, Cluster>,
    /// The owners of control-plane namespaces.
    pub claims: Claims,
    /// Incremented with each change that affects desired maps.
    revision: u64,
    /// Incremented with each change of mirrors of the management layer.
    management_revision: u64,
    /// The edits of this term.
    edits: Edits,
    /// Reports whose HostedCluster has not been listed yet.
    early_reports: HashMap<ClusterKey, HostedClusterMirrorsStatus>,
    targets: Targets,
}

impl Index {
    /// Creates an empty index for this number of targets per hosted cluster.
    pub fn new(target_count: usize) -> Self {
        Self {
            mirrors: MirrorKinds::default(),
            guests: Guests::default(),
            rollouts: Rollouts::new(Budget::OFF),
            config_maps: ConfigMaps::default(),
            coverages: Coverages::default(),
            reference_field_served: true,
            management: Arc::default(),
            clusters: HashMap::new(),
            claims: Claims::default(),
            revision: 0,
            management_revision: 0,
            edits: Edits::default(),
            early_reports: HashMap::new(),
            targets: Targets::new(target_count),
        }
    }

    /// The last resolved management layer.
    pub fn management(&self) -> Arc<ManagementLayer> {
        Arc::clone(&self.management)
    }

    /// Stores the management layer, resolved from [`MirrorKinds::entries`]. Returns whether it has changed.
    pub fn set_management(&mut self, mut layer: ManagementLayer) -> bool {
        // Stock HyperShift prints removed mirrors until its operators read them again. Entries that the layer once explained are
        // remembered, so that they are not taken for somebody else's and kept for ever.
        let before = &self.management;
        let all = layer.explained.len() + before.explained.len() <= REMEMBERED;
        // The current entries of control planes are always remembered.
        let remembered: &EntrySet = if all { &before.explained } else { &before.map.entries };
        layer.explained.extend(remembered.iter().cloned());
        let same_map = layer.map.resolved == self.management.map.resolved;
        let changed = !same_map
            || layer.findings != self.management.findings
            || layer.stock_digest != self.management.stock_digest;
        if changed {
            self.revision += 1;
            self.management_revision += u64::from(!same_map || layer.stock_digest != self.management.stock_digest);
            // Keep the object if it is equal, so that changes are detected by comparing pointers.
            let map = if same_map { Arc::clone(&self.management.map) } else { layer.map };
            self.management = Arc::new(ManagementLayer { map, ..layer });
        }
        changed
    }

    /// The revision of the mirrors of the management layer.
    pub fn management_revision(&self) -> u64 {
        self.management_revision
    }

    /// The revision of all desired maps.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Discards the admitted state when this replica stops leading, because another replica may change it.
    pub fn end_term(&mut self) {
        // Another leader may admit other maps and trigger stock operators. What this replica remembers of its own writes would
        // become wrong without an event; what the watches report stays right.
        for cluster in self.clusters.values_mut() {
            cluster.memory = Arc::new(cluster.memory.after_term());
            // After a restore of etcd, versions that were written before may never come back.
            cluster.written = ReportVersion::default();
        }
        self.guests.end_term();
        self.targets.end_term();
        self.rollouts.end_term();
        self.end_lags();
    }

    /// The keys of all hosted clusters.
    pub fn keys(&self) -> Vec<ClusterKey> {
        self.clusters.keys().cloned().collect()
    }

    /// Number of hosted clusters.
    pub fn len(&self) -> usize {
        self.clusters.len()
    }

    /// Whether there are no hosted clusters.
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }

    /// All hosted clusters.
    pub fn clusters(&self) -> impl Iterator<Item = (&ClusterKey, &Cluster)> {
        self.clusters.iter()
    }

    /// One hosted cluster.
    pub fn cluster(&self, key: &ClusterKey) -> Option<&Cluster> {
        self.clusters.get(key)
    }

    /// Stores the memory of a turn, unless it has changed since the turn started: then the term has ended, or the HostedCluster
    /// was recreated.
    pub fn remember(&mut self, key: &ClusterKey, before: &Arc<Memory>, memory: Memory) {
        if let Some(cluster) = self.clusters.get_mut(key).filter(|cluster| Arc::ptr_eq(&cluster.memory, before)) {
            let is_back = cluster.memory.rollout_done != memory.rollout_done;
            cluster.memory = Arc::new(memory);
            if is_back {
                self.recount(key);
            }
        }
    }

    /// Adds or updates a HostedCluster. Returns the hosted clusters to reconcile.
    pub fn apply_cluster(&mut self, cluster: impl Into<SeenCluster>) -> Vec<ClusterKey> {
        let cluster = cluster.into();
        let key = cluster.key();
        if let Some(known) = self.clusters.get_mut(&key) {
            let changed = known.update(cluster);
            self.revision += u64::from(changed);
            self.recount(&key);
            return Vec::from_iter(changed.then_some(key));
        }
        self.revision += 1;
        let mut known = Cluster::new(cluster);
        known.report = self.early_reports.remove(&key).map(Arc::new);
        self.clusters.insert(key.clone(), known);
        let mut changed = self.claims.claim(&key);
        changed.retain(|moved| *moved != key);
        changed.push(key);
        self.recount_moved(changed)
    }

    /// Replaces the list of HostedClusters, except those that exist and cannot be decoded. Returns the changed ones.
    pub fn replace_clusters(
        &mut self,
        clusters: Vec<impl Into<SeenCluster>>,
        invalid: &BTreeSet<ClusterKey>,
    ) -> Vec<ClusterKey> {
        let clusters: Vec<SeenCluster> = clusters.into_iter().map(Into::into).collect();
        let listed: BTreeSet<ClusterKey> = clusters.iter().map(SeenCluster::key).collect();
        let is_gone = |key: &&ClusterKey| !listed.contains(*key) && !invalid.contains(*key);
        let gone: Vec<ClusterKey> = self.clusters.keys().filter(is_gone).cloned().collect();
        let mut changed: Vec<ClusterKey> = gone.iter().flat_map(|key| self.remove_cluster(key)).collect();
        for cluster in clusters {
            changed.extend(self.apply_cluster(cluster));
        }
        changed
    }

    /// Removes a HostedCluster. Returns the hosted clusters to reconcile.
    pub fn remove_cluster(&mut self, key: &ClusterKey) -> Vec<ClusterKey> {
        self.clusters.remove(key);
        self.guests.forget(key);
        self.rollouts.forget(key);
        self.revision += 1;
        let moved = self.claims.release(key);
        self.recount_moved(moved)
    }

    /// Adds or updates the metadata of a target Deployment. Returns its hosted cluster if it must be reconciled.
    pub fn apply_target(&mut self, place: usize, target: &TargetMeta) -> Option<ClusterKey> {
        let is_news = self.targets.apply(place, target);
        let owner = self.claims.owner(&target.namespace)?;
        self.recount(&owner);
        (is_news || self.rollouts.follows(&owner)).then_some(owner)
    }

    /// Replaces the list of one target's Deployments. Returns the hosted clusters to reconcile.
    pub fn replace_targets(&mut self, place: usize, targets: &[TargetMeta]) -> Vec<ClusterKey> {
        // Recounted for all, not only for the changed ones: a mark that vanished with its Deployment must free its slot.
        let namespaces = self.targets.replace(place, targets);
        self.recount_all();
        namespaces.iter().filter_map(|namespace| self.claims.owner(namespace)).collect()
    }

    /// Removes a target Deployment.
    pub fn remove_target(&mut self, place: usize, target: &TargetMeta) -> Option<ClusterKey> {
        self.targets.remove(place, &target.namespace);
        let owner = self.claims.owner(&target.namespace)?;
        self.recount(&owner);
        Some(owner)
    }

    /// The targets of one hosted cluster, by index. Empty if it does not own its control-plane namespace.
    pub fn targets_of(&self, key: &ClusterKey) -> Vec<TargetSlot> {
        if self.owns_namespace(key) { self.targets.of(&key.control_plane_namespace()) } else { self.targets.none() }
    }

    /// The preferred kubeconfig of a hosted cluster. `None` if it does not own its control-plane namespace.
    pub fn kubeconfig(&self, key: &ClusterKey) -> Option<KubeconfigSecret> {
        self.guests.kubeconfig(key).filter(|_| self.owns_namespace(key))
    }

    /// Stores the observed state of a target. Equal texts of different clusters are shared.
    pub fn observe_target(&mut self, key: &ClusterKey, place: usize, observed: ObservedTarget) -> Arc<ObservedTarget> {
        let observed = self.targets.observe(&key.control_plane_namespace(), place, observed);
        self.recount(key);
        observed
    }

    /// Begins the lists of targets of a term; see [`Targets::begin_lists`].
    pub fn begin_target_lists(&mut self, term: i64) -> bool {
        self.targets.begin_lists(term)
    }

    /// The term of the lists of targets that are being read, and the targets by index.
    pub fn open_target_lists(&self) -> Option<(i64, Vec<usize>)> {
        self.targets.open_lists()
    }

    /// Whether a list of targets is being read.
    pub fn is_open(&self, list: TargetList) -> bool {
        self.targets.is_open(list)
    }

    /// Stores a target of a list. Returns its hosted cluster when no list has more of its targets.
    pub fn observe_listed_target(&mut self, list: TargetList, listed: ListedTarget) -> Option<ClusterKey> {
        let namespace = listed.namespace.clone();
        let is_complete = self.targets.observe_listed(list, listed);
        let owner = self.claims.owner(&namespace)?;
        self.recount(&owner);
        is_complete.then_some(owner)
    }

    /// Whether a list of targets is being read, for whose end this hosted cluster waits; see [`Self::end_target_list`].
    pub fn await_target_lists(&mut self, key: &ClusterKey) -> bool {
        self.targets.await_lists(key)
    }

    /// Ends a list of targets. Returns the hosted clusters with a target that it does not have, and those that have waited for the
    /// end of all lists.
    pub fn end_target_list(&mut self, list: TargetList) -> (Vec<ClusterKey>, Vec<ClusterKey>) {
        let namespaces = self.targets.end_list(list);
        let missing = namespaces.iter().filter_map(|namespace| self.claims.owner(namespace)).collect();
        (missing, self.targets.take_waiting())
    }

    /// Records that a target did not exist when it was read.
    pub fn miss_target(&mut self, key: &ClusterKey, place: usize) {
        self.targets.miss(&key.control_plane_namespace(), place);
    }

    /// Drops the observed targets of one hosted cluster, so that they are read again before the next plan.
    pub fn distrust_targets(&mut self, key: &ClusterKey) {
        self.targets.distrust(&key.control_plane_namespace());
    }
}

#[cfg(test)]
mod tests;
