//! The rollout budget: limits concurrent rollouts, selects the next hosted cluster, and halts rollouts after failures.
//!
//! A hosted cluster is *in flight* from the acquisition of a slot until all its targets are available. This state is on the API
//! server: a mark on the targets, and the completed mark in the report. A slot without a mark is a *claim*, which only the leader
//! knows. It is lost with the leader, because nothing was written for it.

mod halt;
mod mark;
pub mod messages;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use self::halt::Failures;
pub use self::halt::{Halt, Member};
pub use self::mark::{Cause, Mark, next_mark};

/// The limits, from the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Maximum number of concurrent rollouts. 0 disables the budget.
    pub at_once: usize,
    /// Number of failed rollouts that halts others; see [`Halt`].
    pub failures: usize,
    /// Time after which a rollout fails.
    pub timeout: Duration,
}

impl Budget {
    /// No limit.
    pub const OFF: Self = Self { at_once: 0, failures: 1, timeout: Duration::from_mins(10) };

    /// Whether there is a limit.
    pub const fn is_on(&self) -> bool {
        self.at_once > 0
    }

    /// Whether a rollout with this start time has failed.
    pub fn is_late(&self, since: Timestamp, now: Timestamp) -> bool {
        self.left(since, now).is_zero()
    }

    /// The remaining time of a rollout with this start time.
    pub fn left(&self, since: Timestamp, now: Timestamp) -> Duration {
        // A start time in the future is from a clock that is ahead.
        let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        self.timeout.saturating_sub(age)
    }
}

/// The progress of a hosted cluster in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The rollout is in progress.
    InFlight,
    /// The rollout has failed.
    Failed,
    /// All targets are rolled out and available, and no further change is pending.
    Done,
}

/// Determines the progress. `rolled_out` is whether all targets are available, `pending` whether further changes are pending,
/// such as children that wait for their parent. Pending changes keep the slot until the timeout.
pub fn progress(budget: &Budget, since: Timestamp, now: Timestamp, rolled_out: bool, pending: bool) -> Progress {
    match (rolled_out, budget.is_late(since, now)) {
        (true, late) if late || !pending => Progress::Done,
        (false, true) => Progress::Failed,
        _ => Progress::InFlight,
    }
}

/// Multiple of `--settle` to wait for a triggered stock operator. They respond within 0.1 s; one that does not has nothing to
/// write, or is not running.
const RESPONSE_FACTOR: u32 = 10;

/// The remaining time for which a hosted cluster keeps its slot, if its operators were triggered `triggered` ago.
pub fn response_due(triggered: Duration, settle: Duration, handover: Duration) -> Option<Duration> {
    settle.saturating_mul(RESPONSE_FACTOR).min(handover).checked_sub(triggered).filter(|left| !left.is_zero())
}

/// The result of a request for a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim<K> {
    /// It is already in flight, or there is no limit.
    Held,
    /// A free slot was claimed.
    Granted,
    /// It is queued.
    Queued,
    /// Rollouts of its namespace, or all rollouts, are halted.
    Halted(Halt<K>),
}

/// The rollouts of all hosted clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts<K> {
    /// Number of rollouts in flight, including failed ones.
    pub in_flight: usize,
    /// Number of queued hosted clusters.
    pub waiting: usize,
    /// Number of hosted clusters that were not available before the change.
    pub unavailable: usize,
    /// Hosted clusters with failed rollouts, ascending.
    pub failed: Vec<K>,
    /// Whether rollouts are halted in all namespaces.
    pub halted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    mark: Mark,
    /// The mark is on the server.
    marked: bool,
}

impl Flight {
    /// It failed because of a change of its own mirrors, so it does not occupy a slot.
    fn frees_slot(&self, budget: &Budget, now: Timestamp) -> bool {
        self.marked && self.mark.cause == Cause::Own && budget.is_late(self.mark.at, now)
    }
}

/// The rollouts of the fleet. Queued hosted clusters are ordered by their last rollout and then by name, so that the order is
/// the same for every leader.
#[derive(Clone, Debug)]
pub struct Rollouts<K> {
    budget: Budget,
    /// Whether all rollouts in flight are known.
    counted: bool,
    flights: BTreeMap<K, Flight>,
    queue: BTreeSet<(Option<Timestamp>, K)>,
    waiting: BTreeMap<K, Option<Timestamp>>,
    unavailable: BTreeSet<K>,
}

impl<K: Member> Rollouts<K> {
    /// Creates the budget. No rollout starts before [`Self::begin_term`].
    pub fn new(budget: Budget) -> Self {
        Self {
            budget,
            counted: false,
            flights: BTreeMap::new(),
            queue: BTreeSet::new(),
            waiting: BTreeMap::new(),
            unavailable: BTreeSet::new(),
        }
    }

