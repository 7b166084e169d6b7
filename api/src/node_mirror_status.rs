//! `NodeMirrorStatus`: the report of the agent on one node, with the same name as the node.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::report::FindingReport;
use super::schema;

/// Reports whether one node has applied the mirrors of its NodeMirrorSets, and which entries it ignored.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[kube(
    group = "hypermirror.dev",
    version = "v1alpha1",
    kind = "NodeMirrorStatus",
    plural = "nodemirrorstatuses",
    singular = "nodemirrorstatus",
    shortname = "nmst",
    category = "hypershift",
    status = "NodeMirrorStatusStatus",
    derive = "PartialEq",
    doc = "NodeMirrorStatus reports whether one node has applied the mirrors of its NodeMirrorSets. The agent on the node of the same name creates it and writes only its status.",
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Applied\")].status",
        name = "Applied",
        type_ = "string",
        description = "Whether the configuration file on the node is up to date"
    ),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Reloaded\")].status",
        name = "Reloaded",
        type_ = "string",
        description = "Whether the container runtime has loaded the configuration file"
    ),
    printcolumn(
        json_path = ".status.sourceCount",
        name = "Sources",
        type_ = "integer",
        description = "Number of sources that have mirrors"
    ),
    printcolumn(
        json_path = ".status.rejectedCount",
        name = "Rejected",
        type_ = "integer",
        description = "Number of invalid entries that this node ignores"
    ),
    printcolumn(
        json_path = ".status.agentVersion",
        name = "Agent",
        type_ = "string",
        priority = 1,
        description = "Version of the agent"
    ),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct NodeMirrorStatusSpec {}

/// The observed state of the mirrors on one node.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeMirrorStatusStatus {
    /// Conditions of type `Applied` and `Reloaded`. True is the healthy status of each.
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// The objects from which the configuration file was generated, sorted by kind and name.
    pub observed_sets: Vec<ObservedSet>,
    /// Number of sources that have mirrors on this node.
    pub source_count: i64,
    /// SHA-256 digest of the configuration file on the node, in hexadecimal with the prefix `sha256:`. Empty if the file does
    /// not exist.
    pub content_hash: String,
    /// Whether the container runtime has not loaded the configuration file yet.
    pub pending_reload: bool,
    /// Number of entries that are ignored because they are invalid.
    pub rejected_count: i64,
    /// The entries that are ignored, with the reason. At most 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<FindingReport>,
    /// Valid entries that do not have the effect they seem to have, and problems in other files on the node. At most 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<FindingReport>,
    /// Sources that have no effect because a later file on the node overrides them. At most 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadowed: Vec<Shadowed>,
    /// Version of the agent.
    pub agent_version: String,
}

/// An object from which the configuration file was generated.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservedSet {
    /// Kind of the object.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// The object's `metadata.uid`.
    pub uid: String,
    /// The object's `metadata.generation` when the file was generated.
    pub generation: i64,
}

/// A source that has no effect on the node because another file overrides it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", default)]
pub struct Shadowed {
    /// The source.
    pub source: String,
    /// Path of the file that overrides it.
    pub by: String,
}

fn conditions(_: &mut SchemaGenerator) -> Schema {
    schema::conditions(
        "Conditions of type `Applied` and `Reloaded`. True is the healthy status of each.",
        "the NodeMirrorStatus (always 0)",
    )
}
