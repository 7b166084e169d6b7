//! Debounces edits: the first one is applied immediately, later ones after a short time without edits.
//!
//! Each applied edit restarts pods, directly or through a stock operator that is triggered to read the mirrors.

use std::time::{Duration, Instant};

/// Maximum delay of an edit while edits continue.
pub const LONGEST: Duration = Duration::from_secs(5);

/// The state of the edits of one hosted cluster's map. `wanted` represents all values that an edit can change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    wanted: String,
    /// The times of the first and the last edit of the current series.
    series: Option<(Instant, Instant)>,
    /// The last applied value, and its time.
    applied: Option<(String, Instant)>,
}

impl Edits {
    /// Records the current desired value. An edit belongs to the current series if the previous one is at most `settle` ago.
    pub fn record(&mut self, wanted: &str, settle: Duration, now: Instant) {
        if self.series.is_some() && self.wanted == wanted {
            return;
        }
        wanted.clone_into(&mut self.wanted);
        let in_series = |(_, last): &(Instant, Instant)| now.saturating_duration_since(*last) < settle;
        let since = self.series.filter(in_series).map_or(now, |(since, _)| since);
        self.series = Some((since, now));
    }

    /// The remaining delay of the current value: until there was no edit for `settle`, and [`LONGEST`] at most. `None` if it is the
    /// first edit of its series, or already applied.
    pub fn wait(&self, settle: Duration, now: Instant) -> Option<Duration> {
        let (since, last) = self.series?;
        let (applied, at) = self.applied.as_ref().filter(|(_, at)| *at >= since)?;
        if *applied == self.wanted {
            return None;
        }
        let due = (last + settle).min(*at + LONGEST);
        due.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Records that the current value is applied.
    pub fn apply(&mut self, now: Instant) {
        if self.applied.as_ref().is_none_or(|(applied, _)| *applied != self.wanted) {
            self.applied = Some((self.wanted.clone(), now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_millis(300);

    /// Edits at these times, in milliseconds, each to something else; a look at each of them and whenever it is time.
    /// Answers when something was applied.
    fn applied_at(edits: &[u64], settle: Duration) -> Vec<u64> {
        let (mut state, start) = (Edits::default(), Instant::now());
        let mut looks: std::collections::BTreeSet<u64> = edits.iter().copied().collect();
        let mut applied = Vec::new();
        while let Some(look) = looks.pop_first() {
            let now = start + Duration::from_millis(look);
            let count = edits.iter().filter(|edit| **edit <= look).count();
            state.record(&count.to_string(), settle, now);
            match state.wait(settle, now) {
                Some(left) => {
                    looks.insert(look + u64::try_from(left.as_millis()).unwrap());
                }
                None if state.applied.as_ref().is_none_or(|(applied, _)| *applied != state.wanted) => {
                    state.apply(now);
                    applied.push(look);
                }
                None => {}
            }
        }
        applied
    }

    #[test]
    fn a_series_of_edits_is_applied_at_its_start_its_end_and_every_five_seconds() {
        let every = |pause: u64, count: u64| (0..count).map(|edit| edit * pause).collect::<Vec<_>>();
        for (what, edits, expected) in [
            ("a single edit", vec![0], vec![0]),
            ("two edits at once", vec![0, 10], vec![0, 310]),
            ("edits that are far apart", vec![0, 300, 5000, 5400], vec![0, 300, 5000, 5400]),
            ("twenty edits in a series", every(130, 20), vec![0, 19 * 130 + 300]),
            ("a series, a pause, a series", vec![0, 100, 200, 600, 700], vec![0, 500, 600, 1000]),
            ("edits without end", every(100, 120), vec![0, 5000, 10000, 119 * 100 + 300]),
        ] {
            assert_eq!(applied_at(&edits, SETTLE), expected, "{what}");
        }
        assert_eq!(applied_at(&[0, 10, 20], Duration::ZERO), [0, 10, 20], "--settle=0s waits for nothing");
        assert_eq!(applied_at(&[0, 10], Duration::from_mins(1)), [0, 5000], "five seconds are the longest");
    }

    #[test]
    fn an_applied_value_continues_and_a_reverted_edit_needs_no_write() {
        let (mut state, now) = (Edits::default(), Instant::now());
        state.record("a", SETTLE, now);
        assert_eq!(state.wait(SETTLE, now), None);
        state.apply(now);
        state.record("a", SETTLE, now);
        assert_eq!(state.wait(SETTLE, now), None, "its second write");
        state.record("b", SETTLE, now);
        assert_eq!(state.wait(SETTLE, now), Some(SETTLE));
        state.record("a", SETTLE, now);
        assert_eq!(state.wait(SETTLE, now), None, "to and fro");
    }

    #[test]
    fn edits_held_by_another_gate_are_not_delayed_again() {
        let (mut state, now) = (Edits::default(), Instant::now());
        for wanted in ["a", "b", "c"] {
            state.record(wanted, SETTLE, now);
            assert_eq!(state.wait(SETTLE, now), None, "nothing of this series was applied");
        }
    }
}
