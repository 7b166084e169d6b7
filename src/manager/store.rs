//! The watched state and the queues that its changes fill. The only place that locks the index.
//!
//! No method waits, parses or merges: many watches and workers share the lock, and one owner's input must not stall the others.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{ClusterKey, HostedClusterMirrorsStatus};
use jiff::Timestamp;
use kube::core::Selector;
use tokio::sync::Notify;

use super::heavy::without_stalling;
use super::queue::Queue;
use super::reading::ConfigMapName;
use crate::fleet::removal::FleetMember;
use crate::fleet::rollout::{Budget, Claim, Counts, Rollouts};
use crate::hosted::facts::RolloutFacts;
use crate::hosted::guest::GuestOutcome;
use crate::hosted::memory::Memory;
use crate::hosted::sources::ManagementLayer;
use crate::management::index::change::{Change, Changed, Resolve};
use crate::management::index::config_maps::LoadedConfigMap;
use crate::management::index::declared::{Declaration, Sources};
use crate::management::index::mirror_kinds::MirrorObject;
use crate::management::index::reports::ReportVersion;
use crate::management::index::targets::TargetMeta;
use crate::management::index::{Index, KnownFacts};
use crate::management::mirror_kind::MirrorKind;
use crate::mirrors::entry::MirrorEntries;
use crate::telemetry::metrics::ManagerMetrics;

/// Time in which edits of mirror objects are combined: `kubectl apply` of several objects is one change of all hosted clusters,
/// and nobody notices so short a delay.
const COALESCE: Duration = Duration::from_millis(20);

/// A report, if there is one.
type Report = Option<Arc<HostedClusterMirrorsStatus>>;

/// The result of reading a ConfigMap.
#[derive(Debug)]
pub enum ConfigMapContent {
    /// It does not exist.
    Missing,
    /// It could not be read, with the error.
    Unreadable(String),
    /// Its content, and the version that was known before it was read.
    Loaded(LoadedConfigMap, Option<String>),
}

/// The state. Clones share it.
#[derive(Clone)]
pub struct Store {
    index: Arc<Mutex<Index>>,
    /// Hosted clusters to reconcile.
    pub clusters: Queue,
    /// Guest clusters to reconcile.
    pub guests: Queue,
    references: Arc<Notify>,
    relist: Arc<Notify>,
    edits: Arc<Notify>,
    target_lists: Arc<Notify>,
    /// Held while the management layer is resolved, so that a later result is never older.
    resolving: Arc<Mutex<()>>,
    metrics: ManagerMetrics,
}

impl Store {
    /// Creates an empty state for this number of targets per hosted cluster.
    pub fn new(target_count: usize, budget: Budget, metrics: ManagerMetrics) -> Self {
        let mut index = Index::new(target_count);
        index.rollouts = Rollouts::new(budget);
        Self {
            index: Arc::new(Mutex::new(index)),
            clusters: Queue::default(),
            guests: Queue::default(),
            references: Arc::default(),
            relist: Arc::default(),
            edits: Arc::default(),
            target_lists: Arc::default(),
            resolving: Arc::default(),
            metrics,
        }
    }

