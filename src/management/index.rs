//! What the manager knows: objects go in, the hosted clusters that are touched come out. No client in here.

pub mod claims;
pub mod cluster;
pub mod config_maps;
pub mod declared;
mod facts;
pub mod guests;
mod members;
pub mod mirror_kinds;
mod rollouts;
pub mod targets;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use hypermirror_api::{ClusterKey, HostedClusterMirrorsStatus};

use self::claims::Claims;
use self::cluster::{Cluster, SeenCluster};
use self::config_maps::ConfigMaps;
pub use self::facts::Taken;
use self::guests::{Guests, KubeconfigSecret};
use self::mirror_kinds::MirrorKinds;
use self::targets::{TargetMeta, TargetSlot, Targets};
use crate::fleet::rollout::{Budget, Rollouts};
use crate::hosted::known::EntrySet;
use crate::hosted::memory::Memory;
use crate::hosted::observed::ObservedTarget;
use crate::hosted::sources::ManagementLayer;

/// How many entries of the management layer are remembered after they left it: about 10 MB.
const REMEMBERED: usize = 50_000;

/// Everything that is known, in one place and under one lock, which is never held across an await.
#[derive(Debug)]
pub struct Index {
    /// The management cluster's mirror objects.
    pub mirrors: MirrorKinds,
    /// The guest clusters.
    pub guests: Guests,
    /// The rollout budget.
    pub rollouts: Rollouts<ClusterKey>,
    /// The ConfigMaps that hosted clusters refer to.
    pub config_maps: ConfigMaps,
    reference_field_served: bool,
    management: Arc<ManagementLayer>,
    clusters: HashMap<ClusterKey, Cluster>,
    /// Whose each control-plane namespace is.
    pub claims: Claims,
    /// Moves with everything that decides which maps are wanted.
    revision: u64,
    /// Moves with the mirrors of the management layer.
    management_revision: u64,
    /// Reports that were told before their HostedClusters.
    early_reports: HashMap<ClusterKey, HostedClusterMirrorsStatus>,
    targets: Targets,
}

impl Index {
    /// An empty index for this many targets a hosted cluster.
    pub fn new(target_count: usize) -> Self {
        Self {
            mirrors: MirrorKinds::default(),
            guests: Guests::default(),
            rollouts: Rollouts::new(Budget::OFF),
            config_maps: ConfigMaps::default(),
            reference_field_served: true,
            management: Arc::default(),
            clusters: HashMap::new(),
            claims: Claims::default(),
            revision: 0,
            management_revision: 0,
            early_reports: HashMap::new(),
            targets: Targets::new(target_count),
        }
    }

    /// The management layer as it was last resolved.
    pub fn management(&self) -> Arc<ManagementLayer> {
        Arc::clone(&self.management)
    }

    /// Takes the management layer in, resolved from what [`MirrorKinds::entries`] said; true if it says something else now.
    pub fn take_management(&mut self, mut layer: ManagementLayer) -> bool {
        let before = &self.management;
        let all = layer.explained.len() + before.explained.len() <= REMEMBERED;
        // What stands in the control planes now is remembered in any case.
        let remembered: &EntrySet = if all { &before.explained } else { &before.map.entries };
        layer.explained.extend(remembered.iter().cloned());
        let same_map = layer.map.resolved == self.management.map.resolved;
        let changed = !same_map
            || layer.findings != self.management.findings
            || layer.stock_digest != self.management.stock_digest;
        if changed {
            self.revision += 1;
            self.management_revision += u64::from(!same_map || layer.stock_digest != self.management.stock_digest);
            // Equal maps stay the same object: hosted clusters tell by that whether anything moved.
            let map = if same_map { Arc::clone(&self.management.map) } else { layer.map };
            self.management = Arc::new(ManagementLayer { map, ..layer });
        }
        changed
    }

    /// Equal revisions: the mirrors of the management layer are the same.
    pub fn management_revision(&self) -> u64 {
        self.management_revision
    }

    /// Equal revisions: what is wanted is the same everywhere.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// This instance leads no more: what it admitted is no longer what is in force, another one may go on.
    pub fn end_term(&mut self) {
        for cluster in self.clusters.values_mut() {
            cluster.memory = Arc::new(cluster.memory.after_term());
        }
        self.guests.end_term();
        self.rollouts.end_term();
    }

    /// Every hosted cluster.
    pub fn keys(&self) -> Vec<ClusterKey> {
        self.clusters.keys().cloned().collect()
    }

    /// How many hosted clusters there are.
    pub fn len(&self) -> usize {
        self.clusters.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }

    /// Each hosted cluster.
    pub fn clusters(&self) -> impl Iterator<Item = (&ClusterKey, &Cluster)> {
        self.clusters.iter()
    }

    /// One hosted cluster.
    pub fn cluster(&self, key: &ClusterKey) -> Option<&Cluster> {
        self.clusters.get(key)
    }

