//! The intervals at which the status of nodes is read.

use std::time::Duration;

/// Time after a change in which unconfirmed nodes are not reported. Most nodes confirm within a second.
pub(super) const GRACE: Duration = Duration::from_millis(1500);
/// Maximum time for which a change occupies a slot of `--max-concurrent-guests`, so that a broken node does not block the fleet.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);

/// Pauses in milliseconds: short after a change, then increasing.
const PAUSES: [u64; 12] = [60, 100, 150, 250, 400, 700, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000];

/// The pause before the next read, after this number of reads since the last change. `None`: use the usual interval.
pub(super) fn pause(asked: u32) -> Option<Duration> {
    PAUSES.get(usize::try_from(asked).ok()?).copied().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_soon_and_then_less_and_less_often() {
        let pauses: Vec<Duration> = (0..20).map_while(pause).collect();
        assert!(pauses.is_sorted());
        let within_a_second = pauses.iter().scan(Duration::ZERO, |sum, pause| {
            *sum += *pause;
            (*sum <= Duration::from_secs(1)).then_some(())
        });
        assert!(within_a_second.count() >= 5);
    }
}
