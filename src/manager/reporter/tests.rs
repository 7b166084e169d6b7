use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::client::testing::Step;
use crate::client::watch::Update;
use crate::management::index::change::Change;
use crate::manager::testing::{REPORT, Stage, hosted_cluster, key, report, seen};

const STATUS: &str = "/apis/hypermirror.dev/v1alpha1/namespaces/clusters/hostedclustermirrors/a/status";

fn object() -> Arc<HostedCluster> {
    Arc::new(hosted_cluster())
}

fn answer() -> Value {
    json!({"metadata": {"name": "a", "namespace": "clusters"}, "spec": {}})
}

fn written(path: &str) -> Step {
    Step::new(Method::PATCH, path, 200, &answer())
}

fn stage(steps: impl IntoIterator<Item = Step>) -> Stage {
    Stage::new(&[], steps).with_cluster(hosted_cluster())
}

/// Writes queued reports for some time, and returns when the hosted cluster was enqueued again, if it was.
async fn run(stage: &Stage) -> Option<Duration> {
    stage.drain().await;
    let (reporter, start) = (tokio::spawn(stage.reporter.clone().run()), tokio::time::Instant::now());
    let next = tokio::time::timeout(Duration::from_secs(10), stage.ctx.store.clusters.next()).await;
    reporter.abort();
    let _ = reporter.await;
    next.ok().map(|_| start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_report_is_created_and_written_once_and_an_equal_one_never() {
    let stage = stage([written(REPORT), written(STATUS)]);
    stage.reporter.submit(&key(), &object(), Some(report(1)));
    stage.reporter.submit(&key(), &object(), Some(report(2)));
    assert_eq!(run(&stage).await, None);
    stage.reporter.submit(&key(), &object(), Some(report(2)));
    assert_eq!(run(&stage).await, None);
    assert_eq!(stage.ctx.store.report(&key()).unwrap().source_count, 2);
    let bodies = stage.end().await;
    assert_eq!(bodies[0]["metadata"]["ownerReferences"][0]["uid"], "a");
    assert_eq!(bodies[1]["status"]["sourceCount"], 2, "only the newest one is written");
}

/// A report whose condition changed at this time.
fn ready_since(second: i64) -> HostedClusterMirrorsStatus {
    let ready = crate::hosted::condition_state::ConditionState::good("all is well");
    let time = jiff::Timestamp::from_second(second).unwrap();
    let conditions = crate::hosted::conditions::merge(&[], &[(hypermirror_api::ConditionType::Ready, &ready)], 1, time);
    HostedClusterMirrorsStatus { conditions, ..report(1) }
}

#[tokio::test(start_paused = true)]
async fn a_report_that_differs_only_in_its_times_from_the_one_written_meanwhile_is_not_written() {
    // While the report is written, its watch reports the creation, and another turn computes the same report a second later.
    let again = Arc::new(Mutex::new(None::<Reporter>));
    let (reporter, mut creation) = (Arc::clone(&again), answer());
    creation["metadata"]["resourceVersion"] = "7".into();
    let status = written(STATUS).meanwhile(move || {
        let reporter = reporter.lock().unwrap().take().unwrap();
        reporter.store.apply(Change::Reports(Update::Applied(seen(HostedClusterMirrorsStatus::default(), "8"))));
        reporter.submit(&key(), &object(), Some(ready_since(2)));
    });
    let stage = stage([Step::new(Method::PATCH, REPORT, 200, &creation), status]);
    *again.lock().unwrap() = Some(stage.reporter.clone());
    stage.reporter.submit(&key(), &object(), Some(ready_since(1)));
    run(&stage).await;
    assert_eq!(*stage.ctx.store.report(&key()).unwrap(), ready_since(1));
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_report_that_somebody_deleted_is_created_again() {
    let stage = stage([Step::refused(Method::PATCH, STATUS, 404), written(REPORT), written(STATUS)]);
    stage.ctx.store.record_report(&key(), Some(report(1)));
    stage.reporter.submit(&key(), &object(), Some(report(2)));
    assert_eq!(run(&stage).await, None);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_report_has_its_hosted_cluster_reconciled_again_after_a_pause() {
    for code in [403, 409, 422, 503] {
        let stage = stage([Step::refused(Method::PATCH, STATUS, code)]);
        stage.ctx.store.record_report(&key(), Some(report(1)));
        stage.reporter.submit(&key(), &object(), Some(report(2)));
        assert_eq!(run(&stage).await, Some(RETRY), "{code}");
        assert_eq!(stage.ctx.store.report(&key()).unwrap().source_count, 1, "{code}");
        stage.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_report_of_a_hosted_cluster_that_is_not_managed_any_more_is_deleted() {
    let stage = stage([Step::new(Method::DELETE, REPORT, 200, &json!({"kind": "Status", "status": "Success"}))]);
    stage.ctx.store.record_report(&key(), Some(report(1)));
    stage.reporter.submit(&key(), &object(), None);
    run(&stage).await;
    assert!(stage.ctx.store.report(&key()).is_none());
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_reports_nothing() {
    let stage = stage([]);
    stage.reporter.submit(&key(), &object(), Some(report(1)));
    stage.term.end();
    assert_eq!(run(&stage).await, None);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn reports_wait_for_targets_but_not_for_ever() {
    let stage = stage([written(REPORT), written(STATUS)]);
    stage.drain().await;
    stage.ctx.store.clusters.add(key());
    let busy = stage.ctx.store.clusters.next().await;
    stage.reporter.submit(&key(), &object(), Some(report(1)));
    let reporter = tokio::spawn(stage.reporter.clone().run());
    tokio::time::sleep(PATIENCE / 2).await;
    assert!(stage.ctx.store.report(&key()).is_none(), "a target is being written");
    tokio::time::sleep(PATIENCE).await;
    assert_eq!(stage.ctx.store.report(&key()).unwrap().source_count, 1);
    stage.ctx.store.clusters.done(&busy, false);
    reporter.abort();
    let _ = reporter.await;
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_reported_in_place_of_what_was_queued() {
    let stage = stage([]);
    stage.reporter.submit(&key(), &object(), Some(report(1)));
    stage.reporter.submit_failure(&key(), jiff::Timestamp::UNIX_EPOCH);
    let writing = stage.reporter.outbox.next().await;
    let status = writing.take().unwrap().status.unwrap();
    let reasons: Vec<&str> = status.conditions.iter().map(|condition| condition.reason.as_str()).collect();
    assert_eq!(reasons, ["WorkFailed", "WorkFailed"]);
    drop(writing);
    stage.end().await;
}

#[tokio::test]
async fn the_reports_of_one_hosted_cluster_are_written_one_after_the_other() {
    let outbox = Outbox::default();
    let put = |sources| outbox.put(&key(), Pending { object: object(), status: Some(report(sources)) });
    put(1);
    let first = outbox.next().await;
    assert!(first.take().is_some());
    put(2);
    let second = outbox.next();
    tokio::pin!(second);
    assert!(futures::poll!(second.as_mut()).is_pending(), "its events are not published yet");
    drop(first);
    assert_eq!(second.await.take().unwrap().status.unwrap().source_count, 2);
    outbox.put(&key(), Pending { object: object(), status: None });
    outbox.discard(&key());
    assert!(futures::poll!(std::pin::pin!(outbox.next())).is_pending());
}
