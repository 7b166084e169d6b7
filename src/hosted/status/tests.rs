use std::sync::Arc;
use std::time::Instant;

use hypermirror_api::report::{GuestReport, NodePoolReport, SourceReport};

use super::super::fixtures::{facts, idms};
use super::super::turn::turn;
use super::*;
use crate::fleet::removal::HeldRemoval;

fn now() -> Moment {
    Moment { instant: Instant::now(), time: jiff::Timestamp::from_second(1_000_000).unwrap() }
}

fn reported(facts: &ClusterFacts, outcome: &Outcome) -> Option<HostedClusterMirrorsStatus> {
    let now = now();
    status(facts, &turn(facts, now), outcome, now)
}

fn condition(status: &HostedClusterMirrorsStatus, kind: ConditionType) -> (String, String) {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind.as_str()).unwrap();
    (found.status.clone(), found.reason.clone())
}

fn left_behind() -> GuestOutcome {
    let synced = ConditionState::new("False", Reason::LeftBehind, "1 node did not confirm");
    let guest = Some(GuestReport::default());
    GuestOutcome { synced, nodes: None, bootstrap: None, guest, nodes_report: None, left: true }
}

fn one() -> Vec<crate::mirrors::MirrorEntry> {
    idms(&[("s.example", &["m.example"], false)])
}

#[test]
fn a_report_is_deleted_after_the_removal_unless_the_guest_still_has_objects() {
    let mut facts = facts(&one(), "=");
    assert!(reported(&facts, &Outcome::default()).is_some());
    facts.is_selected = false;
    assert_eq!(reported(&facts, &Outcome::default()), None);
    facts.guest = Some(Arc::new(left_behind()));
    assert_eq!(reported(&facts, &Outcome::default()), None, "whoever is selected now reports it");
    facts.fleet.leaves = true;
    assert!(reported(&facts, &Outcome::default()).is_some(), "a person who uninstalls has to know");
    (facts.guest, facts.refusal) = (None, Some(Refusal::Shared));
    assert!(reported(&facts, &Outcome::default()).is_some(), "nobody knows whose the namespace is");
}

#[test]
fn while_a_removal_is_held_the_map_in_force_is_reported() {
    let mut facts = facts(&one(), "s.example=m.example");
    let source = SourceReport { source: "s.example".into(), ..SourceReport::default() };
    let old = HostedClusterMirrorsStatus { source_count: 1, sources: vec![source], ..Default::default() };
    facts.report = Some(Arc::new(old.clone()));
    facts.map = super::super::sources::ClusterMap::default();
    let emptied = vec![facts.key.to_string()];
    facts.fleet.removal = Some(HeldRemoval { with_map: 12, emptied, token: "t0".into() });
    let status = reported(&facts, &Outcome::default()).unwrap();
    assert_eq!((status.source_count, &status.sources), (1, &old.sources));
    assert_eq!(condition(&status, ConditionType::ControlPlaneUpToDate).1, "RemovalHeld");
    facts.fleet.removal = None;
    assert_eq!(reported(&facts, &Outcome::default()).unwrap().source_count, 0);
}

#[test]
fn a_failed_write_is_the_condition_and_makes_the_cluster_not_ready() {
    let outcome = Outcome { failure: Some("Deployment a/b: forbidden".to_owned()), ..Outcome::default() };
    let status = reported(&facts(&one(), "="), &outcome).unwrap();
    let failed = ("False".to_owned(), "WriteFailed".to_owned());
    assert_eq!(condition(&status, ConditionType::ControlPlaneUpToDate), failed);
    assert_eq!(condition(&status, ConditionType::Ready), failed);
}

#[test]
fn ready_does_not_wait_for_a_guest_that_has_no_kubeconfig_yet() {
    let mut facts = facts(&[], "=");
    let synced = ConditionState::new("Unknown", Reason::KubeconfigMissing, "waiting");
    facts.guest = Some(Arc::new(GuestOutcome { synced, guest: None, left: false, ..left_behind() }));
    let status = reported(&facts, &Outcome::default()).unwrap();
    assert_eq!(condition(&status, ConditionType::GuestSynced).0, "Unknown");
    assert_eq!(condition(&status, ConditionType::Ready).0, "True");
    facts.guest = Some(Arc::new(left_behind()));
    let status = reported(&facts, &Outcome::default()).unwrap();
    assert_eq!(condition(&status, ConditionType::Ready), ("False".to_owned(), "LeftBehind".to_owned()));
}

