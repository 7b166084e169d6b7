//! The stand-in of CRI-O on a node of a scenario, and what the agent does when it does not do as instructed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::{Launch, Process, binaries, consistently, eventually};
use serde_json::json;

use super::stage::{Node, Stage, condition, hosted_cluster_set, mirrors};

/// The agent's mark as long as a reload is pending.
pub const PENDING: &str = ".50-hypermirror.pending";

/// A running stand-in.
pub struct Crio {
    pub process: Process,
    loaded: PathBuf,
}

impl Crio {
    /// Starts it and waits until it has read its configuration.
    pub async fn start(node: &Node) -> Result<Self> {
        let crio = Self::spawn(node)?;
        eventually(SOON, "the stand-in runs", async || Ok(crio.loaded.exists().then_some(()))).await?;
        Ok(crio)
    }

    /// Starts it.
    pub fn spawn(node: &Node) -> Result<Self> {
        let program = binaries::operator()?.with_file_name("crio-stand-in");
        ensure!(program.exists(), "no crio-stand-in: cargo build --workspace --bins");
        let process = Launch::new("crio", program, node.root.path()).arg(node.root.path()).spawn()?;
        Ok(Self { process, loaded: node.path("loaded") })
    }

    /// What it last read of the agent's file.
    pub fn loaded(&self) -> String {
        fs::read_to_string(&self.loaded).unwrap_or_default()
    }

    async fn has_read(&self, text: &str) -> Result<()> {
        eventually(SOON, &format!("CRI-O has read {text}"), async || {
            let loaded = self.loaded();
            ensure!(loaded.contains(text), "{loaded}");
            Ok(Some(()))
        })
        .await
    }
}

fn set(mirror: &str) -> serde_json::Value {
    hosted_cluster_set("cluster", &[mirrors("quay.example", &[mirror])], &[])
}

#[tokio::test]
async fn an_edit_and_a_deletion_are_reloaded_and_reported() -> Result<()> {
    let stage = Stage::start().await?;
    let node = stage.node("a", &json!({})).await?;
    let crio = Crio::start(&node).await?;
    let agent = node.agent(&["--reload=signal"]).await?;
    stage.guest.apply(&set("m.example/1")).await?;
    crio.has_read("m.example/1").await?;
    let status = stage
        .wait_for_report("a", "that it was read", |status| condition(status, "Reloaded")["status"] == "True")
        .await?;
    ensure!(status["pendingReload"] == false, "{status}");
    stage.guest.delete(&set("")).await?;
    eventually(SOON, "the deletion is read", async || {
        ensure!(crio.loaded().is_empty() && !node.path(PENDING).exists() && node.names()?.is_empty());
        Ok(Some(()))
    })
    .await?;
    ensure!(agent.readiness().await?.status == 200);
    Ok(())
}

#[tokio::test]
async fn a_crio_that_is_stopped_or_starting_is_not_signalled_and_reads_in_the_end() -> Result<()> {
    let stage = Stage::start().await?;
    let node = stage.node("a", &json!({})).await?;
    let agent = node.agent(&["--reload=signal"]).await?;
    stage.guest.apply(&set("m.example/1")).await?;
    let message = stage.condition("a", "Reloaded", "RuntimeNotReady").await?;
    ensure!(message.contains("crio.sock"), "{message}");
    ensure!(agent.readiness().await?.status == 503, "not ready while a reload is pending");

    // Its socket is there for a second before SIGHUP would not end it.
    fs::write(node.path("slow"), "")?;
    let mut crio = Crio::spawn(&node)?;
    stage.condition("a", "Reloaded", "AsExpected").await?;
    ensure!(crio.process.exit_status()?.is_none(), "it lives");
    crio.has_read("m.example/1").await
}

#[tokio::test]
async fn a_crio_that_does_not_read_the_file_is_signalled_again_and_edits_are_still_written() -> Result<()> {
    let stage = Stage::start().await?;
    let node = stage.node("a", &json!({})).await?;
    fs::write(node.path("deaf"), "")?;
    let crio = Crio::start(&node).await?;
    let _agent = node.agent(&["--reload=signal"]).await?;
    stage.guest.apply(&set("m.example/1")).await?;
    let message = stage.condition("a", "Reloaded", "NotRead").await?;
    ensure!(message.contains("crio.conf.d"), "{message}");
    for edit in 2..5 {
        let mirror = format!("m.example/{edit}");
        stage.guest.apply(&set(&mirror)).await?;
        let start = std::time::Instant::now();
        node.wait_for_text(&mirror).await?;
        ensure!(start.elapsed() < super::stage::AT_ONCE, "{:?}", start.elapsed());
    }
    fs::remove_file(node.path("deaf"))?;
    crio.has_read("m.example/4").await?;
    stage.condition("a", "Reloaded", "AsExpected").await.map(|_| ())
}

#[tokio::test]
async fn only_crio_is_signalled() -> Result<()> {
    let stage = Stage::start().await?;
    let node = stage.node("a", &json!({})).await?;
    fs::write(node.path("other"), "")?;
    let mut crio = Crio::start(&node).await?;
    let _agent = node.agent(&["--reload=signal"]).await?;
    stage.guest.apply(&set("m.example/1")).await?;
    let message = stage.condition("a", "Reloaded", "RuntimeNotFound").await?;
    ensure!(message.contains("is containerd, not CRI-O"), "{message}");
    consistently(Duration::from_millis(500), "nobody tells it", async || {
        ensure!(crio.loaded().is_empty() && crio.process.exit_status()?.is_none());
        Ok(())
    })
    .await
}
