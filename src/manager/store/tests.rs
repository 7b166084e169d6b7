use hypermirror_api::hypershift::{HostedCluster, HostedClusterSpec};
use hypermirror_api::mirror_sets::{ImageDigestMirrorSetSpec, SourceMirrors};
use prometheus_client::registry::Registry;

use super::*;
use crate::client::watch::Update;
use crate::hosted::condition_state::ConditionState;
use crate::management::index::change::{Decoded, MirrorChange};
use crate::management::index::cluster::SeenCluster;
use crate::manager::testing::{clusters, hosted_cluster, key, report, seen};
use crate::mirrors::Layer;
use crate::mirrors::entry::of_object;

fn store() -> Store {
    Store::new(3, Budget { at_once: 1, ..Budget::OFF }, ManagerMetrics::register(&mut Registry::default()))
}

fn other() -> HostedCluster {
    let mut cluster = HostedCluster::new("b", HostedClusterSpec::default());
    cluster.metadata.namespace = Some("clusters".to_owned());
    cluster
}

/// Takes all keys out of a queue.
async fn taken(queue: &Queue) -> String {
    let mut keys = Vec::new();
    while !queue.queued().is_empty() {
        let key = queue.next().await;
        queue.done(&key, false);
        keys.push(key.name);
    }
    keys.sort();
    keys.join(",")
}

fn set(mirror: &str) -> MirrorObject {
    let digest =
        SourceMirrors { source: "quay.io/m".to_owned(), mirrors: vec![mirror.to_owned()], ..Default::default() };
    let spec = ImageDigestMirrorSetSpec { image_digest_mirrors: vec![digest] };
    MirrorObject::Entries(of_object("set", &spec, Layer::Management).into())
}

fn mirrors(change: MirrorChange) -> Change {
    Change::Mirrors(MirrorKind::Idms, change)
}

#[tokio::test]
async fn a_change_enqueues_exactly_what_follows_from_it() {
    let store = store();
    store.apply(clusters(vec![hosted_cluster(), other()]));
    assert_eq!((taken(&store.clusters).await, taken(&store.guests).await), ("a,b".to_owned(), "a,b".to_owned()));
    assert!(store.references_changed().now_or_never().is_some());
    store.apply(Change::Reports(Update::Applied(seen(report(1), ""))));
    assert_eq!((taken(&store.clusters).await, taken(&store.guests).await), ("a".to_owned(), String::new()));
    store.record_report(&key(), Some(report(2)));
    store.apply(Change::Reports(Update::Applied(seen(report(2), ""))));
    assert!(store.clusters.queued().is_empty(), "the manager's own write");
    assert!(store.references_changed().now_or_never().is_none() && store.relist_requested().now_or_never().is_none());
}

#[tokio::test]
async fn a_report_that_is_older_than_the_managers_own_write_is_no_news() {
    use Update::{Applied, Deleted, Replaced};
    let (store, written) = (store(), |version| seen(report(0), version).version);
    store.apply(clusters(vec![hosted_cluster()]));
    taken(&store.clusters).await;
    store.record_created_report(&key(), written("9"));
    store.apply(Change::Reports(Applied(seen(report(0), "9"))));
    assert!(store.report(&key()).is_none(), "the creation");
    store.record_written_report(&key(), report(2), written("12"));
    for old in [Applied(seen(report(1), "11")), Replaced(vec![seen(report(1), "9")]), Deleted(seen(report(1), "10"))] {
        store.apply(Change::Reports(old));
        assert_eq!(store.report(&key()).unwrap().source_count, 2);
    }
    // Changed by the server on its way: no reason to write it again.
    store.apply(Change::Reports(Applied(seen(report(3), "12"))));
    assert!(store.clusters.queued().is_empty());
    for (new, sources) in [
        (Applied(seen(report(4), "13")), Some(4)),
        (Replaced(vec![seen(report(5), "14")]), Some(5)),
        (Applied(seen(report(6), "a version of another scheme")), Some(6)),
        (Deleted(seen(report(6), "15")), None),
    ] {
        store.apply(Change::Reports(new));
        assert_eq!(taken(&store.clusters).await, "a");
        assert_eq!(store.report(&key()).map(|report| report.source_count), sources);
    }
}

