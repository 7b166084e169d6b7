//! The webhook's certificate, which somebody else issues and renews.

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::fleet::admission::{Admission, authority, issue, webhook_configuration};
use hypermirror_e2e::{Scene, eventually, port};
use serde_json::json;

const SHOWN: &str = "the webhook uses a new certificate";

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_review_that_fails() -> Result<()> {
    let scene = Scene::start().await?;
    let (fleet, admission) = (&scene.fleet, Admission::webhook()?);
    fleet.admit(admission).await?;
    let directory = scene.bed.directory().join("webhook");
    issue(&directory)?;
    let launch = admission.serve(scene.launch("manager"));
    let launch = launch.arg(format!("--webhook-certificate-dir={}", directory.display()));
    let manager = launch.start_ready(scene.management()).await?;
    fleet.admits().await?;
    ensure!(manager.metric("hypermirror_webhook_certificate_expires").await? > 1.0);
    // A file without its key yet: what was shown before stays.
    let next = authority()?.server(&["127.0.0.1", "localhost"])?;
    std::fs::write(directory.join("tls.crt"), &next.certificate)?;
    eventually(SOON, "the certificate without its key is refused", async || {
        ensure!(fleet.restores_entry("ignition-server").await?, "a review failed");
        Ok(manager.process.log()?.contains("failed to load the certificate of the webhook").then_some(()))
    })
    .await?;
    std::fs::write(directory.join("tls.key"), &next.key)?;
    eventually(SOON, "the next one is shown", async || {
        ensure!(fleet.restores_entry("ignition-server").await?, "a review failed");
        Ok((manager.process.log()?.matches(SHOWN).count() >= 2).then_some(()))
    })
    .await?;
    ensure!(fleet.restores_entry("ignition-server").await?, "a review failed");
    ensure!(manager.metric("hypermirror_webhook_reviews_total{rule=\"target\",outcome=\"patched\"}").await? > 1.0);
    Ok(())
}

#[tokio::test]
async fn every_replica_serves() -> Result<()> {
    let scene = Scene::start().await?;
    let (fleet, admission) = (&scene.fleet, Admission::webhook()?);
    fleet.admit(admission).await?;
    let leader = admission.serve(scene.launch("leader")).start_ready(scene.management()).await?;
    leader.leads().await?;
    fleet.admits().await?;
    // API servers ask the standby from now on.
    let standby = port::free()?;
    let launch = Admission::Webhook(standby).serve(scene.launch("standby"));
    let standby_manager = launch.start_ready(scene.management()).await?;
    let urls = json!([0, 1].map(|place| json!({
        "op": "replace", "path": format!("/webhooks/{place}/clientConfig/url"),
        "value": format!("https://127.0.0.1:{standby}/admit")
    })));
    fleet.json_patch(&webhook_configuration(), &urls).await?;
    eventually(SOON, "the standby answers", async || {
        ensure!(fleet.restores_entry("ignition-server").await?, "no answer");
        let reviews = standby_manager.metric("hypermirror_webhook_reviews_total").await?;
        Ok((reviews > 0.5).then_some(()))
    })
    .await?;
    ensure!(standby_manager.metric("hypermirror_leader").await? < 0.5, "the standby leads");
    Ok(())
}
