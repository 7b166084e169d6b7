//! What the rival did and what it has looked at, for a scenario that wants to know when it is done.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why the rival wrote a Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was not there.
    Missing,
    /// Its own desired state had changed.
    Changed,
    /// It was not as desired, and the desired state had not changed.
    Reverted,
}

/// One write.
#[derive(Clone, Debug)]
pub struct Write {
    /// The Deployment's name.
    pub target: &'static str,
    /// The version that it made.
    pub version: String,
    /// Why.
    pub why: Why,
}

/// Up to where the rival has looked at something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// The object's version.
    pub version: String,
    /// The number of its own changes that it knew.
    pub changes: u64,
}

/// What the two operators of one hosted cluster share with the scenario.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Pages>);

/// Its content.
#[derive(Debug, Default)]
pub struct Pages {
    /// How often the desired state of each target was changed.
    pub changes: BTreeMap<&'static str, u64>,
    /// What each target was last found to be good as; the HostedCluster has the key `""`.
    pub looked: BTreeMap<&'static str, Looked>,
    /// The pod template that the parent's process runs with, as a digest.
    pub running: String,
    /// Every write, in order.
    pub writes: Vec<Write>,
}

impl Ledger {
    /// The pages, for a moment.
    pub fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// How often the desired state of a target was changed.
    pub fn changes_of(&self, target: &str) -> u64 {
        self.changes.get(target).copied().unwrap_or_default()
    }

    /// Notes that a target was looked at, and written if it was.
    pub fn note(&mut self, target: &'static str, version: String, changes: u64, wrote: Option<Why>) {
        self.looked.insert(target, Looked { version: version.clone(), changes });
        if let Some(why) = wrote {
            self.writes.push(Write { target, version, why });
        }
    }
}
