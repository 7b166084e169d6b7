//! The condition `MirrorsProven`, from the MirrorCoverage that the registry-manager writes. It holds back no write.

use std::time::Duration;

use hypermirror_api::{CoverageConditionType, MirrorCoverageStatus, Reason};
use jiff::Timestamp;

use super::condition_state::{ConditionState, cut};

/// The part of a MirrorCoverage that a report shows.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownCoverage {
    /// Status of `Held`.
    status: &'static str,
    reason: String,
    message: String,
    /// From then on its checks are overdue: the registry-manager does not run any longer.
    stale_at: Option<Timestamp>,
}

impl KnownCoverage {
    /// What a status says. `None` before the first check.
    pub fn of(status: &MirrorCoverageStatus) -> Option<Self> {
        let held = status.condition(CoverageConditionType::Held)?;
        let (last, next) = (status.last_check_time.as_ref(), status.next_check_time.as_ref());
        // One check that takes as long as the interval is no reason to distrust the result.
        let stale_at = last.zip(next).and_then(|(last, next)| {
            let interval = next.0.duration_since(last.0);
            next.0.checked_add(interval.max(jiff::SignedDuration::ZERO)).ok()
        });
        Some(Self {
            status: match held.status.as_str() {
                "True" => "True",
                "False" => "False",
                _ => "Unknown",
            },
            reason: held.reason.clone(),
            message: cut(held.message.clone()),
            stale_at,
        })
    }

    /// The condition of the report.
    pub fn condition(&self, now: Timestamp) -> ConditionState {
        if self.stale_at.is_some_and(|stale_at| stale_at <= now) {
            let message = "the checks of MirrorCoverage are overdue: is the registry-manager running?";
            return ConditionState::new("Unknown", Reason::CoverageStale, message);
        }
        match self.status {
            "True" => ConditionState::good(self.message.clone()),
            "False" => ConditionState::new("False", Reason::ImagesMissing, self.message.clone()),
            _ => {
                let message = format!("{}: {}", self.reason, self.message);
                ConditionState::new("Unknown", Reason::CoverageUnknown, message)
            }
        }
    }

    /// The time until the condition changes by itself.
    pub fn changes_in(&self, now: Timestamp) -> Option<Duration> {
        let left = self.stale_at?.duration_since(now);
        Duration::try_from(left).ok().filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    /// Checked at 0, and again at 100.
    fn known(status: &str, reason: &str) -> KnownCoverage {
        let condition = Condition {
            type_: "Held".into(),
            status: status.into(),
            reason: reason.into(),
            message: "the message".into(),
            observed_generation: None,
            last_transition_time: Time(at(0)),
        };
        let status = MirrorCoverageStatus {
            conditions: vec![condition],
            last_check_time: Some(Time(at(0))),
            next_check_time: Some(Time(at(100))),
            ..MirrorCoverageStatus::default()
        };
        KnownCoverage::of(&status).unwrap()
    }

    #[test]
    fn the_condition_repeats_the_result_of_the_last_check() {
        for (status, reason, expected) in [
            ("True", "AllHeld", ("True", Reason::AsExpected, "the message")),
            ("False", "ImagesMissing", ("False", Reason::ImagesMissing, "the message")),
            (
                "Unknown",
                "CredentialsNotReadable",
                ("Unknown", Reason::CoverageUnknown, "CredentialsNotReadable: the message"),
            ),
        ] {
            let condition = known(status, reason).condition(at(150));
            assert_eq!((condition.status, condition.reason, condition.message.as_str()), expected);
        }
        assert_eq!(KnownCoverage::of(&MirrorCoverageStatus::default()), None);
    }

    #[test]
    fn a_result_that_is_not_renewed_is_unknown_after_a_second_interval() {
        let proven = known("True", "AllHeld");
        assert_eq!(proven.changes_in(at(50)), Some(Duration::from_secs(150)));
        assert_eq!(proven.condition(at(199)).status, "True");
        let stale = proven.condition(at(200));
        assert_eq!((stale.status, stale.reason), ("Unknown", Reason::CoverageStale));
        assert_eq!(proven.changes_in(at(200)), None);
    }
}
