//! The own mirrors of each hosted cluster, including those of referenced ConfigMaps.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use hypermirror_api::hypershift::HostedCluster;

use super::config_maps::LoadedConfigMap;
use super::{ClusterKey, Index};
use crate::hosted::condition_state::SourceTrouble;
use crate::hosted::limits::{Budget, Weight};
use crate::hosted::mirror_config::{MirrorConfig, MirrorReference, reference};
use crate::hosted::pool_config::{ConfigDocuments, LastDocuments, PoolConfig, PoolSources};
use crate::hosted::sources::{LastConfig, OwnSources, ReferredConfig};
use crate::management::index::cluster::Cluster;
use crate::mirrors::MirrorEntry;
use crate::mirrors::entry::weight;

/// A NodePool's configuration, and the known state of each of its ConfigMaps.
type DeclaredPool = (PoolConfig, BTreeMap<String, ReferredConfig<ConfigDocuments>>);

/// The inputs of a declaration at one time. All values are shared with the index, which is not locked while they are
/// combined.
#[derive(Clone, Debug)]
pub struct Declaration {
    namespace: String,
    object: Arc<HostedCluster>,
    entries: Arc<[MirrorEntry]>,
    reference: Option<(MirrorReference, ReferredConfig<MirrorConfig>)>,
    trouble: Option<SourceTrouble>,
    pools: BTreeMap<String, DeclaredPool>,
    last_config: Option<LastConfig>,
    last_documents: Arc<BTreeMap<String, LastDocuments>>,
}

/// The mirrors of a hosted cluster and its NodePools.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The mirrors of the hosted cluster.
    pub own: OwnSources,
    /// The mirrors of its NodePools, by name.
    pub pools: BTreeMap<String, PoolSources>,
    last_config: Option<LastConfig>,
    last_documents: Arc<BTreeMap<String, LastDocuments>>,
}

impl Sources {
    /// Whether the last valid entries have changed.
    pub fn is_news_to(&self, declaration: &Declaration) -> bool {
        !is_same_config(self.last_config.as_ref(), declaration.last_config.as_ref())
            || *self.last_documents != *declaration.last_documents
    }

    /// Number of mirrors.
    pub fn mirrors(&self) -> usize {
        let entries = self.pools.values().map(|pool| &pool.entries).chain([&self.own.entries]);
        entries.map(|entries| weight(entries.iter())).sum()
    }
}

impl Declaration {
    /// Combines the inputs within the limits of one hosted cluster: first its own mirrors, then its NodePools by name.
    pub fn resolve(&self) -> Sources {
        // The hosted cluster's own mirrors come first, and NodePools in the order of their names: which of them exceed the limit
        // must not depend on the order of events, or a restart would change the map.
        let mut budget = Budget::of_cluster();
        let mut own = OwnSources::of_entries(&self.entries, &mut budget);
        own.problems.extend(self.trouble.clone());
        let last_config = self.reference.as_ref().and_then(|(reference, found)| {
            let last = self.last_config.as_ref();
            let found = within(&mut budget, found, last.map(|(config, _)| config), |config| config.weight);
            own.refer(&self.namespace, reference.clone(), found.0, last.filter(|_| found.1))
        });
        let (mut pools, mut last_documents) = (BTreeMap::new(), BTreeMap::new());
        for (name, (config, found)) in &self.pools {
            let nothing = LastDocuments::default();
            let last = self.last_documents.get(name).unwrap_or(&nothing);
            let mut kept = LastDocuments::new();
            let mut within_budget = BTreeMap::new();
            for (name, found) in found {
                let (found, keeps) = within(&mut budget, found, last.get(name), |documents| documents.weight);
                kept.extend(last.get(name).filter(|_| keeps).map(|last| (name.clone(), Arc::clone(last))));
                within_budget.insert(name.as_str(), found);
            }
            let found = |name: &str| within_budget.get(name).cloned().unwrap_or(ReferredConfig::Missing);
            let (sources, now) = PoolSources::new(&self.namespace, config, found, &kept);
            pools.insert(name.clone(), sources);
            last_documents.insert(name.clone(), now);
        }
        Sources { own, pools, last_config, last_documents: Arc::new(last_documents) }
    }
}

