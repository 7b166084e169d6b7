use http::Method;
use hypermirror_api::ClusterKey;
use hypermirror_api::hypershift::HostedCluster;
use serde_json::{Value, json};

use super::*;
use crate::client::testing::Step;
use crate::client::watch::Update;
use crate::hosted::target::stock_targets;
use crate::management::index::change::Change;
use crate::management::index::targets::TargetMeta;
use crate::manager::heavy::Load;
use crate::manager::observe::Absent;
use crate::manager::reconcile::reconcile;
use crate::manager::testing::{Stage, clusters, hosted_cluster, stock_deployment, target};

const LIST: &str = "/apis/apps/v1/deployments";
const FLEET: usize = 12;

fn name(n: usize) -> String {
    format!("c{n:02}")
}

fn key(n: usize) -> ClusterKey {
    ClusterKey { namespace: "clusters".to_owned(), name: name(n) }
}

fn cluster(n: usize) -> HostedCluster {
    let mut cluster = hosted_cluster();
    (cluster.metadata.name, cluster.metadata.uid) = (Some(name(n)), Some(name(n)));
    cluster
}

/// A page of the Deployments of these hosted clusters.
fn page(place: usize, clusters: impl Iterator<Item = usize>, token: &str) -> Value {
    let items = clusters.map(|n| {
        let mut deployment = stock_deployment(place, &["="]);
        deployment["metadata"]["namespace"] = format!("clusters-{}", name(n)).into();
        deployment
    });
    json!({"kind": "DeploymentList", "apiVersion": "apps/v1", "metadata": {"continue": token},
        "items": items.collect::<Vec<_>>()})
}

fn listed(place: usize, clusters: impl Iterator<Item = usize>, token: &str) -> Step {
    Step::new(Method::GET, LIST, 200, &page(place, clusters, token))
}

fn read(n: usize, place: usize) -> Step {
    let path =
        format!("/apis/apps/v1/namespaces/clusters-{}/deployments/{}", name(n), stock_targets()[place].deployment);
    Step::new(Method::GET, &path, 200, &stock_deployment(place, &["="]))
}

/// A leader that only observes a fleet of which it has the metadata.
fn stage(steps: impl IntoIterator<Item = Step>) -> Stage {
    let stage = Stage::new(&["--mode=observe"], steps);
    stage.ctx.store.apply(clusters((0..FLEET).map(cluster).collect()));
    for (place, spec) in stock_targets().iter().enumerate() {
        let meta = |n| TargetMeta { namespace: format!("clusters-{}", name(n)), ..target(&spec.deployment, 1) };
        stage.ctx.store.apply(Change::Targets(place, Update::Replaced((0..FLEET).map(meta).collect())));
    }
    stage
}

async fn reconcile_all(stage: &Stage) {
    for n in 0..FLEET {
        reconcile(&stage.ctx, &stage.reporter, &key(n)).await.unwrap();
    }
}

/// Reads the lists until this number of hosted clusters is enqueued.
async fn read_lists(stage: &Stage, enqueued: usize) {
    let (store, writer) = (stage.ctx.store.clone(), stage.ctx.writer.clone());
    let lists = TargetLists { store, writer, flags: Arc::clone(&stage.ctx.settings.flags) };
    let task = tokio::spawn(lists.run());
    let mut keys = Vec::new();
    while keys.len() < enqueued {
        let key = stage.ctx.store.clusters.next().await;
        stage.ctx.store.clusters.done(&key, false);
        keys.push(key);
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), enqueued, "each once");
    task.abort();
    let _ = task.await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_begins_lists_all_targets_and_reads_none_singly() {
    let steps = (0..3).map(|place| listed(place, 0..FLEET, ""));
    let stage = stage(steps);
    stage.drain().await;
    reconcile_all(&stage).await; // sends nothing: all wait for the lists
    read_lists(&stage, FLEET).await;
    reconcile_all(&stage).await;
    reconcile_all(&stage).await;
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn hosted_clusters_are_reconciled_while_further_pages_are_read() {
    let first = (0..3).map(|place| listed(place, 0..5, "next"));
    let further = (0..3).map(|_| Step::silent(Method::GET, LIST));
    let stage = stage(first.chain(further));
    stage.drain().await;
    reconcile_all(&stage).await;
    read_lists(&stage, 5).await;
    reconcile_all(&stage).await; // those of the first page without a request, the others not at all
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_list_that_fails_does_not_have_is_read_singly() {
    for failure in
        [Step::refused(Method::GET, LIST, 403), Step::silent(Method::GET, LIST), Step::lost(Method::GET, LIST)]
    {
        let lists = [listed(0, 0..FLEET, ""), failure, listed(2, 0..FLEET, "")];
        let stage = stage(lists.into_iter().chain((0..FLEET).map(|n| read(n, 1))));
        stage.drain().await;
        reconcile_all(&stage).await;
        read_lists(&stage, FLEET).await;
        reconcile_all(&stage).await;
        stage.end().await;
    }
    // A page that has expired: what the first page had is not read again.
    let lists = [listed(0, 0..FLEET, ""), listed(1, 0..9, "next"), listed(2, 0..FLEET, "")];
    let expired = Step::refused(Method::GET, LIST, 410);
    let stage = stage(lists.into_iter().chain([expired]).chain((9..FLEET).map(|n| read(n, 1))));
    stage.drain().await;
    reconcile_all(&stage).await;
    read_lists(&stage, FLEET).await;
    reconcile_all(&stage).await;
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn no_removal_is_held_because_targets_have_not_been_listed_yet() {
    let stage = stage((0..3).map(|place| listed(place, 0..FLEET, "")));
    let mut empty: Vec<HostedCluster> = (0..FLEET).map(cluster).collect();
    for cluster in &mut empty {
        cluster.spec.image_content_sources.clear();
    }
    stage.ctx.store.apply(clusters(empty));
    stage.drain().await;
    reconcile_all(&stage).await;
    // A guest cluster does not read the targets: it waits because its map is empty.
    let guest = |n| {
        let ctx = &stage.ctx;
        async move { ctx.known(&key(n), Load::default(), &ctx.heavy.guests).await.map(|seen| seen.facts.fleet.removal) }
    };
    assert_eq!(guest(0).await.unwrap_err(), Absent::Unlisted);
    read_lists(&stage, FLEET).await;
    assert_eq!(stage.drain().await.1, [key(0)], "its guest cluster is enqueued, too");
    assert!(guest(0).await.unwrap().is_none(), "no target has an entry");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_ends_with_its_term() {
    let pages = (0..3).map(|place| listed(place, 0..2, "next"));
    let stage = stage(pages);
    stage.drain().await;
    reconcile_all(&stage).await;
    let lists = stage.ctx.store.target_lists_begun().await;
    assert_eq!(lists.len(), 3);
    stage.ctx.store.end_term();
    let (store, writer) = (stage.ctx.store.clone(), stage.ctx.writer.clone());
    let reader = TargetLists { store, writer, flags: Arc::clone(&stage.ctx.settings.flags) };
    for list in lists {
        reader.read(list).await;
    }
    assert!(stage.ctx.store.clusters.queued().is_empty());
    stage.end().await;
}
