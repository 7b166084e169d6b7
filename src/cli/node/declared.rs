//! Resolves the mirrors of a node from the input.

use anyhow::{Context as _, Result};
use clap::Args;
use hypermirror_api::hypershift::{HostedCluster, NodePool};
use hypermirror_api::{annotations, names};
use kube::ResourceExt as _;

use super::super::input::{Input, MirrorObject, Wanted};
use super::super::{Usage, console, findings};
use crate::guest::node_mirrors::node_mirrors;
use crate::guest::objects::SetInput;
use crate::hosted::delivery::Delivery;
use crate::hosted::guest::node_entries;
use crate::hosted::pool_config::NodeFile;
use crate::mirrors::finding::Finding;
use crate::mirrors::merge::merge_layer;
use crate::mirrors::scope::best_match_in;
use crate::mirrors::validate::{Consumer, validate};
use crate::mirrors::{ImageReference, MirrorEntry, PullBy, Resolved};
use hypermirror_api::ClusterKey;

/// Selects the node.
#[derive(Args, Clone, Debug, Default)]
pub struct NodeScope {
    /// HostedCluster of the node; required if the input has several
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub hosted_cluster: Option<ClusterKey>,
    /// NodePool of the node
    #[arg(long, value_name = "NAME")]
    pub node_pool: Option<String>,
}

impl NodeScope {
    /// The objects of a live cluster that are required.
    pub fn wanted(&self) -> Wanted<'static> {
        Wanted { pools: self.node_pool.is_some(), ..Wanted::default() }
    }
}

/// The mirrors of a node.
pub struct NodeMirrors {
    pub set: Resolved,
    /// Findings about the entries.
    pub findings: Vec<Finding>,
    /// Files that the `MachineConfig`s of the NodePool write.
    pub files: Vec<NodeFile>,
    /// Objects that are ignored because HyperShift itself writes them to nodes.
    pub of_hypershift: Vec<MirrorObject>,
}

impl NodeMirrors {
    /// The objects that HyperShift itself writes to nodes and that have mirrors for an image.
    pub fn written_by_hypershift(&self, image: &str) -> Vec<String> {
        let Ok(image) = ImageReference::parse(image) else { return Vec::new() };
        let pull_by = if image.digest.is_some() { PullBy::Digest } else { PullBy::Tag };
        let name = image.name();
        let has_mirrors = |object: &&MirrorObject| {
            let is_source =
                |scope: &str| object.entries.iter().any(|entry| entry.pull_by == pull_by && entry.source == scope);
            best_match_in(&name, is_source).is_some()
        };
        self.of_hypershift.iter().filter(has_mirrors).map(|object| format!("{}/{}", object.kind, object.name)).collect()
    }
}

/// The mirrors of the hosted cluster or, if the input has no HostedCluster, those of the mirror objects in the input.
pub fn mirrors(input: &Input, scope: &NodeScope) -> Result<NodeMirrors> {
    match (input.select(scope.hosted_cluster.as_ref())?, &scope.node_pool) {
        (Some(cluster), pool) => {
            let unused = input.mirror_sets.len() + input.node_sets.len();
            if unused > 0 {
                console::note(format!(
                    "{unused} mirror sets of the management cluster are ignored: they do not apply to nodes of hosted clusters"
                ));
            }
            of_cluster(input, cluster, pool.as_deref())
        }
        (None, Some(pool)) => Err(Usage::error(format!("the input has no HostedCluster for NodePool {pool}"))),
        (None, None) => {
            let (entries, of_hypershift) = own_entries(input);
            let validated = validate(&entries, Consumer::Node);
            let set = merge_layer(&validated.entries);
            Ok(NodeMirrors { set, findings: validated.findings, files: Vec::new(), of_hypershift })
        }
    }
}

