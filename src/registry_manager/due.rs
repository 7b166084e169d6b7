//! When a Registry is scanned. Pure.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use hypermirror_api::RegistrySpec;
use hypermirror_api::registry::DEFAULT_SCAN_INTERVAL;
use jiff::Timestamp;

use super::agenda::{Entry, Kind};
use super::status::Known;

/// Wait after the first failed scan; doubled with each further one, up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(30);
/// The longest that a registry can delay the next scan.
pub(super) const LONGEST_THROTTLE: Duration = Duration::from_hours(24);

/// What decides.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Of the object.
    pub uid: &'a str,
    /// Of the spec now.
    pub generation: i64,
    /// Of the spec that was handled last.
    pub observed: Option<i64>,
    /// Whether scans are suspended.
    pub is_suspended: bool,
    /// The annotation.
    pub scan_now: Option<&'a str>,
    /// The annotation that was handled last.
    pub handled: Option<&'a str>,
    /// From the spec.
    pub interval: Duration,
    /// When the last scan ended.
    pub last_scan: Option<Timestamp>,
    /// Failed scans since the last good one.
    pub failures: i64,
    /// Whether trying again soon is of no use.
    pub is_stalled: bool,
    /// When the registry wants to be asked again.
    pub throttled_until: Option<Timestamp>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Scan.
    Scan,
    /// Report that scans are suspended.
    Settle,
}

/// Registries: each job scans one.
#[derive(Clone, Copy, Debug)]
pub enum Scans {}

impl Kind for Scans {
    type Spec = RegistrySpec;
    type Known = Known;
    type Work = Work;

    fn next(entry: Entry<'_, Self>, least: Duration, now: Timestamp) -> Option<(Work, Duration)> {
        let Entry { object, known, throttled_until } = entry;
        let seconds = object.spec.as_ref().map_or(DEFAULT_SCAN_INTERVAL, |spec| spec.scan_interval);
        let facts = Facts {
            uid: &object.uid,
            generation: object.generation,
            observed: known.observed_generation,
            is_suspended: object.spec.as_ref().is_ok_and(|spec| spec.suspend),
            scan_now: object.scan_now.as_deref(),
            handled: known.handled.as_deref(),
            interval: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
            last_scan: known.last_scan,
            failures: known.failures,
            is_stalled: known.is_stalled,
            throttled_until,
        };
        next(facts, least, now)
    }

    fn after_break(known: &Known, now: Timestamp) -> Known {
        Known { last_scan: Some(now), failures: known.failures.saturating_add(1), ..known.clone() }
    }
}

/// What to do next and how long to wait before. `None`: nothing until the object changes.
///
/// `least` is the least time between two scans, whoever asks for them.
pub fn next(facts: Facts<'_>, least: Duration, now: Timestamp) -> Option<(Work, Duration)> {
    let is_new = facts.observed != Some(facts.generation);
    if facts.is_suspended {
        return is_new.then_some((Work::Settle, Duration::ZERO));
    }
    let Some(latest) = facts.last_scan else { return Some((Work::Scan, Duration::ZERO)) };
    // A time in the future is that of a machine with another clock: it counts as now.
    let since = elapsed(latest, now);
    let is_asked = is_new || facts.scan_now.is_some() && facts.scan_now != facts.handled;
    let wait = if is_asked { least } else { spread(wanted(facts), facts.uid, latest).max(least) };
    let left = wait.saturating_sub(since);
    // A new spec may have other credentials, with another limit.
    let throttle = facts.throttled_until.filter(|_| !is_asked).map(|until| elapsed(now, until).min(LONGEST_THROTTLE));
    Some((Work::Scan, left.max(throttle.unwrap_or_default())))
}

fn wanted(facts: Facts<'_>) -> Duration {
    if facts.failures <= 0 || facts.is_stalled {
        return facts.interval;
    }
    retry(facts.failures).min(facts.interval)
}

/// The wait after so many failures.
pub(super) fn retry(failures: i64) -> Duration {
    let doublings = u32::try_from(failures - 1).unwrap_or(u32::MAX).min(16);
    FIRST_RETRY.saturating_mul(1 << doublings)
}

