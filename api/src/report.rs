//! `HostedClusterMirrors`: the report on one HostedCluster, with the same namespace and name.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::schema;

/// Reports the image mirrors of one hosted cluster: which object declares each of them, and whether the control plane and the
/// nodes are up to date.
///
/// hypermirror writes this object. It has no spec: mirrors are declared in ImageDigestMirrorSets, ImageTagMirrorSets,
/// ImageContentSourcePolicies, on the HostedCluster and on its NodePools.
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
    doc = "HostedClusterMirrors reports the image mirrors of one HostedCluster: which object declares each of them, and whether the control plane and the nodes are up to date. hypermirror creates one for each HostedCluster, with the same namespace and name, and writes only its status.",
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        name = "Ready",
        type_ = "string",
        description = "Whether the control plane and all nodes use the declared mirrors"
    ),
    printcolumn(
        json_path = ".status.sourceCount",
        name = "Sources",
        type_ = "integer",
        description = "Number of sources that have mirrors"
    ),
    printcolumn(
        json_path = ".status.controlPlane.summary",
        name = "Control-Plane",
        type_ = "string",
        description = "Target Deployments that are up to date, out of those that exist"
    ),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"GuestSynced\")].status",
        name = "Guest",
        type_ = "string",
        description = "Whether all hypermirror objects in the guest cluster are up to date"
    ),
    printcolumn(
        json_path = ".status.nodes.summary",
        name = "Nodes",
        type_ = "string",
        description = "Nodes that use the declared mirrors, out of all Linux nodes"
    ),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        name = "Reason",
        type_ = "string",
        priority = 1,
        description = "Reason of the Ready condition"
    ),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct HostedClusterMirrorsSpec {}

/// The observed state of one hosted cluster's mirrors.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct HostedClusterMirrorsStatus {
    /// Generation of the HostedCluster for which this status was computed. It is not called `observedGeneration`
    /// because generic health checks compare that field with the generation of the report itself, which never changes.
    pub hosted_cluster_generation: i64,
    /// Conditions of type `SourcesResolved`, `ControlPlaneUpToDate`, `GuestSynced`, `NodesUpToDate`, `NodePoolConfigValid`,
    /// `BootstrapCovered`, `CatalogsValid`, `MirrorsProven` and `Ready`. True is the healthy status of each.
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// Number of sources in the override map of the control plane.
    pub source_count: i64,
    /// The override map of the control plane, sorted by source. The list is truncated at a size limit; `sourcesCut` is the
    /// number of sources that are missing from it.
    pub sources: Vec<SourceReport>,
    /// Number of sources that are missing from `sources` because the list was truncated.
    #[serde(skip_serializing_if = "is_zero")]
    pub sources_cut: i64,
    /// Entries that were ignored because they are invalid, and warnings about valid entries that do not have the effect
    /// they seem to have. At most 50, errors first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingReport>,
    /// The ConfigMap with mirror sets that the HostedCluster references.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror_config: Option<MirrorConfigReport>,
    /// The NodePools that reference configuration, sorted by name. At most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node_pools: Vec<NodePoolReport>,
    /// The ConfigMaps with the mirrors that new nodes boot with, one for each NodePool with delivery `Rollout` or
    /// `AgentAndRollout`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub boot: Vec<BootReport>,
    /// State of the control plane's Deployments.
    pub control_plane: ControlPlaneReport,
    /// Stock images of the OLM catalogs in the control plane, for which mirrors of the management cluster are checked. Only with
    /// `hypermirror.dev/olm-catalogs-from-mirrors`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub catalog_images: Vec<String>,
    /// State of the guest cluster. Unset until the manager has connected to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestReport>,
    /// State of the guest cluster's nodes. Unset until the manager has listed them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodesReport>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands a reference
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// A source and its mirrors.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceReport {
    /// The source: `host[:port][/path]` or `*.host`.
    pub source: String,
    /// Mirrors for pulls by digest, in the order in which they are tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub digest_mirrors: Vec<String>,
    /// Mirrors for pulls by tag, in the order in which they are tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tag_mirrors: Vec<String>,
    /// Whether the source itself is tried after its mirrors: `AllowContactingSource` or `NeverContactSource`.
    pub policy: String,
    /// The objects that declare this source, for example `ImageDigestMirrorSet/release[0]`. The number is the index of the
    /// entry in the object's list.
    pub origins: Vec<String>,
}

/// A problem in a declared mirror entry.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct FindingReport {
    /// `Error` if the entry is ignored, `Warning` if it is used.
    pub severity: String,
    /// One of a fixed set of reasons, in CamelCase.
    pub reason: String,
    /// The object and the index of the entry, for example `ImageDigestMirrorSet/release[0]`.
    pub origin: String,
    /// Human-readable description of the problem and how to fix it.
    pub message: String,
}

/// A HostedCluster's reference to a ConfigMap with mirror sets.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct MirrorConfigReport {
    /// Name of the ConfigMap.
    pub name: String,
    /// Where the HostedCluster references it.
    pub place: ReferencePlace,
    /// The `resourceVersion` of the ConfigMap whose mirrors are in use. Unset until a valid version was read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub in_force: String,
}

