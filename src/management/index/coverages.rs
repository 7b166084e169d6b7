//! The MirrorCoverages, as far as reports show them.

use std::collections::HashMap;
use std::sync::Arc;

use hypermirror_api::{ClusterKey, MirrorCoverage};
use jiff::Timestamp;

use crate::hosted::coverage::KnownCoverage;

/// A MirrorCoverage without its lists.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenCoverage {
    key: ClusterKey,
    /// None before its first check.
    known: Option<KnownCoverage>,
}

impl SeenCoverage {
    /// The hosted cluster.
    pub const fn key(&self) -> &ClusterKey {
        &self.key
    }

    /// The part that is kept.
    pub fn of(coverage: &MirrorCoverage) -> Self {
        Self { key: ClusterKey::of(coverage), known: coverage.status.as_ref().and_then(KnownCoverage::of) }
    }
}

/// The results of the last checks.
#[derive(Debug, Default)]
pub struct Coverages(HashMap<ClusterKey, Arc<KnownCoverage>>);

impl Coverages {
    /// That of a hosted cluster.
    pub fn get(&self, key: &ClusterKey) -> Option<Arc<KnownCoverage>> {
        self.0.get(key).cloned()
    }

    /// The time of the check that is the longest ago.
    pub fn oldest_check(&self) -> Option<Timestamp> {
        self.0.values().filter_map(|known| known.checked).min()
    }

    /// Records one. Returns its hosted cluster if it has changed.
    pub fn apply(&mut self, SeenCoverage { key, known }: SeenCoverage) -> Option<ClusterKey> {
        let Some(known) = known else { return self.remove(key) };
        if self.0.get(&key).is_some_and(|before| **before == known) {
            return None;
        }
        self.0.insert(key.clone(), Arc::new(known));
        Some(key)
    }

    /// Drops one. Returns its hosted cluster if it was known.
    pub fn remove(&mut self, key: ClusterKey) -> Option<ClusterKey> {
        self.0.remove(&key).is_some().then_some(key)
    }

    /// Records the complete list, except those of these namespaces and names, which cannot be decoded. Returns the hosted clusters
    /// for which something has changed.
    pub fn replace(&mut self, seen: Vec<SeenCoverage>, invalid: &[(String, String)]) -> Vec<ClusterKey> {
        let mut gone: Vec<ClusterKey> = self.0.keys().cloned().collect();
        let is_invalid = |key: &ClusterKey| invalid.iter().any(|(a, b)| (a, b) == (&key.namespace, &key.name));
        gone.retain(|key| !is_invalid(key) && !seen.iter().any(|seen| seen.key == *key));
        let mut changed: Vec<ClusterKey> = gone.into_iter().filter_map(|key| self.remove(key)).collect();
        changed.extend(seen.into_iter().filter_map(|seen| self.apply(seen)));
        changed
    }
}

#[cfg(test)]
mod tests {
    use hypermirror_api::mirror_coverage::MirrorCoverageSpec;
    use hypermirror_api::{CoverageConditionType, MirrorCoverageStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;

    fn coverage(name: &str, status: &str) -> SeenCoverage {
        let mut object = MirrorCoverage::new(name, MirrorCoverageSpec {});
        object.metadata.namespace = Some("clusters".into());
        object.status = Some(MirrorCoverageStatus {
            conditions: vec![Condition {
                type_: CoverageConditionType::Held.as_str().into(),
                status: status.into(),
                reason: "AllHeld".into(),
                message: String::new(),
                observed_generation: None,
                last_transition_time: Time(Timestamp::UNIX_EPOCH),
            }],
            ..MirrorCoverageStatus::default()
        });
        SeenCoverage::of(&object)
    }

    #[test]
    fn a_report_changes_with_the_coverage_of_its_cluster_alone() {
        let (mut all, west) = (Coverages::default(), ClusterKey { namespace: "clusters".into(), name: "west".into() });
        assert_eq!(all.replace(vec![coverage("west", "True")], &[]), std::slice::from_ref(&west));
        assert_eq!(all.apply(coverage("west", "True")), None);
        assert_eq!(all.apply(coverage("west", "False")), Some(west.clone()));
        assert_eq!(all.replace(Vec::new(), &[("clusters".into(), "west".into())]), []);
        assert!(all.get(&west).is_some(), "one that cannot be decoded stays");
        assert_eq!(all.replace(Vec::new(), &[]), std::slice::from_ref(&west));
        assert_eq!((all.get(&west), all.remove(west)), (None, None));
    }
}
