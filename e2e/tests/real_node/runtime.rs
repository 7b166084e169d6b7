//! A CRI-O in trouble: the condition names it, and it passes without anybody's help.

use std::fs;

use anyhow::{Result, ensure};
use hypermirror_e2e::process::Signal;
use hypermirror_e2e::{Served, needs_node, port};

use super::stage::Stage;

/// A mirror for a source, to be edited between two registries.
struct Two {
    source: String,
    mirrors: [String; 2],
    served: [Served; 2],
}

impl Two {
    async fn start() -> Result<Self> {
        let served = [Served::start("copy/app").await?, Served::start("copy/app").await?];
        let mirrors = served.each_ref().map(|served| format!("{}/copy", served.registry.host()));
        Ok(Self { source: format!("127.0.0.1:{}/ns", port::free()?), mirrors, served })
    }

    /// Edits, and waits for nothing.
    async fn edit(&self, stage: &Stage, which: usize) -> Result<()> {
        stage.edit(&[(&self.source, &[&self.mirrors[which]], None)]).await
    }

    /// Waits until the edit is confirmed, and pulls by it.
    async fn works(&self, stage: &Stage, which: usize) -> Result<()> {
        stage.declare(&[(&self.source, &[&self.mirrors[which]], None)]).await?;
        let reference = format!("{}/app@{}", self.source, self.served[which].digest);
        let mark = stage.node().mark()?;
        stage.node().crictl().pull(&reference).await?;
        let tried = stage.node().tried_since(mark)?;
        ensure!(tried == [format!("{}/app@{}", self.mirrors[which], self.served[which].digest)], "{tried:?}");
        stage.node().crictl().remove_image(&reference).await
    }
}

#[tokio::test]
async fn a_runtime_that_is_down_or_starting_is_named_and_never_killed_by_a_reload() -> Result<()> {
    needs_node!();
    let stage = Stage::enter().await?;
    let two = Two::start().await?;
    two.works(&stage, 0).await?;
    let restarted = stage.node().crio_id().await?;
    stage.node().restart_crio().await?;
    ensure!(stage.node().crio_id().await? != restarted);
    two.works(&stage, 1).await?;

    stage.node().end_crio(Signal::KILL).await?;
    two.edit(&stage, 0).await?;
    let message = stage.nodes("False", "NodesFailing").await?;
    ensure!(message.contains("RuntimeNotReady") && message.contains("does not respond"), "{message}");
    // Edits all the time while it starts: each of them wants a reload, and a signal too early would end it.
    for round in 0..5 {
        stage.node().start_crio().await?;
        let id = stage.node().crio_id().await?;
        let answers = stage.node().crio_answers();
        let edits = async {
            for which in [1, 0, 1, 0] {
                two.edit(&stage, which).await?;
            }
            Ok(())
        };
        tokio::try_join!(answers, edits)?;
        two.works(&stage, round % 2).await?;
        ensure!(stage.node().crio_id().await? == id, "it is another one");
        if round < 4 {
            stage.node().end_crio(Signal::KILL).await?;
        }
    }
    stage.node().crictl().run(&["version"]).await.map(|_| ())
}

#[tokio::test]
async fn a_runtime_that_hangs_is_reported_and_then_uses_the_last_edit() -> Result<()> {
    needs_node!();
    let stage = Stage::enter().await?;
    let two = Two::start().await?;
    two.works(&stage, 0).await?;
    let before = stage.node().crio_id().await?;
    stage.node().freeze_crio(true).await?;
    two.edit(&stage, 1).await?;
    let named = stage.nodes("False", "NodesFailing").await;
    stage.node().freeze_crio(false).await?;
    let message = named?;
    ensure!(message.contains("RuntimeNotReady") && message.contains("no response within"), "{message}");
    two.works(&stage, 1).await?;
    ensure!(stage.node().crio_id().await? == before);
    Ok(())
}

#[tokio::test]
async fn a_broken_file_of_crios_own_configuration_is_named_and_the_edit_is_in_force_once_it_is_gone() -> Result<()> {
    needs_node!();
    let stage = Stage::enter().await?;
    let two = Two::start().await?;
    two.works(&stage, 0).await?;
    let broken = stage.node().crio_drop_ins().join("99-broken.conf");
    fs::write(&broken, "[crio\n")?;
    two.edit(&stage, 1).await?;
    let named = stage.nodes("False", "NodesFailing").await;
    fs::remove_file(&broken)?;
    let message = named?;
    ensure!(message.contains("NotRead") && message.contains("/etc/crio/crio.conf.d"), "{message}");
    two.works(&stage, 1).await
}
