//! What is remembered of one hosted cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{HostedClusterMirrorsStatus, annotations};
use kube::ResourceExt;

use crate::hosted::memory::Memory;
use crate::hosted::pool_config::LastDocuments;
use crate::hosted::sources::{LastConfig, hosted_cluster_entries};
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
    /// What this process remembers of it beside the objects.
    pub memory: Arc<Memory>,
    /// What of its ConfigMap of mirror sets was last in force.
    pub last_config: Option<LastConfig>,
    /// What of its NodePools' ConfigMaps was last in force, by NodePool.
    pub last_documents: Arc<BTreeMap<String, LastDocuments>>,
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
            memory: Arc::default(),
            last_config: None,
            last_documents: Arc::default(),
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
