//! The mirror objects of a guest cluster: NodeMirrorSets for its nodes, IDMS and ITMS for image imports and builds.

use hypermirror_api::node_mirror_set::{NodeLayer, NodeMirrorSetSpec, NodeMirrors, NodeMirrorsOrigin};
use hypermirror_api::{NodeMirrorSet, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde_json::{Value, json};

use super::{GuestKinds, labels};
use crate::mirrors::merge::merge_layer;
use crate::mirrors::{DeclaredPolicy, Mirror, MirrorEntry, Origin, Policy, PullBy, Resolved};

/// One node pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetInput {
    /// The NodePool's name, which its nodes have as a label.
    pub name: String,
    /// Its mirrors that are valid for nodes.
    pub entries: Vec<MirrorEntry>,
    /// Whether mirrors are delivered to its nodes.
    pub delivered: bool,
}

/// The sets `cluster` and `nodepool-<name>`.
pub fn node_mirror_sets(entries: &[MirrorEntry], pools: &[SetInput]) -> Vec<Value> {
    let left_out: Vec<String> = pools.iter().filter(|pool| !pool.delivered).map(|pool| pool.name.clone()).collect();
    let cluster_selector = (!left_out.is_empty()).then(|| LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: names::NODE_POOL_LABEL.to_owned(),
            operator: "NotIn".to_owned(),
            values: Some(left_out),
        }]),
        ..LabelSelector::default()
    });
    let cluster = set(names::CLUSTER_SET, NodeLayer::HostedCluster, cluster_selector, entries);
    let pools = pools.iter().filter(|pool| pool.delivered).map(|pool| {
        let selector = LabelSelector {
            match_labels: Some([(names::NODE_POOL_LABEL.to_owned(), pool.name.clone())].into()),
            ..LabelSelector::default()
        };
        set(&names::node_pool_set(&pool.name), NodeLayer::NodePool, Some(selector), &pool.entries)
    });
    std::iter::once(cluster).chain(pools).collect()
}

fn set(name: &str, layer: NodeLayer, node_selector: Option<LabelSelector>, entries: &[MirrorEntry]) -> Value {
    let of = |pull_by: PullBy| entries.iter().filter(move |entry| entry.pull_by == pull_by).map(node_mirrors).collect();
    let spec =
        NodeMirrorSetSpec { layer, node_selector, digest_mirrors: of(PullBy::Digest), tag_mirrors: of(PullBy::Tag) };
    let mut value = serde_json::to_value(NodeMirrorSet::new(name, spec)).unwrap_or_default();
    value["metadata"]["labels"] = labels();
    value
}

fn node_mirrors(entry: &MirrorEntry) -> NodeMirrors {
    NodeMirrors {
        source: entry.source.clone(),
        mirrors: entry.mirrors.clone(),
        mirror_source_policy: match entry.policy {
            Some(DeclaredPolicy::Known(policy)) => Some(policy),
            _ => None,
        },
        origin: Some(origin(&entry.origin)),
    }
}

fn origin(origin: &Origin) -> NodeMirrorsOrigin {
    NodeMirrorsOrigin {
        kind: origin.kind.clone(),
        namespace: origin.namespace.clone(),
        name: origin.name.clone(),
        key: origin.key.clone(),
        document: origin.document.and_then(|document| document.try_into().ok()),
        index: origin.index.try_into().unwrap_or(u32::MAX),
    }
}

/// IDMS and ITMS `hypermirror`: the hosted-cluster layer without `imageContentSources`, which are in HyperShift's own IDMS
/// `cluster`. An object without entries is omitted.
pub fn mirror_objects(entries: &[MirrorEntry], kinds: GuestKinds) -> Vec<Value> {
    let own: Vec<MirrorEntry> = entries.iter().filter(|entry| !entry.is_image_content_source()).cloned().collect();
    let resolved = merge_layer(&own);
    let mut objects = Vec::new();
    if kinds.digest_mirror_sets {
        let list = elements(&resolved, PullBy::Digest);
        objects.extend(mirror_object("ImageDigestMirrorSet", "imageDigestMirrors", &list));
    }
    if kinds.tag_mirror_sets {
        let list = elements(&resolved, PullBy::Tag);
        objects.extend(mirror_object("ImageTagMirrorSet", "imageTagMirrors", &list));
    }
    objects
}

fn elements(resolved: &Resolved, pull_by: PullBy) -> Vec<Value> {
    let elements = resolved.sources.iter().filter_map(|(source, found)| {
        let mirrors: &[Mirror] = if pull_by == PullBy::Digest { &found.digest_mirrors } else { &found.tag_mirrors };
        let mirrors: Vec<&str> = mirrors.iter().map(|mirror| mirror.location.as_str()).collect();
        let mut element = json!({"source": source, "mirrors": mirrors});
        if found.policy == Policy::NeverContactSource {
            element["mirrorSourcePolicy"] = found.policy.as_str().into();
        }
        (!mirrors.is_empty()).then_some(element)
    });
    elements.collect()
}

fn mirror_object(kind: &str, list: &str, elements: &[Value]) -> Option<Value> {
    (!elements.is_empty()).then(|| {
        json!({
            "apiVersion": "config.openshift.io/v1",
            "kind": kind,
            "metadata": {"name": names::GUEST_MIRRORS, "labels": labels()},
            "spec": {list: elements},
        })
    })
}
