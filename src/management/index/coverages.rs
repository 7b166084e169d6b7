//! The MirrorCoverages, as far as reports show them.

use std::collections::HashMap;
use std::sync::Arc;

use hypermirror_api::{ClusterKey, MirrorCoverage};

use super::Index;
use super::change::Decoded;
use crate::client::watch::Update;
use crate::hosted::coverage::KnownCoverage;

/// A MirrorCoverage without its lists.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenCoverage {
    key: ClusterKey,
    /// None before its first check.
    known: Option<KnownCoverage>,
}

impl SeenCoverage {
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

    fn put(&mut self, key: ClusterKey, known: Option<KnownCoverage>) -> bool {
        match known {
            Some(known) if self.0.get(&key).is_some_and(|before| **before == known) => false,
            Some(known) => {
                self.0.insert(key, Arc::new(known));
                true
            }
            None => self.0.remove(&key).is_some(),
        }
    }
}

impl Index {
    /// Records an update. Returns the hosted clusters whose reports change.
    pub(super) fn apply_coverages(&mut self, update: Update<Decoded<SeenCoverage>>) -> Vec<ClusterKey> {
        match update {
            Update::Replaced(list) => {
                let (seen, invalid) = Decoded::split(list);
                let mut gone: Vec<ClusterKey> = self.coverages.0.keys().cloned().collect();
                let is_invalid = |key: &ClusterKey| invalid.iter().any(|(a, b)| (a, b) == (&key.namespace, &key.name));
                gone.retain(|key| !is_invalid(key) && !seen.iter().any(|seen| seen.key == *key));
                let gone = gone.into_iter().map(|key| SeenCoverage { key, known: None });
                let all: Vec<SeenCoverage> = gone.chain(seen).collect();
                all.into_iter().filter_map(|seen| self.apply_coverage(seen)).collect()
            }
            Update::Applied(Decoded::Object(seen)) => self.apply_coverage(seen).into_iter().collect(),
            Update::Deleted(deleted) => {
                let key = match deleted {
                    Decoded::Object(seen) => seen.key,
                    Decoded::Invalid { namespace, name } => ClusterKey { namespace, name },
                };
                self.apply_coverage(SeenCoverage { key, known: None }).into_iter().collect()
            }
            Update::Applied(Decoded::Invalid { .. }) | Update::Failing(_) => Vec::new(),
        }
    }

    fn apply_coverage(&mut self, SeenCoverage { key, known }: SeenCoverage) -> Option<ClusterKey> {
        self.coverages.put(key.clone(), known).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use hypermirror_api::mirror_coverage::MirrorCoverageSpec;
    use hypermirror_api::{CoverageConditionType, MirrorCoverageStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;

    fn coverage(name: &str, status: &str) -> Decoded<SeenCoverage> {
        let mut object = MirrorCoverage::new(name, MirrorCoverageSpec {});
        object.metadata.namespace = Some("clusters".into());
        object.status = Some(MirrorCoverageStatus {
            conditions: vec![Condition {
                type_: CoverageConditionType::Held.as_str().into(),
                status: status.into(),
                reason: "AllHeld".into(),
                message: String::new(),
                observed_generation: None,
                last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
            }],
            ..MirrorCoverageStatus::default()
        });
        Decoded::Object(SeenCoverage::of(&object))
    }

    #[test]
    fn a_report_changes_with_the_coverage_of_its_cluster_alone() {
        let (mut index, west) = (Index::new(0), ClusterKey { namespace: "clusters".into(), name: "west".into() });
        assert_eq!(index.apply_coverages(Update::Replaced(vec![coverage("west", "True")])), [west.clone()]);
        assert_eq!(index.apply_coverages(Update::Applied(coverage("west", "True"))), []);
        assert_eq!(index.apply_coverages(Update::Applied(coverage("west", "False"))), [west.clone()]);
        let invalid = Decoded::Invalid { namespace: "clusters".into(), name: "west".into() };
        assert_eq!(index.apply_coverages(Update::Replaced(vec![invalid])), []);
        assert!(index.coverages.get(&west).is_some(), "one that cannot be decoded stays");
        assert_eq!(index.apply_coverages(Update::Deleted(coverage("west", "False"))), [west.clone()]);
        assert!(index.coverages.get(&west).is_none());
    }
}
