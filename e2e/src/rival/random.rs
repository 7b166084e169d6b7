//! Reproducible random numbers.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A generator of pseudo-random numbers (`SplitMix64`).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Creates a generator with a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Creates a generator with a seed, which `HYPERMIRROR_E2E_SEED` overrides.
    pub fn seeded(usual: u64) -> Self {
        let other = std::env::var("HYPERMIRROR_E2E_SEED").ok().and_then(|seed| seed.parse().ok());
        Self::new(other.unwrap_or(usual))
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which must not be 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// True with this probability in percent.
    pub const fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A random element.
    pub fn one_of<'t, T>(&mut self, things: &'t [T]) -> &'t T {
        let place = self.below(things.len() as u64);
        &things[usize::try_from(place).unwrap_or_default()]
    }

    /// A random duration from a range.
    pub fn within(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let span = range.end().saturating_sub(*range.start()).as_millis();
        let extra = self.below(u64::try_from(span).unwrap_or(u64::MAX).saturating_add(1));
        *range.start() + Duration::from_millis(extra)
    }

    /// Sleeps for a random duration from a range.
    pub async fn hesitate(&mut self, range: RangeInclusive<Duration>) {
        tokio::time::sleep(self.within(&range)).await;
    }
}
