//! `HostedClusterMirrors`: the report about one HostedCluster, with the same namespace and name.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::schema;

/// Says which image mirrors one hosted cluster has, where each comes from, and whether its control plane has them.
///
/// It is written by hypermirror and has a status only: the mirrors themselves are declared in ImageDigestMirrorSets,
/// ImageTagMirrorSets, ImageContentSourcePolicies and on the HostedCluster.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[kube(
    group = "hypermirror.dev",
    version = "v1alpha1",
    kind = "HostedClusterMirrors",
    plural = "hostedclustermirrors",
    singular = "hostedclustermirrors",
    shortname = "hcm",
    category = "hypershift",
    namespaced,
    status = "HostedClusterMirrorsStatus",
    derive = "PartialEq",
    doc = "Which image mirrors one hosted cluster has, where each comes from, and whether its control plane has them. Written by hypermirror, with the namespace and name of the HostedCluster; status only.",
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        name = "Ready",
        type_ = "string",
        description = "Whether every mirror is in force everywhere"
    ),
    printcolumn(
        json_path = ".status.sourceCount",
        name = "Sources",
        type_ = "integer",
        description = "Sources that have mirrors"
    ),
    printcolumn(
        json_path = ".status.controlPlane.summary",
        name = "Control-Plane",
        type_ = "string",
        description = "Target Deployments up to date, of those that exist"
    ),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"GuestSynced\")].status",
        name = "Guest",
        type_ = "string",
        description = "Whether the guest has every object that it is given"
    ),
    printcolumn(
        json_path = ".status.nodes.summary",
        name = "Nodes",
        type_ = "string",
        description = "Nodes that have their mirrors, of all"
    ),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        name = "Reason",
        type_ = "string",
        priority = 1,
        description = "Why it is ready or not"
    ),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct HostedClusterMirrorsSpec {}

/// What hypermirror found and did for one hosted cluster.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct HostedClusterMirrorsStatus {
    /// The generation of the HostedCluster that this status is about. (Not `observedGeneration`: generic health checks
    /// compare that with the generation of the report itself, which never moves.)
    pub hosted_cluster_generation: i64,
    /// `SourcesResolved`, `ControlPlaneUpToDate`, `GuestSynced`, `NodesUpToDate`, `BootstrapCovered`, `CatalogsValid` and `Ready`; True is good.
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// How many sources have mirrors for this cluster's control plane.
    pub source_count: i64,
    /// The override map, ascending by source; cut at a byte budget (`sourcesCut` says how many are missing).
    pub sources: Vec<SourceReport>,
    /// How many sources are left out of `sources` because the list would be too long.
    #[serde(skip_serializing_if = "is_zero")]
    pub sources_cut: i64,
    /// Invalid entries that were left out, and warnings about entries that are valid and yet break pulls; cut at 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingReport>,
    /// The ConfigMap of mirror sets that the HostedCluster refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror_config: Option<MirrorConfigReport>,
    /// The NodePools that have a configuration, by name; cut at 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node_pools: Vec<NodePoolReport>,
    /// The ConfigMaps that nodes boot with, by NodePool.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub boot: Vec<BootReport>,
    /// The control plane's Deployments.
    pub control_plane: ControlPlaneReport,
    /// The guest cluster; absent as long as nothing is known about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestReport>,
    /// The guest's nodes; absent as long as nothing is known about them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodesReport>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands a reference
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// One source with its mirrors.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceReport {
    /// `host[:port][/path]` or `*.host`.
    pub source: String,
    /// Mirrors for pulls by digest, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub digest_mirrors: Vec<String>,
    /// Mirrors for pulls by tag, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tag_mirrors: Vec<String>,
    /// `AllowContactingSource` or `NeverContactSource`.
    pub policy: String,
    /// Which objects say so, for example `ImageDigestMirrorSet/release[0]` (the number is the entry's place in its list).
    pub origins: Vec<String>,
}

/// One thing that is wrong with what was declared.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct FindingReport {
    /// `Error` (the entry was left out) or `Warning`.
    pub severity: String,
    /// Why, from a closed set.
    pub reason: String,
    /// The object and entry, for example `ImageDigestMirrorSet/release[0]`.
    pub origin: String,
    /// What a person needs to mend it.
    pub message: String,
}

