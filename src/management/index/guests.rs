//! The state of guest clusters: kubeconfigs, NodePools, and the result of the last reconcile.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hypermirror_api::ClusterKey;
use hypermirror_api::hypershift::NodePool;
use kube::ResourceExt;

use crate::hosted::guest::GuestOutcome;
use crate::hosted::pool_config::KnownPool;

/// The Secrets with a kubeconfig, in order of preference. Only the identity in the first one may write mirror objects by the
/// admission policies of guest clusters (HyperShift, `kas/admissionpolicies.go`).
pub const KUBECONFIG_SECRETS: [&str; 3] = ["hcco-kubeconfig", "service-network-admin-kubeconfig", "admin-kubeconfig"];

/// A Secret in a control-plane namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretMeta {
    /// The namespace.
    pub namespace: String,
    /// The version, which changes with its content.
    pub resource_version: String,
}

/// The preferred kubeconfig of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeconfigSecret {
    /// The Secret's name.
    pub name: &'static str,
    /// Its version.
    pub resource_version: String,
}

/// The relevant fields of a NodePool. Parsed before the index is locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPool {
    cluster: ClusterKey,
    name: String,
    known: KnownPool,
}

impl From<&NodePool> for SeenPool {
    fn from(pool: &NodePool) -> Self {
        let namespace = pool.namespace().unwrap_or_default();
        let cluster = ClusterKey { namespace, name: pool.spec.cluster_name.clone() };
        Self { cluster, name: pool.name_any(), known: KnownPool::from(pool) }
    }
}

/// The state of all guests.
#[derive(Debug, Default)]
pub struct Guests {
    /// The version of each Secret by control-plane namespace.
    secrets: HashMap<String, [Option<String>; KUBECONFIG_SECRETS.len()]>,
    pools: HashMap<ClusterKey, Arc<BTreeMap<String, KnownPool>>>,
    outcomes: HashMap<ClusterKey, Arc<GuestOutcome>>,
}

impl Guests {
    /// Adds or updates a Secret. Returns whether it has changed.
    pub fn apply_secret(&mut self, place: usize, secret: &SecretMeta) -> bool {
        let slots = self.secrets.entry(secret.namespace.clone()).or_default();
        let Some(slot) = slots.get_mut(place) else { return false };
        slot.replace(secret.resource_version.clone()).as_ref() != Some(&secret.resource_version)
    }

    /// Replaces the list of Secrets with one name. Returns the changed namespaces.
    pub fn replace_secrets(&mut self, place: usize, secrets: &[SecretMeta]) -> Vec<String> {
        let listed: BTreeSet<&str> = secrets.iter().map(|secret| secret.namespace.as_str()).collect();
        let mut changed = Vec::new();
        for (namespace, slots) in &mut self.secrets {
            if !listed.contains(namespace.as_str()) && slots.get_mut(place).and_then(Option::take).is_some() {
                changed.push(namespace.clone());
            }
        }
        let applied = secrets.iter().filter(|secret| self.apply_secret(place, secret));
        changed.extend(applied.map(|secret| secret.namespace.clone()).collect::<Vec<_>>());
        changed
    }

    /// Removes a Secret.
    pub fn remove_secret(&mut self, place: usize, namespace: &str) {
        if let Some(slots) = self.secrets.get_mut(namespace) {
            if let Some(slot) = slots.get_mut(place) {
                *slot = None;
            }
            if slots.iter().all(Option::is_none) {
                self.secrets.remove(namespace);
            }
        }
    }

    /// The preferred kubeconfig of a hosted cluster.
    pub fn kubeconfig(&self, key: &ClusterKey) -> Option<KubeconfigSecret> {
        let slots = self.secrets.get(&key.control_plane_namespace())?;
        // The next best is used until the best one exists: the sets of nodes can be written with each of them, and users wait.
        let mut found = KUBECONFIG_SECRETS.into_iter().zip(slots);
        found.find_map(|(name, version)| Some(KubeconfigSecret { name, resource_version: version.clone()? }))
    }

    /// Adds or updates a NodePool. Returns the affected hosted clusters.
    pub fn apply_pool(&mut self, pool: SeenPool) -> Vec<ClusterKey> {
        let SeenPool { cluster, name, known } = pool;
        // The name of its cluster is immutable in HyperShift. If it changes nevertheless, remove it from the old cluster.
        let pools = Arc::make_mut(self.pools.entry(cluster.clone()).or_default());
        let before = pools.insert(name, known.clone());
        if before == Some(known) { Vec::new() } else { vec![cluster] }
    }

    /// Replaces all NodePools, except those with these namespaces and names, which cannot be decoded: a NodePool that is
    /// missing has its mirrors removed from its nodes.
    pub fn replace_pools(&mut self, pools: Vec<SeenPool>, invalid: &[(String, String)]) -> Vec<ClusterKey> {
        let mut before = std::mem::take(&mut self.pools);
        for pool in pools {
            self.apply_pool(pool);
        }
        for (cluster, known) in &before {
            for (_, name) in invalid.iter().filter(|(namespace, _)| *namespace == cluster.namespace) {
                if let Some(known) = known.get(name).cloned() {
                    self.apply_pool(SeenPool { cluster: cluster.clone(), name: name.clone(), known });
                }
            }
        }
        let now = self.pools.keys().filter(|key| self.pools.get(*key) != before.get(*key)).cloned();
        let mut changed: Vec<ClusterKey> = now.collect();
        before.retain(|key, _| !self.pools.contains_key(key));
        changed.extend(before.into_keys());
        changed
    }

