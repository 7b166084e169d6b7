//! HyperShift's kinds, `hypershift.openshift.io/v1beta1`, as far as hypermirror reads them.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// The part of `HostedCluster.spec` that we read.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[kube(
    group = "hypershift.openshift.io",
    version = "v1beta1",
    kind = "HostedCluster",
    plural = "hostedclusters",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct HostedClusterSpec {
    /// Digest mirrors of the hosted cluster; each has a source and mirrors, never a policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_content_sources: Vec<ImageContentSource>,
    /// The ConfigMap of mirror sets, where the CRD has this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_mirror_config_ref: Option<LocalObjectReference>,
    /// Where the OLM catalogs run: `management` (also when unset) or `guest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub olm_catalog_placement: Option<String>,
    /// What the guest is configured with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<ClusterConfiguration>,
    /// `true`, or an RFC 3339 time until which HyperShift leaves the cluster alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<String>,
}

/// The part of `HostedCluster.spec.configuration` that we read.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct ClusterConfiguration {
    /// OLM's catalogs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operatorhub: Option<OperatorHub>,
}

/// The part of an OperatorHub's spec that we read (`config/v1/types_operatorhub.go`).
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct OperatorHub {
    /// No catalog of HyperShift's runs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_all_default_sources: bool,
}

/// One element of `HostedCluster.spec.imageContentSources`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct ImageContentSource {
    /// The repository, namespace or registry that images are named by.
    pub source: String,
    /// Where to pull from instead, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
}

/// A reference to an object in the same namespace.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct LocalObjectReference {
    /// The object's name.
    pub name: String,
}

/// The part of `NodePool.spec` that we read.
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
    pub cluster_name: String,
    /// ConfigMaps in the same namespace, each with a key `config`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<LocalObjectReference>,
}

/// What HyperShift says about a NodePool.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolStatus {
    /// Its conditions; `ValidMachineConfig` is about `spec.config`.
    pub conditions: Vec<NodePoolCondition>,
}

/// A condition of a NodePool: looser than those of Kubernetes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolCondition {
    /// Its name.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// For a person.
    pub message: String,
}

/// The part of a HostedControlPlane that we read; named like its HostedCluster, in the control-plane namespace.
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
    /// The release that the control plane and, unless a NodePool says otherwise, the nodes run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_image: Option<String>,
}

/// What HyperShift knows about a control plane.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct HostedControlPlaneStatus {
    /// Where nodes reach the API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane_endpoint: Option<ApiEndpoint>,
}

/// A host and a port.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct ApiEndpoint {
    /// A DNS name or an address.
    pub host: String,
    /// The port.
    pub port: i32,
}
