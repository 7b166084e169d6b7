//! When hosted clusters are checked. Pure.
//!
//! All are checked together once in an interval, so that each place is asked once for all of them. One whose needs or mirrors may
//! have changed is looked at in between, and so is one about which something was not known.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hypermirror_api::{ClusterKey, MirrorCoverageStatus};
use jiff::Timestamp;

/// Time in which changes are combined: an edit of several objects is one change.
const SETTLE: Duration = Duration::from_millis(500);
/// Wait before something that is not known is asked again; doubled each time, up to the interval.
const FIRST_RETRY: Duration = Duration::from_mins(1);

/// A MirrorCoverage on the API server.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Its UID.
    pub uid: String,
    /// Its annotation that asks for a check.
    pub check_now: Option<String>,
    /// Its status, if it has one.
    pub status: Option<MirrorCoverageStatus>,
}

impl Known {
    /// The digest of what was checked last.
    pub fn inputs(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.inputs.as_str()).filter(|inputs| !inputs.is_empty())
    }

    /// Whether somebody asks for a check that was not made yet.
    pub fn is_asked(&self) -> bool {
        let handled = self.status.as_ref().and_then(|status| status.last_handled_check_now.as_ref());
        self.check_now.is_some() && self.check_now.as_ref() != handled
    }
}

/// How the work for a hosted cluster ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing has changed since the last check, or something has to be read first.
    Nothing,
    /// It was checked, and everything is known.
    Known,
    /// It was checked, and something is not known; or the result could not be written.
    Unknown,
}

/// A hosted cluster to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// Which one.
    pub key: ClusterKey,
    /// Whether it is checked although nothing has changed.
    pub is_forced: bool,
    /// Its MirrorCoverage.
    pub known: Option<Known>,
}

#[derive(Debug, Default)]
struct Entry {
    known: Option<Known>,
    /// Whether there is a HostedCluster.
    has_cluster: bool,
    /// From when on it is looked at, because something may have changed.
    changed: Option<Instant>,
    /// When it is checked again, because something was not known.
    retry: Option<Instant>,
    failures: u32,
    /// Whether it is due although it is being checked.
    is_forced: bool,
    is_running: bool,
}

/// All hosted clusters.
#[derive(Debug)]
pub struct Schedule {
    interval: Duration,
    entries: BTreeMap<ClusterKey, Entry>,
    /// When all are checked.
    round: Option<Instant>,
}

impl Schedule {
    /// Nothing is known, and nothing is due before [`Self::begin`].
    pub const fn new(interval: Duration) -> Self {
        Self { interval, entries: BTreeMap::new(), round: None }
    }

    /// Begins a term: the next round is made when the last one wanted it.
    pub fn begin(&mut self, now: Instant, time: Timestamp) {
        let statuses = self.entries.values().filter_map(|entry| entry.known.as_ref()?.status.as_ref());
        let next = statuses.filter_map(|status| status.next_check_time.as_ref()).map(|next| next.0).min();
        let left = next.map(|next| Duration::try_from(next.duration_since(time)).unwrap_or_default());
        // A time far in the future is that of another interval or clock.
        self.round = Some(now + left.unwrap_or(self.interval).min(self.interval));
    }

    /// Ends a term: what runs is stopped.
    pub fn end(&mut self) {
        self.round = None;
        for entry in self.entries.values_mut() {
            entry.is_running = false;
        }
    }

    /// A hosted cluster exists, and something about it may have changed.
    pub fn change(&mut self, key: &ClusterKey, now: Instant) {
        let entry = self.entries.entry(key.clone()).or_default();
        entry.has_cluster = true;
        entry.changed.get_or_insert(now + SETTLE);
    }

    /// A hosted cluster is checked although nothing is known to have changed.
    pub fn ask(&mut self, key: &ClusterKey, now: Instant) {
        if let Some(entry) = self.entries.get_mut(key) {
            (entry.is_forced, entry.changed) = (true, Some(now));
        }
    }