/// The state of a ConfigMap within the limits, and whether its last valid entries, which are used if it is invalid, are within
/// the limits.
fn within<C>(
    budget: &mut Budget,
    found: &ReferredConfig<C>,
    last: Option<&Arc<C>>,
    weight: impl Fn(&C) -> Weight,
) -> (ReferredConfig<C>, bool) {
    let refused = match found {
        ReferredConfig::Read(config, _) => match budget.reserve(weight(config)) {
            Ok(()) => return (found.clone(), true),
            Err(why) => ReferredConfig::TooLarge(why),
        },
        _ => found.clone(),
    };
    (refused, last.is_some_and(|last| budget.reserve(weight(last)).is_ok()))
}

fn is_same_config(a: Option<&LastConfig>, b: Option<&LastConfig>) -> bool {
    match (a, b) {
        (Some((a, version_of_a)), Some((b, version_of_b))) => Arc::ptr_eq(a, b) && version_of_a == version_of_b,
        (a, b) => a.is_none() && b.is_none(),
    }
}

impl Index {
    /// Records whether the HostedCluster CRD has the field of the reference. Returns whether that has changed.
    pub fn serve_reference_field(&mut self, is_served: bool) -> bool {
        let is_news = self.reference_field_served != is_served;
        self.reference_field_served = is_served;
        self.revision += u64::from(is_news);
        is_news
    }

    fn reference(&self, cluster: &Cluster) -> (Option<MirrorReference>, Option<SourceTrouble>) {
        reference(&cluster.object, self.reference_field_served, cluster.report.as_deref())
    }

    /// The names of the ConfigMaps that a hosted cluster and its NodePools reference, all in its namespace.
    pub fn referred(&self, key: &ClusterKey) -> BTreeSet<String> {
        let own = self.cluster(key).and_then(|cluster| self.reference(cluster).0).map(|reference| reference.name);
        let pools = self.guests.pools(key);
        own.into_iter().chain(pools.values().flat_map(|pool| pool.config.config_maps()).cloned()).collect()
    }

    /// The namespaces with referenced ConfigMaps.
    pub fn referring_namespaces(&self) -> BTreeSet<String> {
        let refers = self.clusters.keys().filter(|key| !self.referred(key).is_empty());
        refers.map(|key| key.namespace.clone()).collect()
    }

    /// All referenced ConfigMaps of a namespace.
    pub fn referred_in(&self, namespace: &str) -> BTreeSet<String> {
        let of_namespace = self.clusters.keys().filter(|key| key.namespace == namespace);
        of_namespace.flat_map(|key| self.referred(key)).collect()
    }

    /// The hosted clusters that reference one of these ConfigMaps of a namespace.
    pub fn referring(&self, namespace: &str, names: &BTreeSet<String>) -> Vec<ClusterKey> {
        let of_namespace = self.clusters.keys().filter(|key| key.namespace == namespace);
        of_namespace.filter(|key| !self.referred(key).is_disjoint(names)).cloned().collect()
    }

    /// The declaration of a hosted cluster and its NodePools. `None` while a ConfigMap has to be read first.
    pub fn declaration(&self, key: &ClusterKey) -> Option<Declaration> {
        let cluster = self.cluster(key)?;
        let (reference, trouble) = self.reference(cluster);
        let reference = match reference {
            Some(reference) => {
                let state = self.config_maps.state(&key.namespace, &reference.name);
                Some((reference, state.referred(LoadedConfigMap::mirrors)?))
            }
            None => None,
        };
        let mut pools = BTreeMap::new();
        for (name, pool) in &*self.guests.pools(key) {
            let mut found = BTreeMap::new();
            for config_map in pool.config.config_maps() {
                let state = self.config_maps.state(&key.namespace, config_map);
                found.insert(config_map.clone(), state.referred(LoadedConfigMap::documents)?);
            }
            pools.insert(name.clone(), (pool.config.clone(), found));
        }
        Some(Declaration {
            namespace: key.namespace.clone(),
            object: Arc::clone(&cluster.object),
            entries: Arc::clone(&cluster.entries),
            reference,
            trouble,
            pools,
            last_config: cluster.last_config.clone(),
            last_documents: Arc::clone(&cluster.last_documents),
        })
    }

