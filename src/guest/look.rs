//! One look at a guest: until when it has to be over, and whether it may still write.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::seen::Seen;

/// Until when a write has to be over so that no other instance leads by then; none if this one leads no longer.
pub type MayWrite = dyn Fn() -> Option<Instant> + Send + Sync;

/// What bounds the calls of one look.
#[derive(Clone)]
pub struct Look {
    /// When it has to be over, whatever it still has to do.
    pub end: Instant,
    /// Asked before each write.
    pub may_write: Arc<MayWrite>,
    /// Which term of leadership this is: each has a higher number than those before it.
    pub term: i64,
    /// Objects of terms up to this one may be overwritten; `term`, if nothing is known to be wrong with the numbers.
    pub overrules: i64,
    /// What is looked at and written is noted here, so that a watch does not tell it as news.
    pub seen: Arc<Seen>,
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("end", &self.end).field("term", &self.term).finish_non_exhaustive()
    }
}