/// From `from` to `to`; zero if that is not after it.
pub(super) fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// Up to a twentieth more or less, other for each object and each scan: objects that were created together are not scanned
/// together for ever.
pub(super) fn spread(interval: Duration, uid: &str, last: Timestamp) -> Duration {
    let mut hasher = DefaultHasher::new();
    (uid, last.as_second()).hash(&mut hasher);
    let parts = u32::try_from(hasher.finish() % 1_001).unwrap_or_default();
    interval.mul_f64(0.95 + f64::from(parts) / 10_000.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEAST: Duration = Duration::from_secs(10);
    const INTERVAL: Duration = Duration::from_secs(1_000);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    /// Scanned at 0, with success.
    fn scanned() -> Facts<'static> {
        Facts {
            uid: "u",
            generation: 2,
            observed: Some(2),
            is_suspended: false,
            scan_now: None,
            handled: None,
            interval: INTERVAL,
            last_scan: Some(at(0)),
            failures: 0,
            is_stalled: false,
            throttled_until: None,
        }
    }

    fn seconds(facts: Facts<'_>, now: i64) -> Option<(Work, u64)> {
        next(facts, LEAST, at(now)).map(|(work, wait)| (work, wait.as_secs()))
    }

    #[test]
    fn a_scan_is_due_after_the_interval_more_or_less() {
        let (_, wait) = seconds(scanned(), 0).unwrap();
        assert!((950..=1_050).contains(&wait), "{wait}");
        assert_eq!(seconds(scanned(), 1_051), Some((Work::Scan, 0)));
        let other = Facts { uid: "v", ..scanned() };
        assert_ne!(next(other, LEAST, at(0)), next(scanned(), LEAST, at(0)));
    }

    #[test]
    fn a_new_object_a_new_spec_and_the_annotation_are_scanned_at_once_but_not_too_often() {
        let new = Facts { last_scan: None, observed: None, ..scanned() };
        let edited = Facts { generation: 3, ..scanned() };
        let asked = Facts { scan_now: Some("b"), handled: Some("a"), ..scanned() };
        assert_eq!(seconds(new, 0), Some((Work::Scan, 0)));
        for facts in [edited, asked] {
            assert_eq!((seconds(facts, 1), seconds(facts, 10)), (Some((Work::Scan, 9)), Some((Work::Scan, 0))));
        }
        let handled = Facts { handled: Some("b"), ..asked };
        assert!(seconds(handled, 20).unwrap().1 > 900, "an annotation counts once");
        let removed = Facts { scan_now: None, handled: Some("a"), ..scanned() };
        assert!(seconds(removed, 20).unwrap().1 > 900);
    }

    #[test]
    fn a_suspended_object_is_told_so_once_and_never_scanned() {
        let suspended = Facts { is_suspended: true, scan_now: Some("x"), ..scanned() };
        assert_eq!(seconds(suspended, 5_000), None);
        assert_eq!(seconds(Facts { generation: 3, ..suspended }, 0), Some((Work::Settle, 0)));
        assert_eq!(seconds(Facts { observed: None, last_scan: None, ..suspended }, 0), Some((Work::Settle, 0)));
    }

    #[test]
    fn a_failure_is_tried_again_soon_and_ever_later_up_to_the_interval() {
        let waits: Vec<u64> = (1..8).map(|failures| seconds(Facts { failures, ..scanned() }, 0).unwrap().1).collect();
        for (wait, near) in waits.iter().zip([30, 60, 120, 240, 480, 960, 1_000]) {
            assert!((near * 94 / 100..=near * 106 / 100).contains(wait), "{waits:?}");
        }
        let stalled = Facts { failures: 1, is_stalled: true, ..scanned() };
        assert!(seconds(stalled, 0).unwrap().1 >= 950);
        assert!(seconds(Facts { failures: i64::MAX, ..scanned() }, 0).unwrap().1 <= 1_050);
    }

    #[test]
    fn a_registry_that_throttles_is_not_asked_before_its_time() {
        let throttled = Facts { failures: 1, throttled_until: Some(at(500)), ..scanned() };
        assert_eq!(seconds(throttled, 100), Some((Work::Scan, 400)));
        assert_eq!(seconds(Facts { generation: 3, ..throttled }, 100), Some((Work::Scan, 0)));
        let for_ever = Facts { throttled_until: Some(Timestamp::MAX), ..throttled };
        assert_eq!(seconds(for_ever, 0).unwrap().1, LONGEST_THROTTLE.as_secs());
    }

    proptest! {
        #[test]
        fn no_clock_makes_an_object_wait_for_longer_than_its_interval(last in -1_000_000_i64..1_000_000_000, now in -1_000_000_i64..1_000_000) {
            let facts = Facts { last_scan: Some(at(last)), ..scanned() };
            let (_, wait) = next(facts, LEAST, at(now)).unwrap();
            prop_assert!(wait <= INTERVAL.mul_f64(1.06));
        }

        #[test]
        fn nothing_is_scanned_more_often_than_allowed(failures in 0_i64..9, generation in 0_i64..4, asked in any::<bool>(), since in 0_i64..10) {
            let facts = Facts { failures, generation, scan_now: asked.then_some("x"), interval: Duration::from_secs(1), ..scanned() };
            let (_, wait) = next(facts, LEAST, at(since)).unwrap();
            prop_assert!(wait + Duration::from_secs(u64::try_from(since).unwrap()) >= LEAST);
        }
    }
}
