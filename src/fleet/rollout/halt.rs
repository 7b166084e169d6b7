//! For whom failed rollouts count: owners of other namespaces must not be able to stop everybody.

use std::collections::BTreeMap;

use hypermirror_api::ClusterKey;

use super::{Budget, Cause};

/// The name of a hosted cluster.
pub trait Member: Ord + Clone {
    /// The namespace of its HostedCluster, whose owner can make its rollouts fail.
    fn namespace(&self) -> &str;
}

impl Member for ClusterKey {
    fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// Why none begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt<K> {
    /// Those of the same namespace that are not back in time, ascending.
    pub here: Vec<K>,
    /// How many of other namespaces are not back in time, where that stops everybody; their names are not for this one.
    pub elsewhere: usize,
}

/// The rollouts that are not back in time.
///
/// Those that the management layer began count for everybody. Those that a hosted cluster began itself count for its own
/// namespace; only when so many *different* namespaces have some, and at least two, is it taken for everybody's trouble.
#[derive(Debug)]
pub(super) struct Failures<'a, K> {
    limit: usize,
    limit_of_namespaces: usize,
    failed: Vec<(&'a K, Cause)>,
    by_namespace: BTreeMap<&'a str, usize>,
}

impl<'a, K: Member> Failures<'a, K> {
    /// Those that failed, ascending by name.
    pub(super) fn new(budget: &Budget, failed: impl Iterator<Item = (&'a K, Cause)>) -> Self {
        let failed: Vec<(&K, Cause)> = failed.collect();
        let mut by_namespace = BTreeMap::new();
        for (key, _) in &failed {
            *by_namespace.entry(key.namespace()).or_default() += 1;
        }
        // Also where every place is held by one that is not back.
        let limit = budget.failures.min(budget.at_once).max(1);
        Self { limit, limit_of_namespaces: budget.failures.max(2), failed, by_namespace }
    }

    pub(super) fn names(&self) -> Vec<K> {
        self.failed.iter().map(|(key, _)| (*key).clone()).collect()
    }

    /// Whether none begins anywhere.
    pub(super) fn halts_all(&self) -> bool {
        let of_management = self.failed.iter().filter(|(_, cause)| *cause == Cause::Management).count();
        of_management >= self.limit || self.by_namespace.len() >= self.limit_of_namespaces
    }

    /// Whether none begins in this namespace by its own failures.
    pub(super) fn halts(&self, namespace: &str) -> bool {
        self.by_namespace.get(namespace).is_some_and(|failed| *failed >= self.limit)
    }

    /// What stops those of a namespace, if something does.
    pub(super) fn halt(&self, namespace: &str) -> Option<Halt<K>> {
        let all = self.halts_all();
        if !all && !self.halts(namespace) {
            return None;
        }
        let here = self.failed.iter().filter(|(key, _)| key.namespace() == namespace);
        let here: Vec<K> = here.map(|(key, _)| (*key).clone()).collect();
        let elsewhere = if all { self.failed.len() - here.len() } else { 0 };
        Some(Halt { here, elsewhere })
    }
}