/// The entries of mirror objects that agents read, and the objects that HyperShift writes to nodes.
fn own_entries(input: &Input) -> (Vec<MirrorEntry>, Vec<MirrorObject>) {
    let (mut entries, mut of_hypershift) = (Vec::new(), Vec::new());
    for object in input.mirror_sets.iter().chain(&input.node_sets) {
        let Some(why) = object.foreign_to_nodes else {
            entries.extend(object.entries.iter().cloned());
            continue;
        };
        let label = object.labels.get(names::HYPERSHIFT_MANAGED_LABEL);
        let is_of_hypershift = label.is_some_and(|value| value == "true");
        let further = if is_of_hypershift {
            ": HyperShift itself writes its mirrors to the nodes; pass the node's files with --registries-conf to include them"
        } else {
            ""
        };
        console::note(format!("{}/{} is ignored: {why}{further}", object.kind, object.name));
        of_hypershift.extend(is_of_hypershift.then(|| object.clone()));
    }
    (entries, of_hypershift)
}

/// As the manager and the agent do: creates the sets for the guest cluster and selects those that match the node.
pub fn of_cluster(input: &Input, cluster: &HostedCluster, pool: Option<&str>) -> Result<NodeMirrors> {
    let key = ClusterKey::of(cluster);
    let pools = input.pools_of(&key);
    let chosen = pool.map(|name| find(&pools, name, &key)).transpose()?;
    let is_delivered = is_delivered(cluster, chosen);
    let own = input.whole_sources(cluster)?;
    let (entries, mut all_findings) = node_entries(own.entries.iter());
    all_findings.extend(own.findings);
    let pools = set_inputs(input, cluster, chosen.as_slice())?;
    let set = if is_delivered {
        let mirrors = node_mirrors(&entries, pools.first());
        let (set, found) = mirrors.context("failed to decode a generated NodeMirrorSet")?;
        all_findings.extend(found);
        set
    } else {
        Resolved::default()
    };
    let files = chosen.map(|pool| input.pool_sources(pool).files).unwrap_or_default();
    for file in &files {
        console::note(format!(
            "MachineConfig {} in ConfigMap {}/{} writes {} on these nodes; the file is included",
            file.machine_config, key.namespace, file.config_map, file.path
        ));
    }
    Ok(NodeMirrors { set, findings: all_findings, files, of_hypershift: Vec::new() })
}

fn find<'p>(pools: &[&'p NodePool], name: &str, key: &ClusterKey) -> Result<&'p NodePool> {
    let found = pools.iter().find(|pool| pool.metadata.name.as_deref() == Some(name)).copied();
    found.ok_or_else(|| {
        let names: Vec<String> = pools.iter().map(|pool| pool.name_any()).collect();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Usage::error(format!("HostedCluster {key} has no NodePool {name} in the input (available: {known})"))
    })
}

/// Whether agents deliver mirrors to these nodes. Writes a note if not.
fn is_delivered(cluster: &HostedCluster, pool: Option<&NodePool>) -> bool {
    findings::report_deliveries(cluster, pool.as_slice());
    let of_cluster = Delivery::of(cluster);
    let requested = pool.and_then(|pool| Delivery::requested(pool).0).filter(|_| of_cluster != Delivery::None);
    let delivery = Delivery::of_pool(of_cluster, requested);
    if !delivery.is_by_agent() {
        let object = match pool.filter(|_| requested.is_some()) {
            Some(pool) => format!("NodePool/{}", ClusterKey::of(pool)),
            None => format!("HostedCluster/{}", ClusterKey::of(cluster)),
        };
        let (key, value) = (annotations::NODE_DELIVERY, delivery.as_str());
        let what =
            if delivery == Delivery::None { "no mirrors" } else { "their mirrors only at boot, without an agent" };
        console::note(format!("{object}: annotation {key} is {value}: its nodes get {what}"));
    }
    delivery.is_by_agent()
}

/// The NodePools as input for the sets of a guest cluster.
///
/// # Errors
/// A ConfigMap of a NodePool that is not usable.
pub fn set_inputs(input: &Input, cluster: &HostedCluster, pools: &[&NodePool]) -> Result<Vec<SetInput>> {
    let of = |pool: &&NodePool| {
        let sources = input.whole_pool_sources(pool)?;
        let (entries, found) = node_entries(sources.entries.iter());
        findings::report(sources.findings.iter().chain(&found));
        let delivery = Delivery::of_pool(Delivery::of(cluster), Delivery::requested(*pool).0);
        Ok(SetInput { name: pool.name_any(), entries, delivered: delivery.is_by_agent() })
    };
    pools.iter().map(of).collect()
}
