//! The fields of each kind that are kept.

use hypermirror_api::annotations;

use super::shape::Keep::{self, Arguments, Bool, Digest, Environment, Name, Number, Pairs, Place, Text, Time};
use super::shape::Shape;

type Paths = &'static [(&'static str, Keep)];

const METADATA: Paths = &[
    ("kind", Name),
    ("metadata name", Name),
    ("metadata namespace", Name),
    ("metadata uid", Name),
    ("metadata generation", Number),
    ("metadata creationTimestamp", Time),
    ("metadata deletionTimestamp", Time),
    ("metadata managedFields * manager", Name),
    ("metadata managedFields * operation", Text),
    ("metadata managedFields * subresource", Text),
    ("metadata managedFields * time", Time),
];

const CONDITIONS: Paths = &[
    ("status conditions * type", Text),
    ("status conditions * status", Text),
    ("status conditions * reason", Text),
    ("status conditions * message", Text),
    ("status conditions * lastTransitionTime", Time),
    ("status conditions * observedGeneration", Number),
    ("status observedGeneration", Number),
];

const HOSTED_CLUSTER_MIRRORS: Paths = &[
    ("status hostedClusterGeneration", Number),
    ("status sourceCount", Number),
    ("status sourcesCut", Number),
    ("status sources * source", Place),
    ("status sources * digestMirrors *", Place),
    ("status sources * tagMirrors *", Place),
    ("status sources * policy", Text),
    ("status sources * origins *", Text),
    ("status findings * severity", Text),
    ("status findings * reason", Text),
    ("status findings * origin", Text),
    ("status findings * message", Text),
    ("status mirrorConfig name", Name),
    ("status mirrorConfig place", Text),
    ("status mirrorConfig inForce", Digest),
    ("status nodePools * name", Name),
    ("status nodePools * configMaps *", Name),
    ("status nodePools * valid", Bool),
    ("status nodePools * reason", Text),
    ("status nodePools * message", Text),
    ("status boot * nodePool", Name),
    ("status boot * configMap", Name),
    ("status boot * digest", Digest),
    ("status controlPlane summary", Text),
    ("status controlPlane admission", Text),
    ("status controlPlane targets * name", Name),
    ("status controlPlane targets * upToDate", Bool),
    ("status controlPlane targets * reason", Text),
    ("status controlPlane targets * message", Text),
    ("status controlPlane targets * foreign", Pairs),
    ("status controlPlane targets * admitted", Digest),
    ("status controlPlane rollout started", Time),
    ("status controlPlane rollout state", Text),
    ("status controlPlane rollout limit", Number),
    ("status guest kubeconfig", Name),
    ("status guest objects", Number),
    ("status guest sets *", Text),
    ("status nodes summary", Text),
    ("status nodes total", Number),
    ("status nodes applied", Number),
    ("status nodes rejectedCount", Number),
    ("status nodes behind * name", Name),
    ("status nodes behind * reason", Text),
    ("status nodes behind * message", Text),
    ("status nodes rejected * severity", Text),
    ("status nodes rejected * reason", Text),
    ("status nodes rejected * origin", Text),
    ("status nodes rejected * message", Text),
    ("status nodes shadowed *", Text),
];

const MIRROR_COVERAGE: Paths = &[
    ("status hostedClusterGeneration", Number),
    ("status summary", Text),
    ("status counts held", Number),
    ("status counts missing", Number),
    ("status counts unknown", Number),
    ("status missing * image", Place),
    ("status missing * consumer", Text),
    ("status missing * mirror", Place),
    ("status missing * platform", Text),
    ("status missing * message", Text),
    ("status missingTruncated", Bool),
    ("status unknown * reason", Text),
    ("status unknown * message", Text),
    ("status updatesSummary", Text),
    ("status availableUpdates * version", Text),
    ("status availableUpdates * image", Place),
    ("status availableUpdates * verdict", Text),
    ("status availableUpdates * counts held", Number),
    ("status availableUpdates * counts missing", Number),
    ("status availableUpdates * counts unknown", Number),
    ("status availableUpdates * message", Text),
    ("status level", Text),
    ("status vantage", Text),
    ("status lastCheckTime", Time),
    ("status nextCheckTime", Time),
    ("status checkIntervalSeconds", Number),
    ("status proof subject", Digest),
    ("status proof proven", Number),
    ("status proof unproven * source", Place),
    ("status proof unproven * consumer", Text),
    ("status proof unproven * verdict", Text),
    ("status proof unproven * images", Number),
    ("status proof unproven * message", Text),
    ("status proof unprovenTruncated", Bool),
];

