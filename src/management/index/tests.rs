use std::time::{Duration, Instant};

use hypermirror_api::hypershift::{HostedCluster, HostedClusterSpec, LocalObjectReference};
use hypermirror_api::report::{RolloutReport, RolloutState};
use kube::ResourceExt as _;

use super::super::mirror_kind::MirrorKind;
use super::mirror_kinds::MirrorObject;
use super::reports::{ReportVersion, SeenReport};
use super::*;
use crate::client::optional_kind::Presence;
use crate::client::watch::Failure;
use crate::fleet::rollout::{Cause, Mark};

fn cluster(name: &str) -> HostedCluster {
    let mut cluster = HostedCluster::new(name, HostedClusterSpec::default());
    cluster.metadata.namespace = Some("clusters".to_owned());
    cluster.metadata.uid = Some(name.to_owned());
    cluster.metadata.generation = Some(1);
    cluster
}

fn target(namespace: &str, generation: i64) -> TargetMeta {
    TargetMeta { namespace: namespace.to_owned(), uid: "u".to_owned(), generation, rollout: None }
}

#[test]
fn a_target_belongs_to_the_cluster_whose_control_plane_namespace_it_is_in() {
    let mut index = Index::new(3);
    let key = index.apply_cluster(cluster("a.b")).remove(0);
    assert_eq!(index.apply_target(1, &target("clusters-a-b", 1)), Some(key.clone()));
    assert_eq!(index.apply_target(1, &target("clusters-a-b", 1)), None, "nothing new");
    assert_eq!(index.apply_target(1, &target("elsewhere", 1)), None);
    assert!(index.targets_of(&key)[1].is_stale());
}

#[test]
fn what_we_wrote_ourselves_is_not_read_again() {
    let mut index = Index::new(1);
    let key = index.apply_cluster(cluster("a")).remove(0);
    index.apply_target(0, &target("clusters-a", 1));
    let written = ObservedTarget { uid: "u".to_owned(), generation: Some(2), ..ObservedTarget::default() };
    index.observe_target(&key, 0, written);
    assert_eq!(index.apply_target(0, &target("clusters-a", 2)), None);
    assert!(!index.targets_of(&key)[0].is_stale());
    assert_eq!(index.apply_target(0, &target("clusters-a", 3)), Some(key));
}

#[test]
fn a_status_update_of_a_hosted_cluster_changes_nothing() {
    let mut index = Index::new(1);
    index.apply_cluster(cluster("a"));
    let mut touched = cluster("a");
    touched.annotations_mut().insert("hypermirror.dev/mirrors-observed".into(), "x".into());
    assert!(index.apply_cluster(touched).is_empty(), "our own touch is no news");
    let mut paused = cluster("a");
    paused.annotations_mut().insert("hypermirror.dev/paused".into(), "true".into());
    assert!(!index.apply_cluster(paused).is_empty());
}

#[test]
fn an_update_that_a_hosted_cluster_is_offered_is_news_for_its_coverage() {
    let mut index = Index::new(1);
    index.apply_cluster(cluster("a"));
    let mut offered = cluster("a");
    let update =
        serde_json::json!({"version": {"availableUpdates": [{"version": "4.20.2", "image": "r.example/r:2"}]}});
    offered.status = serde_json::from_value(update).unwrap();
    assert!(!index.apply_cluster(offered.clone()).is_empty());
    assert!(index.apply_cluster(offered).is_empty());
}

#[test]
fn a_field_that_is_served_again_is_a_change_although_the_generation_is_the_same() {
    let mut index = Index::new(1);
    let mut pruned = cluster("a");
    index.apply_cluster(pruned.clone());
    pruned.spec.image_mirror_config_ref = Some(LocalObjectReference { name: "mirrors".to_owned() });
    let key = ClusterKey { namespace: "clusters".into(), name: "a".into() };
    assert_eq!(index.replace_clusters(vec![pruned], &BTreeSet::new()), [key]);
}

