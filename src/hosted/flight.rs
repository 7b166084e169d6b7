//! Determines the state of the last rollout of one hosted cluster.

use std::time::Duration;

use hypermirror_api::Reason;
use hypermirror_api::report::{RolloutReport, RolloutState};
use jiff::Timestamp;

use super::condition_state::ConditionState;
use super::facts::{ClusterFacts, Moment};
use super::gates::Gate;
use super::plan::Plan;
use crate::fleet::rollout::{Progress, messages, progress, response_due};

/// Interval of reconciles of a hosted cluster in flight without watch events.
const BACKSTOP: Duration = Duration::from_secs(30);

/// The state of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flight {
    /// For the report.
    pub report: Option<RolloutReport>,
    /// The condition of a failed rollout.
    pub failed: Option<ConditionState>,
    /// The start time, if the rollout is done.
    pub is_back: Option<Timestamp>,
    /// When to check again.
    pub again_after: Option<Duration>,
}

/// Checks whether the rollout of a hosted cluster is done.
pub fn of(facts: &ClusterFacts, plan: &Plan, gate: &Gate, now: Moment) -> Flight {
    let budget = &facts.flags.rollouts;
    let before = facts.report.as_ref().and_then(|report| report.control_plane.rollout.clone());
    if !budget.is_on() {
        // Without a limit, a completed rollout stays completed.
        return Flight { report: before, ..Flight::default() };
    }
    let report = |since: Timestamp, state: RolloutState| {
        let started = since.to_string();
        let limit = before.as_ref().filter(|before| before.started == started).map(|before| before.limit);
        let limit = limit.unwrap_or_else(|| i64::try_from(budget.at_once).unwrap_or(i64::MAX));
        Some(RolloutReport { started, state, limit })
    };
    let Some(since) = facts.rollout.in_flight.map(|mark| mark.at) else {
        let report = facts.rollout.last.and_then(|last| report(last, RolloutState::Done));
        return Flight { report, ..Flight::default() };
    };
    let answer = answer_left(facts, plan, now).filter(|_| !gate.holds_map());
    let is_pending = !gate.holds_map() && (plan.restarts() || plan.waits_for_parent() || answer.is_some());
    let flight = |state| Flight { report: report(since, state), again_after: answer, ..Flight::default() };
    match progress(budget, since, now.time, facts.is_rolled_out(), is_pending) {
        Progress::Done => Flight { is_back: Some(since), ..flight(RolloutState::Done) },
        Progress::InFlight => {
            let left = budget.left(since, now.time).clamp(Duration::from_millis(10), BACKSTOP);
            Flight {
                again_after: Some(answer.map_or(left, |answer| answer.min(left))),
                ..flight(RolloutState::InFlight)
            }
        }
        Progress::Failed => Flight {
            failed: Some(ConditionState::new(
                "False",
                Reason::RolloutFailed,
                messages::failed(budget, since, &facts.unavailable()),
            )),
            again_after: Some(BACKSTOP),
            ..flight(RolloutState::Failed)
        },
    }
}

/// The remaining time for which a triggered stock operator without a response keeps the slot of the hosted cluster.
fn answer_left(facts: &ClusterFacts, plan: &Plan, now: Moment) -> Option<Duration> {
    let (_, since) = facts.memory.touched.as_ref().filter(|_| plan.stock_is_behind)?;
    let triggered = now.instant.saturating_duration_since(*since);
    response_due(triggered, facts.flags.settle, facts.flags.handover)
}
