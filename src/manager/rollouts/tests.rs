use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::client::testing::Step;
use crate::manager::testing::{Stage, hosted_cluster, key};

const LIST: &str = "/apis/apps/v1/deployments";
const LIMIT: &[&str] = &["--max-concurrent-rollouts=1", "--rollout-timeout=10m"];

fn stage(flags: &[&str], steps: impl IntoIterator<Item = Step>) -> Stage {
    Stage::new(flags, steps).with_cluster(hosted_cluster())
}

/// The list of one target, with a mark that the previous leader has set.
fn listed(mark: Option<&str>) -> Step {
    let annotations = mark.map_or(Value::Null, |mark| json!({"hypermirror.dev/rollout": mark}));
    let metadata = json!({"name": "x", "namespace": "clusters-a", "uid": "control-plane-operator", "generation": 2,
                          "annotations": annotations});
    let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {},
                      "items": [{"metadata": metadata}]});
    Step::new(Method::GET, LIST, 200, &list)
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_knows_the_rollouts_of_the_last_one_before_it_starts_any() {
    let marked = listed(Some("2026-01-01T00:00:00Z"));
    let unavailable = || Step::refused(Method::GET, LIST, 503);
    let stage = stage(LIMIT, [unavailable(), marked.clone(), unavailable(), marked, listed(None), listed(None)]);
    stage.drain().await;
    let start = tokio::time::Instant::now();
    stage.ctx.rollouts.begin_term().await;
    assert_eq!(start.elapsed(), STOCK_RETRY * 2, "each failure has all targets listed again");
    assert!(stage.ctx.store.rollout(&key()).1.in_flight.is_some());
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_or_a_term_nothing_is_listed() {
    let unlimited = stage(&[], []);
    unlimited.ctx.rollouts.begin_term().await;
    unlimited.end().await;
    let standby = stage(LIMIT, []);
    standby.term.end();
    standby.ctx.rollouts.begin_term().await;
    standby.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_released_unless_something_may_have_been_written() {
    let timeout = || Err(WriteError::Timeout { what: "x".to_owned() });
    let refused = || Err(WriteError::Conflict { what: "x".to_owned() });
    for (result, is_released) in [(timeout(), false), (refused(), true), (Ok(None), true)] {
        let stage = stage(LIMIT, []);
        stage.ctx.store.begin_rollouts();
        assert_eq!(stage.ctx.rollouts.claim(&key()), Slot::Claimed);
        stage.ctx.rollouts.end_reconcile(&key(), &result);
        let in_flight = stage.ctx.store.check_rollouts(&[]).in_flight;
        assert_eq!(in_flight == 0, is_released, "{result:?}");
        stage.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_stays_in_the_queue_and_who_has_no_change_leaves_it() {
    let stage = stage(LIMIT, []);
    assert_eq!(stage.ctx.rollouts.claim(&key()), Slot::Queued);
    stage.ctx.rollouts.end_reconcile(&key(), &Ok(Some(Reason::RolloutWaiting)));
    assert_eq!(stage.ctx.store.check_rollouts(&[]).waiting, 1);
    stage.ctx.rollouts.end_reconcile(&key(), &Ok(Some(Reason::Paused)));
    assert_eq!(stage.ctx.store.check_rollouts(&[]).waiting, 0);
    stage.ctx.rollouts.claim(&key());
    stage.ctx.rollouts.end_panicked(&key());
    assert_eq!(stage.ctx.store.check_rollouts(&[]).waiting, 0, "a panic blocks nobody");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn gauges_are_those_of_the_leader() {
    let stage = stage(LIMIT, []);
    let mut housekeeping = Housekeeping::default();
    stage.ctx.rollouts.claim(&key());
    housekeeping.update(&stage.ctx.rollouts);
    let waiting = |stage: &Stage| stage.ctx.metrics.rollouts.get_or_create(&StateLabels { state: "Waiting" }).get();
    assert_eq!(waiting(&stage), 1);
    stage.term.end();
    housekeeping.update(&stage.ctx.rollouts);
    assert_eq!(waiting(&stage), 0);
    stage.end().await;
}
