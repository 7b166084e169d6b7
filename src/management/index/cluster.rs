//! The state of one hosted cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{HostedClusterMirrorsStatus, annotations};
use kube::ResourceExt;

use super::reports::ReportVersion;
use crate::fleet::lag::Lag;
use crate::hosted::memory::Memory;
use crate::hosted::pool_config::LastDocuments;
use crate::hosted::sources::{LastConfig, hosted_cluster_entries};
use crate::mirrors::MirrorEntry;
use crate::mirrors::validate::{Consumer, contributes};
use hypermirror_api::ClusterKey;

/// A HostedCluster and its parsed list of mirrors. Parsed before the index is locked.
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
    /// The key.
    pub fn key(&self) -> ClusterKey {
        ClusterKey::of(&*self.object)
    }
}

/// One hosted cluster.
#[derive(Debug)]
pub struct Cluster {
    /// The object, without managed fields.
    pub object: Arc<HostedCluster>,
    /// The entries of its `imageContentSources`, not validated yet.
    pub entries: Arc<[MirrorEntry]>,
    /// Whether any of them is valid for control planes.
    pub contributes: bool,
    /// The report on the server, if it exists.
    pub report: Option<Arc<HostedClusterMirrorsStatus>>,
    /// The version of the report that the manager wrote last.
    pub written: ReportVersion,
    /// The memory of this process.
    pub memory: Arc<Memory>,
    /// How long its control plane is behind.
    pub control_plane_lag: Lag,
    /// How long its nodes are behind.
    pub node_lag: Lag,
    /// The last valid entries of its ConfigMap of mirror sets.
    pub last_config: Option<LastConfig>,
    /// The last valid entries of its NodePools' ConfigMaps, by NodePool.
    pub last_documents: Arc<BTreeMap<String, LastDocuments>>,
}

impl Cluster {
    /// Creates the state of a new hosted cluster.
    pub fn new(seen: SeenCluster) -> Self {
        let SeenCluster { object, entries, contributes } = seen;
        Self {
            object,
            entries,
            contributes,
            report: None,
            written: ReportVersion::default(),
            memory: Arc::default(),
            control_plane_lag: Lag::default(),
            node_lag: Lag::default(),
            last_config: None,
            last_documents: Arc::default(),
        }
    }

    /// Updates the object. Returns whether a relevant field has changed.
    pub fn update(&mut self, seen: SeenCluster) -> bool {
        // Of the status only the releases are read, which coverage depends on.
        let changed = self.object.status != seen.object.status || relevant(&self.object) != relevant(&seen.object);
        if self.object.uid() != seen.object.uid() {
            *self = Self::new(seen);
            return true;
        }
        self.object = seen.object;
        // Keep the object if it is equal, so that changes are detected by comparing pointers.
        if self.entries != seen.entries {
            (self.entries, self.contributes) = (seen.entries, seen.contributes);
        }
        changed
    }
}

/// The relevant fields of a HostedCluster, without the status.
fn relevant(object: &HostedCluster) -> impl PartialEq {
    let labels = object.metadata.labels.clone();
    let is_read = |key: &str| key.starts_with(hypermirror_api::names::GROUP) || annotations::OF_CATALOGS.contains(&key);
    let ours = object.annotations().iter().filter(|(key, _)| is_read(key));
    let ours: Vec<_> = ours
        .filter(|(key, _)| *key != annotations::MIRRORS_OBSERVED)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    // The generation stays the same when the CRD loses this field, or has it again: the object on the server is not changed.
    let reference = object.spec.image_mirror_config_ref.clone();
    (object.metadata.generation, object.metadata.deletion_timestamp.is_some(), labels, ours, reference)
}
