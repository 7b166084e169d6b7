//! The mirrors of a node of a guest cluster, by the code of both sides: the sets that the manager pushes, and what an agent makes
//! of them.

use std::collections::BTreeMap;

use hypermirror_api::{NodeMirrorSet, names};
use k8s_openapi::api::core::v1::Node;

use super::objects::{SetInput, node_mirror_sets};
use crate::agent::desired::DeclaredMirrors;
use crate::agent::inputs::Source;
use crate::agent::sets::{Set, SetKind, Sets};
use crate::mirrors::finding::Finding;
use crate::mirrors::layers::resolve;
use crate::mirrors::{MirrorEntry, Resolved};

/// The mirrors of the nodes of a NodePool, or of a node without one. `entries` are the hosted cluster's own, valid for nodes.
///
/// # Errors
/// A set that cannot be read back.
pub fn node_mirrors(
    entries: &[MirrorEntry],
    pool: Option<&SetInput>,
) -> Result<(Resolved, Vec<Finding>), serde_json::Error> {
    let sets = node_mirror_sets(entries, pool.map(std::slice::from_ref).unwrap_or_default());
    let sets: Vec<NodeMirrorSet> = sets.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?;
    let node = node_of(pool.map(|pool| pool.name.as_str()));
    Ok(resolve(&declared(sets.iter().map(Set::of_nodes).collect(), &node).entries))
}

/// A node of a NodePool, with HyperShift's label.
fn node_of(pool: Option<&str>) -> Node {
    let label = pool.map(|pool| (names::NODE_POOL_LABEL.to_owned(), pool.to_owned()));
    let mut node = Node::default();
    node.metadata.labels = Some(label.into_iter().collect::<BTreeMap<_, _>>());
    node
}

/// The entries of the sets that match a node, selected by the agent's code.
pub fn declared(sets: Vec<Set>, node: &impl kube::Resource) -> DeclaredMirrors {
    let mut all = Sets::new(Source::Guest.kinds());
    all.set_node(node);
    all.replace(SetKind::Node, sets);
    all.declared()
}
