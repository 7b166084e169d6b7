//! Whether a guest works: it takes several failures to be taken for down, and only work that was done to be up again.

use std::time::Duration;

/// So many failures in a row, and a guest counts as down.
const FAILURES_TO_DOWN: u32 = 3;
/// So many answers to probes in a row, and work is tried again with one that is down.
const ANSWERS_TO_WORK: u32 = 2;
/// So many probes without an answer in a row, and the guest was away: when it is back, it has a start of its own, in which
/// an API server refuses work for some seconds. The pauses begin anew then.
const SILENCE_TO_AWAY: u32 = 2;
/// Between the probes that decide.
const SOON: Duration = Duration::from_secs(1);
/// Between the tries with a guest that is down: doubled with each, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The health of one guest. It begins as up: the first failures of a guest that nobody has seen count like any others.
///
/// A probe only decides whether work is worth a try. An API server without its database answers probes and nothing else:
/// what work has shown, work alone takes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// In a row, of probes and of work.
    failures: u32,
    /// Probes that were answered in a row, since the last failure.
    answers: u32,
    /// Probes that were not, in a row.
    silence: u32,
    /// How often the pause was doubled.
    doublings: u32,
}

/// What a probe comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    Work,
    /// Probe again after this.
    Probe(Duration),
}

impl Health {
    /// Whether the guest counts as down.
    pub const fn is_down(&self) -> bool {
        self.failures >= FAILURES_TO_DOWN
    }

    /// A probe was answered.
    pub fn answered(&mut self) -> Next {
        if std::mem::take(&mut self.silence) >= SILENCE_TO_AWAY {
            self.doublings = 0;
        }
        if !self.is_down() {
            return Next::Work;
        }
        self.answers = self.answers.saturating_add(1);
        if self.answers < ANSWERS_TO_WORK { Next::Probe(SOON) } else { Next::Work }
    }

    /// All that was to be done with the guest was done.
    pub fn worked(&mut self) {
        *self = Self::default();
    }

    /// A probe was not answered; it counts as a failure, too.
    pub const fn unanswered(&mut self) {
        self.silence = self.silence.saturating_add(1);
    }

    /// A probe or work failed.
    pub fn failed(&mut self) -> Duration {
        self.answers = 0;
        self.failures = self.failures.saturating_add(1);
        if !self.is_down() {
            return SOON;
        }
        let pause = FIRST_PAUSE.saturating_mul(2_u32.pow(self.doublings)).min(LONGEST_PAUSE);
        self.doublings = (self.doublings + 1).min(8);
        pause
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
        assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 32, 60]);
    }

    #[test]
    fn a_guest_that_was_away_gets_a_start_of_its_own() {
        let mut health = Health::default();
        for _ in 0..8 {
            health.unanswered();
            health.failed();
        }
        while health.answered() != Next::Work {}
        assert_eq!(health.failed(), FIRST_PAUSE, "it is not ready yet");
        while health.answered() != Next::Work {}
        assert_eq!(health.failed(), FIRST_PAUSE * 2);
        health.unanswered();
        health.failed();
        while health.answered() != Next::Work {}
        assert!(health.failed() > FIRST_PAUSE * 4, "one probe that fails is no start");
        assert!(health.is_down());
    }

    #[test]
    fn a_guest_that_stays_down_is_asked_less_and_less() {
        let mut health = Health::default();
        let pauses: Vec<u64> = (0..12).map(|_| health.failed().as_secs()).collect();
        assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]);
    }
}
