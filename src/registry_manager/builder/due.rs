//! When an ImageBuilder is looked at. Pure.

use std::time::Duration;

use hypermirror_api::image_builder::BuildPhase;
use hypermirror_api::{ImageBuilderReason, ImageBuilderSpec, ImageBuilderStatus};
use jiff::Timestamp;

use super::super::agenda::{Entry, Kind};
use super::super::due::{LONGEST_THROTTLE, elapsed, retry};
use super::status::ready_reason;

/// The longest wait before something that only somebody else can repair is tried again.
const LONGEST_STALL: Duration = Duration::from_hours(1);
/// How often the Jobs of a build are looked at. There is no watch: it would be one for each namespace with builds, and all Jobs
/// and pods of these namespaces would pass it.
const POLL: Duration = Duration::from_secs(5);
/// The same where objects may be worked on more often.
const SHORTEST_POLL: Duration = Duration::from_secs(1);

/// ImageBuilders: each job takes one a step further.
#[derive(Clone, Copy, Debug)]
pub enum Builds {}

/// What is known of an ImageBuilder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Its status.
    pub status: ImageBuilderStatus,
    /// When it was looked at last, if that changed nothing in its status.
    pub looked_at: Option<Timestamp>,
}

impl Kind for Builds {
    type Spec = ImageBuilderSpec;
    type Known = Known;
    type Work = ();

    fn next(entry: Entry<'_, Self>, least: Duration, now: Timestamp) -> Option<((), Duration)> {
        let Entry { object, known, throttled_until } = entry;
        let status = &known.status;
        let written = status.last_run_time.as_ref().map(|time| time.0);
        let Some(latest) = written.max(known.looked_at) else { return Some(((), Duration::ZERO)) };
        // A time in the future is that of a machine with another clock: it counts as now.
        let since = elapsed(latest, now);
        let is_new = status.observed_generation != Some(object.generation);
        if is_new || object.scan_now.is_some() && object.scan_now != status.last_handled_build_now {
            return Some(((), least.saturating_sub(since)));
        }
        let wait = match status.phase {
            None => least,
            Some(BuildPhase::Building) => least.clamp(SHORTEST_POLL, POLL),
            Some(BuildPhase::Completed) => return None,
            Some(BuildPhase::Failed) => {
                let reason = ready_reason(status)?;
                if reason.is_final() || object.spec.is_err() {
                    return None;
                }
                again(reason, status.consecutive_failures).max(least)
            }
        };
        let throttle = throttled_until.map(|until| elapsed(now, until).min(LONGEST_THROTTLE)).unwrap_or_default();
        Some(((), wait.saturating_sub(since).max(throttle)))
    }

    fn after_break(known: &Known, now: Timestamp) -> Known {
        Known { looked_at: Some(now), ..known.clone() }
    }
}

fn again(reason: ImageBuilderReason, failures: i64) -> Duration {
    if reason.is_transient() { retry(failures.max(1)).min(LONGEST_STALL) } else { LONGEST_STALL }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
    use serde_json::json;

    use super::super::super::agenda::Watched;
    use super::super::settings::tests::watched;
    use super::*;

    const LEAST: Duration = Duration::from_secs(10);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    /// Written at 0.
    fn known(phase: BuildPhase, reason: &str) -> Known {
        let ready = Condition {
            type_: "Ready".to_owned(),
            status: "False".to_owned(),
            reason: reason.to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(at(0)),
        };
        let status = ImageBuilderStatus {
            phase: Some(phase),
            observed_generation: Some(1),
            last_run_time: Some(Time(at(0))),
            consecutive_failures: 1,
            conditions: vec![ready],
            ..ImageBuilderStatus::default()
        };
        Known { status, looked_at: None }
    }

    fn next(object: &Watched<ImageBuilderSpec>, known: &Known, now: i64) -> Option<u64> {
        let entry = Entry { object, known, throttled_until: None };
        Builds::next(entry, LEAST, at(now)).map(|((), wait)| wait.as_secs())
    }

    #[test]
    fn jobs_are_looked_at_until_they_end_and_a_result_stays() {
        let object = watched(&json!({}));
        assert_eq!(next(&object, &Known::default(), 0), Some(0));
        let building = known(BuildPhase::Building, "Building");
        assert_eq!((next(&object, &building, 0), next(&object, &building, 3)), (Some(5), Some(2)));
        let looked_at = Known { looked_at: Some(at(5)), ..building };
        assert_eq!(next(&object, &looked_at, 6), Some(4));
        let entry = Entry { object: &object, known: &looked_at, throttled_until: None };
        assert_eq!(Builds::next(entry, Duration::ZERO, at(5)).unwrap().1, SHORTEST_POLL);
        assert_eq!(next(&object, &known(BuildPhase::Completed, "Built"), 1_000_000), None);
    }

    #[test]
    fn an_edit_and_the_annotation_are_looked_at_soon_whatever_the_last_result() {
        for phase in [BuildPhase::Building, BuildPhase::Completed, BuildPhase::Failed] {
            let known = known(phase, "BuildFailed");
            let edited = Watched { generation: 2, ..watched(&json!({})) };
            assert_eq!((next(&edited, &known, 4), next(&edited, &known, 40)), (Some(6), Some(0)));
            let asked = Watched { scan_now: Some("x".to_owned()), ..watched(&json!({})) };
            assert_eq!(next(&asked, &known, 40), Some(0));
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let object = watched(&json!({}));
        for (reason, wanted) in [
            ("BuildFailed", None),
            ("InvalidSpec", None),
            ("Unreachable", Some(30)),
            ("NamespaceForbidden", Some(3_600)),
            ("SecretMissing", Some(3_600)),
        ] {
            assert_eq!(next(&object, &known(BuildPhase::Failed, reason), 0), wanted, "{reason}");
        }
        let broken = Watched { spec: Err("no".to_owned()), ..object };
        assert_eq!(next(&broken, &known(BuildPhase::Failed, "Unreachable"), 0), None);
    }
}
