//! Whether somebody takes our entry away again and again without a change of its own.

use std::time::{Duration, Instant};

use super::observed::ObservedTarget;

/// How often our entry may be taken away without a change before it is left alone.
const STRIKES: u32 = 3;
/// The first time it is left alone; doubled with each further strike.
const FIRST_TRUCE: Duration = Duration::from_secs(10);
/// The longest.
const LONGEST_TRUCE: Duration = Duration::from_mins(10);

/// What is remembered of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contest {
    /// The digest of the stock part when our entry was last seen there.
    carried_over: Option<String>,
    strikes: u32,
    truce_until: Option<Instant>,
}

impl Contest {
    /// Takes an observation in: `carries` says whether our entry is there.
    ///
    /// A wipe together with a change of the stock part is an operator that goes on with its work; a wipe without one is a
    /// strike.
    pub fn observe(&mut self, target: &ObservedTarget, carries: bool, now: Instant) {
        if carries {
            let changed = self.carried_over.as_ref().is_some_and(|digest| *digest != target.stock_digest);
            if changed {
                self.strikes = 0;
            }
            self.carried_over = Some(target.stock_digest.clone());
            return;
        }
        match self.carried_over.take() {
            Some(digest) if digest == target.stock_digest => {
                self.strikes += 1;
                if self.strikes >= STRIKES {
                    let doubled = FIRST_TRUCE * 2_u32.saturating_pow((self.strikes - STRIKES).min(16));
                    self.truce_until = Some(now + doubled.min(LONGEST_TRUCE));
                }
            }
            Some(_) => self.strikes = 0,
            None => {}
        }
    }

    /// Our entry is not wanted there: its absence says nothing.
    pub fn forget(&mut self) {
        self.carried_over = None;
    }

    /// How long the target is still left alone; none if it may be written.
    pub fn truce(&self, now: Instant) -> Option<Duration> {
        self.truce_until.and_then(|until| until.checked_duration_since(now)).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock(digest: &str) -> ObservedTarget {
        ObservedTarget { stock_digest: digest.to_owned(), ..ObservedTarget::default() }
    }

    #[test]
    fn three_wipes_without_a_change_are_a_contest() {
        let (mut contest, now) = (Contest::default(), Instant::now());
        for _ in 0..2 {
            contest.observe(&stock("a"), true, now);
            contest.observe(&stock("a"), false, now);
            assert_eq!(contest.truce(now), None);
        }
        contest.observe(&stock("a"), true, now);
        contest.observe(&stock("a"), false, now);
        assert_eq!(contest.truce(now), Some(FIRST_TRUCE));
        assert_eq!(contest.truce(now + FIRST_TRUCE), None);
    }

    #[test]
    fn each_further_strike_doubles_the_truce_up_to_ten_minutes() {
        let (mut contest, now) = (Contest::default(), Instant::now());
        let mut truces = Vec::new();
        for _ in 0..12 {
            contest.observe(&stock("a"), true, now);
            contest.observe(&stock("a"), false, now);
            truces.extend(contest.truce(now).map(|truce| truce.as_secs()));
        }
        assert_eq!(truces, [10, 20, 40, 80, 160, 320, 600, 600, 600, 600]);
    }

    #[test]
    fn wipes_with_a_change_are_no_contest() {
        let (mut contest, now) = (Contest::default(), Instant::now());
        for round in 0..50 {
            contest.observe(&stock(&format!("{round}")), true, now);
            contest.observe(&stock(&format!("{}", round + 1)), false, now);
        }
        assert_eq!(contest.truce(now), None);
    }

    #[test]
    fn an_absence_that_was_seen_already_is_no_second_strike() {
        let (mut contest, now) = (Contest::default(), Instant::now());
        contest.observe(&stock("a"), true, now);
        for _ in 0..9 {
            contest.observe(&stock("a"), false, now);
        }
        assert_eq!(contest.truce(now), None);
    }
}
