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
    row: Option<(Instant, Instant)>,
    /// The last applied value, and its time.
    begun: Option<(String, Instant)>,
}

impl Edits {
    /// Records the current desired value. An edit belongs to the current series if the previous one is at most `settle` ago.
    pub fn see(&mut self, wanted: &str, settle: Duration, now: Instant) {
        if self.row.is_some() && self.wanted == wanted {
            return;
        }
        wanted.clone_into(&mut self.wanted);
        let in_row = |(_, last): &(Instant, Instant)| now.saturating_duration_since(*last) < settle;
        let since = self.row.filter(in_row).map_or(now, |(since, _)| since);
        self.row = Some((since, now));
    }

    /// The remaining delay of the current value: until there was no edit for `settle`, and [`LONGEST`] at most. `None` if it is the
    /// first edit of its series, or already applied.
    pub fn wait(&self, settle: Duration, now: Instant) -> Option<Duration> {
        let (since, last) = self.row?;
        let (begun, at) = self.begun.as_ref().filter(|(_, at)| *at >= since)?;
        if *begun == self.wanted {
            return None;
        }
        let due = (last + settle).min(*at + LONGEST);
        due.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Records that the current value is applied.
    pub fn begin(&mut self, now: Instant) {
        if self.begun.as_ref().is_none_or(|(begun, _)| *begun != self.wanted) {
            self.begun = Some((self.wanted.clone(), now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_millis(300);

    /// Edits at these times, in milliseconds, each to something else; a look at each of them and whenever it is time.
    /// Answers when something was begun.
    fn begun(edits: &[u64], settle: Duration) -> Vec<u64> {
        let (mut state, start) = (Edits::default(), Instant::now());
        let mut looks: std::collections::BTreeSet<u64> = edits.iter().copied().collect();
        let mut begun = Vec::new();
        while let Some(look) = looks.pop_first() {
            let now = start + Duration::from_millis(look);
            let count = edits.iter().filter(|edit| **edit <= look).count();
            state.see(&count.to_string(), settle, now);
            match state.wait(settle, now) {
                Some(left) => {
                    looks.insert(look + u64::try_from(left.as_millis()).unwrap());
                }
                None if state.begun.as_ref().is_none_or(|(begun, _)| *begun != state.wanted) => {
                    state.begin(now);
                    begun.push(look);
                }
                None => {}
            }
        }
        begun
    }

    #[test]
    fn a_series_of_edits_is_applied_at_its_start_its_end_and_every_five_seconds() {
        let every = |pause: u64, count: u64| (0..count).map(|edit| edit * pause).collect::<Vec<_>>();
        for (what, edits, expected) in [
            ("a single edit", vec![0], vec![0]),
            ("two edits at once", vec![0, 10], vec![0, 310]),
            ("edits that are far apart", vec![0, 300, 5000, 5400], vec![0, 300, 5000, 5400]),
            ("twenty edits in a row", every(130, 20), vec![0, 19 * 130 + 300]),
            ("a row, a pause, a row", vec![0, 100, 200, 600, 700], vec![0, 500, 600, 1000]),
            ("edits without end", every(100, 120), vec![0, 5000, 10000, 119 * 100 + 300]),
        ] {
            assert_eq!(begun(&edits, SETTLE), expected, "{what}");
        }
        assert_eq!(begun(&[0, 10, 20], Duration::ZERO), [0, 10, 20], "--settle=0s waits for nothing");
        assert_eq!(begun(&[0, 10], Duration::from_mins(1)), [0, 5000], "five seconds are the longest");
    }

    #[test]
    fn an_applied_value_continues_and_a_reverted_edit_needs_no_write() {
        let (mut state, now) = (Edits::default(), Instant::now());
        state.see("a", SETTLE, now);
        assert_eq!(state.wait(SETTLE, now), None);
        state.begin(now);
        state.see("a", SETTLE, now);
        assert_eq!(state.wait(SETTLE, now), None, "its second write");
        state.see("b", SETTLE, now);
        assert_eq!(state.wait(SETTLE, now), Some(SETTLE));
        state.see("a", SETTLE, now);
        assert_eq!(state.wait(SETTLE, now), None, "to and fro");
    }

    #[test]
    fn edits_held_by_another_gate_are_not_delayed_again() {
        let (mut state, now) = (Edits::default(), Instant::now());
        for wanted in ["a", "b", "c"] {
            state.see(wanted, SETTLE, now);
            assert_eq!(state.wait(SETTLE, now), None, "nothing of this row was begun");
        }
    }
}
