//! All objects of one kind: which is worked on next, and how many jobs run at once. Pure: the time comes from the caller.

mod lanes;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypermirror_api::RegistrySpec;
use jiff::Timestamp;

use super::due::Scans;
pub use lanes::Limits;
use lanes::{Lanes, Place};

/// A kind of objects on which a job works again and again.
pub trait Kind: Clone + fmt::Debug + 'static {
    /// The spec of an object.
    type Spec: Clone + fmt::Debug + PartialEq + Send + Sync;
    /// What earlier jobs left in its status.
    type Known: Clone + fmt::Debug + Default + Send + Sync;
    /// What a job does.
    type Work: Copy + fmt::Debug;

    /// What to do next with an object and how long to wait before. `None`: nothing until it changes. `least` is the least time
    /// between two jobs, whoever asks for them.
    fn next(entry: Entry<'_, Self>, least: Duration, now: Timestamp) -> Option<(Self::Work, Duration)>;

    /// What is known after a job that broke without a result: as after a failure.
    fn after_break(known: &Self::Known, now: Timestamp) -> Self::Known;
}

/// An object and what decides when it is worked on.
#[derive(Debug)]
pub struct Entry<'a, K: Kind> {
    /// The object.
    pub object: &'a Watched<K::Spec>,
    /// What is known from earlier jobs.
    pub known: &'a K::Known,
    /// When its registry wants to be asked again.
    pub throttled_until: Option<Timestamp>,
}

/// Namespace and name of an object; printed as `namespace/name`.
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

/// What users say about an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched<S = RegistrySpec> {
    /// Which one.
    pub key: ObjectKey,
    /// An object of the same name that is created later has another one.
    pub uid: String,
    /// Of the spec.
    pub generation: i64,
    /// The annotation that asks for a job now.
    pub scan_now: Option<String>,
    /// The spec, or why it could not be decoded.
    pub spec: Result<Arc<S>, String>,
    /// Hosts of its registries.
    pub hosts: Vec<String>,
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

/// A job to be done.
#[derive(Clone, Debug)]
pub struct Job<K: Kind = Scans> {
    /// Its number: of each object at most one job runs.
    pub number: u64,
    /// Of what.
    pub object: Arc<Watched<K::Spec>>,
    /// What is known from earlier jobs.
    pub known: K::Known,
    /// What to do.
    pub work: K::Work,
}

/// The end of a job.
#[derive(Clone, Debug)]
pub struct Finished<K: Kind = Scans> {
    /// What is known now; nothing if the job came to no result.
    pub known: Option<K::Known>,
    /// `resourceVersion` of the status that was written.
    pub version: Option<String>,
    /// When the registry wants to be asked again.
    pub throttled_until: Option<Timestamp>,
    /// The host that could not be reached.
    pub unreachable: Option<String>,
}

impl<K: Kind> Default for Finished<K> {
    fn default() -> Self {
        Self { known: None, version: None, throttled_until: None, unreachable: None }
    }
}

#[derive(Debug)]
struct Held<K: Kind> {
    object: Arc<Watched<K::Spec>>,
    known: K::Known,
    /// Statuses of earlier versions are outdated.
    own_version: Option<String>,
    throttled_until: Option<Timestamp>,
    state: State,
}

impl<K: Kind> Held<K> {
    fn next(&self, least: Duration, now: Timestamp) -> Option<(K::Work, Duration)> {
        let entry = Entry { object: &*self.object, known: &self.known, throttled_until: self.throttled_until };
        K::next(entry, least, now)
    }
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

/// All objects of one kind.
#[derive(Debug)]
pub struct Agenda<K: Kind = Scans> {
    entries: HashMap<ObjectKey, Held<K>>,
    due: BTreeSet<(Instant, ObjectKey)>,
    queue: VecDeque<ObjectKey>,
    lanes: Lanes,
    least: Duration,
    jobs: u64,
}

impl<K: Kind> Agenda<K> {
    /// With limits of jobs at once, and the least time between two jobs of one object.
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
    pub fn put(&mut self, object: Watched<K::Spec>, known: K::Known, version: &str, now: Moment) -> Option<u64> {
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
            self.entries.insert(key.clone(), Held { object, known, own_version: None, throttled_until: None, state });
        }
        self.plan(&key, now);
        aborted
    }

    /// Drops an object. Returns its job.
    pub fn remove(&mut self, key: &ObjectKey) -> Option<u64> {
        let aborted = self.stop(key);
        if let Some(Held { state: State::Waits(Some(due)), .. }) = self.entries.remove(key) {
            self.due.remove(&(due, key.clone()));
        }
        aborted
    }

    /// The objects.
    pub fn keys(&self) -> HashSet<ObjectKey> {
        self.entries.keys().cloned().collect()
    }

    /// Each object with what is known of it.
    pub fn all(&self) -> impl Iterator<Item = (&Watched<K::Spec>, &K::Known)> {
        self.entries.values().map(|entry| (&*entry.object, &entry.known))
    }

    /// How many jobs run.
    pub const fn running(&self) -> usize {
        self.lanes.running()
    }

    /// The next job for which there is room.
    pub fn start(&mut self, now: Moment) -> Option<Job<K>> {
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
            let Some((work, _)) = entry.next(self.least, now.time) else {
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
    pub fn finish(&mut self, key: &ObjectKey, number: u64, finished: Finished<K>, now: Moment) {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.state == State::Runs(number)) else { return };
        for host in &entry.object.hosts {
            self.lanes.note(host, finished.unreachable.as_ref() == Some(host));
        }
        self.lanes.free(&Place::of(&entry.object));
        entry.state = State::Waits(None);
        entry.throttled_until = finished.throttled_until;
        entry.known = finished.known.unwrap_or_else(|| K::after_break(&entry.known, now.time));
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
        let due = entry.next(self.least, now.time).map(|(_, wait)| now.instant + wait);
        entry.state = State::Waits(due);
        if let Some(due) = due {
            self.due.insert((due, key.clone()));
        }
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
