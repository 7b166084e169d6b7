//! The reports: what the watch has seen, and what the manager itself has written.

use std::collections::HashMap;
use std::sync::Arc;

use hypermirror_api::{ClusterKey, HostedClusterMirrors, HostedClusterMirrorsStatus};
use kube::ResourceExt as _;

use super::Index;

/// A report that the watch has seen.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenReport {
    /// Its hosted cluster.
    pub key: ClusterKey,
    /// Its content. Boxed, because it is much larger than all other changes.
    pub status: Box<HostedClusterMirrorsStatus>,
    /// Its version.
    pub version: ReportVersion,
}

impl From<HostedClusterMirrors> for SeenReport {
    fn from(report: HostedClusterMirrors) -> Self {
        let (key, version) = (ClusterKey::of(&report), ReportVersion::of(&report));
        Self { key, status: Box::new(report.status.unwrap_or_default()), version }
    }
}

/// The `resourceVersion` of a report. The default is an unknown version.
///
/// Kubernetes 1.35 and later guarantee that the versions of one kind are decimal numbers that grow. Before that, they are revisions
/// of etcd, which are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportVersion(Option<u64>);

impl ReportVersion {
    /// Of a report.
    pub fn of(report: &HostedClusterMirrors) -> Self {
        Self(report.resource_version().and_then(|version| version.parse().ok()))
    }

    /// Whether both are known, and this one is not newer.
    fn is_part_of(self, other: Self) -> bool {
        matches!((self.0, other.0), (Some(this), Some(other)) if this <= other)
    }
}

impl Index {
    /// Stores a report, or its absence. Returns whether it differs from the known one.
    pub fn apply_report(&mut self, key: &ClusterKey, status: Option<HostedClusterMirrorsStatus>) -> bool {
        // The watches are independent: at the start, reports may be listed before their HostedClusters, and a new leader needs
        // them to know which maps were admitted.
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

    /// Records the version of a report that the manager has written. Until the watch has seen it, its events are about older ones.
    pub fn record_report_version(&mut self, key: &ClusterKey, version: ReportVersion) {
        if let Some(cluster) = self.clusters.get_mut(key) {
            cluster.written = version;
        }
    }

    /// Whether the manager has written this version of a report, or a newer one. An older one must not replace it: the next turn
    /// would take times of transitions from it, and write the report again with others.
    fn has_written(&self, key: &ClusterKey, version: ReportVersion) -> bool {
        self.cluster(key).is_some_and(|cluster| version.is_part_of(cluster.written))
    }

    /// Stores a report that the watch has seen, or that it has seen deleted. Returns whether it is news.
    pub(super) fn see_report(&mut self, SeenReport { key, status, version }: SeenReport, exists: bool) -> bool {
        !self.has_written(&key, version) && self.apply_report(&key, exists.then_some(*status))
    }

    /// Replaces all reports. Returns the hosted clusters to reconcile.
    pub fn replace_reports(&mut self, reports: Vec<SeenReport>) -> Vec<ClusterKey> {
        let mut reports: HashMap<ClusterKey, SeenReport> =
            reports.into_iter().map(|seen| (seen.key.clone(), seen)).collect();
        // A list may be read before a report is written and arrive afterwards.
        let mut keys = self.keys();
        keys.retain(|key| match reports.remove(key) {
            Some(seen) => self.see_report(seen, true),
            None => self.apply_report(key, None),
        });
        self.early_reports = reports.into_iter().map(|(key, seen)| (key, *seen.status)).collect();
        keys
    }
}
