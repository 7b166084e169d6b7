//! The ConfigMaps that HostedClusters and NodePools of the input reference, and the mirrors in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail};
use hypermirror_api::hypershift::{HostedCluster, NodePool};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;

use super::Input;
use crate::hosted::condition_state::SourceTrouble;
use crate::hosted::mirror_config::{self, MirrorReference, reference};
use crate::hosted::pool_config::{self, LastDocuments, PoolConfig, PoolSources};
use crate::hosted::sources::{OwnSources, ReferredConfig};
use hypermirror_api::ClusterKey;

impl Input {
    /// The ConfigMap that a HostedCluster references, and a problem with the reference.
    pub(super) fn reference(&self, cluster: &HostedCluster) -> (Option<MirrorReference>, Option<SourceTrouble>) {
        let key = ClusterKey::of(cluster);
        let report = self.reports.iter().find(|report| ClusterKey::of(*report) == key);
        reference(cluster, true, report.and_then(|report| report.status.as_ref()))
    }

    /// The mirrors of a HostedCluster, and problems with its ConfigMap.
    pub fn own_sources(&self, cluster: &HostedCluster) -> OwnSources {
        let key = ClusterKey::of(cluster);
        let mut own = OwnSources::of_cluster(cluster);
        let (reference, trouble) = self.reference(cluster);
        own.problems.extend(trouble);
        if let Some(reference) = reference {
            let found = self.referred(&key.namespace, &reference.name, mirror_config::read);
            own.refer(&key.namespace, reference, found, None);
        }
        own
    }

    /// The mirrors of a HostedCluster, or an error if its ConfigMap is not usable: a partial result would be misleading.
    pub fn whole_sources(&self, cluster: &HostedCluster) -> Result<OwnSources> {
        let own = self.own_sources(cluster);
        if own.is_lost {
            bail!("HostedCluster/{}: {}", ClusterKey::of(cluster), texts(&own.problems));
        }
        Ok(own)
    }

    /// The mirrors of a NodePool, and problems with its ConfigMaps.
    pub fn pool_sources(&self, pool: &NodePool) -> PoolSources {
        let namespace = pool.namespace().unwrap_or_default();
        let found = |name: &str| self.referred(&namespace, name, pool_config::read);
        PoolSources::new(&namespace, &PoolConfig::of(pool), found, &LastDocuments::default()).0
    }

    /// The mirrors of a NodePool, or an error if one of its ConfigMaps is not usable.
    pub fn whole_pool_sources(&self, pool: &NodePool) -> Result<PoolSources> {
        let sources = self.pool_sources(pool);
        if !sources.lost.is_empty() {
            bail!("NodePool/{}: {}", ClusterKey::of(pool), texts(&sources.problems));
        }
        Ok(sources)
    }

    fn referred<C>(
        &self,
        namespace: &str,
        name: &str,
        read: impl Fn(&str, &str, &BTreeMap<String, String>) -> C,
    ) -> ReferredConfig<C> {
        let is = |config_map: &&ConfigMap| {
            config_map.metadata.namespace.as_deref() == Some(namespace)
                && config_map.metadata.name.as_deref() == Some(name)
        };
        let Some(found) = self.config_maps.iter().find(is) else { return ReferredConfig::Missing };
        let empty = BTreeMap::new();
        let config = read(namespace, name, found.data.as_ref().unwrap_or(&empty));
        ReferredConfig::Read(Arc::new(config), found.resource_version().unwrap_or_default())
    }
}

fn texts(problems: &[SourceTrouble]) -> String {
    problems.iter().map(|trouble| trouble.message.as_str()).collect::<Vec<_>>().join("; ")
}
