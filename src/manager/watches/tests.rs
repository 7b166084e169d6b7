use std::time::Duration;

use http::Method;
use hypermirror_api::{ClusterKey, annotations};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::client::testing::{ApiServer, Step};
use crate::management::lease::LeaseMemory;
use crate::manager::testing::{Stage, clusters, hosted_cluster, key};

const CLUSTERS: &str = "/apis/hypershift.openshift.io/v1beta1/hostedclusters";
const POOLS: &str = "/apis/hypershift.openshift.io/v1beta1/nodepools";
const CONTROL_PLANES: &str = "/apis/hypershift.openshift.io/v1beta1/hostedcontrolplanes";
const DEPLOYMENTS: &str = "/apis/apps/v1/deployments";
const SECRETS: &str = "/api/v1/secrets";
const REPORTS: &str = "/apis/hypermirror.dev/v1alpha1/hostedclustermirrors";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/hypermirror/leases";
const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/hostedclusters.hypershift.openshift.io";
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const MIRRORS: &str = "/apis/config.openshift.io/v1/imagedigestmirrorsets";

/// The time that a watch has; the clock is paused.
const WHILE: Duration = Duration::from_secs(30);

/// An object of this name, in the namespace `clusters`.
fn object(name: &str, rest: &Value) -> Value {
    let mut object = json!({
        "metadata": {"name": name, "namespace": "clusters", "uid": name, "resourceVersion": "1", "generation": 1},
        "spec": {},
    });
    for (field, value) in rest.as_object().into_iter().flatten() {
        match value.as_object().filter(|_| field == "metadata") {
            Some(metadata) => metadata.iter().for_each(|(field, value)| object["metadata"][field] = value.clone()),
            None => object[field] = value.clone(),
        }
    }
    object
}

/// A streaming list of these objects, followed by these events.
fn events(path: &str, list: &[Value], events: &[(&str, Value)]) -> Step {
    let added = list.iter().map(|object| ("ADDED", object.clone()));
    let annotations = json!({"k8s.io/initial-events-end": "true"});
    let end =
        json!({"apiVersion": "v1", "kind": "X", "metadata": {"resourceVersion": "5", "annotations": annotations}});
    let all = added.chain([("BOOKMARK", end)]).chain(events.iter().cloned());
    let lines: Vec<String> =
        all.map(|(kind, object)| format!("{}\n", json!({"type": kind, "object": object}))).collect();
    Step::new(Method::GET, path, 200, &lines.concat())
}

/// A watch that goes on without events.
fn quiet(path: &str) -> Step {
    Step::silent(Method::GET, path)
}

/// Runs a watch with these responses, and returns the stage afterwards.
async fn watched<W: Future<Output = ()>>(
    stage: Stage,
    steps: impl IntoIterator<Item = Step>,
    watch: impl FnOnce(Watcher) -> W,
) -> Stage {
    let (client, server) = ApiServer::new(steps);
    let awaited = stage.ctx.leader.initial_lists.await_watch("it");
    let watcher = Watcher { client, store: stage.ctx.store.clone(), awaited };
    assert!(timeout(WHILE, watch(watcher)).await.is_err(), "a watch never ends");
    server.end().await;
    stage
}

fn is_listed(stage: &Stage) -> bool {
    stage.ctx.leader.initial_lists.missing().is_empty()
}

