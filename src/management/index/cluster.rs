//! What is remembered of one hosted cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{HostedClusterMirrorsStatus, annotations};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::hosted::contest::Contest;
use crate::hosted::edits::Edits;
use crate::hosted::known::EntrySet;
use crate::hosted::pool_config::LastDocuments;
use crate::hosted::sources::{LastConfig, OverrideMap, hosted_cluster_entries};
use crate::management::index::boots::Boots;
use crate::mirrors::MirrorEntry;
use crate::mirrors::validate::{Consumer, contributes};
use hypermirror_api::ClusterKey;

/// A HostedCluster with what its own list of mirrors comes to, which is read before anybody waits for the index.
#[derive(Clone, Debug)]
pub struct SeenCluster {
    object: Arc<HostedCluster>,
    entries: Arc<[MirrorEntry]>,
    contributes: bool,
}

impl From<HostedCluster> for SeenCluster {
    fn from(object: HostedCluster) -> Self {
        let entries: Arc<[MirrorEntry]> = hosted_cluster_entries(&object).into();
        let contributes = contributes(entries.iter(), Consumer::ControlPlane);
        Self { object: Arc::new(object), entries, contributes }
    }
}

impl SeenCluster {
    /// Its key.
    pub fn key(&self) -> ClusterKey {
        ClusterKey::of(&*self.object)
    }
}

/// One hosted cluster.
#[derive(Debug)]
pub struct Cluster {
    /// The object, without managed fields.
    pub object: Arc<HostedCluster>,
    /// The entries of its `imageContentSources`, not checked yet.
    pub entries: Arc<[MirrorEntry]>,
    /// Whether a map for control planes has anything of them.
    pub contributes: bool,
    /// The report that stands on the server; none if there is none.
    pub report: Option<Arc<HostedClusterMirrorsStatus>>,
    /// The entries of the map that was last admitted by this process.
    pub admitted: Option<Arc<EntrySet>>,
    /// When stock operators were last asked to read the mirrors, and with which value.
    pub touched: Option<(String, Instant)>,
    /// Entries of its own that left the map while this process ran; see [`Self::departing`].
    pub departed: Arc<EntrySet>,
    /// Since when the parent carries the present value: a digest of it, and the time.
    pub parent_since: Option<(String, Instant)>,
    /// The revision of the management layer with which everything was last in force: a rollout that begins while it is the
    /// same is begun by the hosted cluster itself.
    pub settled: Option<u64>,
    /// The last rollout that this process saw come back, by its mark; the report may not say so yet.
    pub rollout_done: Option<Timestamp>,
    /// What of its ConfigMap of mirror sets was last in force.
    pub last_config: Option<LastConfig>,
    /// What of its NodePools' ConfigMaps was last in force, by NodePool.
    pub last_documents: Arc<BTreeMap<String, LastDocuments>>,
    /// The ConfigMaps that its nodes boot with.
    pub boots: Boots,
    /// For each target, whether somebody fights us for it.
    pub contests: Vec<Contest>,
    /// The edits of its map.
    pub edits: Edits,
}

impl Cluster {
    /// A hosted cluster that was just seen.
    pub fn new(seen: SeenCluster) -> Self {
        let SeenCluster { object, entries, contributes } = seen;
        Self {
            object,
            entries,
            contributes,
            report: None,
            admitted: None,
            touched: None,
            departed: Arc::default(),
            parent_since: None,
            settled: None,
            rollout_done: None,
            last_config: None,
            last_documents: Arc::default(),
            boots: Boots::new(),
            contests: Vec::new(),
            edits: Edits::default(),
        }
    }

    /// Takes the object in; true if something that matters changed.
    pub fn update(&mut self, seen: SeenCluster) -> bool {
        let changed = relevant(&self.object) != relevant(&seen.object);
        if self.object.uid() != seen.object.uid() {
            *self = Self::new(seen);
            return true;
        }
        self.object = seen.object;
        // Equal lists stay the same object: by that it is told whether anything has to be merged again.
        if self.entries != seen.entries {
            (self.entries, self.contributes) = (seen.entries, seen.contributes);
        }
        changed
    }

    /// What stands in annotations and the report is all that is known of the next term, as after a restart.
    pub fn end_term(&mut self) {
        self.admitted = None;
        self.settled = None;
        self.parent_since = None;
        self.touched = None;
        self.boots.clear();
        self.contests.clear();
        self.edits = Edits::default();
    }

    /// The entries that have departed once this map is admitted, but for those that the management layer explains: every
    /// hosted cluster knows these, and they are kept once for all.
    pub fn departing(&self, map: &Arc<OverrideMap>, explained: &EntrySet) -> Arc<EntrySet> {
        if self.admitted.as_ref().is_some_and(|before| Arc::ptr_eq(before, &map.entries)) {
            return Arc::clone(&self.departed);
        }
        let left = self.admitted.iter().flat_map(|before| before.iter()).chain(self.departed.iter());
        Arc::new(left.filter(|entry| !map.entries.contains(*entry) && !explained.contains(*entry)).cloned().collect())
    }

    /// A new map is admitted: what is no longer in it has departed.
    pub fn admit(&mut self, map: &Arc<OverrideMap>, explained: &EntrySet) {
        self.departed = self.departing(map, explained);
        self.admitted = Some(Arc::clone(&map.entries));
    }
}

/// What of a HostedCluster decides: not its status, which changes all the time.
fn relevant(object: &HostedCluster) -> impl PartialEq {
    let labels = object.metadata.labels.clone();
    let is_read = |key: &str| key.starts_with(hypermirror_api::names::GROUP) || annotations::OF_CATALOGS.contains(&key);
    let ours = object.annotations().iter().filter(|(key, _)| is_read(key));
    let ours: Vec<_> = ours
        .filter(|(key, _)| *key != annotations::MIRRORS_OBSERVED)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    (object.metadata.generation, object.metadata.deletion_timestamp.is_some(), labels, ours)
}
