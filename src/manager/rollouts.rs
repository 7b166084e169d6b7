//! The rollout budget: slots are claimed before the first write and released when the targets are available.

use std::sync::Arc;
use std::time::Duration;

use hypermirror_api::{ClusterKey, Reason};

use super::leader::Leader;
use super::store::Store;
use crate::fleet::rollout::{Claim, Counts, messages};
use crate::hosted::facts::{ClusterFacts, Flags, Moment, RolloutFacts, Slot};
use crate::hosted::flight;
use crate::hosted::turn::Turn;
use crate::management::apply::{WriteError, Writer};
use crate::telemetry::metrics::{ManagerMetrics, StateLabels, gauge};

/// Pause after a failed list of the rollouts in flight. Nothing is rolled out meanwhile, so it is short.
const STOCK_RETRY: Duration = Duration::from_secs(1);

/// The rollout budget of the fleet.
#[derive(Clone)]
pub struct RolloutBudget {
    store: Store,
    writer: Writer,
    leader: Leader,
    flags: Arc<Flags>,
    metrics: ManagerMetrics,
}

impl RolloutBudget {
    /// Creates the budget.
    pub fn new(store: Store, writer: Writer, leader: Leader, flags: Arc<Flags>, metrics: &ManagerMetrics) -> Self {
        Self { store, writer, leader, flags, metrics: metrics.clone() }
    }

    /// Reads the rollouts in flight of the previous leader at the start of a term.
    pub(super) async fn begin_term(&self) {
        // The watches may be older than its last writes, so the marks are listed from the API server. Until that succeeds no
        // rollout starts: two leaders would otherwise use the budget twice. A term that ends takes the question with it.
        while self.flags.rollouts.is_on() && self.leader.term.lasts() {
            match self.list_marks().await {
                Ok(()) => return self.store.begin_rollouts(),
                Err(error) => {
                    tracing::warn!(%error, "failed to list the rollouts in flight; no rollout starts until it succeeds");
                    tokio::time::sleep(STOCK_RETRY).await;
                }
            }
        }
    }

    async fn list_marks(&self) -> Result<(), WriteError> {
        for (place, spec) in self.flags.targets.iter().enumerate() {
            let targets = self.writer.list_targets(spec).await?;
            self.store.update_marks(place, &targets);
        }
        Ok(())
    }

    /// Requests a slot.
    pub(super) fn claim(&self, key: &ClusterKey) -> Slot {
        match self.store.claim_rollout(key) {
            Claim::Held | Claim::Granted => Slot::Claimed,
            Claim::Queued => Slot::Queued,
            Claim::Halted(halt) => Slot::Halted(halt),
        }
    }

    /// Releases a slot for which nothing was written.
    pub(super) fn release(&self, key: &ClusterKey) {
        self.store.release_rollout(key);
    }

    /// Releases the slot of a hosted cluster that was not available before the change, and removes it from the queue until it
    /// requests one again.
    pub(super) fn skip(&self, key: &ClusterKey) {
        self.store.skip_rollout(key);
    }

    /// The rollout for the report, after all writes, also if one failed.
    pub(super) fn refresh(&self, facts: ClusterFacts, turn: Turn, now: Moment) -> (ClusterFacts, Turn) {
        let (report, rollout) = self.store.rollout(&facts.key);
        let rollout = RolloutFacts { slot: facts.rollout.slot.clone(), ..rollout };
        let facts = ClusterFacts { report, rollout, ..facts };
        let rollout = flight::of(&facts, &turn.plan, &turn.gate, now);
        let again_after = turn.again_after.into_iter().chain(rollout.again_after).min();
        (facts, Turn { rollout, again_after, ..turn })
    }

    /// After a reconcile, releases an unused slot and enqueues the hosted clusters that may start.
    pub(super) fn end_reconcile(&self, key: &ClusterKey, result: &Result<Option<Reason>, WriteError>) {
        // After a failure without a response, the write may have succeeded, which the next turn determines.
        let releases = result.as_ref().err().is_none_or(WriteError::is_refusal);
        let asks = [Reason::RolloutWaiting, Reason::RolloutHalted, Reason::TargetsUnavailable];
        let stays_queued = matches!(result, Ok(Some(reason)) if asks.contains(reason));
        self.end(key, releases, stays_queued);
    }

    /// After a panic, leaves the queue in any case, so that others are not blocked. Something may have been written, so a claimed
    /// slot is kept until the next turn.
    pub(super) fn end_panicked(&self, key: &ClusterKey) {
        self.end(key, false, false);
    }

    fn end(&self, key: &ClusterKey, releases: bool, stays_queued: bool) {
        if self.flags.rollouts.is_on() {
            self.store.end_reconcile(key, releases, stays_queued);
        }
    }

    fn count(&self, counts: &Counts<ClusterKey>) {
        let states = [
            ("InFlight", counts.in_flight),
            ("Waiting", counts.waiting),
            ("Failed", counts.failed.len()),
            ("Unavailable", counts.unavailable),
        ];
        for (state, count) in states {
            self.metrics.rollouts.get_or_create(&StateLabels { state }).set(gauge(count));
        }
        self.metrics.rollouts_halted.set(i64::from(counts.halted));
    }
}

/// The last logged and counted state of the fleet.
#[derive(Default)]
pub(super) struct Housekeeping {
    /// The failed rollouts, which are in the messages of halted ones.
    failed: Vec<ClusterKey>,
    /// Whether all rollouts are halted.
    halted: bool,
}

impl Housekeeping {
    /// Updates metrics and enqueues the hosted clusters that may start. A rollout fails by the clock and not by an event, so this
    /// is called periodically.
    pub(super) fn update(&mut self, budget: &RolloutBudget) {
        if !budget.flags.rollouts.is_on() {
            return;
        }
        if !budget.leader.may_write() {
            *self = Self::default();
            let none = Counts { in_flight: 0, waiting: 0, unavailable: 0, failed: Vec::new(), halted: false };
            return budget.count(&none);
        }
        let counts = budget.store.check_rollouts(&self.failed);
        budget.count(&counts);
        self.log(counts);
    }

    /// Logs the names for administrators; reports in other namespaces have only their number.
    fn log(&mut self, counts: Counts<ClusterKey>) {
        if counts.failed == self.failed && counts.halted == self.halted {
            return;
        }
        let names: Vec<String> = counts.failed.iter().map(ToString::to_string).collect();
        let (failed, count) = (messages::named(&names), names.len());
        if counts.halted {
            tracing::warn!(
                failed,
                count,
                "rollouts are halted: hosted clusters were not available in time after a change"
            );
        } else if count > 0 {
            tracing::warn!(
                failed,
                count,
                "hosted clusters were not available in time after a change of their own mirrors"
            );
        } else {
            tracing::info!("rollouts resume");
        }
        (self.failed, self.halted) = (counts.failed, counts.halted);
    }
}

#[cfg(test)]
mod tests;
