use http::Method;
use hypermirror_api::annotations;
use serde_json::{Value, json};

use super::*;
use crate::client::testing::Step;
use crate::client::watch::Update;
use crate::hosted::mirror_config::KEY_NAMES;
use crate::management::index::change::Change;
use crate::manager::testing::{Stage, clusters, hosted_cluster, key};

const PATH: &str = "/api/v1/namespaces/clusters/configmaps/mirrors";

fn name() -> ConfigMapName {
    ("clusters".to_owned(), "mirrors".to_owned())
}

/// A hosted cluster that refers to a ConfigMap, whose version 1 is known.
fn stage(steps: impl IntoIterator<Item = Step>) -> (Stage, ConfigMapReader) {
    let stage = Stage::new(&[], steps);
    let mut cluster = hosted_cluster();
    let reference = (annotations::IMAGE_MIRROR_CONFIG_REF.to_owned(), "mirrors".to_owned());
    cluster.metadata.annotations = Some([reference].into());
    let ctx = &stage.ctx;
    ctx.store.apply(clusters(vec![cluster]));
    ctx.store.apply(Change::ConfigMaps("clusters".to_owned(), Update::Replaced(vec![("mirrors".into(), "1".into())])));
    let (client, store) = (ctx.client.clone(), ctx.store.clone());
    let reader = ConfigMapReader::new(client, store, Arc::clone(&ctx.reading), Arc::clone(&ctx.heavy));
    (stage, reader)
}

fn config_map(version: &str, sources: usize) -> Value {
    let entries: Vec<String> =
        (0..sources).map(|n| format!("  - {{source: q.io/{n}, mirrors: [m.io/{n}]}}\n")).collect();
    let entries = entries.concat();
    let set = format!(
        "apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nspec:\n  imageDigestMirrors:\n{entries}"
    );
    json!({"metadata": {"name": "mirrors", "namespace": "clusters", "resourceVersion": version}, "data": {KEY_NAMES[0]: set}})
}

fn found(version: &str, sources: usize) -> Step {
    Step::new(Method::GET, PATH, 200, &config_map(version, sources))
}

/// Number of entries that are known of the hosted cluster, and its problems. `None` until its ConfigMap is read.
fn known(stage: &Stage) -> Option<(usize, Vec<String>)> {
    let sources = stage.ctx.store.facts(&key()).unwrap().declaration?.resolve();
    Some((sources.own.entries.len(), sources.own.problems.into_iter().map(|trouble| trouble.message).collect()))
}

#[tokio::test(start_paused = true)]
async fn a_config_map_is_read_and_then_those_who_refer_to_it_are_enqueued() {
    let (stage, reader) = stage([found("1", 2)]);
    stage.drain().await;
    assert!(known(&stage).is_none());
    reader.read_one(name()).await;
    assert_eq!(known(&stage).unwrap(), (3, Vec::new()), "with its own list");
    assert_eq!(stage.drain().await, (vec![key()], vec![key()]));
    drop(reader);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_exist_is_missing_and_not_tried_again() {
    let (stage, reader) = stage([Step::refused(Method::GET, PATH, 404)]);
    stage.drain().await;
    let start = tokio::time::Instant::now();
    reader.read_one(name()).await;
    assert!(start.elapsed() < RETRY);
    let (_, problems) = known(&stage).unwrap();
    assert!(problems[0].contains("does not exist"), "{problems:?}");
    drop(reader);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_is_reported_at_once_and_repeated_after_a_pause() {
    for failure in [403, 500, 503] {
        let (stage, reader) = stage([Step::refused(Method::GET, PATH, failure), found("1", 1)]);
        stage.drain().await;
        stage.ctx.reading.add(name());
        let queue = stage.ctx.store.clusters.clone();
        let reading = tokio::spawn(reader.clone().read_queued());
        let start = tokio::time::Instant::now();
        assert_eq!(queue.next().await, key());
        assert!(start.elapsed() < RETRY, "{failure}");
        let (_, problems) = known(&stage).unwrap();
        assert!(problems[0].contains("refused"), "{problems:?}");
        queue.done(&key(), false);
        assert_eq!(queue.next().await, key());
        assert_eq!(start.elapsed(), RETRY, "{failure}");
        // Whoever is reconciled now has it read again.
        stage.ctx.reading.add(name());
        queue.done(&key(), false);
        assert_eq!(queue.next().await, key());
        assert_eq!(known(&stage).unwrap(), (2, Vec::new()));
        reading.abort();
        let _ = reading.await;
        drop(reader);
        stage.end().await;
    }
}

// The clock is not paused: a text is parsed on a thread that it does not know.
#[tokio::test]
async fn a_version_that_arrives_during_a_read_is_still_to_be_read() {
    let (stage, reader) = stage([found("1", 1), found("2", 2)]);
    reader.read_one(name()).await;
    stage.ctx.store.apply(Change::ConfigMaps("clusters".to_owned(), Update::Applied(("mirrors".into(), "2".into()))));
    assert_eq!(stage.ctx.store.facts(&key()).unwrap().unread, ["mirrors"]);
    reader.read_one(name()).await;
    assert!(stage.ctx.store.facts(&key()).unwrap().unread.is_empty());
    assert_eq!(known(&stage).unwrap().0, 3);
    drop(reader);
    stage.end().await;
}

#[tokio::test]
async fn a_large_text_waits_for_its_turn_and_is_read_again_afterwards() {
    let first = Arc::new(tokio::sync::Notify::new());
    let served = Arc::clone(&first);
    let (stage, reader) = stage([found("1", 1000).meanwhile(move || served.notify_one()), found("1", 1000)]);
    let turn = reader.reading.large("clusters").try_acquire_owned().unwrap();
    let read = tokio::spawn({
        let reader = reader.clone();
        async move { reader.read_one(name()).await }
    });
    first.notified().await;
    assert!(known(&stage).is_none() && !read.is_finished());
    drop(turn);
    read.await.unwrap();
    assert_eq!(known(&stage).unwrap().0, 1001);
    drop(reader);
    stage.end().await;
}
