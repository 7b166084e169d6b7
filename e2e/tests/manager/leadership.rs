//! Several managers, one of which leads.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hypermirror_e2e::audit::Event;
use hypermirror_e2e::fleet::objects::{idms, lease};
use hypermirror_e2e::fleet::{SOON, deployments};
use hypermirror_e2e::process::Signal;
use hypermirror_e2e::{Fleet, Scene, consistently, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ApiResource;

/// How many targets of the whole fleet read this value.
async fn reading(fleet: &Fleet, value: &str) -> Result<usize> {
    let values = fleet.list(&ApiResource::erase::<Deployment>(&())).await?.into_iter().map(|deployment| {
        let values = deployments::env_values(&serde_json::to_value(deployment)?);
        Ok(values.last().is_some_and(|last| last == value))
    });
    Ok(values.collect::<Result<Vec<bool>>>()?.into_iter().filter(|reads| *reads).count())
}

/// How many reports were created, and how often a status was written.
fn reports(writes: &[Event]) -> (usize, usize) {
    let of = |subresource: &str| {
        let is_one = |write: &&Event| write.resource == "hostedclustermirrors" && write.subresource == subresource;
        writes.iter().filter(is_one).count()
    };
    (of(""), of("status"))
}

async fn holder(fleet: &Fleet) -> Result<String> {
    let lease = fleet.api_of(&lease())?.get("hypermirror-manager").await?;
    Ok(lease.data["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_leader_killed_in_the_middle_of_a_fan_out_leaves_nothing_undone_and_nothing_done_twice() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    let names: Vec<String> = (0..50).map(|number| format!("c{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    fleet.hosted_clusters(&names, "=").await?;
    fleet.apply(&idms("one", &[("s.example", &["m.example/before"], None)])).await?;
    let start = scene.audit.mark().await?;
    // One worker: the fan-out takes long enough to be interrupted.
    let mut first = scene.launch("first").arg("--workers=1").start_ready(scene.management()).await?;
    first.leads().await?;
    eventually(SOON, "all hosted clusters have a report", async || {
        let (created, written) = reports(&scene.writes(start).await?);
        ensure!(created == 50 && written >= 50, "{created} created, {written} written");
        Ok(Some(()))
    })
    .await?;
    assert_eq!(reports(&scene.writes(start).await?), (50, 50), "each once");
    let (single, pages) = scene.target_reads(start).await?;
    // Two or three pages for each target: the API server does not know whether another object follows that matches.
    assert!(single == 0 && (6..=9).contains(&pages), "{single} Deployments read singly, {pages} pages");
    let second = scene.launch("second").start_ready(scene.management()).await?;
    let mark = scene.audit.mark().await?;

    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    let value = "s.example=m.example/s";
    eventually(SOON, "the fan-out has begun", async || {
        let done = reading(fleet, value).await?;
        ensure!(done >= 6, "{done} targets");
        Ok(Some(()))
    })
    .await?;
    first.process.kill()?;
    let done = reading(fleet, value).await?;
    assert!(done < 120, "{done} targets were done before the leader was killed: that is no middle");

    second.leads().await?;
    eventually(SOON, "all targets carry the new value", async || {
        let done = reading(fleet, value).await?;
        ensure!(done == 150, "{done} targets");
        Ok(Some(()))
    })
    .await?;
    let (single, pages) = scene.target_reads(mark).await?;
    // A write of the killed leader may come between the list and the first write of the new one.
    assert!(single <= 3 && (6..=9).contains(&pages), "{single} Deployments read singly, {pages} pages");
    let mut writes: BTreeMap<String, usize> = BTreeMap::new();
    for write in scene.patches(mark).await? {
        *writes.entry(format!("{}/{}", write.namespace, write.name)).or_default() += 1;
    }
    let twice: Vec<_> = writes.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "written more than once for one edit: {twice:?}");
    // Nor by a request whose answer nobody waited for any more.
    for deployment in fleet.list(&ApiResource::erase::<Deployment>(&())).await? {
        assert_eq!(deployment.metadata.generation, Some(3), "{:?}", deployment.metadata.namespace);
    }
    Ok(())
}

#[tokio::test]
async fn a_leader_that_terminates_hands_over_within_two_seconds() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    let mut first = scene.launch("first").start_ready(scene.management()).await?;
    first.leads().await?;
    let second = scene.launch("second").start_ready(scene.management()).await?;
    consistently(Duration::from_secs(2), "one leads", async || {
        ensure!(holder(fleet).await? == "first");
        ensure!(second.metric("hypermirror_leader").await? < 0.5, "both lead");
        Ok(())
    })
    .await?;

    let asked = Instant::now();
    let status = first.process.stop().await?;
    assert!(status.success(), "{status}");
    assert!(asked.elapsed() < Duration::from_secs(3), "took {:?} to end", asked.elapsed());
    let ended = Instant::now();
    second.leads().await?;
    assert!(ended.elapsed() < Duration::from_secs(2), "took {:?} to hand over", ended.elapsed());
    assert_eq!(holder(fleet).await?, "second");
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    fleet.reads(&["a"], "s.example=m.example/s").await
}

#[tokio::test]
async fn a_leader_that_was_frozen_finds_another_leading_and_stays_behind() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    let first = scene.launch("first").start_ready(scene.management()).await?;
    first.leads().await?;
    let second = scene.launch("second").start_ready(scene.management()).await?;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    fleet.reads(&["a"], "s.example=m.example/s").await?;

    first.process.handle().signal(Signal::STOP)?;
    second.leads().await?;
    fleet.apply(&idms("one", &[("s.example", &["m.example/other"], None)])).await?;
    fleet.reads(&["a"], "s.example=m.example/other").await?;
    fleet.wait_for_map("a", "s.example=m.example/other").await?;
    let mark = scene.audit.mark().await?;
    first.process.handle().signal(Signal::CONT)?;
    eventually(SOON, "the first knows that it does not lead", async || {
        ensure!(first.metric("hypermirror_leader").await? < 0.5);
        Ok(Some(()))
    })
    .await?;
    consistently(Duration::from_secs(1), "the second leads on", async || {
        ensure!(holder(fleet).await? == "second");
        ensure!(first.metric("hypermirror_leader").await? < 0.5);
        Ok(())
    })
    .await?;
    scene.nothing_written(mark).await
}