    /// Takes the lock. A closure cannot contain an await, so that the lock is never held across one.
    fn with<T>(&self, work: impl FnOnce(&mut Index) -> T) -> T {
        work(&mut self.index.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records a change and enqueues what follows from it.
    pub fn apply(&self, change: Change) {
        let changed = self.with(|index| {
            let changed = index.apply(change);
            index.record_edits(&changed, Instant::now());
            changed
        });
        self.enqueue(changed);
    }

    /// Enqueues what follows from a change.
    fn enqueue(&self, changed: Changed) {
        // The management layer comes first: whoever is reconciled afterwards must not plan with an older one.
        match changed.resolve {
            Some(Resolve::Now) => self.resolve_layer(),
            Some(Resolve::Soon) => self.edits.notify_one(),
            None => {}
        }
        if changed.relist {
            self.relist.notify_one();
        }
        if changed.references {
            self.references.notify_one();
        }
        self.clusters.add_all(changed.clusters);
        self.guests.add_all(changed.guests);
    }

    /// Enqueues all hosted clusters and guest clusters.
    pub fn enqueue_all(&self) {
        let all = self.with(|index| index.all());
        self.enqueue(all);
    }

    /// Enqueues all hosted clusters, because their reports change.
    pub fn enqueue_clusters(&self) {
        self.clusters.add_all(self.with(|index| index.keys()));
    }

    /// Enqueues the hosted clusters that reference a ConfigMap, with their guest clusters.
    pub fn enqueue_referring(&self, (namespace, name): &ConfigMapName) {
        let keys = self.with(|index| index.referring(namespace, &BTreeSet::from([name.clone()])));
        self.clusters.add_all(keys.clone());
        self.guests.add_all(keys);
    }

    /// Waits until other ConfigMaps may be referenced.
    pub async fn references_changed(&self) {
        self.references.notified().await;
    }

    /// Waits until HostedClusters have to be listed again.
    pub async fn relist_requested(&self) {
        self.relist.notified().await;
    }

    /// Resolves the management layer after each burst of edits, until the process ends.
    pub async fn resolve_edits(self) {
        // Each edit would otherwise merge all entries and enqueue the whole fleet: `kubectl apply` of a directory is one edit for
        // its user, and one rollout for each hosted cluster.
        loop {
            self.edits.notified().await;
            tokio::time::sleep(COALESCE).await;
            let _ = self.edits.notified().now_or_never(); // an edit of the same burst
            self.resolve_layer();
        }
    }

    /// Resolves the management layer again and enqueues all hosted clusters, because problems with objects are in all their
    /// reports, also if the map does not change.
    fn resolve_layer(&self) {
        // Thousands of entries take some milliseconds: neither the index nor the other tasks of this thread wait for them.
        let resolve = || {
            let _turn = self.resolving.lock().unwrap_or_else(PoisonError::into_inner);
            let entries = self.with(|index| index.mirrors.entries());
            let layer = ManagementLayer::new(entries.iter());
            self.set_management(layer);
        };
        without_stalling(resolve);
        let (layer, keys) = self.with(|index| (index.management(), index.keys()));
        self.metrics.record_layer(&layer);
        self.clusters.add_all(keys);
    }

    /// The entries of all mirror objects of the management cluster.
    pub fn mirror_entries(&self) -> MirrorEntries {
        self.with(|index| index.mirrors.entries())
    }

    /// The names of all hosted clusters.
    pub fn keys(&self) -> Vec<ClusterKey> {
        self.with(|index| index.keys())
    }

    /// The facts of a hosted cluster, if it exists.
    pub fn facts(&self, key: &ClusterKey) -> Option<KnownFacts> {
        self.with(|index| index.facts(key, Instant::now()))
    }

    /// Whether a HostedCluster exists.
    pub fn contains(&self, key: &ClusterKey) -> bool {
        self.with(|index| index.cluster(key).is_some())
    }

    /// Whether a hosted cluster owns its control-plane namespace.
    pub fn owns_namespace(&self, key: &ClusterKey) -> bool {
        self.with(|index| index.owns_namespace(key))
    }

    /// A HostedCluster and its report.
    pub fn reported(&self, key: &ClusterKey) -> Option<(Arc<HostedCluster>, Report)> {
        self.with(|index| index.cluster(key).map(|cluster| (Arc::clone(&cluster.object), cluster.report.clone())))
    }

    /// The report of a hosted cluster.
    pub fn report(&self, key: &ClusterKey) -> Report {
        self.with(|index| index.cluster(key).and_then(|cluster| cluster.report.clone()))
    }

    /// Number of hosted clusters, and their reports.
    pub fn reports(&self) -> (usize, Vec<Arc<HostedClusterMirrorsStatus>>) {
        let reports = |index: &mut Index| {
            let reports = index.clusters().filter_map(|(_, cluster)| cluster.report.clone()).collect();
            (index.len(), reports)
        };
        self.with(reports)
    }

    /// The time of the check of mirrors that is the longest ago.
    pub fn oldest_check(&self) -> Option<Timestamp> {
        self.with(|index| index.coverages.oldest_check())
    }

    /// Records that the manager has written a report, with the new version.
    pub fn record_written_report(&self, key: &ClusterKey, status: HostedClusterMirrorsStatus, version: ReportVersion) {
        self.with(|index| {
            index.record_report_version(key, version);
            index.apply_report(key, Some(status))
        });
    }

    /// Records that the manager has created a report, which has no content yet.
    pub fn record_created_report(&self, key: &ClusterKey, version: ReportVersion) {
        self.with(|index| index.record_report_version(key, version));
    }

    /// Records a report that was written, or deleted.
    pub fn record_report(&self, key: &ClusterKey, status: Option<HostedClusterMirrorsStatus>) {
        self.with(|index| index.apply_report(key, status));
    }

    /// The UID of a NodePool.
    pub fn pool_uid(&self, key: &ClusterKey, name: &str) -> Option<String> {
        self.with(|index| index.guests.pools(key).get(name).map(|pool| pool.uid.clone()))
    }

    /// The input of the gate for mass removals.
    pub fn members(&self, selector: &Selector) -> Vec<FleetMember> {
        self.with(|index| index.members(selector, Timestamp::now()))
    }

    /// Records the memory of a turn that began with `before`.
    pub fn remember(&self, key: &ClusterKey, before: &Arc<Memory>, memory: Memory) {
        self.with(|index| index.remember(key, before, memory));
    }

    /// Records the last valid entries of a declaration.
    pub fn keep_in_force(&self, key: &ClusterKey, declaration: &Declaration, sources: &Sources) {
        self.with(|index| index.keep_in_force(key, declaration, sources));
    }

    /// The result of the last reconcile of a guest cluster, by this process or a previous one.
    pub fn guest_outcome(&self, key: &ClusterKey) -> Option<Arc<GuestOutcome>> {
        let (outcome, report) = self
            .with(|index| (index.guests.outcome(key), index.cluster(key).and_then(|cluster| cluster.report.clone())));
        outcome.or_else(|| GuestOutcome::reported(&*report?).map(Arc::new))
    }

    /// Records the result of a reconcile of a guest cluster. Enqueues the hosted cluster if it has changed, for its report.
    pub fn record_guest(&self, key: &ClusterKey, outcome: GuestOutcome) {
        if self.with(|index| index.guests.record_outcome(key, outcome)) {
            self.clusters.add(key.clone());
        }
    }

    /// The namespaces in which a ConfigMap is referenced.
    pub fn referring_namespaces(&self) -> BTreeSet<String> {
        self.with(|index| index.referring_namespaces())
    }

    /// The last known version of a ConfigMap.
    pub fn config_map_version(&self, (namespace, name): &ConfigMapName) -> Option<String> {
        self.with(|index| index.config_maps.version(namespace, name))
    }

    /// Records the content of a ConfigMap. Nobody is enqueued; see [`Self::enqueue_referring`].
    pub fn record_config_map(&self, (namespace, name): &ConfigMapName, content: ConfigMapContent) {
        self.with(|index| match content {
            ConfigMapContent::Missing => index.config_maps.remove(namespace, name),
            ConfigMapContent::Unreadable(why) => index.config_maps.fail_to_load(namespace, name, why),
            ConfigMapContent::Loaded(content, before) => index.load_config_map(content, before.as_deref()),
        });
    }

    /// Whether a known mirror object is not in this list.
    pub fn lacks_any(&self, kind: MirrorKind, objects: &[(String, MirrorObject)]) -> bool {
        self.with(|index| index.mirrors.lacks_any(kind, objects))
    }

    /// Whether a mirror kind is not served whose objects are kept.
    pub fn has_vanished(&self, kind: MirrorKind) -> bool {
        self.with(|index| index.mirrors.vanished(kind))
    }

    /// The mirror kinds for the annotation of the Lease, if they have changed.
    pub fn kinds_to_record(&self) -> Option<BTreeSet<MirrorKind>> {
        self.with(|index| index.mirrors.to_record())
    }

    /// Records that all first lists are complete.
    pub fn complete_first_lists(&self) {
        self.with(|index| index.claims.complete());
    }

    /// Discards what another leader may change, at the end of a term.
    pub fn end_term(&self) {
        self.with(Index::end_term);
    }

    /// Updates the marks of one target from lists that were read at the start of a term.
    pub fn update_marks(&self, place: usize, targets: &[TargetMeta]) {
        self.with(|index| index.update_marks(place, targets));
    }

    /// Starts a term of the rollout budget, when all marks are known, and enqueues the hosted clusters that may start.
    pub fn begin_rollouts(&self) {
        let next = self.with(|index| {
            index.rollouts.begin_term();
            index.rollouts.next(Timestamp::now())
        });
        self.clusters.add_all(next);
    }

    /// Requests a slot of the rollout budget.
    pub fn claim_rollout(&self, key: &ClusterKey) -> Claim<ClusterKey> {
        self.with(|index| index.claim_rollout(key, Timestamp::now()))
    }

    /// Releases a slot for which nothing was written.
    pub fn release_rollout(&self, key: &ClusterKey) {
        self.with(|index| index.rollouts.release(key));
    }

    /// Releases the slot of a hosted cluster that was not available before the change.
    pub fn skip_rollout(&self, key: &ClusterKey) {
        self.with(|index| index.rollouts.skip(key));
    }

    /// Ends a reconcile for the rollout budget, and enqueues the hosted clusters that may start.
    pub fn end_reconcile(&self, key: &ClusterKey, releases: bool, stays_queued: bool) {
        let next = self.with(|index| index.end_reconcile(key, releases, stays_queued, Timestamp::now()));
        self.clusters.add_all(next);
    }

    /// The report and the rollout of a hosted cluster after its writes.
    pub fn rollout(&self, key: &ClusterKey) -> (Report, RolloutFacts) {
        let state = |index: &mut Index| {
            let report = index.cluster(key).and_then(|cluster| cluster.report.clone());
            (report, index.rollout(key))
        };
        self.with(state)
    }

    /// The rollouts of the fleet. Enqueues the hosted clusters that may start; see [`Index::rollout_counts`].
    pub fn check_rollouts(&self, failed: &[ClusterKey]) -> Counts<ClusterKey> {
        let (counts, keys) = self.with(|index| index.rollout_counts(failed, Timestamp::now()));
        self.clusters.add_all(keys);
        counts
    }
}

mod lags;
mod targets;
#[cfg(test)]
mod tests;