    /// Sets the limits, which come from the flags.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Records the state on the server: the mark of a hosted cluster in flight, or none. A claim is kept.
    pub fn record_mark(&mut self, key: &K, mark: Option<Mark>) {
        if !self.budget.is_on() {
            return;
        }
        match mark {
            Some(mark) => {
                self.dequeue(key);
                self.flights.insert(key.clone(), Flight { mark, marked: true });
            }
            None if self.flights.get(key).is_some_and(|flight| flight.marked) => {
                self.flights.remove(key);
            }
            None => {}
        }
    }

    /// Requests a slot. `last` is the start time of its last rollout. Without a free slot, it is queued.
    pub fn claim(&mut self, key: &K, last: Option<Timestamp>, now: Timestamp) -> Claim<K> {
        if !self.budget.is_on() || self.flights.contains_key(key) {
            return Claim::Held;
        }
        self.dequeue(key);
        self.queue.insert((last, key.clone()));
        self.waiting.insert(key.clone(), last);
        let failures = self.failures(now);
        if let Some(halt) = failures.halt(key.namespace()) {
            return Claim::Halted(halt);
        }
        if !self.counted || !self.first(&failures, now).any(|first| first == key) {
            return Claim::Queued;
        }
        self.dequeue(key);
        self.flights.insert(key.clone(), Flight { mark: Mark::of(now, Cause::default()), marked: false });
        Claim::Granted
    }

    /// Releases a claim for which nothing was written. Marked rollouts stay in flight.
    pub fn release(&mut self, key: &K) {
        if self.flights.get(key).is_some_and(|flight| !flight.marked) {
            self.flights.remove(key);
        }
    }

    /// Releases the claim of a hosted cluster that was not available before the change, and removes it from the queue.
    pub fn skip(&mut self, key: &K) {
        self.release(key);
        self.dequeue(key);
        self.unavailable.insert(key.clone());
    }

    /// Removes a hosted cluster from the queue, because it has no change.
    pub fn dequeue(&mut self, key: &K) {
        if let Some(last) = self.waiting.remove(key) {
            self.queue.remove(&(last, key.clone()));
        }
        self.unavailable.remove(key);
    }

    /// Removes a hosted cluster that was deleted.
    pub fn forget(&mut self, key: &K) {
        self.dequeue(key);
        self.flights.remove(key);
    }

    /// Starts a term, when the rollouts that the last leader started are known.
    pub fn begin_term(&mut self) {
        self.counted = true;
    }

    /// Ends a term. Claims and the queue are dropped, because they have no meaning for the next leader.
    pub fn end_term(&mut self) {
        self.counted = false;
        self.flights.retain(|_, flight| flight.marked);
        self.queue.clear();
        self.waiting.clear();
        self.unavailable.clear();
    }

    /// The queued hosted clusters that may start, in order.
    pub fn next(&self, now: Timestamp) -> Vec<K> {
        if !self.counted || self.queue.is_empty() {
            return Vec::new();
        }
        self.first(&self.failures(now), now).cloned().collect()
    }

    /// The queued hosted clusters for which there is a free slot. Those of halted namespaces are skipped.
    fn first<'a>(&'a self, failures: &Failures<'a, K>, now: Timestamp) -> impl Iterator<Item = &'a K> {
        let free = if failures.halts_all() { 0 } else { self.free(now) };
        let may_begin = self.queue.iter().map(|(_, key)| key).filter(|key| !failures.halts(key.namespace()));
        may_begin.take(free)
    }

    /// The queued hosted clusters.
    pub fn waiting(&self) -> impl Iterator<Item = &K> {
        self.waiting.keys()
    }

    /// The mark of a hosted cluster in flight, if it is on the server.
    pub fn in_flight(&self, key: &K) -> Option<Mark> {
        self.flights.get(key).filter(|flight| flight.marked).map(|flight| flight.mark)
    }

    /// Whether it has a claim.
    pub fn has_claim(&self, key: &K) -> bool {
        self.flights.get(key).is_some_and(|flight| !flight.marked)
    }

    /// Whether it was not available before the change.
    pub fn is_skipped(&self, key: &K) -> bool {
        self.unavailable.contains(key)
    }

    /// Whether the state of its targets is relevant.
    pub fn follows(&self, key: &K) -> bool {
        self.flights.contains_key(key) || self.unavailable.contains(key)
    }

    /// The rollouts of all hosted clusters, for the report.
    pub fn counts(&self, now: Timestamp) -> Counts<K> {
        let failures = self.failures(now);
        Counts {
            in_flight: self.flights.len(),
            waiting: self.waiting.len(),
            unavailable: self.unavailable.len(),
            halted: failures.halts_all(),
            failed: failures.names(),
        }
    }

    fn free(&self, now: Timestamp) -> usize {
        let held = self.flights.values().filter(|flight| !flight.frees_slot(&self.budget, now)).count();
        self.budget.at_once.saturating_sub(held)
    }

    fn failures(&self, now: Timestamp) -> Failures<'_, K> {
        let late = self.flights.iter().filter(|(_, flight)| flight.marked && self.budget.is_late(flight.mark.at, now));
        Failures::new(&self.budget, late.map(|(key, flight)| (key, flight.mark.cause)))
    }
}

#[cfg(test)]
mod tests;
