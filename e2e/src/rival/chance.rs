//! Rounds of changes by chance.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::stage::{Accounts, Act, Stage};
use crate::fleet::manager::Manager;

/// What a run came to.
#[derive(Debug, Default)]
pub struct Totals {
    /// Acts of the rival and of people.
    pub changes: usize,
    /// Edits by the administrator.
    pub edits: usize,
    /// Rollouts by the rival, for a change of its own.
    pub rival: usize,
    /// Rollouts by the rival that put something back.
    pub reverts: usize,
    /// Rollouts by the manager.
    pub ours: usize,
    /// Those of them in hosted clusters in which people edited a value in place.
    pub after_people: usize,
    /// Writes by the manager that restart nothing.
    pub quiet: usize,
    /// The longest time until a value was right.
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

/// In a round every hosted cluster has its own change, in half of them the administrator edits something, too.
pub struct Rounds<'s> {
    /// Where they happen.
    pub stage: &'s mut Stage,
    /// What they came to so far.
    pub totals: Totals,
}

impl Rounds<'_> {
    /// One round, until everything has come to rest: every value is right in time, at no more rollouts than promised.
    ///
    /// # Errors
    ///
    /// When a promise is broken: with all that happened.
    pub async fn judged(&mut self) -> Result<()> {
        self.judged_with(50).await
    }

    /// The same, with edits by the administrator in so many of a hundred rounds.
    ///
    /// # Errors
    ///
    /// When a promise is broken: with all that happened.
    pub async fn judged_with(&mut self, percent: u64) -> Result<()> {
        let edits = self.totals.edits;
        let edited = self.changes(percent).await?;
        let accounts = self.stage.settles().await?;
        let longest = self.stage.judge(&accounts, self.totals.edits - edits, edited)?;
        self.totals.longest = self.totals.longest.max(longest);
        self.totals.add(&accounts);
        Ok(())
    }

    /// One round in which the manager is killed in the middle; answers the next manager.
    ///
    /// # Errors
    ///
    /// When it does not settle, or something was edited in place.
    pub async fn with_a_crash(&mut self, mut manager: Manager, next: &str) -> Result<Manager> {
        self.changes(80).await?;
        self.stage.random.hesitate(Duration::ZERO..=Duration::from_millis(1500)).await;
        manager.process.kill()?;
        let next = self.stage.manager(next).start(self.stage.bed.management()).await?;
        let accounts = self.stage.settles().await?;
        self.totals.add(&accounts);
        let edited_in_place = accounts.values().flatten().any(|account| account.reverts > account.people);
        ensure!(!edited_in_place, "the rival had to put something back: {accounts:?}");
        Ok(next)
    }

    /// Everybody acts; in this many of a hundred cases the administrator does, too, and it is told when.
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
