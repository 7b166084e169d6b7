use http::Method;
use serde_json::json;

use super::*;
use crate::client::testing::Step;
use crate::guest::objects::GuestKinds;
use crate::guest::path;
use crate::guest::summary::{AgentStatus, Tally};
use crate::manager::guests::testing::{
    GuestStage, NODES, SET, SET_CRD, SETS, STATUSES, applied, discovery, get, list, missing, node, old_set, patched_set,
};
use crate::manager::testing::{clusters, hosted_cluster};

#[test]
fn nodes_that_keep_their_files_are_named() {
    let summary = |nodes: usize| {
        let mut tally = Tally::new(&[]);
        for node in 0..nodes {
            tally.node(&format!("n{node:02}"), &std::collections::BTreeMap::new());
            let status = serde_json::json!({"metadata": {"name": format!("n{node:02}")}, "status": {}});
            tally.status(&serde_json::from_value::<AgentStatus>(status).unwrap());
        }
        tally.node("without-agent", &std::collections::BTreeMap::new());
        tally.finish()
    };
    let message = |nodes: usize| nodes_left_behind(&summary(nodes), Duration::from_mins(5));
    assert_eq!(message(1), "timed out: 1 node did not confirm within 5m and may keep their mirror configuration: n00");
    assert!(message(2).starts_with("timed out: 2 nodes did not confirm within 5m"), "{}", message(2));
    assert!(message(25).ends_with("n18, n19 and 5 more"), "{}", message(25));
    assert_eq!((in_minutes(Duration::from_secs(90)), in_minutes(Duration::ZERO)), ("90s".into(), "0s".into()));
}

/// A guest cluster of a hosted cluster that is being removed.
fn leaving(flags: &[&str], steps: Vec<Step>) -> GuestStage {
    let stage = GuestStage::new(flags, steps);
    let mut cluster = hosted_cluster();
    cluster.metadata.annotations = Some([("hypermirror.dev/uninstall".to_owned(), "true".to_owned())].into());
    stage.stage.ctx.store.apply(clusters(vec![cluster]));
    stage
}

/// The mirrors are emptied, and the only node has this status.
fn emptied(status: Value) -> Vec<Step> {
    vec![
        get(SET_CRD, &json!({})),
        get(SET, &old_set(2)),
        patched_set(3),
        list(SETS, &[json!({"metadata": {"name": "cluster", "uid": "s"}})]),
        list(NODES, &[node("n1")]),
        list(STATUSES, &[status]),
    ]
}

/// The reads of all objects in the order of their deletion: workloads, permissions, CRDs. Of these only the CRD of the sets
/// exists, if `has_crd`, and is deleted.
fn deleted(has_crd: bool) -> Vec<Step> {
    let (reload, ports) = (ReloadMethod::default(), AgentPorts::default());
    let agent = AgentSpec { image: String::new(), reload, runtime: RuntimeChoice::Crio, ports, api: None };
    let kinds = GuestKinds::default();
    let objects = GuestObjects::new(&GuestInput { entries: &[], pools: &[], agent: Some(&agent), kinds });
    let order = objects.workloads.iter().chain(objects.foundations.iter().rev()).chain(&objects.crds);
    let steps = order.flat_map(|object| {
        let path = path::of(object);
        if !has_crd || path != SET_CRD {
            return vec![missing(&path)];
        }
        let mut live = object.clone();
        live["metadata"]["uid"] = "crd".into();
        vec![get(&path, &live), Step::new(Method::DELETE, &path, 200, &json!({}))]
    });
    discovery().into_iter().chain(steps).collect()
}

fn reason(synced: &Synced) -> (Reason, &'static str, bool) {
    let outcome = synced.outcome.as_ref().unwrap();
    (outcome.synced.reason, outcome.synced.status, outcome.left)
}

#[tokio::test(start_paused = true)]
async fn objects_stay_until_nodes_have_removed_their_mirrors() {
    let mut stage = leaving(&[], [emptied(applied("n1", 2)), emptied(applied("n1", 3)), deleted(true)].concat());
    let waiting = stage.sync().await;
    assert_eq!(reason(&waiting), (Reason::Leaving, "False", false));
    assert_eq!(waiting.again, pace::pause(0), "its nodes are asked again soon");
    let gone = stage.sync().await;
    assert_eq!((reason(&gone), gone.again), ((Reason::Leaving, "True", true), None));
    let bodies = stage.end().await;
    let emptied = bodies.iter().find(|body| body["kind"] == "NodeMirrorSet").unwrap();
    assert!(emptied["spec"]["digestMirrors"].is_null(), "{emptied}");
    let options = bodies.iter().find(|body| body["preconditions"].is_object()).unwrap();
    assert_eq!(options["preconditions"]["uid"], "crd", "no newer object of the same name is deleted");
}

#[tokio::test(start_paused = true)]
async fn nodes_that_never_confirm_are_named_after_the_timeout_and_the_objects_go() {
    let mut stage = leaving(&["--leave-timeout=0s"], [emptied(applied("n1", 2)), deleted(true)].concat());
    let left = stage.sync().await;
    assert_eq!((reason(&left), left.again), ((Reason::LeftBehind, "False", true), None));
    assert!(left.outcome.as_ref().unwrap().synced.message.ends_with(": n1"), "{left:?}");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_guest_cluster_without_the_kind_has_nothing_to_wait_for() {
    let mut stage = leaving(&[], [vec![missing(SET_CRD)], deleted(false)].concat());
    assert_eq!(reason(&stage.sync().await), (Reason::Leaving, "True", true));
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_guest_cluster_delays_the_removal_only_until_the_timeout() {
    let refused = || Step::refused(Method::GET, SET_CRD, 403);
    let mut stage = leaving(&["--leave-timeout=5m"], vec![refused()]);
    stage.has_base();
    stage.pushed();
    let waits = stage.sync().await;
    assert_eq!(reason(&waits), (Reason::ForbiddenByGuest, "False", false));
    assert!(waits.again <= Some(Duration::from_mins(5)));
    stage.end().await;
    let mut late = leaving(&["--leave-timeout=0s"], vec![refused()]);
    late.pushed();
    let given_up = late.sync().await;
    assert_eq!(reason(&given_up), (Reason::LeftBehind, "False", true));
    assert!(given_up.again.is_some(), "who uninstalls may restore it");
    late.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_guest_cluster_that_was_never_written_to_delays_nobody() {
    let mut stage = leaving(&[], vec![Step::refused(Method::GET, SET_CRD, 403)]);
    assert_eq!(reason(&stage.sync().await), (Reason::Leaving, "True", true));
    stage.end().await;
}