/// Where a ConfigMap with mirror sets is referenced.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum ReferencePlace {
    /// In `spec.imageMirrorConfigRef`.
    #[default]
    Field,
    /// In the annotation `hypermirror.dev/image-mirror-config-ref`.
    Annotation,
    /// In this report only: the reference was in the field, and the HostedCluster CRD no longer has that field.
    Pruned,
}

/// State of the control plane's Deployments.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlPlaneReport {
    /// Target Deployments that are up to date, out of those that exist, for example `3/3`.
    pub summary: String,
    /// The target Deployments that exist, sorted by name.
    pub targets: Vec<TargetReport>,
    /// The last rollout that counted against `--max-concurrent-rollouts`. Unset if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutReport>,
    /// The admission that restores hypermirror's entries in writes of stock operators: `Webhook`, `Policy` or `None`. Unset if it
    /// is not known. With `None`, a change by a stock operator causes a second rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admission>,
}

/// The admission that restores hypermirror's entries in writes of stock operators.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Admission {
    /// No admission is installed.
    None,
    /// The manager's webhook.
    Webhook,
    /// The `MutatingAdmissionPolicy`.
    Policy,
}

/// A rollout that counts against `--max-concurrent-rollouts`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutReport {
    /// Start time (RFC 3339). The changed Deployments have the same value in the annotation `hypermirror.dev/rollout`.
    pub started: String,
    /// `InFlight`, `Failed` (not complete within `--rollout-timeout`) or `Done` (all targets are rolled out and available).
    pub state: RolloutState,
    /// Value of `--max-concurrent-rollouts` when the rollout started.
    pub limit: i64,
}

/// Progress of a rollout.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum RolloutState {
    /// Some targets are not rolled out and available yet, or still have to be patched.
    #[default]
    InFlight,
    /// Some targets were not rolled out and available within `--rollout-timeout`.
    Failed,
    /// All targets are rolled out and available.
    Done,
}

/// State of the configuration that one NodePool references.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolReport {
    /// Name of the NodePool.
    pub name: String,
    /// The ConfigMaps that it references: those in `spec.config`, then those in the annotation `hypermirror.dev/config`.
    pub config_maps: Vec<String>,
    /// Whether all documents in these ConfigMaps were read and are valid.
    pub valid: bool,
    /// One of a fixed set of reasons, in CamelCase.
    pub reason: String,
    /// Human-readable details.
    pub message: String,
}

/// The ConfigMap with the mirrors that new nodes of one NodePool boot with.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct BootReport {
    /// Name of the NodePool.
    pub node_pool: String,
    /// Name of the ConfigMap in the control-plane namespace.
    pub config_map: String,
    /// Digest of its content. Stock HyperShift replaces the nodes when it changes.
    pub digest: String,
}

/// State of the hypermirror objects in the guest cluster.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct GuestReport {
    /// Name of the Secret whose kubeconfig the manager uses.
    pub kubeconfig: String,
    /// Number of objects that hypermirror manages in the guest cluster.
    pub objects: i64,
    /// The NodeMirrorSets in the guest cluster and their generations, for example `cluster@3`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<String>,
}

/// What the agents in the guest cluster report.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodesReport {
    /// Nodes that use the declared mirrors, out of all Linux nodes, for example `12/12`.
    pub summary: String,
    /// Number of Linux nodes.
    pub total: i64,
    /// Number of nodes that have applied the current generation of their NodeMirrorSets.
    pub applied: i64,
    /// Nodes that have not applied it, with the reason. At most 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<NodeReport>,
    /// Number of entries that nodes ignored because they are invalid. An entry counts once for each node.
    #[serde(skip_serializing_if = "is_zero")]
    pub rejected_count: i64,
    /// The entries that nodes ignored, each listed once. At most 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<FindingReport>,
    /// Sources that have no effect because another file on the node overrides them, as `SOURCE by FILE`. At most 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadowed: Vec<String>,
}

/// A node that has not applied its mirrors.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeReport {
    /// Name of the node.
    pub name: String,
    /// One of a fixed set of reasons, in CamelCase.
    pub reason: String,
    /// Human-readable details.
    pub message: String,
}

/// State of one target Deployment.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetReport {
    /// Name of the Deployment.
    pub name: String,
    /// Whether the pod template has exactly the desired override map.
    pub up_to_date: bool,
    /// Why the Deployment is not up to date, or a remark if it is. One of a fixed set of reasons.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Human-readable details.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Entries that another manager added to the override value and that hypermirror preserves, as `source=mirror,…`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub foreign: String,
    /// Digest of the annotation `hypermirror.dev/overrides` from which `foreign` was computed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub admitted: String,
}

fn conditions_schema(_: &mut SchemaGenerator) -> Schema {
    schema::conditions(
        "Conditions of type `SourcesResolved`, `ControlPlaneUpToDate`, `GuestSynced`, `NodesUpToDate`, `NodePoolConfigValid`, `BootstrapCovered`, `CatalogsValid`, `MirrorsProven` and `Ready`. True is the healthy status of each.",
        "the HostedCluster",
    )
}
