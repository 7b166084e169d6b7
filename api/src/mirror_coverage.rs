//! `MirrorCoverage`: whether registries hold what one HostedCluster needs. It has the namespace and name of the HostedCluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::schema;

/// Reports whether the registries from which a hosted cluster pulls hold everything that it needs.
///
/// The registry-manager writes this object. It has no spec: what is needed follows from the HostedCluster and its NodePools.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[kube(
    group = "hypermirror.dev",
    version = "v1alpha1",
    kind = "MirrorCoverage",
    plural = "mirrorcoverages",
    singular = "mirrorcoverage",
    shortname = "mcov",
    category = "hypershift",
    namespaced,
    status = "MirrorCoverageStatus",
    derive = "PartialEq",
    doc = "MirrorCoverage reports whether the registries from which a HostedCluster pulls hold everything that it needs, and whether they hold the releases that it can be updated to. The registry-manager creates one for each HostedCluster, with the same namespace and name, and writes only its status.",
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Held\")].status",
        name = "Held",
        type_ = "string",
        description = "Whether registries hold everything that the hosted cluster needs"
    ),
    printcolumn(
        json_path = ".status.summary",
        name = "Images",
        type_ = "string",
        description = "Images that are held, out of all that are needed; an image counts once for each consumer"
    ),
    printcolumn(
        json_path = ".status.counts.missing",
        name = "Missing",
        type_ = "integer",
        description = "Images that a registry lacks"
    ),
    printcolumn(
        json_path = ".status.counts.unknown",
        name = "Unknown",
        type_ = "integer",
        description = "Images about which a registry gave no answer"
    ),
    printcolumn(
        json_path = ".status.updatesSummary",
        name = "Updates",
        type_ = "string",
        description = "Available updates whose images are all held, out of all available updates"
    ),
    printcolumn(
        json_path = ".status.lastCheckTime",
        name = "Checked",
        type_ = "date",
        description = "Time since the last check"
    ),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Held\")].reason",
        name = "Reason",
        type_ = "string",
        priority = 1,
        description = "Reason of the Held condition"
    ),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct MirrorCoverageSpec {}

/// The result of the last check.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct MirrorCoverageStatus {
    /// Generation of the HostedCluster that was checked. It is not called `observedGeneration` because generic health checks
    /// compare that field with the generation of this object, which never changes.
    pub hosted_cluster_generation: i64,
    /// Conditions of type `Held`, `Ready`, `Reconciling` and `Stalled`.
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// Images that are held, out of all that are needed, for example `570/570`.
    pub summary: String,
    /// Number of images for each verdict. An image counts once for each consumer that pulls it: look-ups of HyperShift's
    /// operators, control-plane pods, nodes of each NodePool.
    pub counts: CoverageCounts,
    /// What is missing. The list is truncated at a size limit.
    pub missing: Vec<MissingImage>,
    /// Whether `missing` is truncated. `hypermirror coverage` prints all.
    pub missing_truncated: bool,
    /// Why something is not known. Equal causes are listed once, at most 10.
    pub unknown: Vec<UnknownCause>,
    /// Available updates whose images are all held, out of all available updates, for example `2/3`.
    pub updates_summary: String,
    /// The releases that the hosted cluster can be updated to, as its status lists them. At most 30.
    pub available_updates: Vec<UpdateCoverage>,
    /// Copies to mirrors that lack something. Set only if the registry-manager has `--fill` and the HostedCluster has the annotation
    /// `hypermirror.dev/fill`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill: Option<MirrorFill>,
    /// How closely registries were asked: `L0` (manifests) or `L1` (all manifests and blobs).
    pub level: String,
    /// Where registries were asked from. Nodes in another network may see them differently.
    pub vantage: String,
    /// Time at which the last check ended. A check that finds what an earlier one has found updates it once in an interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_check_time: Option<Time>,
    /// Time by which the next check is made. It is made earlier if needs or mirrors change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_check_time: Option<Time>,
    /// Seconds between two checks (`--coverage-interval`).
    pub check_interval_seconds: i64,
    /// Whether the mirrors of sources without a fallback hold what these sources decide. Unset if that was not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<MirrorProof>,
    /// Digest of the needs and mirrors that were checked.
    pub inputs: String,
    /// Value of the annotation `hypermirror.dev/check-now` that the last check acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_check_now: Option<String>,
}

