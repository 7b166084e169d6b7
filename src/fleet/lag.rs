//! How long hosted clusters are behind the last edit of their mirrors. Pure.
//!
//! It follows from what the manager knows: an edit that it received, and the state that it observed. Reports would show less: they
//! are written after the targets, so during a change of the whole fleet they still describe the state before it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hypermirror_api::Reason;

/// What a turn has observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Number of targets or nodes that are not up to date.
    pub left: usize,
    /// Why they are not.
    pub reason: Reason,
    /// Whether something holds the change until a person acts, such as a pause. Its time does not count for [`Lag::record`].
    pub is_held: bool,
    /// Whether the change has been written.
    pub is_written: bool,
}

impl Progress {
    /// Everything is up to date.
    pub const DONE: Self = Self { left: 0, reason: Reason::AsExpected, is_held: false, is_written: false };
}

/// The lag of the control plane or of the nodes of one hosted cluster.
#[derive(Clone, Debug, Default)]
pub struct Lag(Option<Behind>);

#[derive(Clone, Debug)]
struct Behind {
    /// The time of the oldest edit that is not complete.
    since: Instant,
    /// The number and the time of the newest one.
    newest: (u64, Instant),
    /// Whether there was an edit. Otherwise the state changed without one: another client wrote, or a node joined.
    is_edited: bool,
    /// Whether something had to be written.
    is_needed: bool,
    /// When the change was released by what held it.
    released: Option<Instant>,
    /// `None` until a turn has seen the newest edit.
    progress: Option<Progress>,
}

impl Lag {
    /// Records an edit, of which it is not known yet whether it changes anything. `number` increases with each edit.
    pub fn edit(&mut self, number: u64, now: Instant) {
        let behind = self.0.get_or_insert_with(|| Behind::new(number, now));
        behind.newest = (number, now);
        behind.is_edited = true;
        behind.progress = None;
    }

    /// Records what a turn has observed that knew all edits up to this number. Returns the time from the edit until now if the last
    /// write for it is complete.
    pub fn record(&mut self, known: u64, progress: Progress, now: Instant) -> Option<Duration> {
        let Some(behind) = &mut self.0 else {
            if progress.left > 0 {
                self.0 = Some(Behind { progress: Some(progress), is_needed: true, ..Behind::new(known, now) });
            }
            return None;
        };
        behind.is_needed |= progress.left > 0 || progress.is_written;
        let was_held = behind.progress.is_some_and(|before| before.is_held);
        if was_held && !progress.is_held {
            behind.released = Some(now);
        }
        let (number, at) = behind.newest;
        if known < number {
            // The edits before the newest one are complete.
            if progress.left == 0 {
                behind.since = at;
            }
            return None;
        }
        behind.progress = Some(progress);
        if progress.left > 0 {
            return None;
        }
        let begin = behind.released.map_or(behind.since, |released| released.max(behind.since));
        let took = (behind.is_edited && behind.is_needed).then(|| now.saturating_duration_since(begin));
        self.0 = None;
        took
    }

    /// Records why nothing can be observed. What is up to date stays so.
    pub fn stall(&mut self, reason: Reason, is_held: bool) {
        if let Some(behind) = &mut self.0 {
            let left = behind.progress.map_or(0, |before| before.left);
            behind.progress = Some(Progress { left, reason, is_held, is_written: false });
        }
    }

    /// Drops everything, at the end of a term.
    pub fn clear(&mut self) {
        self.0 = None;
    }

    /// The current lag, if there is one. All of `total` are behind until a turn has counted them.
    pub fn pending(&self, total: impl FnOnce() -> usize, now: Instant) -> Option<Pending> {
        let behind = self.0.as_ref()?;
        let counted = behind.progress.filter(|progress| progress.left > 0);
        Some(Pending {
            reason: behind.progress.map_or(Reason::Updating, |progress| progress.reason),
            left: counted.map_or_else(total, |progress| progress.left),
            age: now.saturating_duration_since(behind.since),
        })
    }
}

impl Behind {
    const fn new(number: u64, now: Instant) -> Self {
        Self { since: now, newest: (number, now), is_edited: false, is_needed: false, released: None, progress: None }
    }
}

/// The lag of one hosted cluster at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Why it is behind. `Updating` if nothing holds the change.
    pub reason: Reason,
    /// Number of targets or nodes that are not up to date.
    pub left: usize,
    /// Age of the oldest edit that is not complete.
    pub age: Duration,
}

/// The hosted clusters that are behind for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behinds {
    /// Number of hosted clusters.
    pub clusters: usize,
    /// The highest age.
    pub oldest: Duration,
}

/// The lag of the control planes or of the nodes of all hosted clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetLag {
    /// By reason.
    pub reasons: BTreeMap<&'static str, Behinds>,
    /// Number of targets or nodes that are not up to date.
    pub left: usize,
}

