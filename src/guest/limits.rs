//! The limits of one reconcile of a guest cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::seen::Seen;

/// The time by which a write must end, before another replica can become the leader. `None` if this replica is not the leader.
pub type MayWrite = dyn Fn() -> Option<Instant> + Send + Sync;

/// The limits of one reconcile.
#[derive(Clone)]
pub struct Limits {
    /// The time by which the reconcile must end.
    pub end: Instant,
    /// Called before each write.
    pub may_write: Arc<MayWrite>,
    /// The current term of leadership. Numbers increase with each term.
    pub term: i64,
    /// Objects of terms up to this number may be overwritten. Higher than `term` only if the numbers on objects are known to be
    /// wrong.
    pub overrules: i64,
    /// Records the versions that were read and written, so that their watch events are ignored.
    pub seen: Arc<Seen>,
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").field("end", &self.end).field("term", &self.term).finish_non_exhaustive()
    }
}