#[test]
fn equal_facts_result_in_an_equal_report() {
    let mut facts = facts(&one(), "=");
    let first = reported(&facts, &Outcome::default()).unwrap();
    facts.report = Some(Arc::new(first.clone()));
    assert_eq!(reported(&facts, &Outcome::default()).unwrap(), first);
}

fn with(conditions: &[(ConditionType, &'static str, Reason)]) -> HostedClusterMirrorsStatus {
    let condition = |(kind, status, reason): &(ConditionType, &'static str, Reason)| {
        (*kind, ConditionState::new(status, *reason, "text"))
    };
    let conditions: Vec<(ConditionType, ConditionState)> = conditions.iter().map(condition).collect();
    let conditions: Vec<_> = conditions.iter().map(|(kind, condition)| (*kind, condition)).collect();
    HostedClusterMirrorsStatus { conditions: merge(&[], &conditions, 1, now().time), ..Default::default() }
}

#[test]
fn there_are_events_only_for_transitions_and_none_for_queued_clusters() {
    use ConditionType::{ControlPlaneUpToDate as Plane, Ready};
    let good = with(&[(Plane, "True", Reason::AsExpected), (Ready, "True", Reason::AsExpected)]);
    let bad = with(&[(Plane, "False", Reason::Updating), (Ready, "False", Reason::Updating)]);
    let waits = with(&[(Plane, "False", Reason::RolloutWaiting)]);
    let reasons = |old: Option<&HostedClusterMirrorsStatus>, new: &HostedClusterMirrorsStatus| -> Vec<String> {
        transitions(old, new).iter().map(|transition| transition.reason.to_owned()).collect()
    };
    for (what, old, new, expected) in [
        ("a first report that is good", None, &good, vec![]),
        ("a first report that is bad", None, &bad, vec!["Updating"]),
        ("nothing moved", Some(&bad), &bad, vec![]),
        ("it is good again", Some(&bad), &good, vec!["ControlPlaneUpToDate"]),
        ("it waits in line", Some(&good), &waits, vec![]),
        ("another reason", Some(&waits), &bad, vec!["Updating"]),
    ] {
        assert_eq!(reasons(old, new), expected, "{what}");
    }
}

#[test]
fn an_event_points_at_the_object_that_failed() {
    let mut bad = with(&[
        (ConditionType::SourcesResolved, "False", Reason::ConfigMapMissing),
        (ConditionType::ControlPlaneUpToDate, "False", Reason::ValueTooLarge),
    ]);
    let target = |name: &str, up_to_date| hypermirror_api::report::TargetReport {
        name: name.to_owned(),
        up_to_date,
        ..Default::default()
    };
    bad.control_plane.targets = vec![target("control-plane-operator", true), target("ignition-server", false)];
    bad.mirror_config = Some(hypermirror_api::report::MirrorConfigReport {
        name: "mirrors".to_owned(),
        place: hypermirror_api::report::ReferencePlace::Annotation,
        in_force: String::new(),
    });
    let related: Vec<Option<Related>> = transitions(None, &bad).into_iter().map(|found| found.related).collect();
    assert_eq!(related, [Some(Related::ConfigMap("mirrors".into())), Some(Related::Target("ignition-server".into()))]);
}

#[test]
fn a_node_pool_hears_of_its_own_configuration() {
    let pool = |valid: bool, reason: &str| HostedClusterMirrorsStatus {
        node_pools: vec![NodePoolReport {
            name: "workers".into(),
            valid,
            reason: reason.into(),
            ..NodePoolReport::default()
        }],
        ..HostedClusterMirrorsStatus::default()
    };
    let (good, bad) = (pool(true, ""), pool(false, "ConfigMapMissing"));
    assert!(transitions(None, &good).is_empty() && transitions(Some(&bad), &bad).is_empty());
    let broken = transitions(Some(&good), &bad);
    assert_eq!((broken[0].about, broken[0].reason), (About::NodePool("workers"), "ConfigMapMissing"));
    assert_eq!(transitions(Some(&bad), &good)[0].reason, "NodePoolConfigValid");
}