fn seen(key: &ClusterKey, status: HostedClusterMirrorsStatus) -> SeenReport {
    SeenReport { key: key.clone(), status: Box::new(status), version: ReportVersion::default() }
}

#[test]
fn a_report_that_comes_before_its_cluster_is_kept_for_it() {
    let mut index = Index::new(1);
    let key = ClusterKey { namespace: "clusters".into(), name: "a".into() };
    let status = HostedClusterMirrorsStatus { source_count: 3, ..HostedClusterMirrorsStatus::default() };
    index.replace_reports(vec![seen(&key, status)]);
    index.apply_cluster(cluster("a"));
    assert_eq!(index.cluster(&key).unwrap().report.as_ref().unwrap().source_count, 3);
}

#[test]
fn objects_of_a_kind_that_goes_away_stay_until_it_is_forgotten() {
    let mut index = Index::new(1);
    let mirrors = &mut index.mirrors;
    mirrors.set_presence(MirrorKind::Idms, Presence::Present);
    mirrors.replace(MirrorKind::Idms, vec![("one".into(), MirrorObject::Entries([].into()))]);
    mirrors.set_recorded([MirrorKind::Idms].into());
    mirrors.set_presence(MirrorKind::Idms, Presence::Absent);
    assert_eq!((mirrors.count(MirrorKind::Idms), mirrors.blind()), (1, false));
    assert_eq!(mirrors.problems(Instant::now())[0].reason, hypermirror_api::Reason::KindVanished);
    assert!(mirrors.set_recorded([].into()));
    assert_eq!(mirrors.count(MirrorKind::Idms), 0);
    assert!(mirrors.problems(Instant::now()).is_empty());
}

#[test]
fn a_kind_that_was_gone_at_the_start_leaves_the_process_blind_until_it_is_listed() {
    let mut index = Index::new(1);
    let mirrors = &mut index.mirrors;
    mirrors.set_presence(MirrorKind::Idms, Presence::Absent);
    mirrors.set_recorded([MirrorKind::Idms].into());
    assert!(mirrors.blind());
    assert!(mirrors.set_presence(MirrorKind::Idms, Presence::Present), "it is back");
    assert!(mirrors.blind(), "its objects may still follow");
    mirrors.apply(MirrorKind::Idms, "one".into(), MirrorObject::Entries([].into()));
    mirrors.keep_only(MirrorKind::Idms, &["one".to_owned()].into());
    assert!(!mirrors.blind());
}

#[test]
fn a_refusal_is_told_when_it_lasts_and_never_for_a_server_that_is_away() {
    let mut index = Index::new(1);
    let (mirrors, now) = (&mut index.mirrors, Instant::now());
    let refused = Failure { code: Some(403), message: "forbidden".into() };
    let away = Failure { code: None, message: "connection refused".into() };
    assert!(!mirrors.refuse(MirrorKind::Icsp, &away, now));
    assert!(!mirrors.refuse(MirrorKind::Icsp, &refused, now));
    assert!(mirrors.problems(now).is_empty());
    let later = now + Duration::from_secs(11);
    assert!(mirrors.refuse(MirrorKind::Icsp, &refused, later));
    assert_eq!(mirrors.problems(later)[0].reason, hypermirror_api::Reason::SourceUnreadable);
    mirrors.replace(MirrorKind::Icsp, Vec::new());
    assert!(mirrors.problems(later).is_empty());
}

#[test]
fn what_a_turn_saw_is_forgotten_when_its_term_has_ended_meanwhile() {
    let mut index = Index::new(1);
    let key = index.apply_cluster(cluster("a")).remove(0);
    let remembered = |index: &Index| index.cluster(&key).unwrap().memory.settled;
    let before = index.facts(&key, Instant::now()).unwrap().memory;
    index.remember(&key, &before, Memory { settled: Some(1), ..Memory::default() });
    assert_eq!(remembered(&index), Some(1));
    let before = index.facts(&key, Instant::now()).unwrap().memory;
    index.end_term();
    index.remember(&key, &before, Memory { settled: Some(2), ..Memory::default() });
    assert_eq!(remembered(&index), None);
}

