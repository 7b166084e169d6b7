use http::Method;
use serde_json::json;

use super::*;
use crate::client::testing::Step;
use crate::guest::objects::crds;
use crate::guest::path;
use crate::manager::guests::testing::{
    GuestStage, NODES, SET, SETS, STATUSES, VERSION, applied, current_crds, discovery, get, list, missing, node,
    old_set, patched_set,
};
use crate::manager::testing::{Stage, hosted_cluster, key};

/// The requests of a complete push to a guest cluster in which only the mirrors are outdated, and the read of its node.
fn complete(set: Step) -> Vec<Step> {
    let prunes = [list(SETS, &[]), list("/apis/apps/v1/daemonsets", &[])];
    let reads = [list(NODES, &[node("n1")]), list(STATUSES, &[applied("n1", 2)])];
    [discovery(), current_crds(), vec![set, patched_set(2)], prunes.into(), reads.into()].concat()
}

fn reason(synced: &Synced) -> Option<(Reason, &'static str)> {
    synced.outcome.as_ref().map(|outcome| (outcome.synced.reason, outcome.synced.status))
}

#[tokio::test(start_paused = true)]
async fn kinds_come_before_mirrors_mirrors_before_everything_else_and_nodes_last() {
    let mut stage = GuestStage::new(&[], complete(get(SET, &old_set(1))));
    let synced = stage.sync().await;
    assert_eq!(reason(&synced), Some((Reason::NodeIdentityUnverified, "True")));
    let outcome = synced.outcome.unwrap();
    assert_eq!(outcome.nodes.unwrap().status, "True");
    assert_eq!(outcome.guest.unwrap().sets, ["cluster@2"]);
    assert!(synced.again >= Some(Duration::from_mins(4)), "nothing is left to wait for: {:?}", synced.again);
    let (queued, _) = stage.stage.drain().await;
    assert_eq!(queued, [key()], "its report changes");
    let bodies = stage.end().await;
    let written = bodies.iter().find(|body| body["kind"] == "NodeMirrorSet").unwrap();
    assert_eq!(written["spec"]["digestMirrors"][0]["source"], "quay.io/a");
    assert_eq!(written["metadata"]["annotations"]["hypermirror.dev/term"], "5");
    assert_eq!(written["metadata"]["resourceVersion"], "1", "as it was read");
}

