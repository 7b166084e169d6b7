//! The manager beside stock HyperShift's operators, imitated as they were measured.

mod edits;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::{SOON, TARGETS, deployments};
use hypermirror_e2e::rival::administrator::{every_sort, member};
use hypermirror_e2e::rival::chance::{Rounds, Totals};
use hypermirror_e2e::rival::stage::{Act, Stage};
use hypermirror_e2e::rival::values::FLAG;
use hypermirror_e2e::rival::{MANAGERS, Manners, Operator};
use hypermirror_e2e::{consistently, eventually};

/// An order that stock operators lose.
const ORDERED: &[(&str, &[&str])] = &[("s.example", &["z.example", "a.example"])];

#[tokio::test(flavor = "multi_thread")]
async fn every_value_is_right_soon_after_each_of_three_hundred_changes_at_one_more_rollout_each() -> Result<()> {
    let mut stage = Stage::set(every_sort(), &Manners::default(), 7).await?;
    let _manager = stage.manager("manager").start_ready(stage.bed.management()).await?;
    stage.converges().await?;
    let start = Instant::now();
    let mut rounds = Rounds { stage: &mut stage, totals: Totals::default() };
    while rounds.totals.changes < 300 {
        rounds.judged().await?;
    }
    eprintln!("{:#?} in {:?}", rounds.totals, start.elapsed());
    let contested = stage.contested().await?;
    ensure!(contested.is_empty(), "{contested:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_is_killed_repeatedly_loses_no_entry_and_restores_no_removed_one() -> Result<()> {
    let members = every_sort().into_iter().step_by(2).collect();
    let mut stage = Stage::set(members, &Manners::default(), 11).await?;
    let mut manager = stage.manager("manager").start_ready(stage.bed.management()).await?;
    stage.converges().await?;
    let mut rounds = Rounds { stage: &mut stage, totals: Totals::default() };
    for kill in 0..8 {
        manager = rounds.with_a_crash(manager, &format!("manager-{kill}")).await?;
    }
    eprintln!("{:#?}", rounds.totals);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_removes_the_entry_repeatedly_is_named_and_writes_are_delayed() -> Result<()> {
    let members = vec![
        member("child", false, false, "="),
        member("parent", false, false, "="),
        member("calm", false, false, "="),
    ];
    let mut stage = Stage::set(members, &Manners::default(), 13).await?;
    for (cluster, target) in [("child", TARGETS[1]), ("parent", TARGETS[0])] {
        stage.rival.reform(cluster, Manners { greedy: vec![target], ..Manners::default() });
    }
    let _manager = stage.manager("manager").start_ready(stage.bed.management()).await?;
    stage.administrator.declare(&stage.fleet, "one", ORDERED).await?;
    for (cluster, manager) in [("child", MANAGERS[1]), ("parent", MANAGERS[0])] {
        let message = stage.fleet.condition(cluster, "ControlPlaneUpToDate", "False", "Contested").await?;
        ensure!(message.contains(manager), "{message}");
    }
    let ours = |stage: &Stage| -> Result<BTreeMap<(&str, &str), usize>> {
        let contested = [("child", TARGETS[1]), ("parent", TARGETS[0])];
        contested.into_iter().map(|place| Ok((place, stage.so_far(place)?.ours))).collect()
    };
    let before = ours(&stage)?;
    ensure!(before.values().all(|count| *count <= 4), "{before:?}");
    consistently(Duration::from_secs(5), "nothing is written to a target that is left alone", async || {
        let now = ours(&stage)?;
        ensure!(now.values().zip(before.values()).all(|(now, before)| now - before <= 1), "{now:?} after {before:?}");
        Ok(())
    })
    .await?;
    for (cluster, target) in [("child", TARGETS[0]), ("child", TARGETS[2]), ("calm", TARGETS[0]), ("calm", TARGETS[1])]
    {
        let place = (cluster, target);
        stage.target_reads_right(&member(cluster, false, false, "="), target).context("a target without a contest")?;
        ensure!(stage.so_far(place)?.ours <= 2, "{place:?}: {:?}", stage.so_far(place)?);
    }
    for cluster in ["child", "parent"] {
        stage.rival.reform(cluster, Manners::default());
    }
    stage.converges().await?;
    Ok(())
}

/// An edit: what it is, the object, its new content; then the rollouts by the rival and by us, on the parent and on each
/// child.
type Edit<'a> = (&'a str, &'a str, &'a [(&'a str, &'a [&'a str])], ((usize, usize), (usize, usize)));

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_costs_each_target_one_rollout_and_a_second_only_where_stock_operators_lose_the_order() -> Result<()> {
    // What is counted here depends on who comes first: a loaded machine must not change that.
    let unhurried = Manners { restart: Duration::from_secs(2)..=Duration::from_millis(2500), ..Manners::default() };
    let members = vec![member("c0", false, false, "="), member("c1", false, false, FLAG)];
    let mut stage = Stage::set(members, &unhurried, 17).await?;
    let launch = stage.manager("manager").arg("--settle=1s");
    let _manager = launch.start_ready(stage.bed.management()).await?;
    let single: (&str, &[&str]) = ("s.example", &["m.example"]);
    let edits: [Edit; 9] = [
        ("a single mirror", "one", &[single], ((1, 0), (1, 0))),
        ("a second source", "two", &[("t.example", &["m.example/t"])], ((1, 0), (1, 0))),
        ("two mirrors in the stock order", "one", &[("s.example", &["a.example", "z.example"])], ((1, 0), (1, 0))),
        ("one source less", "two", &[], ((1, 0), (1, 0))),
        ("another order", "one", ORDERED, ((0, 1), (0, 1))),
        ("back to the stock order", "one", &[("s.example", &["a.example", "z.example"])], ((0, 1), (0, 1))),
        ("an order and a source", "one", &[ORDERED[0], ("u.example", &["m.example/u"])], ((1, 1), (1, 1))),
        ("tag mirrors", "tags", &[("v.example", &["m.example/v"])], ((0, 1), (1, 1))),
        ("no order any more", "one", &[single], ((1, 1), (1, 0))),
    ];
    for (what, name, entries, (parent, child)) in edits {
        stage.administrator.declare(&stage.fleet, name, entries).await?;
        let accounts = stage.converges().await?;
        for (cluster, accounts) in &accounts {
            let counts = accounts.each_ref().map(|account| (account.rival, account.ours));
            let history = || stage.history(cluster);
            ensure!(counts == [parent, child, child], "{what} on {cluster}: {counts:?}\n{}", history());
            let quiet: usize = accounts.iter().map(|account| account.quiet).sum();
            let costs_nothing = parent.1 + child.1 == 0;
            ensure!(!costs_nothing || quiet == 0, "{what} on {cluster}: {quiet} annotations\n{}", history());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_deleted_and_nothing_opted_out_of_comes_back_from_a_stale_stock_value() -> Result<()> {
    let members = vec![
        member("c0", false, false, "="),
        member("c1", true, false, "="),
        member("c2", false, false, FLAG),
        member("c3", true, true, FLAG),
    ];
    let mut stage = Stage::set(members, &Manners::default(), 19).await?;
    let mut manager = stage.manager("first").start_ready(stage.bed.management()).await?;
    stage.administrator.declare(&stage.fleet, "one", &[ORDERED[0], ("gone.example", &["m.example/gone"])]).await?;
    stage.converges().await?;

    // The hypershift operator is down: the stock value of control-plane-operator stays as it is.
    everywhere(&mut stage, |stage, cluster| stage.rival.stop(cluster, Operator::Parent));
    stage.administrator.declare(&stage.fleet, "one", ORDERED).await?;
    stage.reads_right().await?;
    stage.administrator.declare(&stage.fleet, "two", &[("t.example", &["m.example/t"])]).await?;
    stage.reads_right().await?;
    manager.process.kill()?;
    manager = stage.manager("second").start_ready(stage.bed.management()).await?;
    stage.administrator.declare(&stage.fleet, "two", &[("u.example", &["m.example/u"])]).await?;
    stage.reads_right().await?;

    // And no pod of control-plane-operator starts any more: its children get nothing from it.
    everywhere(&mut stage, |stage, cluster| stage.rival.stop(cluster, Operator::Child));
    stage.administrator.declare(&stage.fleet, "two", &[]).await?;
    stage.reads_right().await?;
    manager.process.kill()?;
    let _manager = stage.manager("third").start_ready(stage.bed.management()).await?;
    stage.administrator.declare(&stage.fleet, "one", &[("s.example", &["a.example"])]).await?;
    stage.reads_right().await?;

    // Everything runs again and reads what there is.
    everywhere(&mut stage, |stage, cluster| {
        stage.rival.start(cluster, Operator::Parent);
        stage.rival.start(cluster, Operator::Child);
    });
    stage.converges().await?;
    eventually(SOON, "nothing is left to be remembered", async || {
        for member in &stage.members {
            for target in TARGETS {
                let now = stage.fleet.deployment(&member.name, target).await?;
                let retired = deployments::annotation(&now, "hypermirror.dev/retired").unwrap_or_default();
                ensure!(!retired.contains("gone.example") && !retired.contains("u.example"), "{target}: {retired}");
            }
        }
        Ok(Some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_added_and_removed_without_a_manager_are_removed_from_stock_values() -> Result<()> {
    let members = vec![member("c0", false, false, "="), member("c1", true, false, FLAG)];
    let mut stage = Stage::set(members, &Manners::default(), 23).await?;
    let mut manager = stage.manager("first").start_ready(stage.bed.management()).await?;
    stage.administrator.declare(&stage.fleet, "one", ORDERED).await?;
    stage.converges().await?;
    manager.process.kill()?;
    stage.administrator.declare(&stage.fleet, "two", &[("unseen.example", &["m.example/unseen"])]).await?;
    for name in ["c0", "c1"] {
        stage.act(name, Act::Poke).await?;
        eventually(SOON, "the hypershift operator has read it", async || {
            let parent = stage.fleet.deployment(name, TARGETS[0]).await?;
            Ok(deployments::env_values(&parent)[0].contains("unseen").then_some(()))
        })
        .await?;
    }
    stage.administrator.declare(&stage.fleet, "two", &[]).await?;
    let _manager = stage.manager("second").start_ready(stage.bed.management()).await?;
    stage.converges().await?;
    Ok(())
}

fn everywhere(stage: &mut Stage, mut act: impl FnMut(&mut Stage, &str)) {
    for name in stage.members.iter().map(|member| member.name.clone()).collect::<Vec<_>>() {
        act(stage, &name);
    }
}