const HYPERSHIFT: Paths = &[
    ("spec imageContentSources * source", Place),
    ("spec imageContentSources * mirrors *", Place),
    ("spec imageMirrorConfigRef name", Name),
    ("spec release image", Place),
    ("spec releaseImage", Place),
    ("spec controlPlaneRelease image", Place),
    ("spec olmCatalogPlacement", Text),
    ("spec pausedUntil", Text),
    ("spec pullSecret name", Name),
    ("spec additionalTrustBundle name", Name),
    ("spec platform type", Text),
    ("spec clusterName", Name),
    ("spec config * name", Name),
    ("spec replicas", Number),
    ("spec management upgradeType", Text),
    ("status replicas", Number),
    ("status version history * state", Text),
    ("status version history * version", Text),
    ("status version history * image", Place),
    ("status version availableUpdates * version", Text),
    ("status version availableUpdates * image", Place),
];

/// Annotations of hypermirror, on objects of HyperShift, Deployments and Leases.
const ANNOTATIONS: [(&str, Keep); 14] = [
    (annotations::IMAGE_MIRROR_CONFIG_REF, Text),
    (annotations::CONFIG, Text),
    (annotations::MANAGEMENT_MIRRORS, Text),
    (annotations::REQUIRE_PROOF, Text),
    (annotations::ALLOW_UNPROVEN, Text),
    (annotations::PAUSED, Text),
    (annotations::NODE_DELIVERY, Text),
    (annotations::MIRRORS_OBSERVED, Text),
    (annotations::OVERRIDES, Pairs),
    (annotations::RETIRED, Pairs),
    (annotations::APPENDED_ARGUMENT, Pairs),
    (annotations::ROLLOUT, Time),
    (annotations::ALLOW_REMOVAL, Text),
    (annotations::FILL, Text),
];

const MIRROR_SET: Paths = &[
    ("spec repositoryDigestMirrors * source", Place),
    ("spec repositoryDigestMirrors * mirrors *", Place),
    ("spec imageDigestMirrors * source", Place),
    ("spec imageDigestMirrors * mirrors *", Place),
    ("spec imageDigestMirrors * mirrorSourcePolicy", Text),
    ("spec imageTagMirrors * source", Place),
    ("spec imageTagMirrors * mirrors *", Place),
    ("spec imageTagMirrors * mirrorSourcePolicy", Text),
];

const WORKLOAD: Paths = &[
    ("spec replicas", Number),
    ("spec paused", Bool),
    ("spec template spec serviceAccountName", Name),
    ("spec template spec containers * name", Name),
    ("spec template spec containers * image", Place),
    ("spec template spec containers * command", Arguments),
    ("spec template spec containers * args", Arguments),
    ("spec template spec containers * env", Environment),
    ("status replicas", Number),
    ("status updatedReplicas", Number),
    ("status readyReplicas", Number),
    ("status availableReplicas", Number),
    ("status desiredNumberScheduled", Number),
    ("status updatedNumberScheduled", Number),
    ("status numberReady", Number),
];

const POD: Paths = &[
    ("spec nodeName", Name),
    ("status phase", Text),
    ("status reason", Text),
    ("status startTime", Time),
    ("status containerStatuses * name", Name),
    ("status containerStatuses * image", Place),
    ("status containerStatuses * ready", Bool),
    ("status containerStatuses * restartCount", Number),
    ("status containerStatuses * state running startedAt", Time),
    ("status containerStatuses * state waiting reason", Text),
    ("status containerStatuses * state waiting message", Text),
    ("status containerStatuses * state terminated reason", Text),
    ("status containerStatuses * state terminated exitCode", Number),
    ("status containerStatuses * lastState terminated reason", Text),
    ("status containerStatuses * lastState terminated exitCode", Number),
    ("status containerStatuses * lastState terminated finishedAt", Time),
];