    /// A HostedCluster was deleted. Its MirrorCoverage is deleted with it, by its owner reference.
    pub fn remove(&mut self, key: &ClusterKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            *entry = Entry { known: entry.known.take(), ..Entry::default() };
        }
        self.drop_unused(key);
    }

    /// A MirrorCoverage was created, changed or deleted.
    pub fn observe(&mut self, key: &ClusterKey, known: Option<Known>, now: Instant) {
        let entry = self.entries.entry(key.clone()).or_default();
        let is_gone = entry.known.is_some() && known.is_none();
        let is_asked = known.as_ref().is_some_and(Known::is_asked);
        entry.known = known;
        if is_asked || is_gone && entry.has_cluster {
            entry.changed.get_or_insert(now);
        }
        self.drop_unused(key);
    }

    /// All MirrorCoverages.
    pub fn observe_all(&mut self, mut all: BTreeMap<ClusterKey, Known>, now: Instant) {
        let keys: Vec<ClusterKey> = self.entries.keys().chain(all.keys()).cloned().collect();
        for key in keys {
            if let Some(known) = all.remove(&key) {
                self.observe(&key, Some(known), now);
            } else if self.entries.get(&key).is_some_and(|entry| entry.known.is_some()) {
                self.observe(&key, None, now);
            }
        }
    }

    fn drop_unused(&mut self, key: &ClusterKey) {
        self.entries.retain(|own, entry| own != key || entry.has_cluster || entry.known.is_some());
    }

    /// Those that are due. `spread` is the part by which this interval differs from the flag, so that many replicas of many
    /// management clusters do not ask together.
    pub fn start(&mut self, now: Instant, spread: f64) -> Vec<Due> {
        let is_round = self.round.is_some_and(|round| round <= now);
        if is_round {
            self.round = Some(now + self.interval.mul_f64(spread));
        }
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let mut due = Vec::new();
        for (key, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.has_cluster) {
            entry.is_forced |= is_round || is_due(entry.retry);
            if entry.is_running || !entry.is_forced && !is_due(entry.changed) {
                continue;
            }
            let is_forced = std::mem::take(&mut entry.is_forced);
            (entry.changed, entry.is_running) = (None, true);
            if is_forced {
                entry.retry = None;
            }
            due.push(Due { key: key.clone(), is_forced, known: entry.known.clone() });
        }
        due
    }

    /// When [`Self::start`] has something to do, if nothing else happens before.
    pub fn next(&self) -> Option<Instant> {
        let round = self.round?;
        let idle = self.entries.values().filter(|entry| entry.has_cluster && !entry.is_running);
        let due = idle.flat_map(|entry| [entry.changed, entry.retry]).flatten();
        due.chain([round]).min()
    }

    /// When the next round is made.
    pub fn next_round(&self, now: Instant, time: Timestamp) -> Timestamp {
        let left = self.round.map_or(self.interval, |round| round.saturating_duration_since(now));
        time.checked_add(left).unwrap_or(time)
    }

    /// The work for a hosted cluster ended. `written` is its MirrorCoverage if a status was written.
    pub fn finish(&mut self, key: &ClusterKey, end: End, written: Option<Known>, now: Instant) {
        let interval = self.interval;
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.is_running = false;
        if let Some(written) = written {
            // The watch may have delivered a newer annotation meanwhile.
            let seen = entry.known.take().filter(|known| known.uid == written.uid);
            let check_now = seen.map_or_else(|| written.check_now.clone(), |known| known.check_now);
            entry.known = Some(Known { check_now, ..written });
        }
        match end {
            End::Nothing => {}
            End::Known => (entry.failures, entry.retry) = (0, None),
            End::Unknown => {
                entry.retry = Some(now + FIRST_RETRY.saturating_mul(1 << entry.failures.min(16)).min(interval));
                entry.failures = entry.failures.saturating_add(1);
            }
        }
    }

    /// The statuses of all hosted clusters; `None` before the first check.
    pub fn statuses(&self) -> impl Iterator<Item = Option<&MirrorCoverageStatus>> {
        let clusters = self.entries.values().filter(|entry| entry.has_cluster);
        clusters.map(|entry| entry.known.as_ref().and_then(|known| known.status.as_ref()))
    }
}

#[cfg(test)]
mod tests;
