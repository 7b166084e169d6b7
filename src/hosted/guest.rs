//! The state of a hosted cluster's guest cluster for its report, and the mirrors for its nodes.

use hypermirror_api::hypershift::HostedControlPlane;
use hypermirror_api::report::{GuestReport, NodesReport};
use hypermirror_api::{ConditionType, HostedClusterMirrorsStatus, Reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::condition_state::ConditionState;
use crate::mirrors::finding::Finding;
use crate::mirrors::merge::merge_layer;
use crate::mirrors::scope::best_match_in;
use crate::mirrors::validate::{Consumer, validate};
use crate::mirrors::{ImageReference, MirrorEntry, Policy};

/// The conditions of the guest cluster.
pub const CONDITIONS: [ConditionType; 3] =
    [ConditionType::GuestSynced, ConditionType::NodesUpToDate, ConditionType::BootstrapCovered];

/// The result of a reconcile of a guest cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestOutcome {
    /// `GuestSynced`.
    pub synced: ConditionState,
    /// `NodesUpToDate`, unless the guest cluster was not reachable.
    pub nodes: Option<ConditionState>,
    /// `BootstrapCovered`, if it is known.
    pub bootstrap: Option<ConditionState>,
    /// For the report.
    pub guest: Option<GuestReport>,
    /// For the report.
    pub nodes_report: Option<NodesReport>,
    /// Whether hypermirror is removed from it, or cannot be removed.
    pub left: bool,
}

impl GuestOutcome {
    /// The result if the guest cluster is not reachable. The known state of nodes may be outdated.
    pub fn unknown(synced: ConditionState, before: Option<&Self>) -> Self {
        let message = "failed to connect to the guest cluster";
        let unknown = |condition: &Option<ConditionState>| {
            condition.as_ref().map(|_| ConditionState {
                status: "Unknown",
                reason: synced.reason,
                message: message.to_owned(),
            })
        };
        Self {
            nodes: before.and_then(|before| unknown(&before.nodes)),
            bootstrap: before.and_then(|before| before.bootstrap.clone()),
            guest: before.and_then(|before| before.guest.clone()),
            nodes_report: before.and_then(|before| before.nodes_report.clone()),
            synced,
            left: false,
        }
    }

    /// The result if the control-plane namespace belongs to another HostedCluster. The known state is dropped.
    pub fn refused(synced: ConditionState, before: Option<&Self>) -> Self {
        let unknown = |condition: &ConditionState| ConditionState { status: "Unknown", ..condition.clone() };
        let nodes = before.and_then(|before| before.nodes.as_ref()).map(|_| unknown(&synced));
        let bootstrap = before.and_then(|before| before.bootstrap.as_ref()).map(|_| unknown(&synced));
        Self { nodes, bootstrap, synced, guest: None, nodes_report: None, left: false }
    }

    /// The conditions that are set.
    pub fn conditions(&self) -> Vec<(ConditionType, &ConditionState)> {
        let [synced, nodes, bootstrap] = CONDITIONS;
        let mut conditions = vec![(synced, &self.synced)];
        conditions.extend(self.nodes.as_ref().map(|condition| (nodes, condition)));
        conditions.extend(self.bootstrap.as_ref().map(|condition| (bootstrap, condition)));
        conditions
    }

    /// Whether it affects `Ready`. A cluster that is still being created has no kubeconfig, which does not count.
    pub fn counts(&self) -> bool {
        self.synced.reason != Reason::KubeconfigMissing
    }

    /// The result in the report of a previous process.
    pub fn reported(report: &HostedClusterMirrorsStatus) -> Option<Self> {
        let condition = |kind: ConditionType| {
            let condition = report.conditions.iter().find(|condition| condition.type_ == kind.as_str())?;
            Some(carried(condition))
        };
        let [synced, nodes, bootstrap] = CONDITIONS.map(condition);
        Some(Self {
            synced: synced?,
            nodes,
            bootstrap,
            guest: report.guest.clone(),
            nodes_report: report.nodes.clone(),
            left: false,
        })
    }
}

