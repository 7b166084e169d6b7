//! Resolves the mirrors of a node from the NodeMirrorSets in a live guest cluster.

use anyhow::{Context as _, Result};
use hypermirror_api::{NodeMirrorSet, names};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;
use kube::core::{DeserializeGuard, PartialObjectMeta};

use super::super::input::InputArgs;
use super::super::{Usage, console, guest};
use super::declared::{NodeMirrors, NodeScope};
use crate::agent::sets::Set;
use crate::guest::GuestClient;
use crate::guest::node_mirrors::declared;
use crate::guest::summary::{AgentStatus, GuestSet, Tally};
use crate::mirrors::layers::resolve;
use hypermirror_api::ClusterKey;

const SETS: &str = "/apis/hypermirror.dev/v1alpha1/nodemirrorsets";
const STATUSES: &str = "/apis/hypermirror.dev/v1alpha1/nodemirrorstatuses";

/// The mirrors of a node. Reports whether the node has applied them.
pub async fn mirrors_of(input: &InputArgs, scope: &NodeScope, node: &str) -> Result<NodeMirrors> {
    let loaded = input.load(scope.wanted()).await?;
    let Some(cluster) = loaded.select(scope.hosted_cluster.as_ref())? else {
        return Err(Usage::error("the cluster has no HostedCluster, which --node requires"));
    };
    let key = ClusterKey::of(cluster);
    let client = guest::connect(&input.connection.connect().await?, &key).await?;
    let live = read_node(&client, &key, node).await?;
    live.state.report(node);
    Ok(live.mirrors)
}

/// A node of a live guest cluster.
pub struct LiveNode {
    /// The mirrors that are declared for it.
    pub mirrors: NodeMirrors,
    /// The NodePool to which it belongs.
    pub pool: Option<String>,
    /// Whether they are in force.
    pub state: NodeState,
}

/// Whether a node has applied its mirrors.
pub struct NodeState {
    /// Whether the guest cluster has no NodeMirrorSet.
    pub has_no_set: bool,
    /// The reason and the message, if the node has not applied them.
    pub behind: Option<(String, String)>,
    /// Sources that other files on the node override.
    pub shadowed: Vec<String>,
}

/// Validates the name of a node, because it becomes a segment of a request's path.
pub fn parse_node_name(text: &str) -> Result<String, String> {
    let is_valid = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b"-.".contains(&letter);
    let valid = !text.is_empty() && !text.starts_with('.') && text.bytes().all(is_valid);
    valid.then(|| text.to_owned()).ok_or_else(|| format!("{text:?} is not a valid name for a node"))
}

/// Reads the mirrors of a node of a guest cluster.
pub async fn read_node(client: &GuestClient, key: &ClusterKey, name: &str) -> Result<LiveNode> {
    let requested = || format!("failed to read from the guest cluster of {key}");
    let node: Option<PartialObjectMeta<Node>> =
        client.get(&format!("/api/v1/nodes/{name}")).await.with_context(requested)?;
    let Some(node) = node else {
        return Err(Usage::error(format!("the guest cluster of {key} has no Node {name}")));
    };
    let mut sets: Vec<DeserializeGuard<NodeMirrorSet>> = Vec::new();
    client.each(SETS, "", |set| sets.push(set)).await.with_context(requested)?;
    let status: Option<AgentStatus> = client.get(&format!("{STATUSES}/{name}")).await.with_context(requested)?;
    let guest_sets = sets.iter().filter_map(|set| set.0.as_ref().ok()).map(|set| GuestSet {
        name: set.name_any(),
        uid: set.uid().unwrap_or_default(),
        generation: set.metadata.generation.unwrap_or_default(),
        selector: set.spec.node_selector.clone(),
    });
    let guest_sets: Vec<GuestSet> = guest_sets.collect();
    let mut tally = Tally::new(&guest_sets);
    tally.node(name, node.labels());
    if let Some(status) = &status {
        tally.status(status);
    }
    let summary = tally.finish();
    let read_sets = sets.iter().map(|set| match &set.0 {
        Ok(set) => Set::of_nodes(set),
        Err(invalid) => Set::unreadable(invalid),
    });
    let declared = declared(read_sets.collect(), &node);
    for (object, error) in &declared.malformed {
        console::error(format!("failed to decode {object} in the guest cluster of {key}, which is ignored: {error}"));
    }
    let behind = summary.report.behind.first().map(|node| (node.reason.clone(), node.message.clone()));
    let state = NodeState { has_no_set: guest_sets.is_empty(), behind, shadowed: summary.report.shadowed };
    let pool = node.labels().get(names::NODE_POOL_LABEL).cloned();
    let (set, findings) = resolve(&declared.entries);
    Ok(LiveNode { mirrors: NodeMirrors { set, findings, files: Vec::new(), of_hypershift: Vec::new() }, pool, state })
}

impl NodeState {
    /// Reports whether the node has applied its sets, and files on it that override them.
    fn report(&self, name: &str) {
        if self.has_no_set {
            console::warning(
                "the guest cluster has no NodeMirrorSet: no mirrors are declared, or the manager has not reconciled it yet",
            );
        }
        match &self.behind {
            None => console::note(format!("node {name} has applied its NodeMirrorSets")),
            Some((reason, message)) => {
                console::note(format!("node {name} has not applied its NodeMirrorSets ({reason}): {message}"));
            }
        }
        for shadowed in &self.shadowed {
            console::warning(format!(
                "another file on node {name} overrides {shadowed}; pass the node's files with --registries-conf-dir to see its effect"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_node_is_one_part_of_a_path() {
        assert_eq!(parse_node_name("ip-10-0-0-1.ec2.internal").as_deref(), Ok("ip-10-0-0-1.ec2.internal"));
        for wrong in ["", "..", "a/b", "a?x", "A", "a b"] {
            assert!(parse_node_name(wrong).is_err(), "{wrong:?}");
        }
    }
}