/// A budget of one, and one hosted cluster with one target that was patched at second 5.
fn in_flight() -> (Index, ClusterKey) {
    let mut index = Index::new(1);
    index.rollouts = Rollouts::new(Budget { at_once: 1, ..Budget::OFF });
    let key = index.apply_cluster(cluster("a")).remove(0);
    index.apply_target(0, &target("clusters-a", 1));
    let rollout = Some(mark(5).to_string().into());
    let written = ObservedTarget { uid: "u".to_owned(), generation: Some(2), rollout, ..ObservedTarget::default() };
    index.observe_target(&key, 0, written);
    (index, key)
}

fn mark(at: i64) -> Mark {
    Mark::of(second(at), Cause::Own)
}

fn second(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(second).unwrap()
}

fn reported(state: RolloutState, started: i64) -> HostedClusterMirrorsStatus {
    let mut status = HostedClusterMirrorsStatus::default();
    status.control_plane.rollout = Some(RolloutReport { started: second(started).to_string(), state, limit: 1 });
    status
}

#[test]
fn a_mark_is_in_flight_until_the_report_says_it_is_done() {
    let (mut index, key) = in_flight();
    assert_eq!(index.rollouts.in_flight(&key), Some(mark(5)));
    for (report, expected) in [
        (Some(reported(RolloutState::InFlight, 5)), true),
        (Some(reported(RolloutState::Failed, 5)), true),
        (Some(reported(RolloutState::Done, 4)), true),
        (Some(reported(RolloutState::Done, 5)), false),
        (None, true),
    ] {
        index.apply_report(&key, report);
        assert_eq!(index.rollouts.in_flight(&key).is_some(), expected);
    }
    let before = index.facts(&key, Instant::now()).unwrap().memory;
    index.remember(&key, &before, Memory { rollout_done: Some(second(5)), ..Memory::default() });
    assert_eq!(index.rollouts.in_flight(&key), None, "before any report says so");
}

#[test]
fn a_watch_that_is_behind_frees_no_place() {
    let (mut index, key) = in_flight();
    assert_eq!(index.apply_target(0, &target("clusters-a", 1)), Some(key.clone()), "it is followed");
    index.distrust_targets(&key);
    index.apply_target(0, &target("clusters-a", 1));
    assert!(index.rollouts.in_flight(&key).is_some());
    let seen = TargetMeta { rollout: Some(mark(5)), ..target("clusters-a", 2) };
    index.replace_targets(0, &[seen]);
    assert!(index.rollouts.in_flight(&key).is_some());
    index.replace_targets(0, &[TargetMeta { uid: "another".into(), ..target("clusters-a", 1) }]);
    assert_eq!(index.rollouts.in_flight(&key), None, "the Deployment was made anew");
}

#[test]
fn a_leader_that_begins_knows_what_is_in_flight_from_its_first_look() {
    let mut index = Index::new(1);
    index.rollouts = Rollouts::new(Budget { at_once: 1, ..Budget::OFF });
    let key = ClusterKey { namespace: "clusters".into(), name: "a".into() };
    index.replace_reports(vec![seen(&key, reported(RolloutState::Done, 4))]);
    index.replace_targets(0, &[TargetMeta { rollout: Some(mark(5)), ..target("clusters-a", 2) }]);
    index.replace_clusters(vec![cluster("a")], &BTreeSet::new());
    assert_eq!(index.rollouts.in_flight(&key), Some(mark(5)), "and what began it");
    let mut deleting = cluster("a");
    deleting.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(second(9)));
    index.apply_cluster(deleting);
    assert_eq!(index.rollouts.in_flight(&key), None, "one that is being deleted holds no place");
}
