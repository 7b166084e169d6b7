//! Annotations: what users set on HyperShift's objects, and what hypermirror writes.

/// On a HostedCluster: the name of a ConfigMap in its namespace with the keys `idms.yaml` and `itms.yaml`.
pub const IMAGE_MIRROR_CONFIG_REF: &str = "hypermirror.dev/image-mirror-config-ref";

/// On a NodePool: names of ConfigMaps in its namespace, separated by commas, each with a key `config` like those of
/// `spec.config`. Stock HyperShift does not see them: no edit of them replaces a node, and tag mirrors are allowed.
pub const CONFIG: &str = "hypermirror.dev/config";

/// On a HostedCluster: `Use` (default) or `Ignore` the mirrors of the management cluster.
pub const MANAGEMENT_MIRRORS: &str = "hypermirror.dev/management-mirrors";

/// On a HostedCluster: any value but `false` stops every write for it.
pub const PAUSED: &str = "hypermirror.dev/paused";

/// On a HostedCluster or a NodePool: how mirrors get to its nodes, `Agent` (default), `Rollout`, `AgentAndRollout` or
/// `None`.
pub const NODE_DELIVERY: &str = "hypermirror.dev/node-delivery";

/// Written on a HostedCluster: a digest of the management mirrors that stock operators were last asked to read, and of
/// what they had read before.
///
/// Stock HyperShift reads ICSP and IDMS only when a HostedCluster changes; changing this annotation is that change.
pub const MIRRORS_OBSERVED: &str = "hypermirror.dev/mirrors-observed";

/// Written on a target Deployment's own metadata: the admitted override map, whole, in the format of
/// `OPENSHIFT_IMG_OVERRIDES`. It survives the full updates of stock operators, which our env var does not.
pub const OVERRIDES: &str = "hypermirror.dev/overrides";

/// Written on a target Deployment's own metadata: entries that a stock value still names although hypermirror knows that
/// they are nobody else's and are not wanted; same format as [`OVERRIDES`].
pub const RETIRED: &str = "hypermirror.dev/retired";

/// Written on a target Deployment's own metadata: the appended argument, so that it can be recognised and removed.
pub const APPENDED_ARGUMENT: &str = "hypermirror.dev/registry-overrides-argument";

/// Written on a target Deployment's own metadata while the rollout budget is on: when the rollout of its hosted cluster
/// began (RFC 3339), in the very patch that restarts it. It is in flight until the report says that this one is `Done`.
pub const ROLLOUT: &str = "hypermirror.dev/rollout";

/// Read on the manager's Lease: lets one mass removal through; its value is the token that the condition names.
pub const ALLOW_REMOVAL: &str = "hypermirror.dev/allow-removal";

/// Read on a HostedCluster and on the manager's Lease: `true` has everything of ours taken away, from one hosted cluster or
/// from all.
pub const UNINSTALL: &str = "hypermirror.dev/uninstall";

/// Written on the manager's Lease: the mirror kinds that were once there, comma-separated (`icsp,idms,itms`).
pub const KNOWN_KINDS: &str = "hypermirror.dev/known-kinds";

/// Read on HostedControlPlanes and Deployments: marks a Deployment that stock HyperShift reconciles.
pub const STOCK_DESIRED_STATE_HASH: &str = "hypershift.openshift.io/desired-state-hash";

/// Set by users on a HostedCluster for stock HyperShift: the image of the catalog `certified-operators`, by digest
/// (HyperShift, `api/hypershift/v1beta1/hostedcluster_types.go`, like the four below).
pub const CERTIFIED_CATALOG_IMAGE: &str = "hypershift.openshift.io/certified-operators-catalog-image";

/// The image of the catalog `community-operators`, by digest.
pub const COMMUNITY_CATALOG_IMAGE: &str = "hypershift.openshift.io/community-operators-catalog-image";

/// The image of the catalog `redhat-operators`, by digest.
pub const REDHAT_CATALOG_IMAGE: &str = "hypershift.openshift.io/redhat-operators-catalog-image";

/// Declared by HyperShift and read by nothing: it has no such catalog any more.
pub const MARKETPLACE_CATALOG_IMAGE: &str = "hypershift.openshift.io/redhat-marketplace-catalog-image";

/// Where the images of all catalogs come from, `registry.redhat.io/redhat=mirror,...`.
pub const CATALOG_REGISTRY_OVERRIDES: &str = "hypershift.openshift.io/olm-catalogs-is-registry-overrides";

/// Those annotations of a HostedCluster that are about its OLM catalogs.
pub const OF_CATALOGS: [&str; 5] = [
    CERTIFIED_CATALOG_IMAGE,
    COMMUNITY_CATALOG_IMAGE,
    REDHAT_CATALOG_IMAGE,
    MARKETPLACE_CATALOG_IMAGE,
    CATALOG_REGISTRY_OVERRIDES,
];

/// Set by stock HyperShift on the Deployment of a catalog whose image follows an ImageStream.
pub const IMAGE_TRIGGERS: &str = "image.openshift.io/triggers";
