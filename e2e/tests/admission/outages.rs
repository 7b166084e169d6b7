//! A webhook that is away, a manager that is not to write.

use std::time::Duration;

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::admission::Admission;
use hypermirror_e2e::fleet::pods::Pods;
use hypermirror_e2e::fleet::{SOON, TARGETS, objects};
use hypermirror_e2e::rival::Manners;
use hypermirror_e2e::rival::administrator::member;
use hypermirror_e2e::rival::chance::{Rounds, Totals};
use hypermirror_e2e::rival::stage::{Act, Stage};
use hypermirror_e2e::rival::values::FLAG;
use hypermirror_e2e::{consistently, eventually};
use serde_json::json;

use super::{ORDERED, set};

const PAUSED: &str = "hypermirror.dev/paused";

async fn pause(stage: &Stage, cluster: &str, paused: Option<&str>) -> Result<()> {
    let annotations = json!({"metadata": {"annotations": {PAUSED: paused}}});
    stage.fleet.merge(&objects::hosted_cluster(cluster, &[]), &annotations).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_paused_the_webhook_restores_entries_that_a_change_removes() -> Result<()> {
    let members = vec![member("c0", false, false, "="), member("c1", false, true, FLAG)];
    let (mut stage, _manager) = set(members, Admission::webhook()?, 41).await?;
    for cluster in ["c0", "c1"] {
        pause(&stage, cluster, Some("true")).await?;
    }
    let mut totals = (0, 0, 0);
    for act in [Act::Both(TARGETS[1]), Act::Child(TARGETS[2]), Act::Parent, Act::Restart(TARGETS[2])] {
        for cluster in ["c0", "c1"] {
            stage.act(cluster, act).await?;
        }
        let accounts = stage.converges().await?;
        stage.judge(&accounts, 0, None)?;
        for account in accounts.values().flatten() {
            totals.0 += account.rival;
            totals.1 += account.ours;
            totals.2 += account.quiet;
        }
    }
    ensure!(totals.0 >= 8 && (totals.1, totals.2) == (0, 0), "{totals:?}");
    // They were paused all the time: an edit waits until they no longer are.
    stage.administrator.declare(&stage.fleet, "two", &[("d.example", &["m.example/d"])]).await?;
    for cluster in ["c0", "c1"] {
        stage.fleet.condition(cluster, "ControlPlaneUpToDate", "Unknown", "Paused").await?;
        pause(&stage, cluster, None).await?;
    }
    stage.converges().await?;
    Ok(())
}

/// The hosted cluster that waits because the other one is not back.
async fn halted(stage: &Stage) -> Result<&'static str> {
    eventually(SOON, "one is not back, the other one waits", async || {
        for cluster in ["c0", "c1"] {
            let conditions = stage.fleet.report(cluster).await?["conditions"].clone();
            let mut reasons = conditions.as_array().into_iter().flatten().map(|condition| &condition["reason"]);
            if reasons.any(|reason| reason == "RolloutHalted") {
                return Ok(Some(cluster));
            }
        }
        Ok(None)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_halted_the_webhook_restores_entries_that_a_change_removes() -> Result<()> {
    let members = vec![member("c0", false, false, "="), member("c1", false, true, FLAG)];
    let mut stage = Stage::set(members, &Manners::default(), 47).await?;
    let pods = Pods::run(&stage.fleet, Duration::from_millis(50));
    stage.admit(Admission::webhook()?).await?;
    let launch = stage.manager("manager").arg("--max-concurrent-rollouts=1").arg("--rollout-timeout=2s");
    let _manager = launch.start_ready(stage.bed.management()).await?;
    stage.fleet.admits().await?;
    stage.administrator.declare(&stage.fleet, "one", ORDERED).await?;
    stage.converges().await?;
    pods.available(&stage.fleet, &["c0", "c1"]).await?;

    pods.hold();
    stage.administrator.declare(&stage.fleet, "two", &[("d.example", &["m.example/d"])]).await?;
    let waiting = halted(&stage).await?;
    let before = stage.fleet.effective_values(waiting).await?;
    let changes = stage.so_far((waiting, TARGETS[0]))?.rival;
    stage.act(waiting, Act::Both(TARGETS[1])).await?;
    eventually(SOON, "the change goes through", async || {
        Ok((stage.so_far((waiting, TARGETS[0]))?.rival > changes).then_some(()))
    })
    .await?;
    consistently(Duration::from_secs(2), "nothing is stripped", async || {
        let values = stage.fleet.effective_values(waiting).await?;
        ensure!(values == before, "{values:?} and not {before:?}");
        Ok(())
    })
    .await?;
    pods.mend(&["c0", "c1"]).await?;
    stage.converges().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_webhook_down_changes_pass_and_the_manager_restores_the_entries() -> Result<()> {
    let members = vec![member("c0", false, false, "="), member("c1", true, true, FLAG)];
    let (mut stage, mut manager) = set(members, Admission::webhook()?, 43).await?;
    manager.process.kill()?;
    for cluster in ["c0", "c1"] {
        stage.act(cluster, Act::Both(TARGETS[1])).await?;
    }
    for member in &stage.members {
        eventually(SOON, "the change goes through", async || {
            Ok((stage.so_far((&member.name, TARGETS[0]))?.rival >= 1).then_some(()))
        })
        .await?;
    }
    let _manager = stage.manager("next").start_ready(stage.bed.management()).await?;
    let accounts = stage.converges().await?;
    ensure!(accounts["c0"][0].ours == 1, "the entry was not taken: {accounts:?}");
    stage.fleet.admits().await?;
    stage.act("c0", Act::Both(TARGETS[2])).await?;
    let accounts = stage.converges().await?;
    stage.judge(&accounts, 0, None)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_restarts_again_and_again_loses_nothing() -> Result<()> {
    let members = vec![member("c0", false, false, "="), member("c1", false, true, FLAG), member("c2", true, true, "=")];
    let (mut stage, mut manager) = set(members, Admission::webhook()?, 47).await?;
    let mut rounds = Rounds { stage: &mut stage, totals: Totals::default() };
    for kill in 0..6 {
        manager = rounds.with_a_crash(manager, &format!("manager-{kill}")).await?;
    }
    eprintln!("{:#?}", rounds.totals);
    ensure!(rounds.totals.longest <= Duration::from_secs(2));
    Ok(())
}
