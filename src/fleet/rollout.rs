//! The rollout budget: how many hosted clusters may change at a time, who is next, and when none may begin.
//!
//! A hosted cluster is *in flight* from the moment a place is taken for it until all its targets are back. What stands on
//! the API server says who is in flight: a mark on the targets, and in the report which mark is done with. A place that is
//! taken and not marked yet is a *claim*; it lives in the leader alone and dies with it, for nothing was written.

mod halt;
mod mark;
pub mod messages;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use self::halt::Failures;
pub use self::halt::{Halt, Member};
pub use self::mark::{Cause, Mark, next_mark};

/// What the flags allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many hosted clusters may change at a time; 0: no limit, and nothing of this module is used.
    pub at_once: usize,
    /// After how many that are not back in time none begins; [`Halt`] says which of them count for whom.
    pub failures: usize,
    /// How long a hosted cluster may take to be back.
    pub timeout: Duration,
}

impl Budget {
    /// No limit.
    pub const OFF: Self = Self { at_once: 0, failures: 1, timeout: Duration::from_mins(10) };

    /// Whether there is a limit.
    pub const fn is_on(&self) -> bool {
        self.at_once > 0
    }

    /// Whether a rollout that began then should be back by now.
    pub fn is_late(&self, since: Timestamp, now: Timestamp) -> bool {
        self.left(since, now).is_zero()
    }

    /// How long a rollout that began then still may take.
    pub fn left(&self, since: Timestamp, now: Timestamp) -> Duration {
        // One that begins in the future was marked by a clock that is ahead.
        let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        self.timeout.saturating_sub(age)
    }
}

/// What one look at a hosted cluster in flight comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is still changing.
    InFlight,
    /// It is not back in time.
    Failed,
    /// All its targets are rolled out and available, and it has nothing more to change.
    Back,
}

/// Judges one look: `rolled_out` says whether all targets are back, `pending` whether more of them is still to change, for
/// example children that wait for their parent. Those hold the place for the timeout and not longer.
pub fn look(budget: &Budget, since: Timestamp, now: Timestamp, rolled_out: bool, pending: bool) -> Look {
    match (rolled_out, budget.is_late(since, now)) {
        (true, late) if late || !pending => Look::Back,
        (false, true) => Look::Failed,
        _ => Look::InFlight,
    }
}

/// How many times `--settle` the answer of a stock operator is waited for that was asked to read the mirrors. They answer
/// within a tenth of a second; one that does not has nothing to write, or is not there.
const ANSWER: u32 = 10;

/// How long a hosted cluster still holds its place for that answer, when it was asked `asked` ago.
pub fn answer_due(asked: Duration, settle: Duration, handover: Duration) -> Option<Duration> {
    settle.saturating_mul(ANSWER).min(handover).checked_sub(asked).filter(|left| !left.is_zero())
}

/// May a hosted cluster begin?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<K> {
    /// It is in flight already, or there is no limit: it goes on.
    Goes,
    /// A place was free: it is claimed.
    Begins,
    /// It waits for a place.
    Waits,
    /// None begins in its namespace, or at all.
    Halted(Halt<K>),
}

/// How the fleet stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing<K> {
    /// How many are in flight, those included that are not back in time.
    pub in_flight: usize,
    /// How many wait.
    pub waiting: usize,
    /// How many are left out because they were not available before the change.
    pub unavailable: usize,
    /// Those that are not back in time, ascending.
    pub failed: Vec<K>,
    /// Whether none may begin in any namespace.
    pub halted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    mark: Mark,
    /// It stands on the server.
    marked: bool,
}

impl Flight {
    /// It failed by what its own namespace did: it holds no place of others.
    fn frees_place(&self, budget: &Budget, now: Timestamp) -> bool {
        self.marked && self.mark.cause == Cause::Own && budget.is_late(self.mark.at, now)
    }
}

/// The fleet's rollouts. Names are ordered, and those that wait begin in the order of their last rollouts and then of their
/// names: the same under every leader, and whoever has been served goes to the end of the line.
#[derive(Clone, Debug)]
pub struct Rollouts<K> {
    budget: Budget,
    /// Everything that is in flight is known.
    counted: bool,
    flights: BTreeMap<K, Flight>,
    line: BTreeSet<(Option<Timestamp>, K)>,
    waiting: BTreeMap<K, Option<Timestamp>>,
    unavailable: BTreeSet<K>,
}

impl<K: Member> Rollouts<K> {
    /// Nothing is known to be in flight, and nobody begins before [`Self::begin_term`].
    pub fn new(budget: Budget) -> Self {
        Self {
            budget,
            counted: false,
            flights: BTreeMap::new(),
            line: BTreeSet::new(),
            waiting: BTreeMap::new(),
            unavailable: BTreeSet::new(),
        }
    }

