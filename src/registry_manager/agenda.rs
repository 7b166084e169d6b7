//! All Registries: which is scanned next, and how many scans run at once. Pure: the time comes from the caller.

mod lanes;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypermirror_api::RegistrySpec;
use hypermirror_api::registry::DEFAULT_SCAN_INTERVAL;
use jiff::Timestamp;

use super::due::{self, Facts, Work};
use super::status::Known;
pub use lanes::Limits;
use lanes::{Lanes, Place};

/// Namespace and name of a Registry; printed as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What users say about a Registry.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// Which one.
    pub key: ObjectKey,
    /// An object of the same name that is created later has another one.
    pub uid: String,
    /// Of the spec.
    pub generation: i64,
    /// The annotation that asks for a scan.
    pub scan_now: Option<String>,
    /// The spec, or why it could not be decoded.
    pub spec: Result<Arc<RegistrySpec>, String>,
    /// Host of the registry; empty if there is none.
    pub host: String,
}

/// Now, on both clocks: one that is never set, and the one that statuses have.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For waits.
    pub instant: Instant,
    /// For statuses.
    pub time: Timestamp,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self { instant: Instant::now(), time: Timestamp::now() }
    }
}

/// A scan to be made.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its number: of each object at most one job runs.
    pub number: u64,
    /// Of what.
    pub object: Arc<Watched>,
    /// What is known from earlier scans.
    pub known: Known,
    /// Whether it is a scan.
    pub work: Work,
}

/// The end of a job.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What is known now; nothing if the job came to no result.
    pub known: Option<Known>,
    /// `resourceVersion` of the status that was written.
    pub version: Option<String>,
    /// When the registry wants to be asked again.
    pub throttled_until: Option<Timestamp>,
    /// Whether the registry could not be reached.
    pub is_unreachable: bool,
}

#[derive(Debug)]
struct Entry {
    object: Arc<Watched>,
    known: Known,
    /// Statuses of earlier versions are outdated.
    own_version: Option<String>,
    throttled_until: Option<Timestamp>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Until then; without end if nothing is to be done.
    Waits(Option<Instant>),
    /// Due, and waiting for room.
    Queued,
    /// With this number.
    Runs(u64),
}

/// All Registries.
#[derive(Debug)]
pub struct Agenda {
    entries: HashMap<ObjectKey, Entry>,
    due: BTreeSet<(Instant, ObjectKey)>,
    queue: VecDeque<ObjectKey>,
    lanes: Lanes,
    least: Duration,
    jobs: u64,
}

impl Agenda {
    /// With limits of scans at once, and the least time between two scans of one object.
    pub fn new(limits: Limits, least: Duration) -> Self {
        Self {
            entries: HashMap::new(),
            due: BTreeSet::new(),
            queue: VecDeque::new(),
            lanes: Lanes::new(limits),
            least,
            jobs: 0,
        }
    }

    /// Takes in an object of this version as the API server has it. Returns the job that is of no use any longer.
    pub fn put(&mut self, object: Watched, known: Known, version: &str, now: Moment) -> Option<u64> {
        let key = object.key.clone();
        let before = self.entries.get(&key);
        let is_same = before.is_some_and(|entry| entry.object.uid == object.uid);
        let is_same_spec = is_same && before.is_some_and(|entry| entry.object.generation == object.generation);
        // A job of another spec, or of a deleted object, would report what nobody asks for now.
        let aborted = if is_same_spec { None } else { self.stop(&key) };
        let object = Arc::new(object);
        if let Some(entry) = self.entries.get_mut(&key).filter(|_| is_same) {
            // What cannot be decoded has no status either: what this process wrote counts.
            let is_outdated = entry.own_version.as_deref().is_some_and(|own| is_older(version, own));
            if !is_outdated && object.spec.is_ok() {
                entry.known = known;
            }
            entry.object = object;
        } else {
            self.remove(&key);
            let state = State::Waits(None);
            self.entries.insert(key.clone(), Entry { object, known, own_version: None, throttled_until: None, state });
        }
        self.plan(&key, now);
        aborted
    }

    /// Drops an object. Returns its job.
    pub fn remove(&mut self, key: &ObjectKey) -> Option<u64> {
        let aborted = self.stop(key);
        if let Some(Entry { state: State::Waits(Some(due)), .. }) = self.entries.remove(key) {
            self.due.remove(&(due, key.clone()));
        }
        aborted
    }