/// What is proven about sources without a fallback: those with `NeverContactSource`. A manager with `--require-proof=enforce` waits
/// for it before they go live.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct MirrorProof {
    /// Digest of the mirrors and needs that were checked. It proves nothing about others.
    pub subject: String,
    /// Number of sources without a fallback whose mirrors hold everything that they decide. A source counts once for each consumer.
    pub proven: i64,
    /// The other sources without a fallback. The list is truncated at a size limit.
    pub unproven: Vec<UnprovenSource>,
    /// Whether `unproven` is truncated.
    pub unproven_truncated: bool,
    /// Stock images of OLM catalogs that a mirror of the management cluster holds. Only with
    /// `hypermirror.dev/olm-catalogs-from-mirrors`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub catalogs: Vec<ProvenCatalog>,
}

/// An image of an OLM catalog that a mirror holds.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ProvenCatalog {
    /// The stock image.
    pub image: String,
    /// The same at the first mirror that answers.
    pub mirror: String,
}

/// A source without a fallback whose mirrors are not known to hold everything that it decides.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct UnprovenSource {
    /// The source.
    pub source: String,
    /// Who pulls by it: `look-ups`, `nodes`, or the name of a NodePool.
    pub consumer: String,
    /// `Missing` or `Unknown`.
    pub verdict: String,
    /// Number of images that are missing or not known. 0 if it is not known which images are needed.
    pub images: i64,
    /// The first of them.
    pub message: String,
}

/// How many images there are of each verdict.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(default)]
pub struct CoverageCounts {
    /// The first registry that answers holds them.
    pub held: i64,
    /// A registry lacks them.
    pub missing: i64,
    /// A registry gave no answer about them.
    pub unknown: i64,
}

/// One thing that a registry lacks.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct MissingImage {
    /// The image as it is declared.
    pub image: String,
    /// What it is a part of, for example `release 4.19.1`.
    pub group: String,
    /// Its name in that, for example `etcd`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Who pulls it: `look-ups`, `control-plane pods`, `nodes`, or the name of a NodePool. Several are separated by commas.
    pub consumer: String,
    /// The place that lacks it, as the consumer asks for it.
    pub mirror: String,
    /// `os/architecture` of the image that lacks a part. Unset if it concerns all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What is missing, for example `blob sha256:… is missing`.
    pub message: String,
}

/// Why something is not known.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct UnknownCause {
    /// One of a fixed set of reasons, in CamelCase.
    pub reason: String,
    /// The first error of this reason.
    pub message: String,
    /// Number of images that are not known for this reason.
    pub images: i64,
}

/// Whether the registries hold a release that the hosted cluster can be updated to.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateCoverage {
    /// The version.
    pub version: String,
    /// The release image.
    pub image: String,
    /// `Held`: the hosted cluster can be updated now. `Missing` or `Unknown`: `message` has the first cause.
    pub verdict: String,
    /// Number of images for each verdict, as in `counts`.
    pub counts: CoverageCounts,
    /// The first image that is missing or not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What was copied to mirrors that lacked it, and what was not.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct MirrorFill {
    /// Images that were copied for this hosted cluster. What another one needs at the same place counts for the first of them.
    pub copied: i64,
    /// Time of the last copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_copy_time: Option<Time>,
    /// Images that are still missing: those in `unfilled`, and those that are copied next.
    pub remaining: i64,
    /// Images that are not copied, and why; at most 20. A copy that failed is tried again after 1 min, then ever later up to 1 h.
    pub unfilled: Vec<UnfilledImage>,
}

/// An image that was not copied.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct UnfilledImage {
    /// The image as it is declared.
    pub image: String,
    /// The place that lacks it.
    pub mirror: String,
    /// One of a fixed set of reasons, in CamelCase.
    pub reason: String,
    /// Human-readable details.
    pub message: String,
}

impl MirrorCoverageStatus {
    /// The condition of this type.
    pub fn condition(&self, kind: super::CoverageConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == kind.as_str())
    }
}

fn conditions_schema(_: &mut SchemaGenerator) -> Schema {
    schema::conditions(
        "Held: whether registries hold everything that is needed. Ready: whether the last check is complete and everything is held. Reconciling: whether something is not known and is checked again soon. Stalled: whether somebody has to act.",
        "the HostedCluster",
    )
}
