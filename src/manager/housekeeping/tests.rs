use http::Method;
use hypermirror_api::annotations;
use hypermirror_api::hypershift::{HostedCluster, HostedClusterSpec};
use hypermirror_api::report::{NodesReport, TargetReport};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};

use super::*;
use crate::client::testing::Step;
use crate::management::index::change::Change;
use crate::management::lease::LeaseMemory;
use crate::management::mirror_kind::MirrorKind;
use crate::manager::reconcile::reconcile;
use crate::manager::testing::{Stage, clusters, hosted_cluster, key, patched, reads, report};

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/hypermirror/leases/hypermirror-manager";

fn annotated() -> Step {
    Step::new(
        Method::PATCH,
        LEASE,
        200,
        &json!({"metadata": {"name": "hypermirror-manager", "namespace": "hypermirror"}}),
    )
}

/// Twelve hosted clusters without mirrors, whose reports have some.
fn emptied_fleet(stage: &Stage) {
    let names: Vec<String> = (0..12).map(|number| format!("c{number}")).collect();
    let cluster = |name: &String| {
        let mut cluster = HostedCluster::new(name, HostedClusterSpec::default());
        cluster.metadata.namespace = Some("clusters".to_owned());
        cluster
    };
    stage.ctx.store.apply(clusters(names.iter().map(cluster).collect()));
    for name in names {
        stage.ctx.store.record_report(&format!("clusters/{name}").parse().unwrap(), Some(report(1)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_removal_is_reported_until_it_is_approved_and_the_approval_is_used_once() {
    let stage = Stage::new(&[], [annotated()]);
    emptied_fleet(&stage);
    stage.drain().await;
    check_removals(&stage.ctx).await;
    assert_eq!(stage.ctx.metrics.removals_held.get(), 12);
    assert_eq!(stage.drain().await.0.len(), 12, "no report names it yet");
    let members = || stage.ctx.store.members(&stage.ctx.settings.selector);
    let token = stage.ctx.gate.held(1, members, None).unwrap().token;
    check_removals(&stage.ctx).await;
    assert!(stage.drain().await.0.is_empty(), "all reports name this one");
    stage.ctx.lease.send_replace(LeaseMemory { allow_removal: Some(token), ..LeaseMemory::default() });
    check_removals(&stage.ctx).await;
    assert_eq!(stage.ctx.metrics.removals_held.get(), 0);
    assert_eq!(stage.drain().await.0.len(), 12, "they may go on");
    for key in stage.ctx.store.members(&stage.ctx.settings.selector) {
        stage.ctx.store.record_report(&key.key.parse().unwrap(), Some(report(0)));
    }
    check_removals(&stage.ctx).await;
    let bodies = stage.end().await;
    assert_eq!(bodies[0]["metadata"]["annotations"], json!({annotations::ALLOW_REMOVAL: Value::Null}));
}

#[tokio::test(start_paused = true)]
async fn installed_kinds_are_recorded_until_that_succeeds_and_then_no_more() {
    use crate::client::optional_kind::Presence;
    use crate::management::index::change::MirrorChange;
    let stage = Stage::new(&[], [Step::refused(Method::PATCH, LEASE, 503), annotated()]);
    stage.ctx.store.apply(Change::Mirrors(MirrorKind::Itms, MirrorChange::Presence(Presence::Present)));
    record_kinds(&stage.ctx).await;
    record_kinds(&stage.ctx).await;
    stage.ctx.store.apply(Change::RecordedKinds([MirrorKind::Itms].into()));
    record_kinds(&stage.ctx).await;
    let bodies = stage.end().await;
    assert_eq!(bodies[1]["metadata"]["annotations"][annotations::KNOWN_KINDS], "itms");
}

#[tokio::test(start_paused = true)]
async fn gauges_count_what_reports_have() {
    let stage = Stage::new(&[], []);
    let target = |up_to_date| TargetReport { up_to_date, ..TargetReport::default() };
    let mut one = report(1);
    one.control_plane.targets = vec![target(true), target(false)];
    one.nodes = Some(NodesReport { total: 3, applied: 2, ..NodesReport::default() });
    count(&stage.ctx.metrics, 5, &[Arc::new(one), Arc::new(report(0))]);
    let metrics = &stage.ctx.metrics;
    let counted = [&metrics.hosted_clusters, &metrics.targets, &metrics.targets_up_to_date, &metrics.nodes];
    assert_eq!(counted.map(Gauge::get), [5, 2, 1, 3]);
    assert_eq!(metrics.nodes_applied.get(), 2);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_standby_only_counts() {
    let stage = Stage::new(&[], []);
    emptied_fleet(&stage);
    stage.term.end();
    let keeping = tokio::spawn(run(Arc::clone(&stage.ctx)));
    tokio::time::sleep(INTERVAL * 3).await;
    keeping.abort();
    let _ = keeping.await;
    assert_eq!(stage.ctx.metrics.hosted_clusters.get(), 12);
    assert_eq!(stage.ctx.metrics.removals_held.get(), 0);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_pending_until_its_last_write_and_only_for_the_leader() {
    let steps = [reads(&["="]), (0..3).map(|place| patched(place, &["="])).collect()].concat();
    let stage = Stage::new(&[], steps).with_cluster(hosted_cluster());
    let pending = |side| {
        let lag = stage.ctx.store.fleet_lag(side);
        (lag.left, lag.reasons.keys().copied().collect::<Vec<_>>().join(","))
    };
    assert_eq!(pending(Side::ControlPlane), (0, String::new()), "not the leader yet");
    stage.ctx.store.begin_lags();
    assert_eq!(pending(Side::ControlPlane), (3, "Updating".to_owned()));
    reconcile(&stage.ctx, &stage.reporter, &key()).await.unwrap();
    assert_eq!(pending(Side::ControlPlane), (0, String::new()));
    assert_eq!(pending(Side::Nodes), (0, "Updating".to_owned()), "nobody has counted its nodes");

    // What an edit changes is not known before its turn.
    let mut edited = hosted_cluster();
    edited.metadata.generation = Some(2);
    stage.ctx.store.apply(clusters(vec![edited.clone()]));
    assert_eq!(pending(Side::ControlPlane), (3, "Updating".to_owned()));
    let mut deleted = edited.clone();
    deleted.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    stage.ctx.store.apply(clusters(vec![deleted]));
    assert_eq!(pending(Side::ControlPlane), (0, String::new()), "nothing is written for it");
    stage.ctx.store.apply(clusters(vec![edited.clone()]));
    stage.ctx.store.end_term();
    edited.metadata.generation = Some(3);
    stage.ctx.store.apply(clusters(vec![edited]));
    assert_eq!(pending(Side::ControlPlane), (0, String::new()), "a standby computes no turns");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn proofs_are_counted_by_state_and_the_oldest_check_has_an_age() {
    let stage = Stage::new(&[], []);
    let condition = |kind: &str, status: &str, reason: Reason| Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.as_str().to_owned(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    };
    let report = |conditions: Vec<Condition>| Arc::new(HostedClusterMirrorsStatus { conditions, ..report(1) });
    let lost = condition("MirrorsProven", "False", Reason::ProofMissing);
    let reports = [
        report(vec![condition("MirrorsProven", "True", Reason::AsExpected)]),
        report(vec![lost.clone()]),
        report(vec![lost, condition("GuestSynced", "False", Reason::ProofMissing)]),
        report(Vec::new()),
    ];
    let metrics = &stage.ctx.metrics;
    let (checked, now) = (Timestamp::from_second(100).unwrap(), Timestamp::from_second(160).unwrap());
    count_proofs(metrics, &reports, Some(checked), now);
    let of = |state: &'static str| metrics.mirrors_proven.get_or_create(&StateLabels { state }).get();
    assert_eq!((of("Proven"), of("Missing"), of("Unknown")), (1, 2, 0));
    assert_eq!((metrics.proofs_held.get(), metrics.proof_age.get()), (1, 60), "a proof that is lost holds nothing");
    count_proofs(metrics, &[], None, now);
    assert_eq!((of("Missing"), metrics.proofs_held.get(), metrics.proof_age.get()), (0, 0, 0));
    stage.end().await;
}
