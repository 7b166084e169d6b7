//! The health of a guest cluster: down after several failures, and up again only after a successful reconcile.

use std::time::Duration;

use crate::client::backoff::Backoff;

/// Consecutive failures after which a guest cluster is down. A single one, such as a restart, is not reported.
const FAILURES_TO_DOWN: u32 = 3;
/// Consecutive successful probes after which a reconcile is tried again.
const ANSWERS_TO_WORK: u32 = 2;
/// Consecutive probes without a response after which the guest cluster was probably stopped. A starting API server rejects
/// requests for some seconds, so the pauses start from the beginning when it responds again.
const SILENCE_TO_AWAY: u32 = 2;
/// Pause between probes while the state is not decided.
const SOON: Duration = Duration::from_secs(1);
/// Pause between probes of a guest cluster that is down. It doubles each time up to the maximum. A guest cluster that
/// responds again is reconciled after the maximum, its jitter of a fifth and two probes: within 30 s. 200 unreachable ones of
/// 1,000 cost 10 probes per second.
const DOWN: Backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(20) };

/// The health of one guest cluster. The initial state is up.
///
/// A successful probe only allows the next reconcile. It does not change the state from down to up, because an API server
/// without its database responds to probes and to nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Consecutive failures of probes and reconciles.
    failures: u32,
    /// Consecutive successful probes since the last failure.
    answers: u32,
    /// Consecutive probes without a response.
    silence: u32,
    /// The last pause between probes of a guest cluster that is down.
    pause: Option<Duration>,
}

/// What to do after a successful probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Reconcile.
    Work,
    /// Probe again after this time.
    Probe(Duration),
}

impl Health {
    /// Whether the guest cluster is down.
    pub const fn is_down(&self) -> bool {
        self.failures >= FAILURES_TO_DOWN
    }

    /// Records a successful probe.
    pub fn answered(&mut self) -> Next {
        if std::mem::take(&mut self.silence) >= SILENCE_TO_AWAY {
            self.pause = None;
        }
        if !self.is_down() {
            return Next::Work;
        }
        self.answers = self.answers.saturating_add(1);
        if self.answers < ANSWERS_TO_WORK { Next::Probe(SOON) } else { Next::Work }
    }

    /// Records a successful reconcile.
    pub fn worked(&mut self) {
        *self = Self::default();
    }

    /// Records a probe without a response. The caller also records it as failed.
    pub const fn unanswered(&mut self) {
        self.silence = self.silence.saturating_add(1);
    }

    /// Records a failed probe or reconcile, and returns the time until the next probe.
    pub fn failed(&mut self) -> Duration {
        self.answers = 0;
        self.failures = self.failures.saturating_add(1);
        if !self.is_down() {
            return SOON;
        }
        DOWN.next(&mut self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_is_none_and_three_are() {
        let mut health = Health::default();
        assert_eq!(health.failed(), SOON);
        assert_eq!(health.failed(), SOON);
        assert!(!health.is_down());
        health.worked();
        for _ in 0..2 {
            health.failed();
        }
        assert!(!health.is_down(), "not in a row");
        health.failed();
        assert!(health.is_down());
    }

    #[test]
    fn one_answer_of_a_guest_that_was_down_is_not_enough() {
        let mut health = Health::default();
        for _ in 0..5 {
            health.failed();
        }
        assert_eq!(health.answered(), Next::Probe(SOON));
        health.failed();
        assert_eq!(health.answered(), Next::Probe(SOON));
        assert_eq!(health.answered(), Next::Work);
        assert!(health.is_down(), "until something was done");
        health.worked();
        assert_eq!(health, Health::default());
    }

    #[test]
    fn a_guest_that_answers_probes_and_nothing_else_goes_down_and_stays_down() {
        let mut health = Health::default();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            while health.answered() != Next::Work {}
            pauses.push(health.failed().as_secs());
        }
        assert!(health.is_down());
        assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 20, 20]);
    }

    #[test]
    fn a_guest_that_was_away_gets_a_start_of_its_own() {
        let mut health = Health::default();
        for _ in 0..8 {
            health.unanswered();
            health.failed();
        }
        while health.answered() != Next::Work {}
        assert_eq!(health.failed(), DOWN.first, "it is not ready yet");
        while health.answered() != Next::Work {}
        assert_eq!(health.failed(), DOWN.first * 2);
        health.unanswered();
        health.failed();
        while health.answered() != Next::Work {}
        assert!(health.failed() > DOWN.first * 4, "one probe that fails is no start");
        assert!(health.is_down());
    }

    #[test]
    fn a_guest_cluster_that_stays_down_is_probed_less_and_less_often() {
        let mut health = Health::default();
        let pauses: Vec<u64> = (0..12).map(|_| health.failed().as_secs()).collect();
        assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 20, 20, 20, 20, 20, 20]);
    }
}
