//! The fields of HyperShift's kinds (`hypershift.openshift.io/v1beta1`) that hypermirror reads.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::null::null_as_default;

/// The part of `HostedCluster.spec` that hypermirror reads.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[kube(
    group = "hypershift.openshift.io",
    version = "v1beta1",
    kind = "HostedCluster",
    plural = "hostedclusters",
    namespaced,
    status = "HostedClusterStatus",
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct HostedClusterSpec {
    /// Digest mirrors of the hosted cluster, without a policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "null_as_default")]
    pub image_content_sources: Vec<ImageContentSource>,
    /// The ConfigMap with mirror sets, if the CRD has this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_mirror_config_ref: Option<LocalObjectReference>,
    /// Where the OLM catalogs run: `management` (default) or `guest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub olm_catalog_placement: Option<String>,
    /// Configuration of the guest cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<ClusterConfiguration>,
    /// `true`, or an RFC 3339 time until which HyperShift does not reconcile the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<String>,
    /// The desired release of nodes, and of the control plane unless `control_plane_release` overrides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// The desired release of the control plane, if it differs from that of the nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane_release: Option<Release>,
    /// The Secret with the credentials for images, key `.dockerconfigjson`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_secret: Option<LocalObjectReference>,
    /// The ConfigMap with additional certificate authorities, key `ca-bundle.crt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_trust_bundle: Option<LocalObjectReference>,
}

/// A release image.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct Release {
    /// The image reference of the release.
    #[serde(deserialize_with = "null_as_default")]
    pub image: String,
}

/// The part of `HostedCluster.status` that hypermirror reads.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct HostedClusterStatus {
    /// The releases of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionStatus>,
    /// The releases of the control plane. Older versions of HyperShift do not have this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane_version: Option<VersionStatus>,
}

/// The part of `HostedCluster.status.version` that hypermirror reads.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct VersionStatus {
    /// The releases that were applied, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "null_as_default")]
    pub history: Vec<AppliedRelease>,
    /// The releases that the cluster can be updated to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "null_as_default")]
    pub available_updates: Vec<AvailableUpdate>,
}

/// A release that was applied.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct AppliedRelease {
    /// `Completed`, or `Partial` if the update is in progress or failed.
    #[serde(deserialize_with = "null_as_default")]
    pub state: String,
    /// The version. Empty if it is not known yet.
    #[serde(deserialize_with = "null_as_default")]
    pub version: String,
    /// The image reference of the release.
    #[serde(deserialize_with = "null_as_default")]
    pub image: String,
}

/// A release that the cluster can be updated to.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct AvailableUpdate {
    /// The version.
    #[serde(deserialize_with = "null_as_default")]
    pub version: String,
    /// The image reference of the release.
    #[serde(deserialize_with = "null_as_default")]
    pub image: String,
}

/// The part of `HostedCluster.spec.configuration` that hypermirror reads.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct ClusterConfiguration {
    /// Configuration of the OLM catalogs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operatorhub: Option<OperatorHub>,
}

/// The part of an OperatorHub's spec that hypermirror reads (`config/v1/types_operatorhub.go`).
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct OperatorHub {
    /// Whether HyperShift's default catalogs are disabled.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[serde(deserialize_with = "null_as_default")]
    pub disable_all_default_sources: bool,
}

/// One element of `HostedCluster.spec.imageContentSources`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct ImageContentSource {
    /// The repository, namespace or registry in the names of images.
    #[serde(deserialize_with = "null_as_default")]
    pub source: String,
    /// The mirrors, in the order in which they are tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "null_as_default")]
    pub mirrors: Vec<String>,
}

/// A reference to an object in the same namespace.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct LocalObjectReference {
    /// The object's name.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
}

/// The part of `NodePool.spec` that hypermirror reads.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[kube(
    group = "hypershift.openshift.io",
    version = "v1beta1",
    kind = "NodePool",
    plural = "nodepools",
    namespaced,
    status = "NodePoolStatus",
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolSpec {
    /// The HostedCluster in the same namespace that its nodes belong to.
    #[serde(deserialize_with = "null_as_default")]
    pub cluster_name: String,
    /// ConfigMaps in the same namespace, each with a key `config`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(deserialize_with = "null_as_default")]
    pub config: Vec<LocalObjectReference>,
    /// The desired release of its nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
}

/// The part of `NodePool.status` that hypermirror reads.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolStatus {
    /// Its conditions. `ValidMachineConfig` is the one for `spec.config`.
    #[serde(deserialize_with = "null_as_default")]
    pub conditions: Vec<NodePoolCondition>,
    /// The version that all its nodes have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A condition of a NodePool. Its schema is less strict than `metav1.Condition`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolCondition {
    /// Type of the condition.
    #[serde(rename = "type")]
    #[serde(deserialize_with = "null_as_default")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    #[serde(deserialize_with = "null_as_default")]
    pub status: String,
    /// Human-readable details.
    #[serde(deserialize_with = "null_as_default")]
    pub message: String,
}

/// The part of a HostedControlPlane that hypermirror reads. It has the name of its HostedCluster and is in the control-plane namespace.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[kube(
    group = "hypershift.openshift.io",
    version = "v1beta1",
    kind = "HostedControlPlane",
    plural = "hostedcontrolplanes",
    namespaced,
    status = "HostedControlPlaneStatus",
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct HostedControlPlaneSpec {
    /// The release image of the control plane, and of the nodes unless a NodePool overrides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_image: Option<String>,
}

/// The part of `HostedControlPlane.status` that hypermirror reads.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct HostedControlPlaneStatus {
    /// The address of the API server for nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane_endpoint: Option<ApiEndpoint>,
}

/// A host and a port.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct ApiEndpoint {
    /// A DNS name or an address.
    #[serde(deserialize_with = "null_as_default")]
    pub host: String,
    /// The port.
    #[serde(deserialize_with = "null_as_default")]
    pub port: i32,
}
