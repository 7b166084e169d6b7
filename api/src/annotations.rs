//! Annotations that users set on HyperShift's objects, and annotations that hypermirror writes.

/// On a HostedCluster: the name of a ConfigMap in its namespace with the keys `idms.yaml` and `itms.yaml`.
pub const IMAGE_MIRROR_CONFIG_REF: &str = "hypermirror.dev/image-mirror-config-ref";

/// On a NodePool: comma-separated names of ConfigMaps in its namespace, each with a key `config` like those in
/// `spec.config`. Stock HyperShift does not read them, so an edit replaces no node, and tag mirrors are allowed.
pub const CONFIG: &str = "hypermirror.dev/config";

/// On a HostedCluster: `Use` (default) or `Ignore` the mirrors of the management cluster.
pub const MANAGEMENT_MIRRORS: &str = "hypermirror.dev/management-mirrors";

/// On a HostedCluster: `off`, `warn` or `enforce`, instead of the manager's `--require-proof`.
pub const REQUIRE_PROOF: &str = "hypermirror.dev/require-proof";

/// On a HostedCluster: lets sources without a fallback go live although their mirrors are not proven. The value is the token in
/// the message of the condition.
pub const ALLOW_UNPROVEN: &str = "hypermirror.dev/allow-unproven";

/// On a HostedCluster: any value except `false` pauses all writes for it.
pub const PAUSED: &str = "hypermirror.dev/paused";

/// On a HostedCluster or a NodePool: how mirrors are delivered to its nodes. `Agent` (default), `Rollout`, `AgentAndRollout`
/// or `None`.
pub const NODE_DELIVERY: &str = "hypermirror.dev/node-delivery";

/// Written on a HostedCluster: a digest of the management mirrors, and of the mirrors before the last change.
///
/// Stock HyperShift reads ICSPs and IDMSs only when it reconciles a HostedCluster. A change of this annotation triggers that.
pub const MIRRORS_OBSERVED: &str = "hypermirror.dev/mirrors-observed";

/// Written on a target Deployment's own metadata: the complete admitted override map, in the format of
/// `OPENSHIFT_IMG_OVERRIDES`. Unlike the appended environment variable, it survives the full updates of stock operators.
pub const OVERRIDES: &str = "hypermirror.dev/overrides";

/// Written on a target Deployment's own metadata: entries that hypermirror removed from the map and that the stock value
/// still contains. Same format as [`OVERRIDES`].
pub const RETIRED: &str = "hypermirror.dev/retired";

/// Written on a target Deployment's own metadata: the appended argument, so that hypermirror can identify and remove it.
pub const APPENDED_ARGUMENT: &str = "hypermirror.dev/registry-overrides-argument";

/// Written on a target Deployment's own metadata if `--max-concurrent-rollouts` is set: when the rollout of its hosted
/// cluster started (RFC 3339). The patch that restarts the Deployment sets it. The rollout is in flight until the report has
/// it as `Done`.
pub const ROLLOUT: &str = "hypermirror.dev/rollout";

/// Read on the manager's Lease: approves one held removal. The value is the token in the message of the condition.
pub const ALLOW_REMOVAL: &str = "hypermirror.dev/allow-removal";

/// On a Registry: any value that differs from `status.lastHandledScanNow` starts a scan.
pub const SCAN_NOW: &str = "hypermirror.dev/scan-now";

/// On a MirrorCoverage: any value that differs from `status.lastHandledCheckNow` starts a check.
pub const CHECK_NOW: &str = "hypermirror.dev/check-now";

/// On a HostedCluster: comma-separated registries, `host[:port]`, that fetch what they are asked for from elsewhere. Coverage asks
/// them only for manifests.
pub const PULL_THROUGH: &str = "hypermirror.dev/pull-through";

/// On a HostedCluster: `true` lets the registry-manager copy what its mirrors lack. Has no effect without `--fill` and
/// `--destination-allow`.
pub const FILL: &str = "hypermirror.dev/fill";

/// On an Image: any value that differs from `status.lastHandledCopyNow` starts a run.
pub const COPY_NOW: &str = "hypermirror.dev/copy-now";

/// On an ImageBuilder: any value that differs from `status.lastHandledBuildNow` starts a build.
pub const BUILD_NOW: &str = "hypermirror.dev/build-now";

/// Written on the Jobs, ConfigMaps, Secrets and pods of a build: `namespace/name` of the ImageBuilder.
pub const IMAGE_BUILDER: &str = "hypermirror.dev/image-builder";

/// Read on a HostedCluster and on the manager's Lease: `true` removes hypermirror from one hosted cluster, or from all.
pub const UNINSTALL: &str = "hypermirror.dev/uninstall";

/// Written on the manager's Lease: the mirror kinds whose CRDs were found, comma-separated (`icsp,idms,itms`).
pub const KNOWN_KINDS: &str = "hypermirror.dev/known-kinds";

/// Written on objects in guest clusters: the term of leadership (`leaseTransitions` of the manager's Lease) in which the
/// object was last written. A manager of an earlier term does not write it.
pub const TERM: &str = "hypermirror.dev/term";

/// Read on HostedControlPlanes and Deployments: stock HyperShift sets it on the Deployments that it reconciles.
pub const STOCK_DESIRED_STATE_HASH: &str = "hypershift.openshift.io/desired-state-hash";

/// Written by stock HyperShift on a HostedControlPlane: `namespace/name` of its HostedCluster
/// (HyperShift, `hypershift-operator/controllers/hostedcluster/hostedcluster_controller.go`).
pub const HOSTED_CLUSTER: &str = "hypershift.openshift.io/cluster";

/// Set by users on a HostedCluster for stock HyperShift: the image of the catalog `certified-operators`, by digest
/// (HyperShift, `api/hypershift/v1beta1/hostedcluster_types.go`, like the four below).
pub const CERTIFIED_CATALOG_IMAGE: &str = "hypershift.openshift.io/certified-operators-catalog-image";

/// The image of the catalog `community-operators`, by digest.
pub const COMMUNITY_CATALOG_IMAGE: &str = "hypershift.openshift.io/community-operators-catalog-image";

/// The image of the catalog `redhat-operators`, by digest.
pub const REDHAT_CATALOG_IMAGE: &str = "hypershift.openshift.io/redhat-operators-catalog-image";

/// HyperShift declares this annotation and ignores it: the catalog no longer exists.
pub const MARKETPLACE_CATALOG_IMAGE: &str = "hypershift.openshift.io/redhat-marketplace-catalog-image";

/// The registries of all catalog images, `registry.redhat.io/redhat=mirror,...`.
pub const CATALOG_REGISTRY_OVERRIDES: &str = "hypershift.openshift.io/olm-catalogs-is-registry-overrides";

/// The annotations of a HostedCluster that configure its OLM catalogs.
pub const OF_CATALOGS: [&str; 5] = [
    CERTIFIED_CATALOG_IMAGE,
    COMMUNITY_CATALOG_IMAGE,
    REDHAT_CATALOG_IMAGE,
    MARKETPLACE_CATALOG_IMAGE,
    CATALOG_REGISTRY_OVERRIDES,
];

/// On a HostedCluster: `true` moves the stock images of its OLM catalogs to mirrors of the management cluster that are proven to hold
/// them.
pub const CATALOGS_FROM_MIRRORS: &str = "hypermirror.dev/olm-catalogs-from-mirrors";

/// Set by stock HyperShift on the Deployment of a catalog whose image follows an ImageStream.
pub const IMAGE_TRIGGERS: &str = "image.openshift.io/triggers";