    /// Removes a NodePool. Returns its hosted cluster.
    pub fn remove_pool(&mut self, pool: &SeenPool) -> ClusterKey {
        self.remove_pool_of(&pool.cluster, &pool.name);
        pool.cluster.clone()
    }

    /// Removes a NodePool whose hosted cluster is not known.
    pub fn remove_pool_named(&mut self, namespace: &str, name: &str) -> Vec<ClusterKey> {
        let has_it = |(cluster, pools): &(&ClusterKey, &Arc<BTreeMap<String, KnownPool>>)| {
            cluster.namespace == namespace && pools.contains_key(name)
        };
        let clusters: Vec<ClusterKey> = self.pools.iter().filter(has_it).map(|(cluster, _)| cluster.clone()).collect();
        for cluster in &clusters {
            self.remove_pool_of(cluster, name);
        }
        clusters
    }

    fn remove_pool_of(&mut self, cluster: &ClusterKey, name: &str) {
        if let Some(pools) = self.pools.get_mut(cluster) {
            Arc::make_mut(pools).remove(name);
            if pools.is_empty() {
                self.pools.remove(cluster);
            }
        }
    }

    /// The NodePools of a hosted cluster, by name.
    pub fn pools(&self, key: &ClusterKey) -> Arc<BTreeMap<String, KnownPool>> {
        self.pools.get(key).cloned().unwrap_or_default()
    }

    /// The result of the last reconcile of a guest.
    pub fn outcome(&self, key: &ClusterKey) -> Option<Arc<GuestOutcome>> {
        self.outcomes.get(key).cloned()
    }

    /// Stores the result of a reconcile. Returns whether it has changed.
    pub fn record_outcome(&mut self, key: &ClusterKey, outcome: GuestOutcome) -> bool {
        let changed = self.outcomes.get(key).is_none_or(|before| **before != outcome);
        if changed {
            self.outcomes.insert(key.clone(), Arc::new(outcome));
        }
        changed
    }

    /// Drops the results for all guests, because another replica leads and its reports are newer.
    pub fn end_term(&mut self) {
        self.outcomes.clear();
    }

    /// Drops the result for a guest.
    pub fn forget(&mut self, key: &ClusterKey) {
        self.outcomes.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use hypermirror_api::hypershift::NodePoolSpec;

    use super::*;

    fn secret(version: &str) -> SecretMeta {
        SecretMeta { namespace: "clusters-west".into(), resource_version: version.into() }
    }

    fn west() -> ClusterKey {
        ClusterKey { namespace: "clusters".into(), name: "west".into() }
    }

    fn pool(name: &str) -> SeenPool {
        let mut pool = NodePool::new(name, NodePoolSpec { cluster_name: "west".into(), ..NodePoolSpec::default() });
        pool.metadata.namespace = Some("clusters".into());
        SeenPool::from(&pool)
    }

    #[test]
    fn the_identity_that_may_write_comes_first() {
        let mut guests = Guests::default();
        assert!(guests.apply_secret(2, &secret("1")));
        assert_eq!(guests.kubeconfig(&west()).unwrap().name, "admin-kubeconfig");
        guests.apply_secret(0, &secret("2"));
        assert_eq!(guests.kubeconfig(&west()).unwrap().name, "hcco-kubeconfig");
        assert!(!guests.apply_secret(0, &secret("2")) && guests.apply_secret(0, &secret("3")));
        assert_eq!(guests.replace_secrets(0, &[]), ["clusters-west"]);
        assert_eq!(guests.kubeconfig(&west()).unwrap().name, "admin-kubeconfig");
        guests.remove_secret(2, "clusters-west");
        assert_eq!(guests.kubeconfig(&west()), None);
    }

    #[test]
    fn a_pool_that_cannot_be_decoded_is_kept_until_it_is_deleted() {
        let mut guests = Guests::default();
        guests.replace_pools(vec![pool("a"), pool("b")], &[]);
        let invalid = |name: &str| ("clusters".to_owned(), name.to_owned());
        assert!(guests.replace_pools(vec![pool("b")], &[invalid("a"), invalid("new")]).is_empty());
        assert!(guests.pools(&west()).keys().eq(["a", "b"]));
        assert_eq!(guests.remove_pool_named("elsewhere", "a"), []);
        assert_eq!(guests.remove_pool_named("clusters", "a"), [west()]);
        assert!(guests.pools(&west()).keys().eq(["b"]));
    }

    #[test]
    fn a_changed_pool_concerns_its_cluster() {
        let mut guests = Guests::default();
        assert_eq!(guests.apply_pool(pool("a")), [west()]);
        assert!(guests.apply_pool(pool("a")).is_empty());
        assert!(guests.replace_pools(vec![pool("a")], &[]).is_empty());
        assert_eq!(guests.replace_pools(Vec::new(), &[]), [west()]);
        assert!(guests.pools(&west()).is_empty());
    }
}
