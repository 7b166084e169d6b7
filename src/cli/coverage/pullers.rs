//! Who pulls images, by the objects of the input.

use std::collections::HashSet;

use anyhow::Result;
use hypermirror_api::ClusterKey;
use hypermirror_api::hypershift::{HostedCluster, NodePool};
use kube::ResourceExt;
use serde_json::Value;

use super::super::input::Input;
use super::super::node::{self, NodeFiles, NodeMirrors, NodeScope};
use super::super::{Usage, console, findings};
use crate::documents;
use crate::hosted::pool_config::KEY;
use crate::hosted::settings::settings;
use crate::hosted::sources::{ManagementLayer, cluster_map};
use crate::mirrors::Resolved;
use crate::mirrors::finding::Finding;
use crate::mirrors::signature_policy::SignaturePolicy;
use crate::registry::coverage::demand::{NodeRules, Puller, Rules};
use crate::registry::coverage::needs::Consumer;
use crate::registry::coverage::pullers::{NodesOf, of_control_plane};

/// A hosted cluster, or the nodes that the mirror objects of the input are for.
pub struct Target<'a> {
    /// None if the input has no HostedCluster.
    pub key: Option<ClusterKey>,
    /// Its object.
    pub cluster: Option<&'a HostedCluster>,
    /// Its NodePools.
    pub pools: Vec<&'a NodePool>,
    /// Who pulls images for it.
    pub pullers: Vec<Puller>,
}

/// `namespace/name` of a NodePool.
pub fn name_of(pool: &NodePool) -> String {
    format!("{}/{}", pool.namespace().unwrap_or_default(), pool.name_any())
}

/// The HostedClusters that are asked about.
pub fn selected<'a>(input: &'a Input, wanted: Option<&ClusterKey>) -> Result<Vec<&'a HostedCluster>> {
    match wanted {
        Some(key) => Ok(input.select(Some(key))?.into_iter().collect()),
        None => Ok(input.clusters.iter().collect()),
    }
}

/// Who pulls images for each of them.
pub fn targets<'a>(
    input: &'a Input,
    selected: &[&'a HostedCluster],
    pool: Option<&str>,
    policies: &[SignaturePolicy],
) -> Result<Vec<Target<'a>>> {
    if selected.is_empty() {
        let mirrors = node::mirrors(input, &NodeScope::default())?;
        findings::report(&mirrors.findings);
        let rules = Rules::Node(Box::new(rules_of(&mirrors)?));
        let cluster_wide = policies.iter().filter(|policy| policy.namespace.is_none()).cloned().collect();
        let consumer = Consumer::Nodes(None);
        let puller = Puller { cluster: String::new(), consumer, rules, policies: cluster_wide };
        return Ok(vec![Target { key: None, cluster: None, pools: Vec::new(), pullers: vec![puller] }]);
    }
    let management = Management::of(input)?;
    let mut found = Vec::new();
    let targets = selected.iter().map(|cluster| target(input, &management, cluster, (pool, policies), &mut found));
    let targets = targets.collect::<Result<Vec<_>>>()?;
    // Pools of one cluster share most of them.
    let mut seen = HashSet::new();
    found.retain(|finding| seen.insert(finding.clone()));
    findings::report(&found);
    Ok(targets)
}

/// The mirrors of the management cluster, for its operators and for its own nodes.
struct Management {
    layer: ManagementLayer,
    nodes: NodeRules,
}

impl Management {
    fn of(input: &Input) -> Result<Self> {
        let entries = input.mirror_entries();
        Ok(Self { layer: ManagementLayer::new(&entries), nodes: NodeRules::of_management(&entries)? })
    }
}

fn target<'a>(
    input: &'a Input,
    management: &Management,
    cluster: &'a HostedCluster,
    (wanted, policies): (Option<&str>, &[SignaturePolicy]),
    found: &mut Vec<Finding>,
) -> Result<Target<'a>> {
    let key = ClusterKey::of(cluster);
    let pools = input.pools_of(&key);
    let mut of_pool = |pool: Option<&NodePool>| -> Result<Puller> {
        let name = pool.map(ResourceExt::name_any);
        let mirrors = node::of_cluster(input, cluster, name.as_deref())?;
        found.extend(mirrors.findings.iter().cloned());
        let policies = pool.map(|pool| policies_of(input, pool)).transpose()?.unwrap_or_default();
        Ok(NodesOf { pool: name, rules: rules_of(&mirrors)?, policies }.puller(&key))
    };
    if let Some(name) = wanted {
        let Some(pool) = pools.iter().find(|pool| pool.name_any() == name) else {
            return Err(Usage::error(format!("HostedCluster {key} has no NodePool {name} in the input")));
        };
        let pullers = vec![of_pool(Some(pool))?];
        return Ok(Target { key: Some(key.clone()), cluster: Some(cluster), pools, pullers });
    }
    let map = override_map(input, management, cluster)?;
    let mut pullers = of_control_plane(&key, map, &management.nodes, policies).to_vec();
    if pools.is_empty() {
        pullers.push(of_pool(None)?);
    }
    for pool in &pools {
        pullers.push(of_pool(Some(pool))?);
    }
    Ok(Target { key: Some(key.clone()), cluster: Some(cluster), pools, pullers })
}

fn override_map(input: &Input, management: &Management, cluster: &HostedCluster) -> Result<Resolved> {
    let (settings, _) = settings(cluster, jiff::Timestamp::now());
    let own = input.whole_sources(cluster)?;
    Ok(cluster_map(&management.layer, &own, settings.use_management).map.resolved.clone())
}

fn rules_of(mirrors: &NodeMirrors) -> Result<NodeRules> {
    let mut files = NodeFiles::default().read()?;
    files.add(&mirrors.files);
    let (rules, notes) = files.rules(&mirrors.set)?;
    notes.iter().for_each(console::warning);
    Ok(rules)
}

/// The policies in the ConfigMaps of a NodePool.
pub fn policies_of(input: &Input, pool: &NodePool) -> Result<Vec<SignaturePolicy>> {
    let is_named = |name: &str| pool.spec.config.iter().any(|reference| reference.name == name);
    let is_own = |map: &&k8s_openapi::api::core::v1::ConfigMap| {
        map.metadata.namespace == pool.metadata.namespace && map.metadata.name.as_deref().is_some_and(is_named)
    };
    let texts = input.config_maps.iter().filter(is_own).filter_map(|map| map.data.as_ref()?.get(KEY));
    let mut found = Vec::new();
    for text in texts {
        // What does not parse is a finding of the NodePool, and no mirror of it is used.
        let documents = documents::read(KEY, text).unwrap_or_default();
        for value in documents.into_iter().map(|document| document.value).collect::<Vec<Value>>() {
            found.extend(SignaturePolicy::of(&value)?);
        }
    }
    Ok(found)
}
