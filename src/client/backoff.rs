//! Pauses between attempts.

use std::time::Duration;

/// A pause that doubles with each failure up to a maximum: an overloaded server can recover, and an available one is soon used
/// again.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// The maximum.
    pub longest: Duration,
}

impl Backoff {
    /// The pause after `last`; `None` if the attempt before this one succeeded.
    #[must_use]
    pub fn after(self, last: Option<Duration>) -> Duration {
        last.map_or(self.first, |last| last.saturating_mul(2).min(self.longest))
    }

    /// Replaces `last` by the pause that follows it, and returns that.
    pub fn next(self, last: &mut Option<Duration>) -> Duration {
        *last.insert(self.after(*last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_the_longest_and_begins_anew_after_a_success() {
        let backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(5) };
        let mut last = None;
        let pauses: Vec<u64> = (0..5).map(|_| backoff.next(&mut last).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
        last = None;
        assert_eq!(backoff.next(&mut last).as_secs(), 1);
        assert_eq!(backoff.after(Some(Duration::MAX)), backoff.longest, "no overflow");
    }
}
