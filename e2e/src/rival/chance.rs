//! Runs rounds of random changes.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::stage::{Accounts, Act, Stage};
use crate::fleet::manager::Manager;

/// The totals of a run.
#[derive(Debug, Default)]
pub struct Totals {
    /// Actions of the rival and of users.
    pub changes: usize,
    /// Edits by the administrator.
    pub edits: usize,
    /// Rollouts by the rival for its own changes.
    pub rival: usize,
    /// Rollouts by the rival that revert a change.
    pub reverts: usize,
    /// Rollouts by the manager.
    pub ours: usize,
    /// Rollouts by the manager in hosted clusters in which users edited a value.
    pub after_people: usize,
    /// Writes by the manager without a rollout.
    pub quiet: usize,
    /// The longest time until a value was correct.
    pub longest: Duration,
}

impl Totals {
    fn add(&mut self, accounts: &Accounts) {
        for accounts in accounts.values() {
            let defaced = accounts.iter().any(|account| account.reverts > 0);
            for account in accounts {
                self.rival += account.rival;
                self.reverts += account.reverts;
                self.ours += account.ours;
                self.after_people += if defaced { account.ours } else { 0 };
                self.quiet += account.quiet;
            }
        }
    }
}

/// Random rounds. In each round every hosted cluster has its own change, and in half of them the administrator edits mirrors.
pub struct Rounds<'s> {
    /// The stage.
    pub stage: &'s mut Stage,
    /// The totals so far.
    pub totals: Totals,
}

impl Rounds<'_> {
    /// Runs one round until all values are correct, and verifies the time and the number of rollouts.
    ///
    /// # Errors
    ///
    /// If a limit is exceeded. The error has the timeline.
    pub async fn judged(&mut self) -> Result<()> {
        self.judged_with(50).await
    }

    /// Like [`Self::round`], with edits by the administrator in this percentage of rounds.
    ///
    /// # Errors
    ///
    /// If a limit is exceeded. The error has the timeline.
    pub async fn judged_with(&mut self, percent: u64) -> Result<()> {
        let edits = self.totals.edits;
        let edited = self.changes(percent).await?;
        let accounts = self.stage.converges().await?;
        let longest = self.stage.judge(&accounts, self.totals.edits - edits, edited)?;
        self.totals.longest = self.totals.longest.max(longest);
        self.totals.add(&accounts);
        Ok(())
    }

    /// Runs one round in which the manager is killed, and returns the next manager.
    ///
    /// # Errors
    ///
    /// If it does not settle, or something was edited in place.
    pub async fn with_a_crash(&mut self, mut manager: Manager, next: &str) -> Result<Manager> {
        self.changes(80).await?;
        self.stage.random.hesitate(Duration::ZERO..=Duration::from_millis(1500)).await;
        manager.process.kill()?;
        let next = self.stage.manager(next).start(self.stage.bed.management()).await?;
        let accounts = self.stage.converges().await?;
        self.totals.add(&accounts);
        let edited_in_place = accounts.values().flatten().any(|account| account.reverts > account.people);
        ensure!(!edited_in_place, "the rival reverted a change: {accounts:?}");
        Ok(next)
    }

    /// Performs the actions of a round. Returns the time of the administrator's edit, if there is one.
    async fn changes(&mut self, edits: u64) -> Result<Option<Instant>> {
        let acts = self.stage.everybody_acts().await?;
        self.totals.changes += acts.iter().filter(|act| **act != Act::Rest).count();
        if !self.stage.random.percent(edits) {
            return Ok(None);
        }
        self.stage.random.hesitate(Duration::ZERO..=Duration::from_millis(600)).await;
        self.stage.administrator.edit(&self.stage.fleet, &mut self.stage.random).await?;
        self.totals.edits += 1;
        if self.stage.random.percent(30) {
            let place = usize::try_from(self.stage.random.below(self.stage.members.len() as u64))?;
            self.stage.members[place].turn(&self.stage.fleet).await?;
            self.totals.edits += 1;
        }
        Ok(Some(Instant::now()))
    }
}
