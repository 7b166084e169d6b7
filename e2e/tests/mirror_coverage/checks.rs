//! What a check finds, when it is made, and what it writes.

use std::time::Duration;

use anyhow::{Result, ensure};
use hypermirror_e2e::audit::{Event, Mark};
use hypermirror_e2e::fleet::NAMESPACE;
use hypermirror_e2e::fleet::objects::hosted_cluster;
use hypermirror_e2e::{Scene, consistently};
use serde_json::json;

use super::stage::{Stage, USER, condition, coverage, find};

/// A while in which nothing is to happen.
const QUIET: Duration = Duration::from_millis(1_500);

#[tokio::test]
async fn the_coverage_of_a_hosted_cluster_follows_its_registries_mirrors_and_updates_with_one_write_each() -> Result<()>
{
    let stage = Stage::set().await?;
    let Scene { audit, .. } = &stage.scene;
    let mark = audit.mark().await?;

    // Without permission to read the pull secret nobody is asked.
    let status = stage.held("Unknown", "CredentialsNotReadable").await?;
    ensure!(condition(&status, "Stalled") == Some(("True", "CredentialsNotReadable")), "{status:#}");
    for registry in [&stage.source, &stage.mirror, &stage.full] {
        ensure!(registry.requests().is_empty(), "{:?}", registry.lines());
    }

    // The mirror lacks a blob: named with image, platform, digest, mirror and who pulls it.
    stage.share_pull_secret().await?;
    let status = stage.check("1").await?;
    ensure!(condition(&status, "Held") == Some(("False", "ImagesMissing")), "{status:#}");
    let [missing] = status["missing"].as_array().unwrap().as_slice() else { panic!("{status:#}") };
    ensure!(missing["name"] == "etcd" && missing["platform"] == "linux/arm64", "{missing}");
    ensure!(missing["message"].as_str().unwrap().contains(&*stage.lost), "{missing}");
    ensure!(missing["mirror"].as_str().unwrap().starts_with(&stage.mirror.host()), "{missing}");
    ensure!(missing["consumer"] == "workers", "pods pull from the management cluster's mirror: {missing}");
    ensure!(status["counts"]["missing"] == 1 && status["counts"]["unknown"] == 0, "{status:#}");

    // Updates are checked when they are offered. One is at the source, the other nowhere.
    let nowhere = format!("sha256:{}", "0".repeat(64));
    stage.offer(&[("4.20.2", &*stage.next), ("4.20.3", nowhere.as_str())]).await?;
    let status = stage.wait_for("updates", |status| status["updatesSummary"] == "1/2").await?;
    let updates = &status["availableUpdates"];
    ensure!(find(updates, "version", "4.20.2")?["verdict"] == "Held", "{updates:#}");
    let missing = find(updates, "version", "4.20.3")?;
    ensure!(missing["verdict"] == "Missing" && missing["counts"]["held"] == 0, "{missing:#}");

    stage.fill();
    let status = stage.check("2").await?;
    ensure!(condition(&status, "Held") == Some(("True", "AllHeld")), "{status:#}");
    ensure!(condition(&status, "Ready") == Some(("True", "AllHeld")), "{status:#}");

    // An edit of a mirror is checked at once: the full mirror never got this layer's manifest.
    stage.full.store().repository("ocp/art").manifests.clear();
    stage.source.store().repository("ocp/art").manifests.clear();
    stage.mirror_to(&stage.full).await?;
    stage.held("False", "ImagesMissing").await?;

    writes_are_exact(&stage, mark).await
}

/// What changes nothing is checked or written by nobody; every change was written once.
async fn writes_are_exact(stage: &Stage, mark: Mark) -> Result<()> {
    let Scene { fleet, audit, .. } = &stage.scene;
    let asked = stage.mirror.requests().len();
    let labels = json!({"metadata": {"labels": {"a": "b"}, "annotations": {"x": "y"}}});
    fleet.merge(&hosted_cluster("west", &[]), &labels).await?;
    // Without --fill, the annotation has no effect.
    stage.allow_filling().await?;
    fleet.merge(&coverage(), &labels).await?;
    let quiet = async || {
        ensure!(stage.mirror.requests().len() == asked);
        Ok(())
    };
    consistently(QUIET, "nobody asks", quiet).await?;
    let writes = audit.writes_by(mark, USER).await?;
    let of = |resource: &str, subresource: &str| -> Vec<String> {
        let is = |write: &&Event| write.resource == resource && write.subresource == subresource;
        writes.iter().filter(is).map(Event::summary).collect()
    };
    ensure!(of("mirrorcoverages", "").len() == 1, "it is created once: {:#?}", of("mirrorcoverages", ""));
    let statuses = of("mirrorcoverages", "status");
    ensure!(statuses.len() == 5, "one for each change: {statuses:#?}");
    let events = of("events", "");
    ensure!(events.len() == 4, "Unknown, False, True, False: {events:#?}");
    let others =
        writes.iter().filter(|write| !["mirrorcoverages", "events", "leases"].contains(&write.resource.as_str()));
    let others: Vec<String> = others.map(Event::summary).collect();
    ensure!(others.is_empty(), "{others:#?}");

    // It goes with its HostedCluster, by its owner.
    let object = fleet.api_of(&coverage())?.get("west").await?;
    let owner = fleet.api_of(&hosted_cluster("west", &[]))?.get("west").await?;
    let owners = object.metadata.owner_references.unwrap_or_default();
    ensure!(owners.len() == 1 && Some(&owners[0].uid) == owner.metadata.uid.as_ref(), "{owners:?}");

    // As kubectl prints it.
    let path = format!("/apis/hypermirror.dev/v1alpha1/namespaces/{NAMESPACE}/mirrorcoverages");
    let table = fleet.table(&path, false).await?;
    let text = format!("{table:?}");
    ensure!(text.contains("False") && !text.contains("null"), "{text}");
    Ok(())
}
