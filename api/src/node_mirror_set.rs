//! `NodeMirrorSet`: mirrors for the nodes of a guest cluster, as the manager pushes them and the agents read them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Mirrors for the nodes that a selector chooses.
///
/// Every set whose selector matches a node counts there; the sets of one layer are merged, and for each source the mirrors of
/// a NodePool's sets come before those of the hosted cluster's.
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
    doc = "Image mirrors for the nodes that its selector chooses; the agent on each of them writes them into the container runtime's configuration. Written by hypermirror's manager.",
    printcolumn(json_path = ".spec.layer", name = "Layer", type_ = "string", description = "Whose mirrors they are"),
    printcolumn(
        json_path = ".metadata.generation",
        name = "Generation",
        type_ = "integer",
        description = "Which edition of the set this is"
    ),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.layer != 'NodePool' || has(self.nodeSelector)", "a set of the layer NodePool needs a nodeSelector"))]
pub struct NodeMirrorSetSpec {
    /// Whose mirrors they are: for each source those of a NodePool come before those of the HostedCluster.
    pub layer: NodeLayer,
    /// The nodes that are meant, by their labels; every node if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
    /// Mirrors for pulls by digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digest_mirrors: Vec<NodeMirrors>,
    /// Mirrors for pulls by tag.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tag_mirrors: Vec<NodeMirrors>,
}

/// Whose mirrors a set has.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum NodeLayer {
    /// `imageContentSources` and `imageMirrorConfigRef` of the HostedCluster.
    #[default]
    HostedCluster,
    /// The mirror documents of one NodePool.
    NodePool,
}

/// One source with its mirrors.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NodeMirrors {
    /// `host[:port][/path]` or `*.host`.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^\S+$"))]
    pub source: String,
    /// Where to pull from instead, in order: each `host[:port][/path]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 255), inner(length(min = 1, max = 512), regex(pattern = r"^\S+$")))]
    pub mirrors: Vec<String>,
    /// Whether the source is tried when no mirror has the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror_source_policy: Option<SourcePolicy>,
    /// The object on the management cluster that declares it; the set itself if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<NodeMirrorsOrigin>,
}

/// Whether the source itself may be contacted.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum SourcePolicy {
    /// The source is tried last.
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

/// Where on the management cluster an entry is declared.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NodeMirrorsOrigin {
    /// The object's kind.
    pub kind: String,
    /// Its namespace, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The key, where it is a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The document inside that key, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<u32>,
    /// The entry's position in its list, from 0.
    pub index: u32,
}
