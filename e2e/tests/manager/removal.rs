//! The mass-loss gate.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::fleet::objects::{hosted_cluster, idms, lease};
use hypermirror_e2e::process::Signal;
use hypermirror_e2e::{Fleet, Scene, consistently, eventually};
use serde_json::{Value, json};

const ALLOW_REMOVAL: &str = "hypermirror.dev/allow-removal";
const VALUE: &str = "s.example=m.example/s";

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("c{number:02}")).collect()
}

fn the_only_set() -> Value {
    idms("one", &[("s.example", &["m.example/s"], None)])
}

/// The words of the `kubectl annotate` line of a condition's message: the Lease's namespace and name, key and value.
fn permission(message: &str) -> Result<[String; 4]> {
    let line = message.split_once("kubectl annotate lease -n ").context("no line to copy")?.1;
    let words: Vec<&str> = line.split(' ').collect();
    let [namespace, name, pair, "--overwrite"] = words.as_slice() else { anyhow::bail!("{line}") };
    let (key, value) = pair.split_once('=').with_context(|| line.to_owned())?;
    Ok([*namespace, *name, key, value].map(str::to_owned))
}

async fn annotate(fleet: &Fleet, key: &str, value: &str) -> Result<()> {
    fleet.merge(&lease(), &json!({"metadata": {"annotations": {key: value}}})).await.map(|_| ())
}

#[tokio::test]
async fn a_mass_removal_waits_until_a_person_lets_it_through() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    let names = names(12);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    fleet.hosted_clusters(&names, "=").await?;
    fleet.apply(&the_only_set()).await?;
    let manager = scene.manager().await?;
    fleet.reads(&names, VALUE).await?;
    for name in &names {
        fleet.condition(name, "Ready", "True", "AsExpected").await?;
    }
    let mark = scene.audit.mark().await?;

    fleet.delete(&the_only_set()).await?;
    let message = fleet.condition("c11", "ControlPlaneUpToDate", "False", "RemovalHeld").await?;
    assert!(message.contains("12 of 12 hosted clusters"), "{message}");
    annotate(fleet, ALLOW_REMOVAL, "something else").await?;
    held(&scene, mark).await?;
    // Whoever leads next holds it as well.
    drop(manager);
    let manager = scene.manager().await?;
    manager.leads().await?;
    held(&scene, mark).await?;

    let [namespace, name, key, token] = permission(&message)?;
    assert_eq!(
        [namespace.as_str(), name.as_str(), key.as_str()],
        ["hypermirror-system", "hypermirror-manager", ALLOW_REMOVAL]
    );
    annotate(fleet, &key, &token).await?;
    fleet.reads(&names, "=").await?;
    assert_eq!(scene.patches(mark).await?.len(), 36);
    eventually(SOON, "the permission is consumed", async || {
        let lease = fleet.api_of(&lease())?.get("hypermirror-manager").await?;
        let annotations = lease.metadata.annotations.unwrap_or_default();
        ensure!(!annotations.contains_key(ALLOW_REMOVAL), "{annotations:?}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn a_mass_removal_is_held_directly_after_a_reconcile_of_a_cluster_without_mirrors() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    let names = names(12);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    fleet.hosted_clusters(&names, "=").await?;
    fleet.hosted_cluster("without", &[], "=").await?;
    let without = hosted_cluster("without", &[]);
    let annotations = |paused: &str| {
        json!({"metadata": {"annotations": {
            "hypermirror.dev/management-mirrors": "Ignore", "hypermirror.dev/paused": paused
        }}})
    };
    fleet.merge(&without, &annotations("false")).await?;
    fleet.apply(&the_only_set()).await?;
    let _manager = scene.manager().await?;
    fleet.reads(&names, VALUE).await?;
    let mark = scene.audit.mark().await?;

    fleet.merge(&without, &annotations("true")).await?;
    fleet.merge(&without, &annotations("false")).await?;
    fleet.delete(&the_only_set()).await?;
    fleet.condition("c11", "ControlPlaneUpToDate", "False", "RemovalHeld").await?;
    held(&scene, mark).await?;

    // A hosted cluster less: the permission is another one, and every report says so.
    fleet.delete(&hosted_cluster("c00", &[])).await?;
    let message = eventually(SOON, "the report follows", async || {
        let message = fleet.condition("c11", "ControlPlaneUpToDate", "False", "RemovalHeld").await?;
        Ok(message.contains("11 of 11").then_some(message))
    })
    .await?;
    let [_, _, key, token] = permission(&message)?;
    annotate(fleet, &key, &token).await?;
    fleet.reads(&names[1..], "=").await
}

#[tokio::test]
async fn a_mass_removal_is_held_by_a_leader_that_was_away() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    let names = names(12);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    fleet.hosted_clusters(&names, "=").await?;
    let first = scene.launch("first").start_ready(scene.management()).await?;
    fleet.condition("c11", "Ready", "True", "AsExpected").await?;
    first.process.handle().signal(Signal::STOP)?;
    // It knows of no mirrors; meanwhile there are some.
    let mut second = scene.launch("second").start_ready(scene.management()).await?;
    second.leads().await?;
    fleet.apply(&the_only_set()).await?;
    fleet.reads(&names, VALUE).await?;
    // At once: not every report tells of it yet.
    second.process.kill()?;
    fleet.delete(&the_only_set()).await?;
    let mark = scene.audit.mark().await?;
    first.process.handle().signal(Signal::CONT)?;
    fleet.condition("c11", "ControlPlaneUpToDate", "False", "RemovalHeld").await?;
    held(&scene, mark).await
}

async fn held(scene: &Scene, mark: hypermirror_e2e::audit::Mark) -> Result<()> {
    consistently(Duration::from_millis(1500), "nothing is removed", async || {
        ensure!(scene.patches(mark).await?.is_empty());
        Ok(())
    })
    .await
}