    /// Remembers what a turn saw and did. Not if something else is remembered by now: then the term has ended meanwhile, or
    /// the HostedCluster was made anew, and it is not about that.
    pub fn remember(&mut self, key: &ClusterKey, before: &Arc<Memory>, memory: Memory) {
        if let Some(cluster) = self.clusters.get_mut(key).filter(|cluster| Arc::ptr_eq(&cluster.memory, before)) {
            let is_back = cluster.memory.rollout_done != memory.rollout_done;
            cluster.memory = Arc::new(memory);
            if is_back {
                self.recount(key);
            }
        }
    }

    /// Takes a HostedCluster in; answers the hosted clusters to look at.
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
        self.judged(changed)
    }

    /// Takes the whole list of HostedClusters in; answers the changed ones.
    pub fn replace_clusters(&mut self, clusters: Vec<impl Into<SeenCluster>>) -> Vec<ClusterKey> {
        let clusters: Vec<SeenCluster> = clusters.into_iter().map(Into::into).collect();
        let listed: BTreeSet<ClusterKey> = clusters.iter().map(SeenCluster::key).collect();
        let gone: Vec<ClusterKey> = self.clusters.keys().filter(|key| !listed.contains(key)).cloned().collect();
        let mut changed: Vec<ClusterKey> = gone.iter().flat_map(|key| self.remove_cluster(key)).collect();
        for cluster in clusters {
            changed.extend(self.apply_cluster(cluster));
        }
        changed
    }

    /// Forgets a HostedCluster; answers the hosted clusters to look at.
    pub fn remove_cluster(&mut self, key: &ClusterKey) -> Vec<ClusterKey> {
        self.clusters.remove(key);
        self.guests.forget(key);
        self.rollouts.forget(key);
        self.revision += 1;
        let moved = self.claims.release(key);
        self.judged(moved)
    }

    /// Takes a target Deployment's metadata in; answers the hosted cluster it belongs to if it has to be looked at.
    pub fn apply_target(&mut self, place: usize, target: &TargetMeta) -> Option<ClusterKey> {
        let is_news = self.targets.apply(place, target);
        let owner = self.claims.owner(&target.namespace)?;
        self.recount(&owner);
        (is_news || self.rollouts.follows(&owner)).then_some(owner)
    }

    /// Takes the whole list of one target's Deployments in; answers the hosted clusters to look at.
    pub fn replace_targets(&mut self, place: usize, targets: &[TargetMeta]) -> Vec<ClusterKey> {
        let namespaces = self.targets.replace(place, targets);
        self.recount_all();
        namespaces.iter().filter_map(|namespace| self.claims.owner(namespace)).collect()
    }

    /// Forgets a target Deployment.
    pub fn remove_target(&mut self, place: usize, target: &TargetMeta) -> Option<ClusterKey> {
        self.targets.remove(place, &target.namespace);
        let owner = self.claims.owner(&target.namespace)?;
        self.recount(&owner);
        Some(owner)
    }

    /// What is known of the targets of one hosted cluster, by place: nothing in a namespace that is not its own.
    pub fn targets_of(&self, key: &ClusterKey) -> Vec<TargetSlot> {
        if self.owns_namespace(key) { self.targets.of(&key.control_plane_namespace()) } else { self.targets.none() }
    }

    /// The best kubeconfig of a hosted cluster: none in a namespace that is not its own.
    pub fn kubeconfig(&self, key: &ClusterKey) -> Option<KubeconfigSecret> {
        self.guests.kubeconfig(key).filter(|_| self.owns_namespace(key))
    }

    /// Remembers what a target looks like; equal texts of different clusters are kept once.
    pub fn observe_target(&mut self, key: &ClusterKey, place: usize, observed: ObservedTarget) -> Arc<ObservedTarget> {
        let observed = self.targets.observe(&key.control_plane_namespace(), place, observed);
        self.recount(key);
        observed
    }

    /// Takes a report in, or its absence; true if it is not what we wrote.
    pub fn apply_report(&mut self, key: &ClusterKey, status: Option<HostedClusterMirrorsStatus>) -> bool {
        let Some(cluster) = self.clusters.get_mut(key) else {
            if let Some(status) = status {
                self.early_reports.insert(key.clone(), status);
            }
            return false;
        };
        let changed = cluster.report.as_deref() != status.as_ref();
        if changed {
            cluster.report = status.map(Arc::new);
            self.recount(key);
        }
        changed
    }

    /// Takes all reports in; answers the hosted clusters to look at.
    pub fn replace_reports(&mut self, reports: Vec<(ClusterKey, HostedClusterMirrorsStatus)>) -> Vec<ClusterKey> {
        let mut reports: HashMap<ClusterKey, HostedClusterMirrorsStatus> = reports.into_iter().collect();
        let keys = self.keys();
        let changed = keys.into_iter().filter(|key| self.apply_report(key, reports.remove(key))).collect();
        self.early_reports = reports;
        changed
    }

    /// A target was not there when it was read.
    pub fn miss_target(&mut self, key: &ClusterKey, place: usize) {
        self.targets.miss(&key.control_plane_namespace(), place);
    }

    /// Has the targets of one hosted cluster read again before the next plan.
    pub fn distrust_targets(&mut self, key: &ClusterKey) {
        self.targets.distrust(&key.control_plane_namespace());
    }
}

#[cfg(test)]
mod tests;
