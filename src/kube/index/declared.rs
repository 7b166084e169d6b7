//! What each hosted cluster declares itself, with the ConfigMaps that it refers to.

use std::collections::{BTreeMap, BTreeSet};

use super::config_maps::LoadedConfigMap;
use super::{ClusterKey, Index};
use crate::fleet::mirror_config::{MirrorReference, reference};
use crate::fleet::pool_config::{LastDocuments, PoolSources};
use crate::fleet::report::SourceTrouble;
use crate::fleet::sources::{LastConfig, OwnSources, ReferredConfig};
use crate::kube::index::cluster::Cluster;

/// What a hosted cluster declares, and which of it is to be remembered.
type Declared = (OwnSources, Option<LastConfig>);

impl Index {
    /// Whether the HostedCluster CRD has the field of the reference; true if that is news.
    pub fn serve_reference_field(&mut self, is_served: bool) -> bool {
        let is_news = self.reference_field_served != is_served;
        self.reference_field_served = is_served;
        self.revision += u64::from(is_news);
        is_news
    }

    fn reference(&self, cluster: &Cluster) -> (Option<MirrorReference>, Option<SourceTrouble>) {
        reference(&cluster.object, self.reference_field_served, cluster.report.as_deref())
    }

    /// The ConfigMaps that a hosted cluster and its NodePools refer to, by name; all in its namespace.
    pub fn referred(&self, key: &ClusterKey) -> BTreeSet<String> {
        let own = self.cluster(key).and_then(|cluster| self.reference(cluster).0).map(|reference| reference.name);
        own.into_iter().chain(self.guests.pools(key).into_values().flat_map(|pool| pool.config.names())).collect()
    }

    /// The namespaces in which somebody refers to a ConfigMap.
    pub fn referring_namespaces(&self) -> BTreeSet<String> {
        let refers = self.clusters.keys().filter(|key| !self.referred(key).is_empty());
        refers.map(|key| key.namespace.clone()).collect()
    }

    /// Every ConfigMap of a namespace that somebody refers to.
    pub fn referred_in(&self, namespace: &str) -> BTreeSet<String> {
        let of_namespace = self.clusters.keys().filter(|key| key.namespace == namespace);
        of_namespace.flat_map(|key| self.referred(key)).collect()
    }

    /// The hosted clusters that refer to one of these ConfigMaps of a namespace.
    pub fn referring(&self, namespace: &str, names: &BTreeSet<String>) -> Vec<ClusterKey> {
        let of_namespace = self.clusters.keys().filter(|key| key.namespace == namespace);
        of_namespace.filter(|key| !self.referred(key).is_disjoint(names)).cloned().collect()
    }

    /// What a hosted cluster declares itself; none as long as a ConfigMap of it has to be read first.
    pub fn own_sources(&self, key: &ClusterKey) -> Option<OwnSources> {
        self.declared(self.cluster(key)?, key).map(|(own, _)| own)
    }

    /// The same, and what of it is in force now is remembered.
    pub fn resolve_own_sources(&mut self, key: &ClusterKey) -> Option<OwnSources> {
        let (own, in_force) = self.declared(self.cluster(key)?, key)?;
        let cluster = self.clusters.get_mut(key)?;
        cluster.last_config = in_force;
        Some(own)
    }

    fn declared(&self, cluster: &Cluster, key: &ClusterKey) -> Option<Declared> {
        let mut own = OwnSources::of_cluster(&cluster.object);
        let (reference, trouble) = self.reference(cluster);
        own.troubles.extend(trouble);
        let Some(reference) = reference else { return Some((own, None)) };
        let state = self.config_maps.state(&key.namespace, &reference.name);
        let found = state.referred(LoadedConfigMap::mirrors)?;
        let in_force = own.refer(&key.namespace, reference, found, cluster.last_config.as_ref());
        Some((own, in_force))
    }

    /// What the NodePools of a hosted cluster declare, by name; what of it is in force now is remembered. None as long as
    /// a ConfigMap has to be read first.
    pub fn resolve_pool_sources(&mut self, key: &ClusterKey) -> Option<BTreeMap<String, PoolSources>> {
        let cluster = self.cluster(key)?;
        let (mut declared, mut in_force) = (BTreeMap::new(), BTreeMap::new());
        for (name, pool) in self.guests.pools(key) {
            let mut found = BTreeMap::new();
            for config_map in pool.config.config_maps() {
                let state = self.config_maps.state(&key.namespace, config_map);
                found.insert(config_map.clone(), state.referred(LoadedConfigMap::documents)?);
            }
            let nothing = LastDocuments::default();
            let last = cluster.last_documents.get(&name).unwrap_or(&nothing);
            let found = |name: &str| found.get(name).cloned().unwrap_or(ReferredConfig::Missing);
            let (sources, now) = PoolSources::new(&key.namespace, &pool.config, found, last);
            declared.insert(name.clone(), sources);
            in_force.insert(name, now);
        }
        self.clusters.get_mut(key)?.last_documents = in_force;
        Some(declared)
    }
}
