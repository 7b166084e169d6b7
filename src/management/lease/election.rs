//! Leader election: decides the next step from one read of the Lease. Pure.
//!
//! The rules are those of client-go's leader election: times are measured with the local clock since a record was first
//! observed, so that the clocks of machines may differ.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde_json::{Value, json};

/// What to do after a read of the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another replica holds it: wait.
    Wait,
    /// This replica holds it: renew.
    Renew,
    /// No replica holds it, or it has expired: acquire it.
    Acquire,
}

/// One replica.
#[derive(Clone, Debug)]
pub struct Candidate {
    identity: String,
    duration: Duration,
    /// The last observed record, and when it was first observed.
    seen: Option<(LeaseSpec, Instant)>,
}

impl Candidate {
    /// Creates a candidate with this lease duration.
    pub fn new(identity: &str, duration: Duration) -> Self {
        Self { identity: identity.to_owned(), duration, seen: None }
    }

    /// Decides the next step.
    pub fn step(&mut self, lease: &LeaseSpec, now: Instant) -> Step {
        // Only whether the record changes is compared, never its times with the local clock: clocks of machines differ, and a
        // holder whose clock is behind would lose the Lease at once.
        let since = match &self.seen {
            Some((seen, since)) if seen == lease => *since,
            _ => {
                self.seen = Some((lease.clone(), now));
                now
            }
        };
        let holder = lease.holder_identity.as_deref().unwrap_or_default();
        if holder == self.identity {
            return Step::Renew;
        }
        let promised = lease.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let promised = promised.map_or(self.duration, Duration::from_secs);
        if holder.is_empty() || now.duration_since(since) > promised { Step::Acquire } else { Step::Wait }
    }

    /// The `spec` that a step writes, as a merge patch. `None` for [`Step::Wait`].
    pub fn write(&self, step: Step, lease: &LeaseSpec, time: jiff::Timestamp) -> Option<Value> {
        let time = MicroTime(time);
        match step {
            Step::Wait => None,
            Step::Renew => Some(json!({"renewTime": time, "leaseDurationSeconds": self.duration.as_secs()})),
            Step::Acquire => Some(json!({
                "holderIdentity": self.identity,
                "acquireTime": time,
                "renewTime": time,
                "leaseDurationSeconds": self.duration.as_secs(),
                "leaseTransitions": lease.lease_transitions.unwrap_or(0).saturating_add(1),
            })),
        }
    }

    /// Time since the start of the last renewal for which the leader may write: shorter than the lease duration, so that it stops
    /// before another replica takes over.
    pub fn holds_for(&self) -> Duration {
        self.duration * 2 / 3
    }

    /// Time since the start of the last renewal before which no other replica takes over.
    pub fn promise(&self) -> Duration {
        Duration::from_secs(self.duration.as_secs()) // as written to the record
    }

    /// Interval between two reads.
    pub fn period(&self, leads: bool) -> Duration {
        if leads { self.duration / 4 } else { self.duration / 6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMISE: Duration = Duration::from_secs(15);

    fn held_by(holder: &str, renewed: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(jiff::Timestamp::from_second(renewed).unwrap())),
            lease_transitions: Some(4),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_free_lease_is_acquired_and_the_own_one_is_renewed() {
        let (mut me, now) = (Candidate::new("me", PROMISE), Instant::now());
        assert_eq!(me.step(&LeaseSpec::default(), now), Step::Acquire);
        assert_eq!(me.step(&held_by("", 1), now), Step::Acquire);
        assert_eq!(me.step(&held_by("me", 1), now), Step::Renew);
    }

    #[test]
    fn a_silent_holder_loses_it_after_its_duration_on_the_own_clock() {
        let (mut me, now) = (Candidate::new("me", PROMISE), Instant::now());
        // The holder's clock is far behind: that does not matter.
        let silent = held_by("other", -1_000_000);
        assert_eq!(me.step(&silent, now), Step::Wait);
        assert_eq!(me.step(&silent, now + PROMISE), Step::Wait);
        assert_eq!(me.step(&silent, now + PROMISE + Duration::from_millis(1)), Step::Acquire);
    }

    #[test]
    fn a_holder_that_renews_keeps_it() {
        let (mut me, now) = (Candidate::new("me", PROMISE), Instant::now());
        for turn in 0..10 {
            let later = now + PROMISE * u32::try_from(turn).unwrap();
            assert_eq!(me.step(&held_by("other", turn), later), Step::Wait);
        }
    }

    #[test]
    fn acquiring_counts_the_transition_and_renewing_changes_only_the_time() {
        let me = Candidate::new("me", PROMISE);
        let now = jiff::Timestamp::from_second(7).unwrap();
        let taken = me.write(Step::Acquire, &held_by("other", 1), now).unwrap();
        assert_eq!((&taken["holderIdentity"], &taken["leaseTransitions"]), (&json!("me"), &json!(5)));
        let renewed = me.write(Step::Renew, &held_by("me", 1), now).unwrap();
        assert_eq!(renewed.as_object().unwrap().len(), 2);
        assert_eq!(me.write(Step::Wait, &held_by("other", 1), now), None);
    }

    #[test]
    fn a_holder_stops_before_anybody_else_may_start() {
        let me = Candidate::new("me", PROMISE);
        assert!(me.holds_for() < PROMISE && me.period(true) * 2 < me.holds_for());
    }
}
