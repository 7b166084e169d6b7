use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::try_join_all;
use http::{Request, Response};
use k8s_openapi::api::core::v1::Secret;
use kube::client::Body;
use serde_json::json;

use super::*;
use crate::manager::testing::{Stage, clusters, hosted_cluster, key};

/// A manager whose guest clusters have no kubeconfig.
fn stage() -> (Stage, Arc<Guests>) {
    let stage = Stage::new(&[], []).with_cluster(hosted_cluster());
    let guests = Guests::new(&stage.ctx);
    (stage, guests)
}

#[tokio::test(start_paused = true)]
async fn a_guest_cluster_is_reconciled_reported_and_enqueued_again() {
    let (stage, guests) = stage();
    stage.drain().await;
    guests.queue().add(key());
    let running = tokio::spawn(Arc::clone(&guests).run(Arc::clone(&stage.ctx)));
    assert_eq!(stage.ctx.store.clusters.next().await, key());
    let synced = stage.ctx.store.guest_outcome(&key()).unwrap().synced.clone();
    assert_eq!((synced.reason, synced.status), (Reason::KubeconfigMissing, "Unknown"));
    assert_eq!(guests.memory.with(|memory| memory.len()), 1);
    running.abort();
    let _ = running.await;
    drop(guests);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_standby_and_a_process_that_ends_forget_and_send_nothing() {
    for stops in [false, true] {
        let (stage, guests) = stage();
        guests.memory.put_back(&key(), Guest::default());
        if stops {
            stage.ctx.stopping.send_replace(true);
        } else {
            stage.term.end();
        }
        guests.reconcile(&stage.ctx, &key()).await;
        assert!(guests.memory.with(|memory| memory.is_empty()) && stage.ctx.store.guest_outcome(&key()).is_none());
        drop(guests);
        stage.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_memory_of_an_earlier_term_and_of_a_deleted_cluster_is_dropped() {
    let (stage, guests) = stage();
    let old = Guest { term: 4, overrules: 9, ..Guest::default() };
    guests.memory.put_back(&key(), old);
    let now = guests.memory.take(&key(), 5);
    assert_eq!((now.term, now.overrules), (5, 0));
    guests.memory.put_back(&key(), now);
    stage.ctx.store.apply(clusters(Vec::new()));
    guests.reconcile(&stage.ctx, &key()).await;
    assert!(guests.memory.with(|memory| memory.is_empty()));
    drop(guests);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_reported_and_tried_again_later() {
    let (stage, guests) = stage();
    stage.drain().await;
    guests.queue().add(key());
    let taken = guests.queue().next().await;
    let start = tokio::time::Instant::now();
    guests.report_panic(taken);
    assert_eq!(stage.ctx.store.guest_outcome(&key()).unwrap().synced.reason, Reason::WorkFailed);
    assert_eq!(guests.queue().next().await, key());
    assert_eq!(start.elapsed(), AFTER_PANIC);
    drop(guests);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_sends_few_requests_at_once_to_the_management_cluster() {
    let (stage, mut guests) = stage();
    let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (Arc::clone(&at_once), Arc::clone(&most));
    let service = tower::service_fn(move |_: Request<Body>| {
        let (at_once, most) = counted.clone();
        async move {
            most.fetch_max(at_once.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            // Longer than the deadline of one request, when all slots are used in turn.
            tokio::time::sleep(Duration::from_secs(10)).await;
            at_once.fetch_sub(1, Ordering::Relaxed);
            let gone = json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "", "code": 404});
            Ok::<_, Infallible>(
                Response::builder().status(404).body(Body::from(gone.to_string().into_bytes())).unwrap(),
            )
        }
    });
    Arc::get_mut(&mut guests).unwrap().client = Client::new(service, "default");
    let reads = (0..5 * READS).map(|_| guests.read::<Secret>("clusters-a", "hcco-kubeconfig"));
    let found = try_join_all(reads).await.unwrap();
    assert!(found.iter().all(Option::is_none));
    assert_eq!(most.load(Ordering::Relaxed), READS);
    drop(guests);
    stage.end().await;
}

#[test]
fn intervals_differ_by_a_fifth() {
    let interval = Duration::from_mins(5);
    let pauses: Vec<Duration> = (0..50).map(|_| jittered(interval, &key())).collect();
    assert!(pauses.iter().all(|pause| *pause >= interval * 8 / 10 && *pause <= interval * 12 / 10));
    assert!(pauses.iter().any(|pause| *pause != pauses[0]), "not all at the same time");
}
