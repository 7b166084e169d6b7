//! Records the writes of the rival and the versions that it has processed, so that scenarios can wait until it is idle.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why the rival wrote a Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It did not exist.
    Missing,
    /// Its desired state had changed.
    Changed,
    /// It differed from the desired state, which had not changed.
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

/// The version that the rival has processed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// The object's version.
    pub version: String,
    /// The number of its own changes at that time.
    pub changes: u64,
}

/// The record of one hosted cluster, which the operators share with the scenario.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Pages>);

/// Its content.
#[derive(Debug, Default)]
pub struct Pages {
    /// The number of changes of the desired state of each target.
    pub changes: BTreeMap<&'static str, u64>,
    /// The last processed version of each target. The HostedCluster has the key `""`.
    pub looked: BTreeMap<&'static str, Looked>,
    /// The digest of the pod template with which the parent's process runs.
    pub running: String,
    /// Every write, in order.
    pub writes: Vec<Write>,
}

impl Ledger {
    /// Locks the record.
    pub fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// The number of changes of the desired state of one target.
    pub fn changes_of(&self, target: &str) -> u64 {
        self.changes.get(target).copied().unwrap_or_default()
    }

    /// Records that a target was processed, and its write, if any.
    pub fn note(&mut self, target: &'static str, version: String, changes: u64, wrote: Option<Why>) {
        self.looked.insert(target, Looked { version: version.clone(), changes });
        if let Some(why) = wrote {
            self.writes.push(Write { target, version, why });
        }
    }
}
