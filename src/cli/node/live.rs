//! A node of a live guest: what stands there for it, and whether it has confirmed that.

use anyhow::{Context as _, Result};
use hypermirror_api::NodeMirrorSet;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;
use kube::core::{DeserializeGuard, PartialObjectMeta};

use super::super::input::InputArgs;
use super::super::{Usage, console, guest};
use super::declared::{NodeMirrors, NodeScope, declared};
use crate::agent::sets::Set;
use crate::guest::GuestClient;
use crate::guest::summary::{AgentStatus, GuestSet, Summary, Tally};
use crate::mirrors::layers::resolve;
use hypermirror_api::ClusterKey;

const SETS: &str = "/apis/hypermirror.dev/v1alpha1/nodemirrorsets";
const STATUSES: &str = "/apis/hypermirror.dev/v1alpha1/nodemirrorstatuses";

/// What one node of a guest is given, as the guest says; tells whether the node has it.
pub async fn mirrors_of(input: &InputArgs, scope: &NodeScope, node: &str) -> Result<NodeMirrors> {
    let loaded = input.load(scope.wanted()).await?;
    let Some(cluster) = loaded.select(scope.hosted_cluster.as_ref())? else {
        return Err(Usage::error("the cluster has no HostedCluster, whose node could be meant"));
    };
    let key = ClusterKey::of(cluster);
    let client = guest::connect(&input.connection.connect().await?, &key).await?;
    read(&client, &key, node).await
}

/// The name of a node, which becomes a part of a path.
pub fn parse_node_name(text: &str) -> Result<String, String> {
    let is_valid = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b"-.".contains(&letter);
    let valid = !text.is_empty() && !text.starts_with('.') && text.bytes().all(is_valid);
    valid.then(|| text.to_owned()).ok_or_else(|| format!("{text:?} is no name of a node"))
}

async fn read(client: &GuestClient, key: &ClusterKey, name: &str) -> Result<NodeMirrors> {
    let asked = || format!("cannot ask the guest of {key}");
    let node: Option<PartialObjectMeta<Node>> =
        client.get(&format!("/api/v1/nodes/{name}")).await.with_context(asked)?;
    let Some(node) = node else {
        return Err(Usage::error(format!("the guest of {key} has no Node {name}")));
    };
    let mut sets: Vec<DeserializeGuard<NodeMirrorSet>> = Vec::new();
    client.each(SETS, "", |set| sets.push(set)).await.with_context(asked)?;
    let status: Option<AgentStatus> = client.get(&format!("{STATUSES}/{name}")).await.with_context(asked)?;
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
        console::error(format!("{object} in the guest of {key} is left out: {error}"));
    }
    tell(name, guest_sets.is_empty(), &summary);
    let (set, findings) = resolve(&declared.entries);
    Ok(NodeMirrors { set, findings, files: Vec::new(), of_hypershift: Vec::new() })
}

/// Says whether the node has what is said, and what on it is in the way.
fn tell(name: &str, has_no_set: bool, summary: &Summary) {
    if has_no_set {
        console::warning("the guest has no NodeMirrorSet: it is given nothing, or the manager has not been there yet");
    }
    match summary.report.behind.first() {
        None => console::note(format!("node {name} has confirmed what its sets say")),
        Some(behind) => console::note(format!(
            "node {name} has not confirmed what its sets say ({}): {}",
            behind.reason, behind.message
        )),
    }
    for shadowed in &summary.report.shadowed {
        console::warning(format!(
            "on node {name} another file hides {shadowed}; --registries-conf-dir shows what it does"
        ));
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
