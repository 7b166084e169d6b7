//! The condition `MirrorsProven` and the proofs for sources without a fallback, from the MirrorCoverage that the registry-manager
//! writes.

use std::collections::BTreeMap;
use std::time::Duration;

use hypermirror_api::mirror_coverage::{MirrorProof, UnprovenSource};
use hypermirror_api::{CoverageConditionType, MirrorCoverageStatus, Reason};
use jiff::{SignedDuration, Timestamp};

use super::condition_state::{ConditionState, cut};

/// Intervals after which a result that is not renewed is outdated. Results are written once in one to two intervals.
const STALE_AFTER: i64 = 3;
/// Sources that the condition lists.
const LISTED: usize = 5;
const OVERDUE: &str = "the checks of MirrorCoverage are overdue: is the registry-manager running?";

/// The part of a MirrorCoverage that reports and gates need.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownCoverage {
    /// Status of `Held`.
    status: &'static str,
    reason: String,
    message: String,
    /// The time of the last check.
    pub checked: Option<Timestamp>,
    /// From then on its checks are overdue: the registry-manager does not run any longer.
    stale_at: Option<Timestamp>,
    proof: Option<MirrorProof>,
}

impl KnownCoverage {
    /// What a status says. `None` before the first check.
    pub fn of(status: &MirrorCoverageStatus) -> Option<Self> {
        let held = status.condition(CoverageConditionType::Held)?;
        let checked = status.last_check_time.as_ref().map(|time| time.0);
        Some(Self {
            status: match held.status.as_str() {
                "True" => "True",
                "False" => "False",
                _ => "Unknown",
            },
            reason: held.reason.clone(),
            message: cut(held.message.clone()),
            checked,
            stale_at: checked.and_then(|checked| checked.checked_add(lifetime(status, checked)).ok()),
            proof: status.proof.clone(),
        })
    }

    /// The condition of the report.
    pub fn condition(&self, now: Timestamp) -> ConditionState {
        if self.is_stale(now) {
            return ConditionState::new("Unknown", Reason::CoverageStale, OVERDUE);
        }
        let unproven = self.proof.iter().flat_map(|proof| &proof.unproven);
        match self.status {
            "True" if unproven.clone().next().is_some() => {
                let count = unproven.clone().count();
                let listed: Vec<String> = unproven.take(LISTED).map(words).collect();
                let message = format!("{count} sources without a fallback are not proven: {}", listed.join("; "));
                ConditionState::new("False", Reason::ProofMissing, message)
            }
            "True" => ConditionState::good(self.message.clone()),
            "False" => ConditionState::new("False", Reason::ImagesMissing, self.message.clone()),
            _ => ConditionState::new("Unknown", Reason::CoverageUnknown, self.cause()),
        }
    }

    /// The proof for these mirrors and needs, or why there is none.
    ///
    /// # Errors
    /// It is outdated, was made for others, or was not made at all.
    pub fn proof(&self, subject: &str, now: Timestamp) -> Result<&MirrorProof, String> {
        if self.is_stale(now) {
            return Err(OVERDUE.to_owned());
        }
        match &self.proof {
            None if self.status == "Unknown" => Err(self.cause()),
            None => Err("MirrorCoverage has no proof: update the registry-manager".to_owned()),
            Some(proof) if proof.subject != subject => {
                Err("the registry-manager has not checked the current mirrors and images yet".to_owned())
            }
            Some(proof) => Ok(proof),
        }
    }

    /// The mirrors that are proven to hold stock images of OLM catalogs, by image.
    pub fn catalogs(&self, now: Timestamp) -> BTreeMap<String, String> {
        let proof = self.proof.as_ref().filter(|_| !self.is_stale(now));
        let proven = proof.into_iter().flat_map(|proof| &proof.catalogs);
        proven.map(|proven| (proven.image.clone(), proven.mirror.clone())).collect()
    }

    /// Why registries gave no answer about anything that is not known to be missing.
    pub fn unknown_cause(&self) -> Option<String> {
        (self.status == "Unknown").then(|| self.cause())
    }

    fn cause(&self) -> String {
        format!("{}: {}", self.reason, self.message)
    }

    fn is_stale(&self, now: Timestamp) -> bool {
        self.stale_at.is_some_and(|stale_at| stale_at <= now)
    }

    /// The time until the condition changes by itself.
    pub fn changes_in(&self, now: Timestamp) -> Option<Duration> {
        let left = self.stale_at?.duration_since(now);
        Duration::try_from(left).ok().filter(|left| !left.is_zero())
    }
}