#[tokio::test(start_paused = true)]
async fn mirrors_that_are_up_to_date_are_not_read_again_and_only_nodes_are() {
    let again = [list(NODES, &[node("n1")]), list(STATUSES, &[applied("n1", 2)])];
    let mut stage = GuestStage::new(&[], complete(missing(SET)).into_iter().chain(again));
    stage.sync().await;
    stage.stage.drain().await;
    assert!(stage.sync().await.outcome.is_some());
    assert!(stage.stage.drain().await.0.is_empty(), "the report is as it was");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn nodes_have_a_moment_to_confirm_before_anything_is_reported() {
    let mut steps = complete(get(SET, &old_set(1)));
    steps.pop();
    let waiting =
        [list(STATUSES, &[applied("n1", 1)]), list(NODES, &[node("n1")]), list(STATUSES, &[applied("n1", 2)])];
    let mut stage = GuestStage::new(&[], steps.into_iter().chain(waiting));
    let first = stage.sync().await;
    assert_eq!((reason(&first), first.again), (None, pace::pause(0)));
    assert!(first.progress.is_some_and(|progress| progress.left > 0 && progress.is_written), "{first:?}");
    assert!(stage.guest.change.is_some());
    let second = stage.sync().await;
    assert_eq!(second.progress.map(|progress| progress.left), Some(0));
    assert_eq!(second.outcome.unwrap().nodes.unwrap().status, "True");
    assert!(stage.guest.change.is_none(), "its slot is free");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn mirrors_wait_for_a_slot_and_nothing_is_written_meanwhile() {
    let steps = [current_crds(), vec![get(SET, &old_set(1))]].concat();
    let mut stage = GuestStage::new(&["--max-concurrent-guests=1"], [discovery(), steps].concat());
    let slot = stage.guests.claim_slot().unwrap();
    let synced = stage.sync().await;
    assert!(synced.outcome.is_none() && synced.again < Some(Duration::from_secs(1)), "{synced:?}");
    assert!(stage.guest.change.is_none());
    drop(slot);
    stage.end().await;
}

/// What is reported for this response to the write of the mirrors, after how many attempts, and the pause.
async fn refused(write: impl Fn() -> Step, attempts: usize) -> (Option<(Reason, &'static str)>, Duration) {
    let mut steps = [discovery(), current_crds()].concat();
    for _ in 0..attempts {
        steps.extend([get(SET, &old_set(1)), write()]);
    }
    let mut stage = GuestStage::new(&[], steps);
    let synced = stage.sync().await;
    assert!(stage.guest.base.is_none(), "the next reconcile reads everything again");
    let result = (reason(&synced), synced.again.unwrap());
    stage.end().await;
    result
}

#[tokio::test(start_paused = true)]
async fn each_refusal_of_a_guest_cluster_has_its_reason_and_its_pause() {
    let (soon, seconds) = (Duration::from_secs(2), |seconds| Duration::from_secs(seconds));
    for (code, attempts, expected) in [
        (403, 1, Some((Reason::ForbiddenByGuest, "False"))),
        (422, 1, Some((Reason::PushFailed, "False"))),
        // Somebody else writes at the same time: read it again, three times, and then reconcile again.
        (409, 3, None),
        (404, 1, None),
        (503, 1, None),
        (500, 1, None),
    ] {
        let (reported, pause) = refused(|| Step::refused(Method::PATCH, SET, code), attempts).await;
        assert_eq!(reported, expected, "{code}");
        let is_as_expected = if expected.is_some() { pause >= seconds(24) } else { pause <= soon };
        assert!(is_as_expected, "{code}: {pause:?}");
    }
    let (reported, pause) = refused(|| Step::silent(Method::PATCH, SET), 1).await;
    assert_eq!((reported, pause <= soon), (None, true), "one failure may be temporary");
}

#[tokio::test(start_paused = true)]
async fn a_guest_cluster_is_down_after_three_failures_and_is_then_only_probed() {
    let unavailable = || Step::refused(Method::GET, "/apis/config.openshift.io/v1", 503);
    let version = || get(VERSION, &json!({}));
    // After a failure it is probed, and reconciled only if it answers.
    let steps = vec![unavailable(), version(), unavailable(), version(), unavailable(), version()];
    let mut stage = GuestStage::new(&[], steps);
    assert_eq!(reason(&stage.sync().await), None);
    assert_eq!(reason(&stage.sync().await), None);
    assert_eq!(reason(&stage.sync().await), Some((Reason::ConnectionDown, "Unknown")));
    let probed = stage.sync().await;
    assert_eq!((reason(&probed), probed.again), (None, Some(Duration::from_secs(1))), "one answer is not enough");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_after_the_end_of_the_term() {
    let mut stage = GuestStage::new(&[], [discovery(), current_crds(), vec![get(SET, &old_set(1))]].concat());
    stage.stage.term.end();
    let synced = stage.sync().await;
    assert_eq!((reason(&synced), synced.again), (None, Some(Duration::from_secs(2))));
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_object_of_a_newer_leader_is_left_alone_unless_the_lease_is_ours() {
    const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/hypermirror/leases/hypermirror-manager";
    for (holder, transitions, overrules) in [("me", 5, 9), ("me", 4, 0), ("other", 9, 0)] {
        let lease = json!({"metadata": {}, "spec": {"holderIdentity": holder, "leaseTransitions": transitions}});
        let stage = Stage::new(&["--guest-agent=external"], [get(LEASE, &lease)]);
        let mut newer = old_set(1);
        newer["metadata"]["annotations"] = json!({"hypermirror.dev/term": "9"});
        let mut stage = GuestStage::over(stage, [discovery(), current_crds(), vec![get(SET, &newer)]].concat());
        assert_eq!(reason(&stage.sync().await), None);
        assert_eq!(stage.guest.overrules, overrules, "{holder} {transitions}");
        stage.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_of_somebody_else_is_named_and_not_changed() {
    let mut foreign = old_set(1);
    foreign["metadata"]["labels"] = json!({});
    let mut stage = GuestStage::new(&[], [discovery(), current_crds(), vec![get(SET, &foreign)]].concat());
    let synced = stage.sync().await.outcome.unwrap().synced;
    assert_eq!((synced.reason, synced.status), (Reason::PushFailed, "False"));
    assert!(synced.message.contains("NodeMirrorSet cluster"), "{}", synced.message);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_holds_sends_nothing_and_keeps_what_is_known() {
    let mut paused = hosted_cluster();
    paused.metadata.annotations = Some([("hypermirror.dev/paused".to_owned(), "true".to_owned())].into());
    let mut stage = GuestStage::new(&[], []);
    stage.stage.ctx.store.apply(crate::manager::testing::clusters(vec![paused]));
    let synced = stage.sync().await;
    assert_eq!(reason(&synced), Some((Reason::Paused, "Unknown")));
    assert!(synced.again.is_some(), "it is reconciled again");
    stage.end().await;
    let mut observing = GuestStage::new(&["--mode=observe"], []);
    assert_eq!(reason(&observing.sync().await), Some((Reason::Observing, "False")));
    observing.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_crd_is_installed_before_its_objects() {
    let all = crds();
    let (sets, statuses) = (&all[0], &all[1]);
    let established = json!({"status": {"conditions": [{"type": "Established", "status": "True"}]}});
    let steps = [
        missing(&path::of(sets)),
        get(&path::of(statuses), &crate::guest::compare::stamped(statuses)),
        Step::new(Method::PATCH, &path::of(sets), 200, sets),
        missing(&path::of(sets)),
        get(&path::of(sets), &established),
        missing(SETS),
        get(&path::of(sets), &established),
        list(SETS, &[]),
    ];
    let rest = complete(missing(SET)).split_off(discovery().len() + current_crds().len());
    let mut stage = GuestStage::new(&[], [discovery(), steps.into(), rest].concat());
    assert_eq!(reason(&stage.sync().await), Some((Reason::NodeIdentityUnverified, "True")));
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_an_image_the_agent_is_not_installed_and_that_is_reported() {
    let stage = Stage::new(&[], []);
    let mut stage = GuestStage::over(stage, {
        let mut steps = complete(missing(SET));
        steps.retain(|step| !step.is_for("/apis/apps/v1/daemonsets"));
        steps
    });
    assert_eq!(reason(&stage.sync().await), Some((Reason::AgentImageMissing, "False")));
    stage.end().await;
}
