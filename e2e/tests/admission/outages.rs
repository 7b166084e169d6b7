//! A webhook that is away, a manager that is not to write.

use std::time::Duration;

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::admission::Admission;
use hypermirror_e2e::fleet::{TARGETS, objects};
use hypermirror_e2e::rival::administrator::member;
use hypermirror_e2e::rival::chance::{Rounds, Totals};
use hypermirror_e2e::rival::stage::{Act, Stage};
use hypermirror_e2e::rival::values::FLAG;
use serde_json::json;

use super::set;

const PAUSED: &str = "hypermirror.dev/paused";

async fn pause(stage: &Stage, cluster: &str, paused: Option<&str>) -> Result<()> {
    let annotations = json!({"metadata": {"annotations": {PAUSED: paused}}});
    stage.fleet.merge(&objects::hosted_cluster(cluster, &[]), &annotations).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_paused_the_webhook_still_gives_back_what_a_change_takes() -> Result<()> {
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
        let accounts = stage.settles().await?;
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
    stage.settles().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_webhook_down_changes_go_through_and_the_manager_puts_right_what_they_took() -> Result<()> {
    let members = vec![member("c0", false, false, "="), member("c1", true, true, FLAG)];
    let (mut stage, mut manager) = set(members, Admission::webhook()?, 43).await?;
    manager.process.kill()?;
    for cluster in ["c0", "c1"] {
        stage.act(cluster, Act::Both(TARGETS[1])).await?;
    }
    for member in &stage.members {
        hypermirror_e2e::eventually(hypermirror_e2e::fleet::SOON, "the change goes through", async || {
            Ok((stage.so_far((&member.name, TARGETS[0]))?.rival >= 1).then_some(()))
        })
        .await?;
    }
    let _manager = stage.manager("next").start_ready(stage.bed.management()).await?;
    let accounts = stage.settles().await?;
    ensure!(accounts["c0"][0].ours == 1, "the entry was not taken: {accounts:?}");
    stage.fleet.admits().await?;
    stage.act("c0", Act::Both(TARGETS[2])).await?;
    let accounts = stage.settles().await?;
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
