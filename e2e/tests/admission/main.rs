//! The admission, as a webhook and as policies: what a write of stock operators takes away is given back in that write.

mod agreement;
mod certificates;
mod hosted_clusters;
mod hostile;
mod leaving;
mod outages;

use std::time::Instant;

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::admission::Admission;
use hypermirror_e2e::fleet::manager::Manager;
use hypermirror_e2e::rival::Manners;
use hypermirror_e2e::rival::administrator::{Member, every_sort};
use hypermirror_e2e::rival::chance::{Rounds, Totals};
use hypermirror_e2e::rival::stage::Stage;

/// What stock operators cannot say: an order, and mirrors of tags.
const ORDERED: &[(&str, &[&str])] = &[("a.example/one", &["z.example", "a.example"])];
const TAGS: &[(&str, &[&str])] = &[("t.example/tags", &["m.example/tags"])];

/// A stage on which everything reads right, with an admission that answers.
async fn set(members: Vec<Member>, admission: Admission, seed: u64) -> Result<(Stage, Manager)> {
    let mut stage = Stage::set(members, &Manners::default(), seed).await?;
    stage.admit(admission).await?;
    let manager = stage.manager("manager").start_ready(stage.bed.management()).await?;
    stage.fleet.admits().await?;
    stage.administrator.declare(&stage.fleet, "one", ORDERED).await?;
    stage.administrator.declare(&stage.fleet, "tags", TAGS).await?;
    stage.converges().await?;
    Ok((stage, manager))
}

async fn three_hundred_changes(admission: Admission, seed: u64) -> Result<()> {
    let (mut stage, _manager) = set(every_sort(), admission, seed).await?;
    let (start, before) = (Instant::now(), stage.unanswered.1);
    let mut rounds = Rounds { stage: &mut stage, totals: Totals::default() };
    while rounds.totals.changes < 300 {
        rounds.judged_with(0).await?;
    }
    let totals = rounds.totals;
    let unanswered = stage.unanswered.1 - before;
    eprintln!("{admission:?}: {totals:#?} in {:?}, {unanswered} unanswered", start.elapsed());
    ensure!(totals.rival > 200 && totals.ours - totals.after_people <= unanswered, "{totals:?}");
    ensure!(unanswered <= 3, "the webhook did not answer {unanswered} times");
    // The same while an administrator edits: what is announced joins the change of a stock operator.
    let mut rounds = Rounds { stage: &mut stage, totals: Totals::default() };
    while rounds.totals.edits < 8 {
        rounds.judged_with(60).await?;
    }
    eprintln!("{admission:?}, with edits: {:#?}", rounds.totals);
    let contested = stage.contested().await?;
    ensure!(contested.is_empty(), "{contested:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_changes_of_stock_operators_cost_no_further_rollout_with_the_webhook() -> Result<()> {
    three_hundred_changes(Admission::webhook()?, 31).await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_changes_of_stock_operators_cost_no_further_rollout_with_the_policy() -> Result<()> {
    three_hundred_changes(Admission::Policy, 37).await
}
