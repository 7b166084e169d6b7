//! The gates that can hold the writes for a hosted cluster, in one order.
//!
//! The first gate that holds decides. Those up to the held removal do not need a plan and also hold writes for nodes.

use std::time::Duration;

use hypermirror_api::{Reason, names};

use super::condition_state::ConditionState;
use super::conditions::control_plane_condition;
use super::edits::Edits;
use super::facts::{ClusterFacts, Moment, Slot};
use super::plan::Plan;
use crate::fleet::rollout::messages;

/// The gates, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GateName {
    /// The control-plane namespace is claimed by another HostedCluster, so nothing in it is read.
    NamespaceClaim,
    /// The owner has paused it.
    Paused,
    /// The manager runs with `--mode=observe`.
    Observing,
    /// hypermirror is being removed from the fleet, and the admission would restore removed entries.
    LeavingAdmission,
    /// hypermirror is being removed from it, and nodes still use mirrors.
    LeavingNodes,
    /// Too many maps would become empty at once.
    RemovalHeld,
    /// Sources without a fallback are not proven.
    ProofMissing,
    /// Another client repeatedly removes the entries.
    Contested,
    /// There is no free slot of the rollout budget.
    RolloutBudget,
    /// Waiting for further edits, or for writes of stock operators.
    Settling,
}

impl GateName {
    /// Whether the gate holds a removal until an earlier step of it is complete.
    pub const fn is_of_leaving(self) -> bool {
        matches!(self, Self::LeavingAdmission | Self::LeavingNodes)
    }
}

/// The decision of the gates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The plan is written.
    Go,
    /// Nothing is written, for the reason in the condition.
    Hold(GateName, ConditionState),
    /// Nothing is written or reported until this time has passed.
    Wait(GateName, Duration),
    /// Claim a slot of the rollout budget, read the targets again and start another turn.
    Claim,
}

impl Gate {
    /// The condition of a held change.
    pub fn condition(&self) -> Option<&ConditionState> {
        match self {
            Self::Hold(_, condition) => Some(condition),
            _ => None,
        }
    }

    /// The gate that holds.
    pub fn holding(&self) -> Option<GateName> {
        match self {
            Self::Hold(name, _) => Some(*name),
            _ => None,
        }
    }

    /// Whether writes for nodes are held, which gates of the control plane do not.
    pub fn holds_nodes(&self) -> bool {
        self.holding().is_some_and(|name| name <= GateName::RemovalHeld)
    }

    /// Whether the current map stays in use. A contest does not have this effect, and neither has a missing proof: what is held is
    /// not in the map.
    pub fn holds_map(&self) -> bool {
        self.holding().is_some_and(|name| !matches!(name, GateName::ProofMissing | GateName::Contested))
    }
}

/// The input of the gates.
pub struct Proposal<'a> {
    /// The hosted cluster.
    pub facts: &'a ClusterFacts,
    /// The plan. `None` to evaluate only the gates that do not need one.
    pub plan: Option<&'a Plan>,
    /// The edits of its map, including the current one.
    pub edits: &'a Edits,
    /// Now.
    pub now: Moment,
}

/// The decision of one gate.
enum Answer {
    Go,
    Hold(ConditionState),
    Wait(Duration),
    Claim,
}