const EVENT: Paths = &[
    ("regarding kind", Name),
    ("regarding namespace", Name),
    ("regarding name", Name),
    ("reason", Text),
    ("type", Text),
    ("note", Text),
    ("action", Text),
    ("eventTime", Time),
    ("reportingController", Text),
    ("series count", Number),
    ("series lastObservedTime", Time),
    ("deprecatedCount", Number),
    ("deprecatedLastTimestamp", Time),
];

const LEASE: Paths = &[
    ("spec holderIdentity", Name),
    ("spec leaseDurationSeconds", Number),
    ("spec acquireTime", Time),
    ("spec renewTime", Time),
    ("spec leaseTransitions", Number),
];

const NODE: Paths = &[
    ("spec unschedulable", Bool),
    ("status nodeInfo containerRuntimeVersion", Text),
    ("status nodeInfo kubeletVersion", Text),
    ("status nodeInfo operatingSystem", Text),
    ("status nodeInfo architecture", Text),
];

const NODE_MIRRORS: Paths = &[
    ("spec layer", Text),
    ("spec digestMirrors * source", Place),
    ("spec digestMirrors * mirrors *", Place),
    ("spec digestMirrors * mirrorSourcePolicy", Text),
    ("spec tagMirrors * source", Place),
    ("spec tagMirrors * mirrors *", Place),
    ("spec tagMirrors * mirrorSourcePolicy", Text),
    ("status observedSets * kind", Name),
    ("status observedSets * name", Name),
    ("status observedSets * generation", Number),
    ("status sourceCount", Number),
    ("status contentHash", Digest),
    ("status pendingReload", Bool),
    ("status rejectedCount", Number),
    ("status rejected * severity", Text),
    ("status rejected * reason", Text),
    ("status rejected * origin", Text),
    ("status rejected * message", Text),
    ("status warnings * severity", Text),
    ("status warnings * reason", Text),
    ("status warnings * origin", Text),
    ("status warnings * message", Text),
    ("status shadowed * source", Place),
    ("status shadowed * by", Text),
    ("status agentVersion", Text),
];

const FINDING: Paths = &[
    ("severity", Text),
    ("reason", Text),
    ("hostedCluster", Text),
    ("object", Text),
    ("field", Text),
    ("value", Text),
    ("consumers *", Text),
    ("message", Text),
    ("cure", Text),
];

const MAP: Paths = &[
    ("* * digestMirrors *", Place),
    ("* * tagMirrors *", Place),
    ("* * policy", Text),
    ("* * origins * kind", Name),
    ("* * origins * namespace", Name),
    ("* * origins * name", Name),
    ("* * origins * index", Number),
    ("* * origins * layer", Text),
];

fn shape(parts: &[Paths]) -> Shape {
    Shape::of(parts.iter().flat_map(|paths| paths.iter()))
}

/// An object of a kind. Of kinds that are not listed only the metadata and the conditions are kept.
pub fn of_kind(kind: &str) -> Shape {
    let own: Paths = match kind {
        "HostedClusterMirrors" => HOSTED_CLUSTER_MIRRORS,
        "MirrorCoverage" => MIRROR_COVERAGE,
        "HostedCluster" | "NodePool" | "HostedControlPlane" => HYPERSHIFT,
        "ImageContentSourcePolicy" | "ImageDigestMirrorSet" | "ImageTagMirrorSet" => MIRROR_SET,
        "Deployment" | "DaemonSet" => WORKLOAD,
        "Pod" => POD,
        "Event" => EVENT,
        "Lease" => LEASE,
        "Node" => NODE,
        "NodeMirrorSet" | "NodeMirrorStatus" => NODE_MIRRORS,
        _ => &[],
    };
    let mut shape = shape(&[METADATA, CONDITIONS, own]);
    annotate(&mut shape);
    shape
}

fn annotate(shape: &mut Shape) {
    let Shape::Fields(fields) = shape else { return };
    let Some(Shape::Fields(metadata)) = fields.get_mut("metadata") else { return };
    let kept = ANNOTATIONS.into_iter().map(|(key, keep)| (key, Shape::Leaf(keep)));
    metadata.insert("annotations", Shape::Fields(kept.collect()));
}

/// The rows of `check`.
pub fn findings() -> Shape {
    Shape::Each(Box::new(shape(&[FINDING])))
}

/// The maps of hosted clusters by name: each source with its mirrors.
pub fn maps() -> Shape {
    shape(&[MAP])
}
