//! Certificates that the manager makes: replaced while reviews go on, served by every replica, or somebody else's.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::fleet::admission::{Admission, certificate_secret, webhook_configuration};
use hypermirror_e2e::pki::Authority;
use hypermirror_e2e::{Fleet, Scene, eventually, port};
use serde_json::{Value, json};

async fn certificate(fleet: &Fleet) -> Result<String> {
    let object = certificate_secret();
    let secret = fleet.api_of(&object)?.get("hypermirror-webhook-certificate").await?;
    Ok(secret.data["data"]["tls.crt"].as_str().unwrap_or_default().to_owned())
}

/// Whom API servers trust: one entry for each webhook.
async fn trusted(fleet: &Fleet) -> Result<Vec<String>> {
    let configuration = fleet.api_of(&webhook_configuration())?.get("hypermirror").await?;
    let webhooks = configuration.data["webhooks"].as_array().context("no webhooks")?.iter();
    Ok(webhooks.map(|webhook| webhook["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned()).collect())
}

#[tokio::test]
async fn a_certificate_is_replaced_without_a_review_that_fails() -> Result<()> {
    let scene = Scene::start().await?;
    let (fleet, admission) = (&scene.fleet, Admission::webhook()?);
    fleet.admit(admission).await?;
    let launch = admission.serve(scene.launch("manager")).arg("--webhook-certificate-lifetime=24s");
    let manager = launch.start_ready(scene.management()).await?;
    fleet.admits().await?;
    let (mut seen, mut reviews) = (BTreeSet::new(), 0);
    let start = Instant::now();
    // The first, and two that replace it.
    while seen.len() < 3 {
        ensure!(fleet.gives_back("ignition-server").await?, "review {reviews} failed after {:?}", start.elapsed());
        reviews += 1;
        seen.insert(certificate(fleet).await?);
        ensure!(start.elapsed() < Duration::from_mins(2), "{} certificates in two minutes", seen.len());
    }
    eprintln!("{reviews} reviews over two replacements in {:?}", start.elapsed());
    ensure!(manager.metric("hypermirror_webhook_certificate_expires").await? > 1.0);
    ensure!(manager.metric("hypermirror_webhook_reviews_total{rule=\"target\",outcome=\"patched\"}").await? > 10.0);
    // The one before is trusted for a while, and then no more.
    let long = |trusted: &[String]| trusted.iter().map(String::len).max().unwrap_or_default();
    let while_replaced = long(&trusted(fleet).await?);
    eventually(SOON, "only the newest authority is trusted", async || {
        let now = trusted(fleet).await?;
        ensure!(now[0] == now[1], "the two webhooks trust different authorities");
        ensure!(long(&now) * 3 < while_replaced * 2, "{} of {while_replaced}", long(&now));
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn every_replica_serves_and_what_somebody_else_breaks_is_mended() -> Result<()> {
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
        ensure!(fleet.gives_back("ignition-server").await?, "no answer");
        let reviews = standby_manager.metric("hypermirror_webhook_reviews_total").await?;
        Ok((reviews > 0.5).then_some(()))
    })
    .await?;
    ensure!(standby_manager.metric("hypermirror_leader").await? < 0.5, "the standby leads");
    // A configuration without authorities, and a Secret without a certificate.
    let before = certificate(fleet).await?;
    let emptied = json!([0, 1].map(|place| json!({
        "op": "remove", "path": format!("/webhooks/{place}/clientConfig/caBundle")
    })));
    fleet.json_patch(&webhook_configuration(), &emptied).await?;
    fleet.merge(&certificate_secret(), &json!({"data": Value::Null})).await?;
    eventually(SOON, "another certificate is there", async || {
        let now = certificate(fleet).await?;
        Ok((!now.is_empty() && now != before).then_some(()))
    })
    .await?;
    fleet.admits().await
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_served_and_followed() -> Result<()> {
    let scene = Scene::start().await?;
    let (fleet, admission) = (&scene.fleet, Admission::webhook()?);
    let directory = scene.bed.directory().join("webhook");
    std::fs::create_dir_all(&directory)?;
    let authority = Authority::new("somebody else")?;
    let server = authority.server(&["127.0.0.1"])?;
    std::fs::write(directory.join("tls.crt"), &server.certificate)?;
    std::fs::write(directory.join("tls.key"), &server.key)?;
    fleet.admit(admission).await?;
    let bundle = serde_json::to_value(k8s_openapi::ByteString(authority.certificate().into_bytes()))?;
    let trust = json!([0, 1].map(|place| json!({
        "op": "add", "path": format!("/webhooks/{place}/clientConfig/caBundle"), "value": bundle
    })));
    fleet.json_patch(&webhook_configuration(), &trust).await?;
    let launch = admission.serve(scene.launch("manager"));
    let launch = launch.arg(format!("--webhook-certificate-dir={}", directory.display()));
    let mut manager = launch.start_ready(scene.management()).await?;
    fleet.admits().await?;
    let next = authority.server(&["127.0.0.1", "localhost"])?;
    std::fs::write(directory.join("tls.crt"), &next.certificate)?;
    std::fs::write(directory.join("tls.key"), &next.key)?;
    eventually(SOON, "the next one is shown", async || {
        let shown = manager.process.log()?.matches("the webhook shows another certificate").count();
        Ok((shown >= 2).then_some(()))
    })
    .await?;
    ensure!(fleet.gives_back("ignition-server").await?, "no answer");
    ensure!(trusted(fleet).await?.iter().all(|trusted| json!(trusted) == bundle), "the manager wrote the caBundle");
    ensure!(certificate(fleet).await?.is_empty(), "the manager made a certificate");
    manager.process.kill()?;
    Ok(())
}