type Judge = fn(&Proposal<'_>) -> Answer;

/// The order of the gates.
const GATES: [(GateName, Judge); 10] = [
    (GateName::NamespaceClaim, namespace_claim),
    (GateName::Paused, paused),
    (GateName::Observing, observing),
    (GateName::LeavingAdmission, leaving_admission),
    (GateName::LeavingNodes, leaving_nodes),
    (GateName::RemovalHeld, removal_held),
    (GateName::ProofMissing, proof_missing),
    (GateName::Contested, contested),
    (GateName::RolloutBudget, rollout_budget),
    (GateName::Settling, settling),
];

/// Evaluates the gates. A slot of the rollout budget is claimed only if no later gate waits, because others could not use it.
pub fn gate(proposal: &Proposal<'_>) -> Gate {
    let mut decided = Gate::Go;
    for (name, judge) in GATES {
        match judge(proposal) {
            Answer::Go => {}
            Answer::Hold(condition) => return Gate::Hold(name, condition),
            Answer::Wait(left) => return Gate::Wait(name, left),
            Answer::Claim => decided = Gate::Claim,
        }
    }
    decided
}

/// The condition of the gates that do not need a plan, which also hold writes for nodes.
pub fn held(facts: &ClusterFacts, now: Moment) -> Option<(GateName, ConditionState)> {
    match gate(&Proposal { facts, plan: None, edits: &facts.memory.edits, now }) {
        Gate::Hold(name, condition) => Some((name, condition)),
        _ => None,
    }
}

fn hold_if(holds: bool, status: &'static str, reason: Reason, message: &str) -> Answer {
    if holds { Answer::Hold(ConditionState::new(status, reason, message)) } else { Answer::Go }
}

fn namespace_claim(proposal: &Proposal<'_>) -> Answer {
    let facts = proposal.facts;
    let Some(refusal) = &facts.refusal else { return Answer::Go };
    let message = refusal.message(&facts.key.control_plane_namespace());
    hold_if(true, "False", Reason::NamespaceClaimedTwice, &message)
}

fn paused(proposal: &Proposal<'_>) -> Answer {
    match &proposal.facts.settings.paused {
        Some(why) => hold_if(true, "Unknown", Reason::Paused, &format!("nothing is written: {why}")),
        None => Answer::Go,
    }
}

fn observing(proposal: &Proposal<'_>) -> Answer {
    let message = "--mode=observe: nothing is written; `hypermirror diff` shows the changes";
    hold_if(proposal.facts.flags.observes, "False", Reason::Observing, message)
}

fn leaving_admission(proposal: &Proposal<'_>) -> Answer {
    let message = "removing hypermirror: waiting for the admission to be removed";
    hold_if(proposal.facts.fleet.has_admission_to_remove, "False", Reason::Leaving, message)
}

fn leaving_nodes(proposal: &Proposal<'_>) -> Answer {
    let facts = proposal.facts;
    let is_left = facts.guest.as_ref().is_some_and(|outcome| outcome.left);
    let message = "removing hypermirror: waiting for the nodes of the guest cluster to remove their mirrors";
    hold_if(facts.leaves() && facts.flags.has_guests && !is_left, "False", Reason::Leaving, message)
}

fn removal_held(proposal: &Proposal<'_>) -> Answer {
    let facts = proposal.facts;
    let empties = !facts.leaves() && facts.map.map.entries.is_empty();
    let Some(removal) = facts.fleet.removal.as_ref().filter(|_| empties) else { return Answer::Go };
    let message = removal.message(&facts.flags.namespace, names::LEASE);
    hold_if(removal.holds(&facts.key.to_string()), "False", Reason::RemovalHeld, &message)
}

/// Holds only if there is nothing else to write: what is held is not in the map, and the rest of the map goes on.
fn proof_missing(proposal: &Proposal<'_>) -> Answer {
    let facts = proposal.facts;
    let is_idle = proposal.plan.is_some_and(|plan| !plan.writes());
    match &facts.enforcement {
        Some(enforcement) if is_idle && !facts.held.is_empty() => {
            Answer::Hold(facts.held.condition(&facts.key, &enforcement.token))
        }
        _ => Answer::Go,
    }
}

/// Holds only if there is nothing else to write, so that uncontested targets are written.
fn contested(proposal: &Proposal<'_>) -> Answer {
    let Some(plan) = proposal.plan.filter(|plan| !plan.writes()) else { return Answer::Go };
    let is_contested = plan.planned().any(|target| target.reason == Some(Reason::Contested));
    if is_contested { Answer::Hold(control_plane_condition(&plan.targets, None)) } else { Answer::Go }
}

/// A target that was not available before the change would count as a failure of the change, so it waits, unless hypermirror is
/// being removed.
fn rollout_budget(proposal: &Proposal<'_>) -> Answer {
    let (facts, rollout) = (proposal.facts, &proposal.facts.rollout);
    let budget = &facts.flags.rollouts;
    let restarts = proposal.plan.is_some_and(Plan::restarts);
    if !budget.is_on() || !restarts || rollout.in_flight.is_some() || is_uncounted(facts) {
        return Answer::Go;
    }
    let was_claimed = rollout.is_skipped || rollout.slot == Slot::Claimed;
    if was_claimed && !facts.leaves() && !facts.is_rolled_out() {
        return hold(Reason::TargetsUnavailable, messages::unavailable(&facts.unavailable()));
    }
    match &rollout.slot {
        Slot::NotClaimed => Answer::Claim,
        Slot::Claimed | Slot::NotNeeded => Answer::Go,
        Slot::Queued => hold(Reason::RolloutWaiting, messages::waiting(budget)),
        Slot::Halted(halt) => hold(Reason::RolloutHalted, messages::halted(budget, halt)),
    }
}

fn hold(reason: Reason, message: String) -> Answer {
    Answer::Hold(ConditionState::new("False", reason, message))
}

/// Whether it needs no slot although there is a limit.
pub fn is_uncounted(facts: &ClusterFacts) -> bool {
    let rollout = &facts.rollout;
    let is_unavailable = || rollout.slot != Slot::NotClaimed && rollout.in_flight.is_none() && !facts.is_rolled_out();
    facts.flags.rollouts.is_on() && facts.leaves() && (rollout.slot == Slot::NotNeeded || is_unavailable())
}

/// Combines edits in quick succession, and gives triggered stock operators time to write.
fn settling(proposal: &Proposal<'_>) -> Answer {
    let facts = proposal.facts;
    let (settle, now) = (facts.flags.settle, proposal.now);
    let Some(plan) = proposal.plan.filter(|plan| plan.writes()) else { return Answer::Go };
    let of_edits = if facts.leaves() { None } else { proposal.edits.wait(settle, now.instant) };
    let triggered = facts.memory.touched.as_ref().filter(|_| plan.stock_is_behind && plan.touch.is_none());
    let of_stock = triggered.and_then(|(_, since)| now.left(*since, settle));
    of_edits.or(of_stock).map_or(Answer::Go, Answer::Wait)
}

#[cfg(test)]
mod tests;
