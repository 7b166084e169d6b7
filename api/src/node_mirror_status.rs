//! `NodeMirrorStatus`: what the agent of one node did, named like the node.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::report::FindingReport;
use super::schema;

/// Says whether one node has the mirrors of its sets, and what was left out.
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
    doc = "Whether one node has the mirrors of its NodeMirrorSets. Written by the agent on the node of the same name; status only.",
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Applied\")].status",
        name = "Applied",
        type_ = "string",
        description = "Whether the file on the node says what its sets want"
    ),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Reloaded\")].status",
        name = "Reloaded",
        type_ = "string",
        description = "Whether the container runtime has read that file"
    ),
    printcolumn(
        json_path = ".status.sourceCount",
        name = "Sources",
        type_ = "integer",
        description = "Sources that have mirrors"
    ),
    printcolumn(
        json_path = ".status.rejectedCount",
        name = "Rejected",
        type_ = "integer",
        description = "Entries that were left out on this node"
    ),
    printcolumn(
        json_path = ".status.agentVersion",
        name = "Agent",
        type_ = "string",
        priority = 1,
        description = "The agent's version"
    ),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct NodeMirrorStatusSpec {}

/// What the agent did.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeMirrorStatusStatus {
    /// `Applied` and `Reloaded`; True is good.
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// The objects that the file was made of, ascending by kind and name.
    pub observed_sets: Vec<ObservedSet>,
    /// How many sources have mirrors on this node.
    pub source_count: i64,
    /// The SHA-256 digest of the file as it is on the node, `sha256:` and hexadecimal; empty where there is none.
    pub content_hash: String,
    /// Whether the container runtime has to read the file yet.
    pub pending_reload: bool,
    /// How many entries were left out.
    pub rejected_count: i64,
    /// The entries that were left out, and why; cut at 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<FindingReport>,
    /// What is used and may yet surprise, and what other files on the node get wrong; cut at 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<FindingReport>,
    /// Sources of ours that a later file on the node hides; cut at 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadowed: Vec<Shadowed>,
    /// The agent's version.
    pub agent_version: String,
}

/// An object that the file was made of.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservedSet {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its `metadata.uid`.
    pub uid: String,
    /// Its `metadata.generation` at that time.
    pub generation: i64,
}

/// A source of ours that has no effect on the node.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", default)]
pub struct Shadowed {
    /// The source.
    pub source: String,
    /// The file whose table counts instead.
    pub by: String,
}

fn conditions(_: &mut SchemaGenerator) -> Schema {
    schema::conditions("`Applied` and `Reloaded`; True is good.", "the NodeMirrorStatus itself, always 0")
}
