//! An edit of a set is in each node's file, and reported, within a second.

use std::time::Instant;

use anyhow::{Result, ensure};
use hypermirror_e2e::{consistently, endpoint, eventually};
use serde_json::json;

use super::stage::{AT_ONCE, HEADER, Stage, condition, hosted_cluster_set, mirrors, node_pool_set};

const POOL: &str = "hypershift.openshift.io/nodePool";

#[tokio::test]
async fn an_edit_is_in_each_nodes_file_and_report_within_a_second() -> Result<()> {
    let stage = Stage::start().await?;
    let nodes = [stage.node("a", &json!({POOL: "x"})).await?, stage.node("b", &json!({POOL: "y"})).await?];
    let mut agents = Vec::new();
    for node in &nodes {
        agents.push(node.agent(&[]).await?);
        ensure!(node.ours().is_none(), "nothing to say is no file");
    }
    for round in 0..5 {
        let mirror = format!("m{round}.example/q");
        let set = hosted_cluster_set("cluster", &[mirrors("quay.example", &[&mirror])], &[]);
        let generation = stage.guest.apply(&set).await?.metadata.generation;
        let start = Instant::now();
        for node in &nodes {
            let ours = node.wait_for_text(&mirror).await?;
            ensure!(ours.starts_with(HEADER), "{ours}");
            let reported = |status: &serde_json::Value| {
                status["observedSets"][0]["generation"].as_i64() == generation
                    && condition(status, "Applied")["status"] == "True"
                    && status["pendingReload"] == false
                    && status["contentHash"].as_str().is_some_and(|hash| hash.starts_with("sha256:"))
            };
            stage.wait_for_report(&node.name, "the new generation", reported).await?;
        }
        ensure!(start.elapsed() < AT_ONCE, "round {round} took {:?}", start.elapsed());
    }
    let metrics = endpoint::get(&agents[0].metrics).await?.body;
    for series in [
        "hypermirror_agent_writes_total 5",
        "hypermirror_agent_write_delay_seconds_count 5",
        "hypermirror_agent_applied 1",
    ] {
        ensure!(metrics.contains(series), "{metrics}");
    }
    Ok(())
}

#[tokio::test]
async fn a_relabelled_node_changes_its_file_and_a_deleted_set_leaves_nothing_behind() -> Result<()> {
    let stage = Stage::start().await?;
    let node = stage.node("a", &json!({POOL: "x"})).await?;
    let cluster = hosted_cluster_set("cluster", &[mirrors("quay.example", &["m.example/hc"])], &[]);
    let x = node_pool_set("nodepool-x", "x", &[mirrors("quay.example", &["m.example/x"])]);
    let y = node_pool_set("nodepool-y", "y", &[mirrors("quay.example", &["m.example/y"])]);
    for set in [&cluster, &x, &y] {
        stage.guest.apply(set).await?;
    }
    let _agent = node.agent(&[]).await?;
    let ours = node.wait_for_text("m.example/x").await?;
    let (pool, hosted) = (ours.find("m.example/x"), ours.find("m.example/hc"));
    ensure!(pool < hosted && hosted.is_some(), "the node pool's mirrors come first: {ours}");
    ensure!(!ours.contains("m.example/y"), "{ours}");

    stage.label("a", &json!({POOL: "y"})).await?;
    let ours = node.wait_for_text("m.example/y").await?;
    ensure!(!ours.contains("m.example/x"), "{ours}");
    for set in [&cluster, &x, &y] {
        stage.guest.delete(set).await?;
    }
    node.has_no_file().await?;
    ensure!(node.names()?.is_empty(), "{:?}", node.names());
    let status = stage.wait_for_report("a", "no sets", |status| status["observedSets"] == json!([])).await?;
    ensure!(status["contentHash"] == "" && status["sourceCount"] == 0, "{status}");
    Ok(())
}

#[tokio::test]
async fn nothing_is_written_when_nothing_changed_and_a_restart_changes_nothing() -> Result<()> {
    let stage = Stage::start().await?;
    let node = stage.node("a", &json!({})).await?;
    let set = hosted_cluster_set("cluster", &[mirrors("quay.example", &["m.example/q"])], &[]);
    stage.guest.apply(&set).await?;
    let mut agent = node.agent(&[]).await?;
    node.wait_for_text("m.example/q").await?;
    stage.condition("a", "Applied", "AsExpected").await?;
    agent.process.stop().await?;
    ensure!(node.ours().is_some(), "a terminated agent leaves the file");

    let written = std::fs::metadata(node.path(super::stage::OURS))?.modified()?;
    let audit = stage.cluster().audit().await?;
    let mark = audit.mark().await?;
    let _again = node.agent(&[]).await?;
    // A change that says nothing new.
    stage.guest.merge(&set, &json!({"metadata": {"labels": {"x": "y"}}})).await?;
    consistently(AT_ONCE, "the file is not written", async || {
        ensure!(std::fs::metadata(node.path(super::stage::OURS))?.modified()? == written);
        Ok(())
    })
    .await?;
    let user = "system:serviceaccount:hypermirror-agent:hypermirror-agent";
    let writes = audit.writes_by(mark, user).await?;
    ensure!(writes.is_empty(), "{:?}", writes.iter().map(hypermirror_e2e::audit::Event::summary).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn an_agent_may_not_write_the_report_of_another_node() -> Result<()> {
    let stage = Stage::start().await?;
    let node = stage.node("a", &json!({})).await?;
    let _agent = node.agent(&[]).await?;
    stage.condition("a", "Applied", "AsExpected").await?;
    // With the token of one node, under the name of another.
    let mut thief = stage.node("b", &json!({})).await?;
    thief.0.kubeconfig.clone_from(&node.kubeconfig);
    let agent = thief.unready_agent(&[]).await?;
    eventually(hypermirror_e2e::fleet::SOON, "the write is refused", async || {
        let log = agent.process.log()?;
        ensure!(log.contains("may write only the NodeMirrorStatus of its own node"), "{log}");
        Ok(Some(()))
    })
    .await?;
    ensure!(stage.status("b").await.is_err(), "there is no report");
    Ok(())
}
