//! Shared by the benchmarks: statistics of several runs, and measurements of a process.

pub mod bare;
pub mod delay;
pub mod edits;
pub mod fleet;
pub mod manager;
pub mod process;
pub mod trend;
pub mod window;

use std::fmt;
use std::time::Duration;

/// Minimum, median and maximum of several runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The minimum.
    pub min: f64,
    /// The median. For an even number of runs, the mean of the two middle values.
    pub median: f64,
    /// The maximum.
    pub max: f64,
}

impl Spread {
    /// Of these runs. All values are zero if there are none.
    pub fn of(runs: impl IntoIterator<Item = f64>) -> Self {
        let mut runs: Vec<f64> = runs.into_iter().collect();
        runs.sort_by(f64::total_cmp);
        let at = |place: usize| runs.get(place).copied().unwrap_or_default();
        let (upper, lower) = (runs.len() / 2, runs.len().saturating_sub(1) / 2);
        Self { min: at(0), median: f64::midpoint(at(lower), at(upper)), max: at(runs.len().saturating_sub(1)) }
    }

    /// The percentile of these runs. Zero if there are none.
    pub fn percentile(runs: impl IntoIterator<Item = f64>, percent: usize) -> f64 {
        let mut runs: Vec<f64> = runs.into_iter().collect();
        runs.sort_by(f64::total_cmp);
        let rank = (runs.len() * percent).div_ceil(100);
        runs.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// Of these durations, in milliseconds.
    pub fn of_milliseconds(runs: impl IntoIterator<Item = Duration>) -> Self {
        Self::of(runs.into_iter().map(|run| run.as_secs_f64() * 1000.0))
    }
}

impl fmt::Display for Spread {
    /// `median (min to max)`, with the precision of the format, which defaults to two digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} ({:.digits$} to {:.digits$})", self.median, self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_does_not_depend_on_the_order_of_runs() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]), Spread { min: 1.0, median: 2.5, max: 4.0 });
        assert_eq!(Spread::of([]), Spread { min: 0.0, median: 0.0, max: 0.0 });
        assert!((Spread::percentile((1..=200).map(f64::from), 99) - 198.0).abs() < f64::EPSILON);
        assert!((Spread::percentile([2.0, 1.0], 99) - 2.0).abs() < f64::EPSILON);
        assert_eq!(Spread::of([1.0, 2.0, 3.25]).to_string(), "2.00 (1.00 to 3.25)");
    }
}