/// A HostedCluster's reference to a ConfigMap of mirror sets.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct MirrorConfigReport {
    /// The ConfigMap's name.
    pub name: String,
    /// Where the HostedCluster says so.
    pub place: ReferencePlace,
    /// The `resourceVersion` of the ConfigMap whose mirrors are in force; empty as long as none was valid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub in_force: String,
}

/// Where a reference to a ConfigMap of mirror sets stands.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ReferencePlace {
    /// `spec.imageMirrorConfigRef`.
    #[default]
    Field,
    /// The annotation `hypermirror.dev/image-mirror-config-ref`.
    Annotation,
    /// Nowhere but here: it stood in the field, which the HostedCluster CRD has lost.
    Pruned,
}

/// The state of the control plane's Deployments.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlPlaneReport {
    /// Up-to-date targets of the existing ones, for example `3/3`.
    pub summary: String,
    /// Each existing target, by name.
    pub targets: Vec<TargetReport>,
    /// The last rollout that the rollout budget counted; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutReport>,
}

/// One rollout under the rollout budget.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutReport {
    /// When it began (RFC 3339): the annotation `hypermirror.dev/rollout` of the targets that it changed.
    pub started: String,
    /// `InFlight`, `Failed` (not back in time) or `Done` (every target is rolled out and available).
    pub state: RolloutState,
    /// How many hosted clusters might change at a time then.
    pub limit: i64,
}

/// How far a rollout is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum RolloutState {
    /// The targets are not all rolled out and available yet, or more of them are still to change.
    #[default]
    InFlight,
    /// They are not within the timeout.
    Failed,
    /// They are.
    Done,
}

/// The configuration of one NodePool.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolReport {
    /// The NodePool's name.
    pub name: String,
    /// Its ConfigMaps: those of `spec.config`, then those of `hypermirror.dev/config`.
    pub config_maps: Vec<String>,
    /// Whether every document of them was read and is valid.
    pub valid: bool,
    /// Why, from a closed set.
    pub reason: String,
    /// The same for a person.
    pub message: String,
}

/// The ConfigMap with the file that the nodes of one NodePool boot with.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct BootReport {
    /// The NodePool's name.
    pub node_pool: String,
    /// The ConfigMap, in the control-plane namespace.
    pub config_map: String,
    /// A digest of its content: nodes are replaced when it moves.
    pub digest: String,
}

/// What the guest cluster has of us.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct GuestReport {
    /// The Secret that we reach it with.
    pub kubeconfig: String,
    /// How many objects of ours it has.
    pub objects: i64,
    /// The sets of mirrors for its nodes, with their generations, such as `cluster@3`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<String>,
}

/// What the agents of a guest report.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodesReport {
    /// Nodes that have their mirrors, of all, for example `12/12`.
    pub summary: String,
    /// How many nodes there are.
    pub total: i64,
    /// How many of them have what their sets say now.
    pub applied: i64,
    /// The nodes that do not, with the reason; cut at 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<NodeReport>,
    /// How many entries were left out on nodes, counted once for each node.
    #[serde(skip_serializing_if = "is_zero")]
    pub rejected_count: i64,
    /// The entries that were left out on nodes, each once; cut at 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<FindingReport>,
    /// Sources that another file on a node hides, as `source by file`; cut at 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadowed: Vec<String>,
}

/// A node that does not have its mirrors.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeReport {
    /// The node's name.
    pub name: String,
    /// Why, from a closed set.
    pub reason: String,
    /// The same for a person.
    pub message: String,
}

/// One target Deployment.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetReport {
    /// The Deployment's name.
    pub name: String,
    /// Whether its process reads exactly the wanted map.
    pub up_to_date: bool,
    /// Why it is not up to date, or what is worth knowing although it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The same for a person.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Entries of the admitted value, or of the stock value where that stands alone, that are somebody else's and are kept,
    /// as `source=mirror,…`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub foreign: String,
    /// A digest of the annotation `hypermirror.dev/overrides` that `foreign` belongs to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub admitted: String,
}

fn conditions_schema(_: &mut SchemaGenerator) -> Schema {
    schema::conditions(
        "`SourcesResolved`, `ControlPlaneUpToDate`, `GuestSynced`, `NodesUpToDate`, `BootstrapCovered`, `CatalogsValid` and `Ready`; True is good.",
        "the HostedCluster",
    )
}
