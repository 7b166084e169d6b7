//! How often control planes restart: for edits in a row, for sources that are never contacted, for who leaves and comes back.

use std::time::Duration;

use anyhow::{Result, ensure};
use hypermirror_e2e::eventually;
use hypermirror_e2e::fleet::admission::Admission;
use hypermirror_e2e::fleet::objects::{hosted_cluster, report};
use hypermirror_e2e::fleet::{SOON, TARGETS};
use hypermirror_e2e::rival::Manners;
use hypermirror_e2e::rival::administrator::member;
use hypermirror_e2e::rival::stage::Stage;
use hypermirror_e2e::rival::values::FLAG;
use serde_json::json;

use super::ORDERED;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_edits_in_a_row_restart_control_plane_operator_three_times_at_most() -> Result<()> {
    // The hypershift operator reads the mirrors after each write of its own, too. It is slower here than twenty edits, which take
    // up to two seconds while other scenarios run.
    let slow = Manners { reaction: Duration::from_secs(3)..=Duration::from_millis(3200), ..Manners::default() };
    let members = vec![member("c0", false, false, "="), member("c1", false, true, FLAG)];
    let mut stage = Stage::set(members, &slow, 29).await?;
    let launch = stage.manager("manager").arg("--settle=2s");
    let _manager = launch.start_ready(stage.bed.management()).await?;
    stage.converges().await?;
    let mirrors: Vec<String> = (0..20).map(|edit| format!("m.example/{edit}")).collect();
    for mirror in &mirrors {
        stage.administrator.declare(&stage.fleet, "one", &[("s.example", &[mirror, "a.example"])]).await?;
    }
    let accounts = stage.converges().await?;
    for (cluster, accounts) in &accounts {
        for (account, target) in accounts.iter().zip(TARGETS) {
            let rollouts = account.rival + account.ours;
            ensure!(rollouts <= 3, "{cluster}/{target}: {account:?}\n{}", stage.history(cluster));
            ensure!(account.ours <= 2, "{cluster}/{target}: {account:?}\n{}", stage.history(cluster));
        }
    }
    Ok(())
}

/// What becomes of the sources that are never contacted, and those that there are then, with their mirrors.
type Forbidden<'a> = (&'a str, &'a [(&'a str, &'a [&'a str])]);

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_never_contacted_costs_ignition_server_one_rollout_with_the_webhook() -> Result<()> {
    let members = vec![member("c0", false, false, "="), member("c1", false, false, FLAG)];
    let unhurried = Manners { restart: Duration::from_secs(2)..=Duration::from_millis(2500), ..Manners::default() };
    let mut stage = Stage::set(members, &unhurried, 41).await?;
    stage.admit(Admission::webhook()?).await?;
    let _manager = stage.manager("manager").arg("--handover=20s").start_ready(stage.bed.management()).await?;
    stage.fleet.admits().await?;
    stage.converges().await?;
    let forbidden: [Forbidden<'_>; 3] = [
        ("added", &[("n.example", &["m.example/1"])]),
        ("changed", &[("n.example", &["m.example/2"])]),
        ("removed", &[]),
    ];
    for (what, list) in forbidden {
        stage.administrator.forbid(&stage.fleet, "two", list).await?;
        let accounts = stage.converges().await?;
        for (cluster, accounts) in &accounts {
            let rollouts = accounts.each_ref().map(|account| account.rival + account.ours);
            let allowed = 1 + stage.unanswered.0;
            let history = || stage.history(cluster);
            ensure!(rollouts.iter().all(|count| *count <= allowed), "{what} on {cluster}: {rollouts:?}\n{}", history());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_removal_and_return_of_a_hosted_cluster_is_no_contest() -> Result<()> {
    let mut stage = Stage::set(vec![member("c0", false, false, "=")], &Manners::default(), 43).await?;
    let launch = stage.manager("manager").arg("--guest-agent=off");
    let _manager = launch.start_ready(stage.bed.management()).await?;
    stage.administrator.declare(&stage.fleet, "one", ORDERED).await?;
    stage.converges().await?;
    let cluster = hosted_cluster("c0", &[]);
    let annotate = |value: Option<&str>| json!({"metadata": {"annotations": {"hypermirror.dev/uninstall": value}}});
    for round in 0..4 {
        stage.fleet.merge(&cluster, &annotate(Some("true"))).await?;
        eventually(SOON, &format!("the report is gone, round {round}"), async || {
            Ok(stage.fleet.api_of(&report("c0"))?.get_opt("c0").await?.is_none().then_some(()))
        })
        .await?;
        let left = stage.fleet.api_of(&cluster)?.get("c0").await?.metadata.annotations.unwrap_or_default();
        ensure!(!left.contains_key("hypermirror.dev/mirrors-observed"), "{left:?}");
        stage.fleet.merge(&cluster, &annotate(None)).await?;
        stage.converges().await?;
        let contested = stage.contested().await?;
        ensure!(contested.is_empty(), "round {round}: {contested:#?}");
    }
    Ok(())
}