impl FleetLag {
    /// Adds a hosted cluster.
    pub fn add(&mut self, pending: Pending) {
        let known = self.reasons.entry(pending.reason.as_str()).or_default();
        known.clusters += 1;
        known.oldest = known.oldest.max(pending.age);
        self.left += pending.left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn left(left: usize) -> Progress {
        Progress { left, reason: Reason::Updating, ..Progress::DONE }
    }

    fn paused() -> Progress {
        Progress { left: 3, reason: Reason::Paused, is_held: true, is_written: false }
    }

    fn pending(lag: &Lag, now: Instant) -> Option<(Reason, usize, u64)> {
        lag.pending(|| 3, now).map(|pending| (pending.reason, pending.left, pending.age.as_secs()))
    }

    #[test]
    fn an_edit_is_pending_from_its_arrival_until_the_last_write() {
        let (mut lag, start) = (Lag::default(), Instant::now());
        assert_eq!(pending(&lag, start), None);
        lag.edit(1, start);
        assert_eq!(pending(&lag, start + 5 * SECOND), Some((Reason::Updating, 3, 5)), "no turn has seen it");
        assert_eq!(lag.record(1, left(2), start + 6 * SECOND), None);
        assert_eq!(pending(&lag, start + 7 * SECOND), Some((Reason::Updating, 2, 7)));
        assert_eq!(lag.record(1, Progress::DONE, start + 8 * SECOND), Some(8 * SECOND));
        assert_eq!(pending(&lag, start + 8 * SECOND), None);
    }

    #[test]
    fn a_turn_that_did_not_know_the_edit_completes_only_those_before_it() {
        let (mut lag, start) = (Lag::default(), Instant::now());
        lag.edit(1, start);
        lag.edit(2, start + 4 * SECOND);
        assert_eq!(lag.record(1, Progress::DONE, start + 5 * SECOND), None);
        assert_eq!(pending(&lag, start + 6 * SECOND), Some((Reason::Updating, 3, 2)));
        lag.record(2, left(3), start + 6 * SECOND);
        assert_eq!(lag.record(2, Progress::DONE, start + 7 * SECOND), Some(3 * SECOND));
    }

    #[test]
    fn a_change_that_needs_no_write_has_no_duration() {
        let (mut lag, start) = (Lag::default(), Instant::now());
        lag.edit(1, start);
        assert_eq!(lag.record(1, Progress::DONE, start + SECOND), None, "the labels of the HostedCluster, for example");
        lag.edit(2, start);
        let written = Progress { is_written: true, ..Progress::DONE };
        assert_eq!(lag.record(2, written, start + SECOND), Some(SECOND), "nodes that confirm at once");
    }

    #[test]
    fn drift_is_pending_and_is_no_edit() {
        let (mut lag, start) = (Lag::default(), Instant::now());
        lag.record(7, left(1), start);
        assert_eq!(pending(&lag, start + SECOND), Some((Reason::Updating, 1, 1)));
        assert_eq!(lag.record(7, Progress::DONE, start + SECOND), None);
        assert_eq!(pending(&lag, start + SECOND), None);
    }

    #[test]
    fn the_time_of_a_pause_is_in_the_age_and_not_in_the_duration() {
        let (mut lag, start) = (Lag::default(), Instant::now());
        lag.edit(1, start);
        lag.record(1, paused(), start + SECOND);
        assert_eq!(pending(&lag, start + 60 * SECOND), Some((Reason::Paused, 3, 60)));
        lag.record(1, left(3), start + 61 * SECOND);
        assert_eq!(pending(&lag, start + 62 * SECOND), Some((Reason::Updating, 3, 62)));
        assert_eq!(lag.record(1, Progress::DONE, start + 63 * SECOND), Some(2 * SECOND));
    }

    #[test]
    fn what_cannot_be_observed_keeps_its_count_and_what_is_up_to_date_stays_so() {
        let (mut lag, start) = (Lag::default(), Instant::now());
        lag.stall(Reason::ConnectionDown, false);
        assert_eq!(pending(&lag, start), None);
        lag.edit(1, start);
        lag.stall(Reason::ConnectionDown, false);
        assert_eq!(pending(&lag, start), Some((Reason::ConnectionDown, 3, 0)), "all of them");
        lag.record(1, left(2), start);
        lag.stall(Reason::ConnectionDown, false);
        assert_eq!(pending(&lag, start), Some((Reason::ConnectionDown, 2, 0)));
        lag.clear();
        assert_eq!(pending(&lag, start), None);
    }

    #[test]
    fn the_fleet_has_the_oldest_of_each_reason() {
        let mut fleet = FleetLag::default();
        for (reason, left, age) in [(Reason::Updating, 3, 4), (Reason::Paused, 1, 60), (Reason::Updating, 2, 9)] {
            fleet.add(Pending { reason, left, age: age * SECOND });
        }
        let updating = Behinds { clusters: 2, oldest: 9 * SECOND };
        let paused = Behinds { clusters: 1, oldest: 60 * SECOND };
        assert_eq!(fleet, FleetLag { reasons: [("Paused", paused), ("Updating", updating)].into(), left: 6 });
    }
}