    /// What the flags allow.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The server tells since when a hosted cluster is in flight, or that it is not. A claim stays.
    pub fn told(&mut self, key: &K, mark: Option<Mark>) {
        if !self.budget.is_on() {
            return;
        }
        match mark {
            Some(mark) => {
                self.leave_line(key);
                self.flights.insert(key.clone(), Flight { mark, marked: true });
            }
            None if self.flights.get(key).is_some_and(|flight| flight.marked) => {
                self.flights.remove(key);
            }
            None => {}
        }
    }

    /// Asks for a place; `last` is when its last rollout began. Who gets none is in line from now on.
    pub fn ask(&mut self, key: &K, last: Option<Timestamp>, now: Timestamp) -> Answer<K> {
        if !self.budget.is_on() || self.flights.contains_key(key) {
            return Answer::Goes;
        }
        self.leave_line(key);
        self.line.insert((last, key.clone()));
        self.waiting.insert(key.clone(), last);
        let failures = self.failures(now);
        if let Some(halt) = failures.halt(key.namespace()) {
            return Answer::Halted(halt);
        }
        if !self.counted || !self.first(&failures, now).any(|first| first == key) {
            return Answer::Waits;
        }
        self.leave_line(key);
        self.flights.insert(key.clone(), Flight { mark: Mark::of(now, Cause::default()), marked: false });
        Answer::Begins
    }

    /// Nothing was written for a claim: its place is free again. What is marked stays in flight.
    pub fn give_back(&mut self, key: &K) {
        if self.flights.get(key).is_some_and(|flight| !flight.marked) {
            self.flights.remove(key);
        }
    }

    /// It is not available before the change: its claim is free again, and it is out of the line until it asks again.
    pub fn leave_out(&mut self, key: &K) {
        self.give_back(key);
        self.leave_line(key);
        self.unavailable.insert(key.clone());
    }

    /// It has nothing to ask for now.
    pub fn leave_line(&mut self, key: &K) {
        if let Some(last) = self.waiting.remove(key) {
            self.line.remove(&(last, key.clone()));
        }
        self.unavailable.remove(key);
    }

    /// It is gone.
    pub fn forget(&mut self, key: &K) {
        self.leave_line(key);
        self.flights.remove(key);
    }

    /// This instance leads, and was told of everything that the last leader has left in flight.
    pub fn begin_term(&mut self) {
        self.counted = true;
    }

    /// This instance leads no more: what it claimed and who asked it means nothing to the next leader.
    pub fn end_term(&mut self) {
        self.counted = false;
        self.flights.retain(|_, flight| flight.marked);
        self.line.clear();
        self.waiting.clear();
        self.unavailable.clear();
    }

    /// Who may begin now, the first of the line first.
    pub fn next(&self, now: Timestamp) -> Vec<K> {
        if !self.counted || self.line.is_empty() {
            return Vec::new();
        }
        self.first(&self.failures(now), now).cloned().collect()
    }

    /// Those of the line for whom there is a place; whose namespace is halted stays in line and is passed over.
    fn first<'a>(&'a self, failures: &Failures<'a, K>, now: Timestamp) -> impl Iterator<Item = &'a K> {
        let free = if failures.halts_all() { 0 } else { self.free(now) };
        let may_begin = self.line.iter().map(|(_, key)| key).filter(|key| !failures.halts(key.namespace()));
        may_begin.take(free)
    }

    /// Those in line.
    pub fn waiting(&self) -> impl Iterator<Item = &K> {
        self.waiting.keys()
    }

    /// The mark of a hosted cluster that is in flight, if that stands on the server.
    pub fn in_flight(&self, key: &K) -> Option<Mark> {
        self.flights.get(key).filter(|flight| flight.marked).map(|flight| flight.mark)
    }

    /// Whether it holds a place for which nothing stands on the server.
    pub fn has_claim(&self, key: &K) -> bool {
        self.flights.get(key).is_some_and(|flight| !flight.marked)
    }

    /// Whether it was left out because it was not available.
    pub fn is_left_out(&self, key: &K) -> bool {
        self.unavailable.contains(key)
    }

    /// Whether it matters how its targets are.
    pub fn follows(&self, key: &K) -> bool {
        self.flights.contains_key(key) || self.unavailable.contains(key)
    }

    /// How the fleet stands.
    pub fn standing(&self, now: Timestamp) -> Standing<K> {
        let failures = self.failures(now);
        Standing {
            in_flight: self.flights.len(),
            waiting: self.waiting.len(),
            unavailable: self.unavailable.len(),
            halted: failures.halts_all(),
            failed: failures.names(),
        }
    }

    fn free(&self, now: Timestamp) -> usize {
        let held = self.flights.values().filter(|flight| !flight.frees_place(&self.budget, now)).count();
        self.budget.at_once.saturating_sub(held)
    }

    fn failures(&self, now: Timestamp) -> Failures<'_, K> {
        let late = self.flights.iter().filter(|(_, flight)| flight.marked && self.budget.is_late(flight.mark.at, now));
        Failures::new(&self.budget, late.map(|(key, flight)| (key, flight.mark.cause)))
    }
}

#[cfg(test)]
mod tests;
