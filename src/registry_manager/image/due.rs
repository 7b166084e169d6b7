//! When an Image is copied. Pure.

use std::time::Duration;

use hypermirror_api::ImageSpec;
use jiff::Timestamp;

use super::super::agenda::{Entry, Kind};
use super::super::due::{LONGEST_THROTTLE, elapsed, retry, spread};
use super::settings::{ends, period};
use super::status::Known;

/// The longest wait before a run that only somebody else can repair is tried again.
const LONGEST_STALL: Duration = Duration::from_hours(1);

/// Images: each job copies one.
#[derive(Clone, Copy, Debug)]
pub enum Copies {}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Look at both sides and copy what differs.
    Run,
    /// Report that runs are suspended.
    Settle,
}

impl Kind for Copies {
    type Spec = ImageSpec;
    type Known = Known;
    type Work = Work;

    fn next(entry: Entry<'_, Self>, least: Duration, now: Timestamp) -> Option<(Work, Duration)> {
        let Entry { object, known, throttled_until } = entry;
        let is_new = known.observed_generation != Some(object.generation);
        let spec = object.spec.as_deref();
        if spec.is_ok_and(|spec| spec.suspend) {
            return is_new.then_some((Work::Settle, Duration::ZERO));
        }
        let Some(latest) = known.last_run else { return Some((Work::Run, Duration::ZERO)) };
        // A time in the future is that of a machine with another clock: it counts as now.
        let since = elapsed(latest, now);
        let is_asked = is_new || object.scan_now.is_some() && object.scan_now != known.handled;
        if is_asked {
            return Some((Work::Run, least.saturating_sub(since)));
        }
        let is_done = known.failures == 0 && spec.is_ok_and(ends);
        if is_done || known.is_invalid || spec.is_err() {
            return None;
        }
        let wait = spread(wanted(known, spec.map_or(LONGEST_STALL, period)), &object.uid, latest).max(least);
        let throttle = throttled_until.map(|until| elapsed(now, until).min(LONGEST_THROTTLE)).unwrap_or_default();
        Some((Work::Run, wait.saturating_sub(since).max(throttle)))
    }

    fn after_break(known: &Known, now: Timestamp) -> Known {
        Known { last_run: Some(now), failures: known.failures.saturating_add(1), ..known.clone() }
    }
}

fn wanted(known: &Known, period: Duration) -> Duration {
    if known.failures <= 0 {
        period
    } else if known.is_stalled {
        period.min(LONGEST_STALL)
    } else {
        retry(known.failures).min(period)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::super::super::agenda::{ObjectKey, Watched};
    use super::*;

    const LEAST: Duration = Duration::from_secs(10);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn watched(more: &Value) -> Watched<ImageSpec> {
        let mut spec = json!({
            "mode": "Recurrent", "frequency": "1000s",
            "source": {"name": "quay.io/a", "version": "v1"}, "destination": {"name": "r.example/a", "version": "v1"},
        });
        json_patch::merge(&mut spec, more);
        Watched {
            key: ObjectKey { namespace: "ns".to_owned(), name: "a".to_owned() },
            uid: "u".to_owned(),
            generation: 2,
            scan_now: None,
            spec: Ok(Arc::new(serde_json::from_value(spec).unwrap())),
            hosts: Vec::new(),
        }
    }

    /// Run at 0, with success.
    fn good() -> Known {
        Known { observed_generation: Some(2), last_run: Some(at(0)), ..Known::default() }
    }

    fn next(object: &Watched<ImageSpec>, known: &Known, now: i64) -> Option<(Work, u64)> {
        let entry = Entry { object, known, throttled_until: None };
        Copies::next(entry, LEAST, at(now)).map(|(work, wait)| (work, wait.as_secs()))
    }

    #[test]
    fn a_one_shot_runs_until_it_has_succeeded_once() {
        let object = watched(&json!({"mode": "OneShot"}));
        assert_eq!(next(&object, &Known::default(), 0), Some((Work::Run, 0)));
        assert_eq!(next(&object, &good(), 100_000), None);
        assert!(next(&object, &Known { failures: 1, ..good() }, 0).unwrap().1 <= 32, "a failure is tried again soon");
        let edited = Watched { generation: 3, ..object.clone() };
        assert_eq!(next(&edited, &good(), 4), Some((Work::Run, 6)));
        let asked = Watched { scan_now: Some("x".to_owned()), ..object };
        assert_eq!(next(&asked, &good(), 100), Some((Work::Run, 0)));
        assert_eq!(next(&asked, &Known { handled: Some("x".to_owned()), ..good() }, 100), None);
    }

    #[test]
    fn once_by_tag_goes_on_as_long_as_tags_can_appear() {
        let one = watched(&json!({"mode": "OnceByTag"}));
        assert_eq!(next(&one, &good(), 100_000), None);
        let many = watched(&json!({"mode": "OnceByTag", "source": {"version": "1.x"}}));
        assert_eq!(next(&many, &good(), 100_000), Some((Work::Run, 0)));
    }

    #[test]
    fn recurrent_runs_in_its_period_more_or_less() {
        let object = watched(&json!({}));
        let wait = next(&object, &good(), 0).unwrap().1;
        assert!((950..=1_050).contains(&wait), "{wait}");
        let other = Watched { uid: "v".to_owned(), ..object.clone() };
        assert_ne!(next(&other, &good(), 0), next(&object, &good(), 0));
        let often = watched(&json!({"frequency": "1s"}));
        assert_eq!(next(&often, &good(), 0), Some((Work::Run, LEAST.as_secs())), "never more often than allowed");
    }

    #[test]
    fn a_failure_is_tried_again_ever_later_and_an_invalid_spec_not_at_all() {
        let object = watched(&json!({"frequency": "1w"}));
        let of = |known: Known| next(&object, &known, 0).map(|(_, wait)| wait);
        let waits: Vec<u64> = (1..4).map(|failures| of(Known { failures, ..good() }).unwrap()).collect();
        assert!(waits[0] < 35 && waits[2] > 100, "{waits:?}");
        let stalled = of(Known { failures: 3, is_stalled: true, ..good() }).unwrap();
        assert!((3_400..3_800).contains(&stalled), "{stalled}");
        assert_eq!(of(Known { failures: 1, is_stalled: true, is_invalid: true, ..good() }), None);
        let broken = Watched { spec: Err("no".to_owned()), ..object.clone() };
        assert_eq!(next(&broken, &Known { failures: 1, ..good() }, 100_000), None);
        let throttled =
            Entry { object: &object, known: &Known { failures: 1, ..good() }, throttled_until: Some(at(500)) };
        assert_eq!(Copies::next(throttled, LEAST, at(100)).unwrap().1.as_secs(), 400);
    }

    #[test]
    fn a_suspended_image_is_settled_once() {
        let object = watched(&json!({"suspend": true}));
        assert_eq!(next(&object, &Known::default(), 0), Some((Work::Settle, 0)));
        assert_eq!(next(&object, &good(), 100_000), None);
    }
}
