//! Whether a measurement of a long run stays flat.

use serde::Serialize;

/// The course of one measurement over a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Trend {
    /// The mean of the last two thirds.
    pub mean: f64,
    /// The maximum of the whole run.
    pub max: f64,
    /// Growth per hour over the last two thirds, by least squares.
    pub per_hour: f64,
}

impl Trend {
    /// Of samples: seconds since the start, and the value. The first third is the warm-up.
    pub fn of(samples: &[(f64, f64)]) -> Self {
        let settled = samples.get(samples.len() / 3..).unwrap_or_default();
        let mean = |pick: fn(&(f64, f64)) -> f64| settled.iter().map(pick).sum::<f64>() / count(settled.len().max(1));
        let (middle, mean) = (mean(|(at, _)| *at), mean(|(_, value)| *value));
        let products: f64 = settled.iter().map(|(at, value)| (at - middle) * (value - mean)).sum();
        let squares: f64 = settled.iter().map(|(at, _)| (at - middle) * (at - middle)).sum();
        let per_second = if squares > 0.0 { products / squares } else { 0.0 };
        let max = samples.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        Self { mean, max, per_hour: per_second * 3600.0 }
    }

    /// Whether the growth in an hour is at most this part of the mean.
    pub fn is_flat(&self, part: f64) -> bool {
        self.per_hour <= self.mean * part
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(value: impl Fn(f64) -> f64) -> Trend {
        let samples: Vec<(f64, f64)> = (0..360).map(|n| f64::from(n) * 10.0).map(|at| (at, value(at))).collect();
        Trend::of(&samples)
    }

    #[test]
    fn what_grows_only_at_the_start_or_swings_is_flat() {
        let warm = run(|at| if at < 1_000.0 { at / 10.0 } else { 100.0 });
        assert!(warm.is_flat(0.01) && (warm.per_hour.abs() < 1e-6), "{warm:?}");
        let swings = run(|at| if at % 20.0 < 10.0 { 90.0 } else { 110.0 });
        assert!(swings.is_flat(0.05), "{swings:?}");
        assert!(run(|at| 100.0 - at / 3600.0).is_flat(0.0));
    }

    #[test]
    fn what_grows_all_the_time_is_not() {
        let leak = run(|at| 100.0 + at / 3600.0 * 10.0);
        assert!((leak.per_hour - 10.0).abs() < 0.01, "{leak:?}");
        assert!(!leak.is_flat(0.05), "{leak:?}");
        assert_eq!(Trend::of(&[]), Trend::default());
    }
}