/// The time for which a result counts. A check that a change has caused may be made just before the next one, so that the time
/// between the two is no interval; only a registry-manager of an earlier version leaves nothing else to go by.
fn lifetime(status: &MirrorCoverageStatus, checked: Timestamp) -> SignedDuration {
    let next = status.next_check_time.as_ref().map(|next| next.0.duration_since(checked));
    let interval = match status.check_interval_seconds {
        1.. => SignedDuration::from_secs(status.check_interval_seconds),
        _ => next.unwrap_or_default().max(SignedDuration::ZERO),
    };
    SignedDuration::from_secs(interval.as_secs().saturating_mul(STALE_AFTER))
}

fn words(unproven: &UnprovenSource) -> String {
    let UnprovenSource { source, consumer, message, .. } = unproven;
    format!("{source} for {consumer}: {message}")
}

#[cfg(test)]
mod tests {
    use hypermirror_api::mirror_coverage::ProvenCatalog;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    /// Checked at 0, and again at 100.
    fn known(held: &str, reason: &str) -> KnownCoverage {
        KnownCoverage::of(&status(held, reason)).unwrap()
    }

    fn status(status: &str, reason: &str) -> MirrorCoverageStatus {
        let condition = Condition {
            type_: "Held".into(),
            status: status.into(),
            reason: reason.into(),
            message: "the message".into(),
            observed_generation: None,
            last_transition_time: Time(at(0)),
        };
        MirrorCoverageStatus {
            conditions: vec![condition],
            last_check_time: Some(Time(at(0))),
            next_check_time: Some(Time(at(100))),
            ..MirrorCoverageStatus::default()
        }
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
    fn a_result_that_is_not_renewed_is_unknown_after_three_intervals() {
        let proven = known("True", "AllHeld");
        assert_eq!(proven.changes_in(at(50)), Some(Duration::from_secs(250)));
        assert_eq!(proven.condition(at(299)).status, "True");
        let stale = proven.condition(at(300));
        assert_eq!((stale.status, stale.reason), ("Unknown", Reason::CoverageStale));
        assert_eq!(proven.changes_in(at(300)), None);
    }

    #[test]
    fn a_check_just_before_the_next_one_counts_for_three_whole_intervals() {
        let checked = |interval| {
            let mut status = status("True", "AllHeld");
            (status.next_check_time, status.check_interval_seconds) = (Some(Time(at(1))), interval);
            KnownCoverage::of(&status).unwrap().changes_in(at(0))
        };
        assert_eq!(checked(100), Some(Duration::from_mins(5)));
        assert_eq!(checked(0), Some(Duration::from_secs(3)), "an earlier registry-manager");
    }

    #[test]
    fn a_proof_counts_for_its_subject_while_it_is_fresh() {
        let with = |held: &str, proof: Option<MirrorProof>| {
            let status = MirrorCoverageStatus { proof, ..status(held, "CredentialsNotReadable") };
            KnownCoverage::of(&status).unwrap()
        };
        let proof = MirrorProof { subject: "s".into(), ..MirrorProof::default() };
        let proven = with("True", Some(proof.clone()));
        assert_eq!(proven.proof("s", at(299)), Ok(&proof));
        for (what, coverage, subject, now, expected) in [
            ("stale", proven.clone(), "s", 300, "overdue"),
            ("another map", proven, "t", 0, "not checked the current mirrors"),
            ("an earlier registry-manager", with("True", None), "s", 0, "update the registry-manager"),
            ("nothing was asked", with("Unknown", None), "s", 0, "CredentialsNotReadable: the message"),
        ] {
            let why = coverage.proof(subject, at(now)).unwrap_err();
            assert!(why.contains(expected), "{what}: {why}");
        }
    }

    #[test]
    fn the_proof_of_a_catalog_counts_while_it_is_fresh() {
        let catalogs = vec![ProvenCatalog { image: "stock".into(), mirror: "mirror".into() }];
        let proof = Some(MirrorProof { catalogs, ..MirrorProof::default() });
        let coverage = KnownCoverage::of(&MirrorCoverageStatus { proof, ..status("True", "AllHeld") }).unwrap();
        assert_eq!(coverage.catalogs(at(299)), BTreeMap::from([("stock".to_owned(), "mirror".to_owned())]));
        assert!(coverage.catalogs(at(300)).is_empty());
    }

    #[test]
    fn what_only_the_source_holds_is_not_proven_if_the_source_is_no_fallback() {
        let unproven =
            UnprovenSource { source: "quay.io/a".into(), consumer: "look-ups".into(), ..UnprovenSource::default() };
        let proof = MirrorProof { unproven: vec![unproven], ..MirrorProof::default() };
        let status = MirrorCoverageStatus { proof: Some(proof), ..status("True", "AllHeld") };
        let condition = KnownCoverage::of(&status).unwrap().condition(at(0));
        assert_eq!((condition.status, condition.reason), ("False", Reason::ProofMissing));
        assert!(condition.message.contains("quay.io/a for look-ups"), "{}", condition.message);
    }
}
