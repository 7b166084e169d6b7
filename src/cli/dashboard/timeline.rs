//! What happened to a hosted cluster, from times that its objects have anyway: nothing is stored. Pure.

use hypermirror_api::{HostedClusterMirrorsStatus, MirrorCoverageStatus};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::PartialObjectMeta;

use super::html::Tone;

/// Moments of a page; older ones say little.
const SHOWN: usize = 40;

const REVISION: &str = "deployment.kubernetes.io/revision";

/// Something that happened.
#[derive(Debug, PartialEq, Eq)]
pub struct Moment {
    pub time: Timestamp,
    pub tone: Tone,
    pub what: String,
    pub detail: String,
}

/// What happened, newest first. `targets` are the Deployments whose rollouts count.
pub fn moments(
    replica_sets: &[PartialObjectMeta<ReplicaSet>],
    targets: &[String],
    report: Option<&HostedClusterMirrorsStatus>,
    coverage: Option<&MirrorCoverageStatus>,
) -> Vec<Moment> {
    let mut moments: Vec<Moment> = replica_sets.iter().filter_map(|set| rollout(set, targets)).collect();
    if let Some(report) = report {
        moments.extend(report.conditions.iter().map(transition));
        let rollout = report.control_plane.rollout.as_ref();
        moments.extend(rollout.and_then(|rollout| {
            let detail = format!("{:?}, at most {} at the same time", rollout.state, rollout.limit);
            Some(Moment {
                time: rollout.started.parse().ok()?,
                tone: Tone::Quiet,
                what: "A rollout of the map started".to_owned(),
                detail,
            })
        }));
    }
    if let Some(coverage) = coverage {
        moments.extend(coverage.conditions.iter().map(transition));
        let copied = coverage.fill.as_ref().and_then(|fill| Some((fill.copied, fill.last_copy_time.as_ref()?.0)));
        moments.extend(copied.map(|(copied, time)| Moment {
            time,
            tone: Tone::Quiet,
            what: "An image was copied to a mirror".to_owned(),
            detail: format!("{copied} so far"),
        }));
    }
    moments.sort_by(|a, b| (b.time, &a.what).cmp(&(a.time, &b.what)));
    moments.truncate(SHOWN);
    moments
}

fn rollout(set: &PartialObjectMeta<ReplicaSet>, targets: &[String]) -> Option<Moment> {
    let owner = set.metadata.owner_references.iter().flatten().find(|owner| owner.kind == "Deployment")?;
    if !targets.contains(&owner.name) {
        return None;
    }
    let revision = set.metadata.annotations.as_ref().and_then(|annotations| annotations.get(REVISION));
    Some(Moment {
        time: set.metadata.creation_timestamp.as_ref()?.0,
        tone: Tone::Quiet,
        what: format!("{} rolled out", owner.name),
        detail: revision.map(|revision| format!("revision {revision}")).unwrap_or_default(),
    })
}

fn transition(condition: &Condition) -> Moment {
    Moment {
        time: condition.last_transition_time.0,
        tone: Tone::of(condition),
        what: format!("{} became {}", condition.type_, condition.status),
        detail: format!("{}: {}", condition.reason, condition.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(owner: &str, created: &str) -> PartialObjectMeta<ReplicaSet> {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": "x", "creationTimestamp": created, "annotations": {REVISION: "7"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": "u"}]
            }
        }))
        .unwrap()
    }

    #[test]
    fn rollouts_of_targets_and_transitions_are_in_order() {
        let report: HostedClusterMirrorsStatus = serde_json::from_value(serde_json::json!({
            "conditions": [{
                "type": "Ready", "status": "False", "reason": "Updating", "message": "m",
                "lastTransitionTime": "2026-01-02T00:00:00Z"
            }],
            "controlPlane": {"rollout": {"started": "2026-01-01T00:00:00Z", "state": "InFlight", "limit": 5}}
        }))
        .unwrap();
        let sets = [set("target", "2026-01-03T00:00:00Z"), set("foreign", "2026-01-04T00:00:00Z")];
        let found = moments(&sets, &["target".to_owned()], Some(&report), None);
        let texts: Vec<&str> = found.iter().map(|moment| moment.what.as_str()).collect();
        assert_eq!(texts, ["target rolled out", "Ready became False", "A rollout of the map started"]);
        assert_eq!(found[0].detail, "revision 7");
        assert_eq!(found[1].tone, Tone::Bad);
    }
}
