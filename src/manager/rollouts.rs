//! The rollout budget: slots are claimed before the first write and released when the targets are available.

use std::time::Duration;

use hypermirror_api::{ClusterKey, Reason};
use jiff::Timestamp;

use super::context::Context;
use crate::fleet::rollout::{Claim, Counts, messages};
use crate::hosted::facts::{ClusterFacts, Moment, Slot};
use crate::hosted::flight;
use crate::hosted::turn::Turn;
use crate::management::apply::WriteError;
use crate::telemetry::metrics::{StateLabels, gauge};

/// Pause after a failed list.
const STOCK_RETRY: Duration = Duration::from_secs(1);

impl Context {
    /// Reads the rollouts in flight of the previous leader at the start of a term. No rollout starts until they are known.
    pub(super) async fn count_flights(&self) {
        while self.settings.flags.rollouts.is_on() && self.term.lasts() {
            match self.note_marks().await {
                Ok(()) => {
                    let mut index = self.index();
                    index.rollouts.begin_term();
                    let next = index.rollouts.next(Timestamp::now());
                    drop(index);
                    return self.queue.add_all(next);
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to list the rollouts in flight; no rollout starts until it succeeds");
                    tokio::time::sleep(STOCK_RETRY).await;
                }
            }
        }
    }

    async fn note_marks(&self) -> Result<(), WriteError> {
        for (place, spec) in self.settings.flags.targets.iter().enumerate() {
            let targets = self.writer.list_targets(spec).await?;
            self.index().note_marks(place, &targets);
        }
        Ok(())
    }

    /// Requests a slot of the rollout budget.
    pub(super) fn claim(&self, key: &ClusterKey) -> Slot {
        let mut index = self.index();
        let last = index.last_rollout(key);
        match index.rollouts.claim(key, last, Timestamp::now()) {
            Claim::Held | Claim::Granted => Slot::Claimed,
            Claim::Queued => Slot::Queued,
            Claim::Halted(halt) => Slot::Halted(halt),
        }
    }

    /// Releases a slot for which nothing was written.
    pub(super) fn give_back(&self, key: &ClusterKey) {
        self.index().rollouts.release(key);
    }

    /// Releases the slot of a hosted cluster that was not available before the change, and removes it from the queue until it
    /// requests one again.
    pub(super) fn leave_out(&self, key: &ClusterKey) {
        self.index().rollouts.skip(key);
    }

    /// The rollout for the report, after all writes, also if one failed.
    pub(super) fn refresh(&self, facts: ClusterFacts, turn: Turn, now: Moment) -> (ClusterFacts, Turn) {
        let index = self.index();
        let slot = facts.rollout.slot.clone();
        let rollout = crate::hosted::facts::RolloutFacts { slot, ..index.rollout(&facts.key) };
        let report = index.cluster(&facts.key).and_then(|cluster| cluster.report.clone());
        drop(index);
        let facts = ClusterFacts { report, rollout, ..facts };
        let rollout = flight::of(&facts, &turn.plan, &turn.gate, now);
        let again_after = turn.again_after.into_iter().chain(rollout.again_after).min();
        (facts, Turn { rollout, again_after, ..turn })
    }

    /// After a reconcile, releases an unused slot and enqueues the hosted clusters that may start.
    pub(super) fn release(&self, key: &ClusterKey, result: &Result<Option<Reason>, WriteError>) {
        // After a failure without a response, the write may have succeeded, which the next turn determines.
        let gives_back = result.as_ref().err().is_none_or(WriteError::is_refusal);
        let asks = [Reason::RolloutWaiting, Reason::RolloutHalted, Reason::TargetsUnavailable];
        let asks_again = matches!(result, Ok(Some(reason)) if asks.contains(reason));
        self.end_turns(key, gives_back, asks_again);
    }

    /// After a panic, releases the slot in any case, so that queued hosted clusters are not blocked.
    pub(super) fn release_failed(&self, key: &ClusterKey) {
        self.end_turns(key, false, false);
    }

    fn end_turns(&self, key: &ClusterKey, gives_back: bool, asks_again: bool) {
        if !self.settings.flags.rollouts.is_on() {
            return;
        }
        let mut index = self.index();
        if gives_back {
            index.rollouts.release(key);
        }
        if !asks_again {
            index.rollouts.dequeue(key);
        }
        let next = index.rollouts.next(Timestamp::now());
        drop(index);
        self.queue.add_all(next);
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
    /// Updates metrics and enqueues the hosted clusters that may start. If the failed rollouts have changed, enqueues all waiting
    /// ones, because a halt starts, ends, or has a different message.
    pub(super) fn settle(&mut self, ctx: &Context) {
        if !ctx.settings.flags.rollouts.is_on() {
            return;
        }
        if !ctx.may_write() {
            *self = Self::default();
            let none = Counts { in_flight: 0, waiting: 0, unavailable: 0, failed: Vec::new(), halted: false };
            return count(ctx, &none);
        }
        let (index, now) = (ctx.index(), Timestamp::now());
        let standing = index.rollouts.counts(now);
        let next: Vec<ClusterKey> = if standing.failed == self.failed {
            index.rollouts.next(now)
        } else {
            index.rollouts.waiting().cloned().collect()
        };
        drop(index);
        count(ctx, &standing);
        self.tell(standing);
        ctx.queue.add_all(next);
    }

    /// Logs the names for administrators; reports in other namespaces have only their number.
    fn tell(&mut self, standing: Counts<ClusterKey>) {
        if standing.failed == self.failed && standing.halted == self.halted {
            return;
        }
        let names: Vec<String> = standing.failed.iter().map(ToString::to_string).collect();
        let (failed, count) = (messages::named(&names), names.len());
        if standing.halted {
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
        (self.failed, self.halted) = (standing.failed, standing.halted);
    }
}

fn count(ctx: &Context, standing: &Counts<ClusterKey>) {
    let states = [
        ("InFlight", standing.in_flight),
        ("Waiting", standing.waiting),
        ("Failed", standing.failed.len()),
        ("Unavailable", standing.unavailable),
    ];
    for (state, count) in states {
        ctx.metrics.rollouts.get_or_create(&StateLabels { state }).set(gauge(count));
    }
    ctx.metrics.rollouts_halted.set(i64::from(standing.halted));
}