/// The state of a condition in a report.
pub(super) fn carried(condition: &Condition) -> ConditionState {
    let status = match condition.status.as_str() {
        "True" => "True",
        "False" => "False",
        _ => "Unknown",
    };
    let reason = Reason::parse(&condition.reason).unwrap_or(Reason::AsExpected);
    ConditionState { status, reason, message: condition.message.clone() }
}

/// Host and port of the API server that nodes can reach without the guest cluster's network, once HyperShift has set them.
pub fn api_endpoint(control_plane: &HostedControlPlane) -> Option<(String, u16)> {
    let endpoint = control_plane.status.as_ref()?.control_plane_endpoint.as_ref()?;
    Some((endpoint.host.clone(), endpoint.port.try_into().ok()?)).filter(|(host, _)| !host.is_empty())
}

/// The entries of one layer that are valid for nodes, and findings.
pub fn node_entries<'e>(declared: impl IntoIterator<Item = &'e MirrorEntry>) -> (Vec<MirrorEntry>, Vec<Finding>) {
    let validated = validate(declared, Consumer::Node);
    (validated.entries, validated.findings)
}

/// The source with NeverContactSource that matches an image and has no mirror in `imageContentSources`, which stock HyperShift
/// writes to booting nodes.
pub fn beyond_boot(entries: &[MirrorEntry], image: &str) -> Option<String> {
    let reference = ImageReference::parse(image).ok()?;
    let name = reference.name();
    let mirrored = |entries: &[MirrorEntry]| {
        let resolved = merge_layer(entries);
        let (prefix, _) = best_match_in(&name, |prefix| resolved.sources.contains_key(prefix))?;
        let policy = resolved.sources.get(&prefix)?.policy;
        Some((prefix, policy))
    };
    let boot: Vec<MirrorEntry> = entries.iter().filter(|entry| entry.is_image_content_source()).cloned().collect();
    let (source, policy) = mirrored(entries)?;
    (policy == Policy::NeverContactSource && mirrored(&boot).is_none()).then_some(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirrors::{Layer, Origin, PullBy};

    fn entry(list: &'static str, policy: Option<&str>) -> MirrorEntry {
        MirrorEntry {
            pull_by: PullBy::Digest,
            source: "quay.example/tools".into(),
            mirrors: vec!["mirror.example/tools".into()],
            policy: policy.and_then(crate::mirrors::DeclaredPolicy::parse),
            insecure: false,
            list,
            origin: Origin {
                kind: "ConfigMap".into(),
                namespace: None,
                name: "x".into(),
                key: None,
                document: None,
                index: 0,
                layer: Layer::HostedCluster,
            },
        }
    }

    #[test]
    fn an_image_behind_a_mirror_that_boot_lacks_is_named() {
        let image = format!("quay.example/tools/agent@sha256:{}", "0".repeat(64));
        let never = entry("spec.imageDigestMirrors", Some("NeverContactSource"));
        assert_eq!(beyond_boot(std::slice::from_ref(&never), &image), Some("quay.example/tools".into()));
        assert_eq!(beyond_boot(&[entry("spec.imageDigestMirrors", None)], &image), None);
        assert_eq!(beyond_boot(&[never.clone(), entry("spec.imageContentSources", None)], &image), None);
        assert_eq!(beyond_boot(&[never], "other.example/agent:v1"), None);
    }

    #[test]
    fn an_unreachable_guest_is_unknown_and_its_last_report_is_kept() {
        let good = ConditionState::new("True", Reason::AsExpected, "all 3 nodes have applied their mirrors");
        let before = GuestOutcome {
            synced: good.clone(),
            nodes: Some(good.clone()),
            bootstrap: Some(good),
            guest: Some(GuestReport::default()),
            nodes_report: Some(NodesReport { summary: "3/3".into(), ..NodesReport::default() }),
            left: false,
        };
        let down =
            GuestOutcome::unknown(ConditionState::new("Unknown", Reason::ConnectionDown, "no answer"), Some(&before));
        assert_eq!(down.nodes.as_ref().unwrap().status, "Unknown");
        assert_eq!(down.nodes_report, before.nodes_report);
        assert!(down.counts());
    }
}
