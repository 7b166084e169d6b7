//! Names that stay the same across versions: group, field managers, Lease, Deployments, environment variables.

/// The API group of hypermirror's kinds.
pub const GROUP: &str = "hypermirror.dev";

/// The field manager of every write on the management cluster. Renaming it would orphan fields.
pub const FIELD_MANAGER: &str = "hypermirror";

/// The field manager of the agent, which writes one NodeMirrorStatus.
pub const AGENT_FIELD_MANAGER: &str = "hypermirror-agent";

/// The label of objects that the manager applies to a guest cluster. An agent that reads the mirror objects of its own
/// cluster ignores objects with this label: they exist for builds and image imports.
pub const MANAGED_LABEL: &str = "hypermirror.dev/managed";

/// The label, with the value `true`, of objects that stock HyperShift manages in a guest cluster.
pub const HYPERSHIFT_MANAGED_LABEL: &str = "hypershift.openshift.io/managed";

/// The manager's Lease, in the manager's own namespace.
pub const LEASE: &str = "hypermirror-manager";

/// The reporting controller of events.
pub const EVENT_CONTROLLER: &str = "hypermirror.dev/manager";

/// The field manager of the registry-manager.
pub const REGISTRY_FIELD_MANAGER: &str = "hypermirror-registry-manager";

/// The registry-manager's Lease, in its own namespace.
pub const REGISTRY_LEASE: &str = "hypermirror-registry-manager";

/// The reporting controller of the registry-manager's events.
pub const REGISTRY_EVENT_CONTROLLER: &str = "hypermirror.dev/registry-manager";

/// The label of Jobs, ConfigMaps, Secrets and pods of builds: the UID of their ImageBuilder.
pub const IMAGE_BUILDER_LABEL: &str = "hypermirror.dev/image-builder-uid";

/// The environment variable that stock HyperShift's operators read (`support/util/util.go`, a list `source=mirror,…`).
pub const OVERRIDES_ENV: &str = "OPENSHIFT_IMG_OVERRIDES";

/// The argument that stock HyperShift's operators read (pflag `StringToString`; one mirror for each source).
pub const OVERRIDES_ARGUMENT: &str = "--registry-overrides";

/// The field manager of the hypershift operator's full updates (measured on the real operator).
pub const HYPERSHIFT_OPERATOR_MANAGER: &str = "hypershift-operator-manager";

/// The field manager of the control-plane-operator's full updates (measured on the real operator).
pub const CONTROL_PLANE_OPERATOR_MANAGER: &str = "hypershift-controlplane-manager";

/// The user of the hypershift operator in a default installation.
pub const HYPERSHIFT_OPERATOR_USER: &str = "system:serviceaccount:hypershift:operator";

/// The field of `HostedCluster.spec` that names a ConfigMap with mirrors; stock HyperShift's types do not have it.
pub const IMAGE_MIRROR_CONFIG_REF_FIELD: &str = "imageMirrorConfigRef";

/// HyperShift's label, with the value `true`, on the namespace of each hosted control plane
/// (HyperShift, `hypershift-operator/controllers/hostedcluster/hostedcluster_controller.go`).
pub const CONTROL_PLANE_NAMESPACE_LABEL: &str = "hypershift.openshift.io/hosted-control-plane";

/// The CRD of HostedClusters: hypermirror may be installed before HyperShift.
pub const HOSTED_CLUSTERS_CRD: &str = "hostedclusters.hypershift.openshift.io";

/// The CRD of MirrorCoverages: the manager may be installed without the registry-manager.
pub const MIRROR_COVERAGES_CRD: &str = "mirrorcoverages.hypermirror.dev";

/// The CRD of HostedClusterMirrors: the registry-manager may be installed without the manager.
pub const HOSTED_CLUSTER_MIRRORS_CRD: &str = "hostedclustermirrors.hypermirror.dev";

/// The CRD of NodePools.
pub const NODE_POOLS_CRD: &str = "nodepools.hypershift.openshift.io";

/// The CRD of HostedControlPlanes, which name the owners of control-plane namespaces.
pub const HOSTED_CONTROL_PLANES_CRD: &str = "hostedcontrolplanes.hypershift.openshift.io";

/// The `MutatingWebhookConfiguration`.
pub const WEBHOOK_CONFIGURATION: &str = "hypermirror";

/// The Service of the webhook, in the manager's own namespace.
pub const WEBHOOK_SERVICE: &str = "hypermirror-webhook";

/// The path of the webhook. It is the same in all versions, because replicas of two versions serve it during an upgrade.
pub const WEBHOOK_PATH: &str = "/admit";

/// The Secret with the webhook's certificate, in the manager's own namespace: cert-manager or service-ca writes it.
pub const WEBHOOK_SECRET: &str = "hypermirror-webhook-certificate";

/// The `MutatingAdmissionPolicy` objects, and the binding of each, by the same name.
pub const ADMISSION_POLICIES: [&str; 2] = ["hypermirror-targets", "hypermirror-hosted-clusters"];

/// HyperShift's label on a NodePool's nodes: the NodePool's name.
pub const NODE_POOL_LABEL: &str = "hypershift.openshift.io/nodePool";

/// The NodeMirrorSet with the hosted cluster's own mirrors.
pub const CLUSTER_SET: &str = "cluster";

/// Name of the IDMS and ITMS that hypermirror applies to a guest cluster. Those named `cluster` belong to HyperShift.
pub const GUEST_MIRRORS: &str = "hypermirror";

/// The name of the NodeMirrorSet of one NodePool.
pub fn node_pool_set(name: &str) -> String {
    format!("nodepool-{name}")
}

/// Whether the manager owns a NodeMirrorSet of this name. Sets that users create have other names.
pub fn is_pushed_set(name: &str) -> bool {
    name == CLUSTER_SET || name.starts_with("nodepool-")
}

/// The namespace of a HostedCluster's control plane: `<namespace>-<name with dots as dashes>`
/// (HyperShift, `hypershift-operator/controllers/manifests/manifests.go`).
pub fn control_plane_namespace(namespace: &str, name: &str) -> String {
    format!("{namespace}-{}", name.replace('.', "-"))
}

#[cfg(test)]
mod tests {
    use super::control_plane_namespace;

    #[test]
    fn dots_of_a_cluster_name_become_dashes_in_its_namespace() {
        assert_eq!(control_plane_namespace("clusters", "a.b.c"), "clusters-a-b-c");
        assert_eq!(control_plane_namespace("clusters.x", "a"), "clusters.x-a");
    }
}