fn names(keys: &[ClusterKey]) -> Vec<&str> {
    keys.iter().map(|key| key.name.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn hosted_clusters_are_followed_through_lists_events_and_objects_that_cannot_be_decoded() {
    let odd = object("odd", &json!({"spec": {"imageContentSources": "none"}}));
    let paused = object("a", &json!({"metadata": {"annotations": {annotations::PAUSED: "true"}}}));
    let list = [object("a", &json!({})), object("b", &json!({})), odd.clone()];
    let later = [("MODIFIED", paused), ("MODIFIED", odd), ("DELETED", object("b", &json!({})))];
    let steps = [events(CLUSTERS, &list, &later), quiet(CLUSTERS)];
    let stage = watched(Stage::new(&[], []), steps, kinds::hosted_clusters).await;
    assert!(is_listed(&stage));
    let (reconcile, guests) = stage.drain().await;
    assert_eq!((names(&reconcile), names(&guests)), (vec!["a", "b"], vec!["a", "b"]));
    assert!(stage.ctx.store.contains(&key()) && !stage.ctx.store.contains(&"clusters/b".parse().unwrap()));
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_refused_tries_again_and_keeps_what_is_known() {
    let stage = Stage::new(&[], []).with_cluster(hosted_cluster());
    stage.drain().await;
    let refused = || Step::refused(Method::GET, CLUSTERS, 403);
    let lost = Step::lost(Method::GET, CLUSTERS);
    let stage = watched(stage, [refused(), lost, refused(), quiet(CLUSTERS)], kinds::hosted_clusters).await;
    assert!(!is_listed(&stage), "nothing may be written");
    assert!(stage.ctx.store.contains(&key()) && stage.drain().await.0.is_empty());
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn hosted_clusters_are_listed_anew_when_every_api_server_has_the_restored_field() {
    let stage = Stage::new(&[], []);
    stage.ctx.store.apply(Change::ReferenceField(false));
    let store = stage.ctx.store.clone();
    let restore = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        store.apply(Change::ReferenceField(true));
        tokio::time::Instant::now()
    });
    let steps = [
        events(CLUSTERS, &[], &[]),
        quiet(CLUSTERS),
        events(CLUSTERS, &[object("a", &json!({}))], &[]),
        quiet(CLUSTERS),
    ];
    let stage = watched(stage, steps, kinds::hosted_clusters).await;
    assert!(restore.await.is_ok() && kinds::SCHEMA_SPREADS + Duration::from_secs(10) < WHILE);
    assert_eq!(names(&stage.drain().await.0), ["a"]);
    stage.end().await;
}

/// The path of a kind, one of its objects, its watch, and whether it concerns hosted clusters and guest clusters.
type Case = (&'static str, Value, fn(Watcher) -> BoxFuture<'static, ()>, bool, bool);

#[tokio::test(start_paused = true)]
async fn each_kind_is_one_list_of_the_objects_that_concern_the_manager() {
    let stage = || Stage::new(&[], []).with_cluster(hosted_cluster());
    let in_control_plane = |name: &str| object(name, &json!({"metadata": {"namespace": "clusters-a"}}));
    let owned =
        json!({"metadata": {"namespace": "clusters-a", "annotations": {annotations::HOSTED_CLUSTER: "else/where"}}});
    let pool = object("p", &json!({"spec": {"clusterName": "a"}}));
    let report = object("a", &json!({"status": {"sourceCount": 3}}));
    let cases: [Case; 5] = [
        (POOLS, pool, |watcher| kinds::node_pools(watcher).boxed(), true, true),
        (CONTROL_PLANES, object("a", &owned), |watcher| kinds::control_planes(watcher).boxed(), true, true),
        (DEPLOYMENTS, in_control_plane("new"), |watcher| kinds::targets(watcher, 0, "x".into()).boxed(), true, false),
        (SECRETS, in_control_plane("s"), |watcher| kinds::kubeconfigs(watcher, 0, "x").boxed(), false, true),
        (REPORTS, report, |watcher| kinds::reports(watcher).boxed(), true, false),
    ];
    for (path, listed, watch, reconciles, reaches_guest) in cases {
        let stage = stage();
        stage.drain().await;
        let steps = [events(path, std::slice::from_ref(&listed), &[("MODIFIED", listed.clone())]), quiet(path)];
        let stage = watched(stage, steps, watch).await;
        let (clusters, guests) = stage.drain().await;
        assert_eq!((clusters.len(), guests.len()), (reconciles.into(), reaches_guest.into()), "{path}: once");
        assert!(is_listed(&stage), "{path}");
        stage.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn annotations_of_the_lease_are_known_before_anybody_is_reconciled_and_renewals_change_nothing() {
    let lease = |annotations: &Value| object("hypermirror-manager", &json!({"metadata": {"annotations": annotations}}));
    let uninstall = json!({annotations::UNINSTALL: "true", annotations::KNOWN_KINDS: "idms"});
    let stage = Stage::new(&[], []).with_cluster(hosted_cluster());
    stage.drain().await;
    let memory = watch::Sender::new(LeaseMemory::default());
    let steps = [events(LEASES, &[lease(&uninstall)], &[("MODIFIED", lease(&uninstall))]), quiet(LEASES)];
    let stage = watched(stage, steps, |watcher| kinds::lease(watcher, "hypermirror".to_owned(), memory.clone())).await;
    assert!(memory.borrow().uninstall && memory.borrow().once_there.len() == 1);
    assert_eq!(names(&stage.drain().await.0), ["a"]);
    stage.end().await;
}

fn crd(has_field: bool) -> Value {
    let field = if has_field { json!({"imageMirrorConfigRef": {}}) } else { json!({}) };
    let schema = json!({"openAPIV3Schema": {"properties": {"spec": {"properties": field}}}});
    json!({"metadata": {}, "spec": {"versions": [{"served": true, "schema": schema}, {"served": false}]}})
}

#[tokio::test(start_paused = true)]
async fn the_crd_is_read_until_it_says_whether_it_has_the_field() {
    let meta = |generation: i64| object("hostedclusters", &json!({"metadata": {"generation": generation}}));
    let stage = Stage::new(&[], []).with_cluster(hosted_cluster());
    stage.drain().await;
    let steps = [
        events(CRDS, &[meta(1)], &[("MODIFIED", meta(1)), ("MODIFIED", meta(2))]),
        Step::refused(Method::GET, CRD, 503),
        Step::refused(Method::GET, CRD, 403),
        Step::new(Method::GET, CRD, 200, &crd(false)),
        Step::new(Method::GET, CRD, 200, &crd(true)),
        quiet(CRDS),
    ];
    let stage = watched(stage, steps, reference_field::watch).await;
    assert_eq!(names(&stage.drain().await.0), ["a"]);
    assert!(is_listed(&stage) && stage.ctx.store.relist_requested().now_or_never().is_some());
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn config_maps_are_watched_only_where_one_is_referenced() {
    const PATH: &str = "/api/v1/namespaces/clusters/configmaps";
    let mut cluster = hosted_cluster();
    let reference = (annotations::IMAGE_MIRROR_CONFIG_REF.to_owned(), "mirrors".to_owned());
    cluster.metadata.annotations = Some([reference].into());
    let stage = Stage::new(&[], []);
    stage.ctx.store.apply(clusters(vec![cluster]));
    stage.drain().await;
    let list = [object("mirrors", &json!({})), object("other", &json!({}))];
    let (client, server) = ApiServer::new([events(PATH, &list, &[]), quiet(PATH)]);
    let watch = tokio::spawn(config_maps::watch_referenced(client, stage.ctx.store.clone()));
    assert_eq!(stage.ctx.store.clusters.next().await, key());
    stage.ctx.store.clusters.done(&key(), false);
    assert_eq!(stage.ctx.store.facts(&key()).unwrap().unread, ["mirrors"]);
    tokio::time::sleep(WHILE).await;
    stage.ctx.store.apply(clusters(vec![hosted_cluster()]));
    tokio::time::sleep(WHILE).await;
    let name = ("clusters".to_owned(), "mirrors".to_owned());
    assert!(stage.ctx.store.config_map_version(&name).is_none(), "nobody refers to it any more");
    watch.abort();
    let _ = watch.await;
    server.end().await;
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn mirrors_are_resolved_before_the_first_list_counts_as_complete() {
    const IDMS: &str =
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/imagedigestmirrorsets.config.openshift.io";
    let set = |mirror: &str| {
        object("one", &json!({"spec": {"imageDigestMirrors": [{"source": "quay.io/m", "mirrors": [mirror]}]}}))
    };
    let deleted = [("MODIFIED", set("m.example/2")), ("DELETED", set("m.example/2"))];
    let gone = Step::refused(Method::GET, IDMS, 404);
    let steps = [events(MIRRORS, &[set("m.example/1")], &deleted), gone, quiet(MIRRORS)];
    let stage = watched(Stage::new(&[], []).with_cluster(hosted_cluster()), steps, |watcher| {
        let Watcher { client, store, awaited } = watcher;
        let crd = InstalledCrd { client, name: MirrorKind::Idms.crd(), uid: "1".to_owned() };
        MirrorWatch { store, kind: MirrorKind::Idms, awaited }.present(crd)
    })
    .await;
    let layer = || stage.ctx.store.facts(&key()).unwrap().fleet.management;
    assert!(is_listed(&stage));
    assert_eq!(layer().map.env.to_string(), "quay.io/m=m.example/1");
    let _ = timeout(WHILE, stage.ctx.store.clone().resolve_edits()).await;
    assert_eq!(layer().map.env.to_string(), "quay.io/m=m.example/2", "it went with its kind, not by itself: it stays");
    stage.end().await;
}
