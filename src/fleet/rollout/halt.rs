//! Decides which rollouts a failed rollout halts. The owner of a namespace must not be able to halt those of all others.

use std::collections::BTreeMap;

use hypermirror_api::ClusterKey;

use super::{Budget, Cause};

/// The name of a hosted cluster.
pub trait Member: Ord + Clone {
    /// The namespace of its HostedCluster. Its owner can cause failed rollouts.
    fn namespace(&self) -> &str;
}

impl Member for ClusterKey {
    fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// Why rollouts are halted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt<K> {
    /// Hosted clusters of the same namespace whose rollouts failed, ascending.
    pub here: Vec<K>,
    /// Number of failed rollouts in other namespaces, if these halt all rollouts. Their names are confidential.
    pub elsewhere: usize,
}

/// The failed rollouts.
///
/// Rollouts that a change of the management mirrors caused count for all namespaces. Rollouts that a change of a hosted
/// cluster's own mirrors caused count for its namespace. They halt all namespaces only if the limit of *different*
/// namespaces, and at least two, have such failures.
#[derive(Debug)]
pub(super) struct Failures<'a, K> {
    limit: usize,
    limit_of_namespaces: usize,
    failed: Vec<(&'a K, Cause)>,
    by_namespace: BTreeMap<&'a str, usize>,
}

impl<'a, K: Member> Failures<'a, K> {
    /// The failed rollouts, ascending by name.
    pub(super) fn new(budget: &Budget, failed: impl Iterator<Item = (&'a K, Cause)>) -> Self {
        let failed: Vec<(&K, Cause)> = failed.collect();
        let mut by_namespace = BTreeMap::new();
        for (key, _) in &failed {
            *by_namespace.entry(key.namespace()).or_default() += 1;
        }
        // Also if failed rollouts occupy all slots.
        let limit = budget.failures.min(budget.at_once).max(1);
        Self { limit, limit_of_namespaces: budget.failures.max(2), failed, by_namespace }
    }

    pub(super) fn names(&self) -> Vec<K> {
        self.failed.iter().map(|(key, _)| (*key).clone()).collect()
    }

    /// Whether rollouts are halted in all namespaces.
    pub(super) fn halts_all(&self) -> bool {
        let of_management = self.failed.iter().filter(|(_, cause)| *cause == Cause::Management).count();
        of_management >= self.limit || self.by_namespace.len() >= self.limit_of_namespaces
    }

    /// Whether rollouts are halted in this namespace because of its own failures.
    pub(super) fn halts(&self, namespace: &str) -> bool {
        self.by_namespace.get(namespace).is_some_and(|failed| *failed >= self.limit)
    }

    /// Why rollouts of a namespace are halted, if they are.
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
