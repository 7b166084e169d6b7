//! When the nodes of a guest are asked again.

use std::time::Duration;

/// So long after a change nobody worries about nodes that have not confirmed it: most do within a second.
pub(super) const GRACE: Duration = Duration::from_millis(1500);
/// So long a change may hold one of `--max-concurrent-guests`: a node that is broken must not stop the fleet.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);

/// In milliseconds: soon after a change, then less and less.
const PAUSES: [u64; 12] = [60, 100, 150, 250, 400, 700, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000];

/// The pause before the nodes are asked again, after they were asked so often since the last change; none: often enough,
/// the usual interval will do.
pub(super) fn pause(asked: u32) -> Option<Duration> {
    PAUSES.get(usize::try_from(asked).ok()?).copied().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_asked_soon_and_then_less_and_less() {
        let pauses: Vec<Duration> = (0..20).map_while(pause).collect();
        assert!(pauses.is_sorted());
        let within_a_second = pauses.iter().scan(Duration::ZERO, |sum, pause| {
            *sum += *pause;
            (*sum <= Duration::from_secs(1)).then_some(())
        });
        assert!(within_a_second.count() >= 5);
    }
}
