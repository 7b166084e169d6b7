//! `NodeMirrorSet`: mirrors for the nodes of a guest cluster. The manager writes them, the agents read them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Mirrors for the nodes that match a label selector.
///
/// A node uses all sets that match its labels. Sets of the same layer are merged. For each source, the mirrors of the layer
/// `NodePool` come before those of the layer `HostedCluster`.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq)]
#[kube(
    group = "hypermirror.dev",
    version = "v1alpha1",
    kind = "NodeMirrorSet",
    plural = "nodemirrorsets",
    singular = "nodemirrorset",
    shortname = "nms",
    category = "hypershift",
    derive = "PartialEq",
    doc = "NodeMirrorSet declares image mirrors for the nodes that match its selector. The agent on each node writes them to the configuration of the container runtime. The manager of hypermirror creates and updates these objects.",
    printcolumn(
        json_path = ".spec.layer",
        name = "Layer",
        type_ = "string",
        description = "Whether the mirrors belong to the HostedCluster or to a NodePool"
    ),
    printcolumn(
        json_path = ".metadata.generation",
        name = "Generation",
        type_ = "integer",
        description = "Generation of the set"
    ),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.layer != 'NodePool' || has(self.nodeSelector)", "a set of the layer NodePool needs a nodeSelector"))]
pub struct NodeMirrorSetSpec {
    /// Whether the mirrors belong to the HostedCluster or to a NodePool. For each source, the mirrors of the layer `NodePool`
    /// come before those of the layer `HostedCluster`.
    pub layer: NodeLayer,
    /// Label selector for nodes. If unset, the set applies to all nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
    /// Mirrors for pulls by digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digest_mirrors: Vec<NodeMirrors>,
    /// Mirrors for pulls by tag.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tag_mirrors: Vec<NodeMirrors>,
}

/// The layer of a set of mirrors.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum NodeLayer {
    /// Mirrors that the HostedCluster declares: `imageContentSources` and the ConfigMap that it references.
    #[default]
    HostedCluster,
    /// Mirrors in the ConfigMaps that one NodePool references.
    NodePool,
}

/// A source and its mirrors.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NodeMirrors {
    /// The source: `host[:port][/path]` or `*.host`.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^\S+$"))]
    pub source: String,
    /// The mirrors, in the order in which they are tried. Each is `host[:port][/path]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 255), inner(length(min = 1, max = 512), regex(pattern = r"^\S+$")))]
    pub mirrors: Vec<String>,
    /// Whether the source is tried when no mirror has the image. The default is `AllowContactingSource`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror_source_policy: Option<SourcePolicy>,
    /// The object on the management cluster that declares this entry. If unset, the set itself declares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<NodeMirrorsOrigin>,
}

/// Whether the source is tried after its mirrors.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourcePolicy {
    /// The source is tried last.
    #[default]
    AllowContactingSource,
    /// The source is never tried.
    NeverContactSource,
}

impl SourcePolicy {
    /// The name as the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowContactingSource => "AllowContactingSource",
            Self::NeverContactSource => "NeverContactSource",
        }
    }
}

/// The object on the management cluster that declares an entry.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NodeMirrorsOrigin {
    /// Kind of the object.
    pub kind: String,
    /// Namespace of the object, if it is namespaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the object.
    pub name: String,
    /// Key in the ConfigMap, if the object is a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Index of the YAML document in that key, starting at 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // The API server knows no unsigned formats and warns about them.
    #[schemars(extend("format" = "int64"))]
    pub document: Option<u32>,
    /// Index of the entry in its list, starting at 0.
    #[schemars(extend("format" = "int64"))]
    pub index: u32,
}