#[tokio::test]
async fn a_report_from_before_a_restore_of_etcd_is_news_in_the_next_term() {
    let store = store();
    store.apply(clusters(vec![hosted_cluster()]));
    taken(&store.clusters).await;
    store.record_written_report(&key(), report(2), seen(report(2), "12").version);
    // A restore takes the API server away for longer than a Lease.
    store.end_term();
    store.apply(Change::Reports(Update::Replaced(vec![seen(report(1), "9")])));
    assert_eq!(taken(&store.clusters).await, "a");
    assert_eq!(store.report(&key()).unwrap().source_count, 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_mirrors_is_resolved_at_once_and_a_burst_of_edits_once() {
    let store = store();
    store.apply(clusters(vec![hosted_cluster()]));
    taken(&store.clusters).await;
    store.apply(mirrors(MirrorChange::Listed(vec![("one".to_owned(), set("m.example/1"))])));
    assert_eq!(taken(&store.clusters).await, "a");
    let map = || store.with(|index| (index.management().map.env.to_string(), index.management_revision()));
    assert_eq!(map(), ("quay.io/m=m.example/1".to_owned(), 1));
    let resolver = tokio::spawn(store.clone().resolve_edits());
    for edit in 2..9 {
        store.apply(mirrors(MirrorChange::Applied(vec![("one".to_owned(), set(&format!("m.example/{edit}")))])));
        tokio::time::sleep(COALESCE / 10).await;
    }
    assert_eq!(map().1, 1, "edits are combined");
    assert_eq!(store.clusters.next().await, key());
    assert_eq!(map(), ("quay.io/m=m.example/8".to_owned(), 2));
    store.clusters.done(&key(), false);
    tokio::time::sleep(COALESCE * 5).await;
    assert!(store.clusters.queued().is_empty(), "the burst is over");
    resolver.abort();
}

#[tokio::test]
async fn what_a_guest_cluster_answered_is_reported_when_it_is_new() {
    let store = store();
    store.apply(clusters(vec![hosted_cluster()]));
    taken(&store.clusters).await;
    let outcome = |message: &str| {
        GuestOutcome::unknown(ConditionState::new("Unknown", hypermirror_api::Reason::ConnectionDown, message), None)
    };
    for (message, expected) in [("down", "a"), ("down", ""), ("still down", "a")] {
        store.record_guest(&key(), outcome(message));
        assert_eq!(taken(&store.clusters).await, expected, "{message}");
    }
    assert_eq!(store.guest_outcome(&key()).unwrap().synced.message, "still down");
    store.end_term();
    assert!(store.guest_outcome(&key()).is_none(), "another leader knows better");
}

#[tokio::test]
async fn a_config_map_is_recorded_before_anybody_is_enqueued() {
    let store = store();
    let mut cluster = hosted_cluster();
    cluster.metadata.annotations =
        Some([("hypermirror.dev/image-mirror-config-ref".to_owned(), "mirrors".to_owned())].into());
    store.apply(clusters(vec![cluster, other()]));
    assert_eq!(store.referring_namespaces(), BTreeSet::from(["clusters".to_owned()]));
    store.apply(Change::ConfigMaps("clusters".to_owned(), Update::Replaced(vec![("mirrors".into(), "1".into())])));
    taken(&store.clusters).await;
    let name = ("clusters".to_owned(), "mirrors".to_owned());
    assert_eq!(store.config_map_version(&name).as_deref(), Some("1"));
    assert_eq!(store.facts(&key()).unwrap().unread, ["mirrors"]);
    let content = LoadedConfigMap::read("clusters", "mirrors", "1".to_owned(), &std::collections::BTreeMap::new());
    store.record_config_map(&name, ConfigMapContent::Loaded(content, Some("1".to_owned())));
    assert!(store.clusters.queued().is_empty() && store.facts(&key()).unwrap().unread.is_empty());
    store.enqueue_referring(&name);
    assert_eq!(taken(&store.clusters).await, "a");
    store.record_config_map(&name, ConfigMapContent::Missing);
    assert!(store.config_map_version(&name).is_none());
}

#[tokio::test]
async fn a_slot_of_the_rollout_budget_goes_from_one_to_the_next() {
    let store = store();
    store.apply(clusters(vec![hosted_cluster(), other()]));
    taken(&store.clusters).await;
    let b: ClusterKey = "clusters/b".parse().unwrap();
    assert_eq!(store.claim_rollout(&key()), Claim::Queued, "the rollouts in flight are not known");
    store.begin_rollouts();
    assert_eq!(taken(&store.clusters).await, "a", "it is first in the queue");
    assert_eq!((store.claim_rollout(&key()), store.claim_rollout(&b)), (Claim::Granted, Claim::Queued));
    store.end_reconcile(&key(), false, false);
    assert!(store.clusters.queued().is_empty(), "something may have been written");
    store.end_reconcile(&key(), true, false);
    assert_eq!(taken(&store.clusters).await, "b");
    assert_eq!(store.check_rollouts(&[]).waiting, 1);
    store.skip_rollout(&b);
    assert_eq!((store.check_rollouts(&[]).unavailable, store.rollout(&b).1.is_skipped), (1, true));
}

#[tokio::test]
async fn who_is_gone_is_known_to_nobody() {
    let store = store();
    store.apply(clusters(vec![hosted_cluster()]));
    store.record_report(&key(), Some(report(1)));
    assert_eq!(store.reports().0, 1);
    assert!(store.contains(&key()) && store.owns_namespace(&key()) && store.reported(&key()).unwrap().1.is_some());
    let gone = Decoded::Object(SeenCluster::from(hosted_cluster()));
    store.apply(Change::HostedClusters(Update::Deleted(gone)));
    assert!(!store.contains(&key()) && store.facts(&key()).is_none() && store.reported(&key()).is_none());
    assert_eq!((store.reports().0, store.report(&key())), (0, None));
    assert_eq!(store.members(&Selector::default()).len(), 0);
}