    /// The objects.
    pub fn keys(&self) -> HashSet<ObjectKey> {
        self.entries.keys().cloned().collect()
    }

    /// Each object with what is known of it.
    pub fn all(&self) -> impl Iterator<Item = (&Watched, &Known)> {
        self.entries.values().map(|entry| (&*entry.object, &entry.known))
    }

    /// How many jobs run.
    pub const fn running(&self) -> usize {
        self.lanes.running()
    }

    /// The next job for which there is room.
    pub fn start(&mut self, now: Moment) -> Option<Job> {
        while let Some((due, key)) = self.due.first().cloned()
            && due <= now.instant
        {
            self.due.remove(&(due, key.clone()));
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.state = State::Queued;
                self.queue.push_back(key);
            }
        }
        let mut place = 0;
        while let Some(key) = self.queue.get(place) {
            let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.state == State::Queued) else {
                self.queue.remove(place);
                continue;
            };
            let facts = facts(&entry.object, &entry.known, entry.throttled_until);
            let Some((work, _)) = due::next(facts, self.least, now.time) else {
                entry.state = State::Waits(None);
                self.queue.remove(place);
                continue;
            };
            if !self.lanes.take(&Place::of(&entry.object)) {
                place += 1;
                continue;
            }
            self.queue.remove(place);
            self.jobs += 1;
            entry.state = State::Runs(self.jobs);
            return Some(Job { number: self.jobs, object: entry.object.clone(), known: entry.known.clone(), work });
        }
        None
    }

    /// When [`Self::start`] has something new to look at, if nothing else happens before.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Takes in the end of a job. One that was stopped before is ignored.
    pub fn finish(&mut self, key: &ObjectKey, number: u64, finished: Finished, now: Moment) {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.state == State::Runs(number)) else { return };
        self.lanes.note(&entry.object.host, finished.is_unreachable);
        self.lanes.free(&Place::of(&entry.object));
        entry.state = State::Waits(None);
        entry.throttled_until = finished.throttled_until;
        entry.known = finished.known.unwrap_or_else(|| Known {
            // Something broke in here: as after a failure.
            last_scan: Some(now.time),
            failures: entry.known.failures.saturating_add(1),
            ..entry.known.clone()
        });
        if finished.version.is_some() {
            entry.own_version = finished.version;
        }
        self.plan(key, now);
    }

    /// Stops all jobs: this replica does not lead any longer. Returns them.
    pub fn stop_all(&mut self, now: Moment) -> Vec<u64> {
        let stopped: Vec<(ObjectKey, u64)> = self
            .entries
            .iter()
            .filter_map(|(key, entry)| match entry.state {
                State::Runs(number) => Some((key.clone(), number)),
                _ => None,
            })
            .collect();
        for (key, _) in &stopped {
            self.stop(key);
            self.plan(key, now);
        }
        stopped.into_iter().map(|(_, number)| number).collect()
    }

    fn stop(&mut self, key: &ObjectKey) -> Option<u64> {
        let entry = self.entries.get_mut(key)?;
        let State::Runs(number) = entry.state else { return None };
        self.lanes.free(&Place::of(&entry.object));
        entry.state = State::Waits(None);
        Some(number)
    }

    fn plan(&mut self, key: &ObjectKey, now: Moment) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let State::Waits(before) = entry.state else { return };
        if let Some(before) = before {
            self.due.remove(&(before, key.clone()));
        }
        let facts = facts(&entry.object, &entry.known, entry.throttled_until);
        let due = due::next(facts, self.least, now.time).map(|(_, wait)| now.instant + wait);
        entry.state = State::Waits(due);
        if let Some(due) = due {
            self.due.insert((due, key.clone()));
        }
    }
}

fn facts<'a>(object: &'a Watched, known: &'a Known, throttled_until: Option<Timestamp>) -> Facts<'a> {
    let seconds = object.spec.as_ref().map_or(DEFAULT_SCAN_INTERVAL, |spec| spec.scan_interval);
    Facts {
        uid: &object.uid,
        generation: object.generation,
        observed: known.observed_generation,
        is_suspended: object.spec.as_ref().is_ok_and(|spec| spec.suspend),
        scan_now: object.scan_now.as_deref(),
        handled: known.handled.as_deref(),
        interval: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
        last_scan: known.last_scan,
        failures: known.failures,
        is_stalled: known.is_stalled,
        throttled_until,
    }
}

/// Whether a version is older than another one. Versions of API servers are numbers; others are never older.
fn is_older(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version < than,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