    /// Stores the last valid entries of a declaration, unless they have changed since it was collected.
    pub fn keep_in_force(&mut self, key: &ClusterKey, declaration: &Declaration, sources: &Sources) {
        let Some(cluster) = self.clusters.get_mut(key) else { return };
        // The declaration was resolved without the lock. If anything has changed since, another reconcile resolves it again, and
        // this result could be older than what is stored.
        let is_same = Arc::ptr_eq(&cluster.object, &declaration.object)
            && is_same_config(cluster.last_config.as_ref(), declaration.last_config.as_ref())
            && Arc::ptr_eq(&cluster.last_documents, &declaration.last_documents);
        if is_same {
            cluster.last_config.clone_from(&sources.last_config);
            if *cluster.last_documents != *sources.last_documents {
                cluster.last_documents = Arc::clone(&sources.last_documents);
            }
        }
    }

    /// Whether the referenced ConfigMap adds no entries to the map of a hosted cluster. False while it has to be read first, or
    /// cannot be read and its last content is not known.
    pub(super) fn declares_nothing(&self, key: &ClusterKey) -> bool {
        let Some(cluster) = self.cluster(key) else { return false };
        let Some(reference) = self.reference(cluster).0 else { return true };
        let state = self.config_maps.state(&key.namespace, &reference.name);
        let in_force = match state.referred(LoadedConfigMap::mirrors) {
            None => return false,
            Some(ReferredConfig::Read(config, _)) if config.problems.is_empty() => Some(config),
            Some(_) => cluster.last_config.as_ref().map(|(config, _)| Arc::clone(config)),
        };
        in_force.is_some_and(|config| !config.contributes)
    }

    /// Stores the content of a ConfigMap within the limits of its namespace. `before` is the version that was known when it was
    /// requested, because its watch may be older or newer.
    pub fn load_config_map(&mut self, content: LoadedConfigMap, before: Option<&str>) {
        let (namespace, name) = (content.namespace.clone(), content.name.clone());
        let referred = self.referred_in(&namespace);
        if !referred.contains(&name) {
            return; // no longer referenced
        }
        // Room is made before it is counted: content that nobody refers to must not push out content that somebody needs.
        self.config_maps.keep_only(&namespace, &referred);
        let content = match self.room(&namespace, &name).reserve(content.weight) {
            Ok(()) => content,
            Err(why) => content.refused(why),
        };
        self.config_maps.load(content, before);
    }

    /// Whether a ConfigMap that exceeded the limits is now within them.
    pub fn has_room(&self, content: &LoadedConfigMap) -> bool {
        content.refusal.is_some() && self.room(&content.namespace, &content.name).reserve(content.weight).is_ok()
    }

    /// The remaining limits of a namespace without one of its ConfigMaps. Last valid entries count, too.
    fn room(&self, namespace: &str, name: &str) -> Budget {
        // Counted by pointer: thirty hosted clusters that share one ConfigMap keep its entries once.
        let mut used = Weight::default();
        let mut seen = HashSet::new();
        for content in self.config_maps.loaded(namespace).filter(|content| content.name != name) {
            used = used.and(content.kept());
            seen.extend([Arc::as_ptr(&content.mirrors).cast::<()>(), Arc::as_ptr(&content.documents).cast::<()>()]);
        }
        for (_, cluster) in self.clusters().filter(|(key, _)| key.namespace == namespace) {
            if let Some((config, _)) = cluster.last_config.as_ref().filter(|(config, _)| config.name != name)
                && seen.insert(Arc::as_ptr(config).cast())
            {
                used = used.and(config.weight);
            }
            let documents = cluster.last_documents.values().flatten().filter(|(last, _)| *last != name);
            for (_, documents) in documents {
                if seen.insert(Arc::as_ptr(documents).cast()) {
                    used = used.and(documents.weight);
                }
            }
        }
        Budget::of_namespace(used)
    }
}

#[cfg(test)]
mod tests;
