//! Edits that come in a row: the first is acted on at once, what follows when it has been quiet for a moment.
//!
//! Each edit that is acted on restarts pods, by us or by a stock operator that is asked to read the mirrors again.

use std::time::{Duration, Instant};

/// The longest that an edit waits for a row to end.
pub const LONGEST: Duration = Duration::from_secs(5);

/// What is remembered of the edits of one hosted cluster's map. `wanted` stands for everything that an edit can change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    wanted: String,
    /// When the present row began, and its last edit came.
    row: Option<(Instant, Instant)>,
    /// What was acted on last, and when.
    begun: Option<(String, Instant)>,
}

impl Edits {
    /// Takes in what is wanted now. An edit belongs to a row if the one before it is no longer ago than `settle`.
    pub fn see(&mut self, wanted: &str, settle: Duration, now: Instant) {
        if self.row.is_some() && self.wanted == wanted {
            return;
        }
        wanted.clone_into(&mut self.wanted);
        let in_row = |(_, last): &(Instant, Instant)| now.saturating_duration_since(*last) < settle;
        let since = self.row.filter(in_row).map_or(now, |(since, _)| since);
        self.row = Some((since, now));
    }

    /// How long what is wanted now still waits: until no edit has come for `settle`, and for [`LONGEST`] at most. None: it
    /// is the first of its row, or was begun with already.
    pub fn wait(&self, settle: Duration, now: Instant) -> Option<Duration> {
        let (since, last) = self.row?;
        let (begun, at) = self.begun.as_ref().filter(|(_, at)| *at >= since)?;
        if *begun == self.wanted {
            return None;
        }
        let due = (last + settle).min(*at + LONGEST);
        due.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// What is wanted now is acted on.
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
    fn a_row_of_edits_is_begun_with_twice_and_every_five_seconds() {
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
    fn what_was_begun_goes_on_and_what_is_wanted_again_needs_nothing() {
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
    fn what_was_held_by_something_else_waits_for_no_row() {
        let (mut state, now) = (Edits::default(), Instant::now());
        for wanted in ["a", "b", "c"] {
            state.see(wanted, SETTLE, now);
            assert_eq!(state.wait(SETTLE, now), None, "nothing of this row was begun");
        }
    }
}
