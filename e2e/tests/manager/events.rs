//! Events about hosted clusters.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::objects::{Entry, icsp, idms};
use hypermirror_e2e::fleet::{NAMESPACE, SOON};
use hypermirror_e2e::{Fleet, Scene, eventually};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, Resource as _};

const ONE: &[Entry<'_>] = &[("s.example", &["m.example/s"], None)];

/// Type, reason and how often, of each event about one hosted cluster.
async fn events(fleet: &Fleet, cluster: &str) -> Result<Vec<(String, String, i32)>> {
    let api: Api<Event> = Api::namespaced(fleet.client.clone(), NAMESPACE);
    let mut events = api.list(&ListParams::default()).await?.items;
    events.retain(|event| event.regarding.as_ref().is_some_and(|object| object.name.as_deref() == Some(cluster)));
    events.sort_by_key(|event| event.meta().creation_timestamp.clone());
    let text = |text: Option<String>| text.context("an event without a type or reason");
    let reported = events.into_iter().map(|event| {
        let count = event.series.map_or(1, |series| series.count);
        Ok((text(event.type_)?, text(event.reason)?, count))
    });
    reported.collect()
}

#[tokio::test]
async fn events_are_only_written_for_transitions() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    let manager = scene.manager().await?;
    for mirror in ["m.example/s", "m.example/t", "m.example/u"] {
        fleet.apply(&idms("one", &[("s.example", &[mirror], None)])).await?;
        fleet.reads(&["a"], &format!("s.example={mirror}")).await?;
    }
    fleet.condition("a", "Ready", "True", "AsExpected").await?;
    assert_eq!(events(fleet, "a").await?, [], "nothing went wrong");

    fleet.apply(&icsp("old", &[("u.example", &["https://m.example/u"], None)])).await?;
    fleet.condition("a", "SourcesResolved", "False", "InvalidEntries").await?;
    let warned = ("Warning".to_owned(), "InvalidEntries".to_owned(), 1);
    eventually(SOON, "the transition is reported", async || {
        let reported = events(fleet, "a").await?;
        ensure!(reported == [warned.clone()], "{reported:?}");
        Ok(Some(()))
    })
    .await?;
    // It stays wrong through further edits and a restart: that is no transition.
    fleet.apply(&idms("one", ONE)).await?;
    fleet.reads(&["a"], "s.example=m.example/s").await?;
    drop(manager);
    let _manager = scene.manager().await?;
    fleet.delete(&icsp("old", &[])).await?;
    fleet.condition("a", "SourcesResolved", "True", "AsExpected").await?;
    eventually(SOON, "the way back is reported", async || {
        let reported = events(fleet, "a").await?;
        ensure!(reported == [warned.clone(), ("Normal".to_owned(), "SourcesResolved".to_owned(), 1)], "{reported:?}");
        Ok(Some(()))
    })
    .await
}
