//! Kinds come and go, and API servers too: what is known stays.

use std::time::Duration;

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::objects::{idms, itms};
use hypermirror_e2e::{Crds, consistently};
use serde_json::json;

use super::stage::{Stage, hosted_cluster_set, mirrors};

const ITMS: &str = "imagetagmirrorsets.config.openshift.io";

#[tokio::test]
async fn nothing_is_removed_when_a_kind_vanishes_even_across_a_restart() -> Result<()> {
    let stage = Stage::start().await?;
    let node = stage.node("a", &json!({})).await?;
    stage.guest.apply(&idms("d", &[("d.example", &["m.example/d"], None)])).await?;
    stage.guest.apply(&itms("t", &[("t.example", &["m.example/t"], None)])).await?;
    let mut agent = node.agent(&["--source=cluster"]).await?;
    node.wait_for_text("m.example/t").await?;

    let tags = Crds::of_the_fleet()?.only(&[ITMS])?;
    tags.delete(&stage.guest.client).await?;
    // An edit of another kind goes on, with what is known of this one.
    stage.guest.apply(&idms("d", &[("d.example", &["m.example/e"], None)])).await?;
    let ours = node.wait_for_text("m.example/e").await?;
    ensure!(ours.contains("m.example/t"), "{ours}");

    agent.process.kill()?;
    let agent = node.unready_agent(&["--source=cluster"]).await?;
    let message = stage.condition("a", "Applied", "KindVanished").await?;
    ensure!(message.contains("ImageTagMirrorSet"), "{message}");
    consistently(Duration::from_millis(300), "the file stays", async || {
        ensure!(node.ours().as_ref() == Some(&ours) && agent.readiness().await?.status == 503);
        Ok(())
    })
    .await?;

    tags.install(&stage.guest.client).await?;
    stage.guest.apply(&itms("t", &[("t.example", &["m.example/u"], None)])).await?;
    node.wait_for_text("m.example/u").await?;
    stage.guest.delete(&itms("t", &[])).await?;
    stage.guest.delete(&idms("d", &[])).await?;
    node.has_no_file().await
}

#[tokio::test]
async fn without_an_api_server_the_file_stays_and_the_agent_comes_back_with_it() -> Result<()> {
    let stage = Stage::start().await?;
    let node = stage.node("a", &json!({})).await?;
    let set = |mirror: &str| hosted_cluster_set("cluster", &[mirrors("quay.example", &[mirror])], &[]);
    stage.guest.apply(&set("m.example/1")).await?;
    let mut agent = node.agent(&[]).await?;
    let ours = node.wait_for_text("m.example/1").await?;
    stage.cluster().stop_api_server().await?;
    agent.process.kill()?;
    let mut agent = node.unready_agent(&[]).await?;
    consistently(Duration::from_millis(500), "the file stays", async || {
        ensure!(node.ours().as_ref() == Some(&ours) && agent.process.exit_status()?.is_none());
        Ok(())
    })
    .await?;
    let answer = agent.readiness().await?;
    ensure!(answer.status == 503 && answer.body.contains("nodemirrorsets"), "{answer:?}");
    stage.cluster().start_api_server().await?;
    stage.guest.apply(&set("m.example/2")).await?;
    node.wait_for_text("m.example/2").await?;
    stage.condition("a", "Applied", "AsExpected").await.map(|_| ())
}
