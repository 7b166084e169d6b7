//! Whether anything may be written for a hosted cluster now: every gate, in one order.
//!
//! The first that does not let it through decides. Those up to the held removal need no plan: they hold its nodes, too.

use std::time::Duration;

use hypermirror_api::{Reason, names};

use super::conditions::control_plane_verdict;
use super::edits::Edits;
use super::facts::{ClusterFacts, Moment, Place};
use super::plan::Plan;
use super::verdict::Verdict;
use crate::fleet::rollout::messages;

/// The gates, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GateName {
    /// Another HostedCluster claims the control-plane namespace: nothing there is even read.
    NamespaceClaim,
    /// Its owner wants nothing written.
    Paused,
    /// The manager writes nothing at all.
    Observing,
    /// The fleet is left, and the admission would give back what is taken away.
    LeavingAdmission,
    /// It leaves, and nodes still use what its guest has.
    LeavingNodes,
    /// Too many maps would become empty at once.
    RemovalHeld,
    /// Somebody removes our entries again and again.
    Contested,
    /// Too many hosted clusters change already.
    RolloutBudget,
    /// Further edits, or what stock operators write, are waited for.
    Settling,
}

impl GateName {
    /// Whether what leaves is held only until what goes before it is gone.
    pub const fn is_of_leaving(self) -> bool {
        matches!(self, Self::LeavingAdmission | Self::LeavingNodes)
    }
}

/// What the gates come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Whatever is planned is written.
    Go,
    /// Nothing is written, and the condition says why.
    Hold(GateName, Verdict),
    /// Nothing is written or reported before this time is over.
    Wait(GateName, Duration),
    /// A place of the rollout budget is claimed, the targets are read again, and another turn is taken.
    Claim,
}

impl Gate {
    /// What the condition says.
    pub fn verdict(&self) -> Option<&Verdict> {
        match self {
            Self::Hold(_, verdict) => Some(verdict),
            _ => None,
        }
    }

    /// The gate that holds it.
    pub fn holding(&self) -> Option<GateName> {
        match self {
            Self::Hold(name, _) => Some(*name),
            _ => None,
        }
    }

    /// Whether what reaches nodes is held: not by what only the control plane waits for.
    pub fn holds_nodes(&self) -> bool {
        self.holding().is_some_and(|name| name <= GateName::RemovalHeld)
    }

    /// Whether the wanted map is not the one in force: a contest does not keep it from being wanted.
    pub fn holds_map(&self) -> bool {
        self.holding().is_some_and(|name| name != GateName::Contested)
    }
}

/// What the gates look at.
pub struct Proposal<'a> {
    /// The hosted cluster.
    pub facts: &'a ClusterFacts,
    /// What would be written; none where only those gates matter that need no plan.
    pub plan: Option<&'a Plan>,
    /// The edits of its map, the present one seen.
    pub edits: &'a Edits,
    /// Now.
    pub now: Moment,
}

/// What one gate says.
enum Answer {
    Go,
    Hold(Verdict),
    Wait(Duration),
    Claim,
}

type Judge = fn(&Proposal<'_>) -> Answer;

/// The one order.
const GATES: [(GateName, Judge); 9] = [
    (GateName::NamespaceClaim, namespace_claim),
    (GateName::Paused, paused),
    (GateName::Observing, observing),
    (GateName::LeavingAdmission, leaving_admission),
    (GateName::LeavingNodes, leaving_nodes),
    (GateName::RemovalHeld, removal_held),
    // Here belongs the gate of entries whose source has no fallback and whose mirrors nobody has proven yet.
    (GateName::Contested, contested),
    (GateName::RolloutBudget, rollout_budget),
    (GateName::Settling, settling),
];

/// Asks the gates. A place of the rollout budget is claimed only if nothing after it waits: it would be kept from others.
pub fn gate(proposal: &Proposal<'_>) -> Gate {
    let mut decided = Gate::Go;
    for (name, judge) in GATES {
        match judge(proposal) {
            Answer::Go => {}
            Answer::Hold(verdict) => return Gate::Hold(name, verdict),
            Answer::Wait(left) => return Gate::Wait(name, left),
            Answer::Claim => decided = Gate::Claim,
        }
    }
    decided
}

/// The verdict of those gates that need no plan, which hold what reaches nodes.
pub fn held(facts: &ClusterFacts, now: Moment) -> Option<(GateName, Verdict)> {
    match gate(&Proposal { facts, plan: None, edits: &facts.memory.edits, now }) {
        Gate::Hold(name, verdict) => Some((name, verdict)),
        _ => None,
    }
}

fn hold_if(holds: bool, status: &'static str, reason: Reason, message: &str) -> Answer {
    if holds { Answer::Hold(Verdict::new(status, reason, message)) } else { Answer::Go }
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

/// Only where nothing else is to be written: what nobody fights about goes on.
fn contested(proposal: &Proposal<'_>) -> Answer {
    let Some(plan) = proposal.plan.filter(|plan| !plan.writes()) else { return Answer::Go };
    let is_contested = plan.planned().any(|target| target.reason == Some(Reason::Contested));
    if is_contested { Answer::Hold(control_plane_verdict(&plan.targets, None)) } else { Answer::Go }
}

/// What was not available before the change would be blamed on it afterwards: it waits, unless it leaves.
fn rollout_budget(proposal: &Proposal<'_>) -> Answer {
    let (facts, rollout) = (proposal.facts, &proposal.facts.rollout);
    let budget = &facts.flags.rollouts;
    let restarts = proposal.plan.is_some_and(Plan::restarts);
    if !budget.is_on() || !restarts || rollout.in_flight.is_some() || is_uncounted(facts) {
        return Answer::Go;
    }
    let was_asked_for = rollout.is_left_out || rollout.place == Place::Claimed;
    if was_asked_for && !facts.leaves() && !facts.is_rolled_out() {
        return hold(Reason::TargetsUnavailable, messages::unavailable(&facts.unavailable()));
    }
    match &rollout.place {
        Place::Unasked => Answer::Claim,
        Place::Claimed | Place::Uncounted => Answer::Go,
        Place::Waits => hold(Reason::RolloutWaiting, messages::waiting(budget)),
        Place::Halted(halt) => hold(Reason::RolloutHalted, messages::halted(budget, halt)),
    }
}

fn hold(reason: Reason, message: String) -> Answer {
    Answer::Hold(Verdict::new("False", reason, message))
}

/// Whether it goes without a place although there is a limit.
pub fn is_uncounted(facts: &ClusterFacts) -> bool {
    let rollout = &facts.rollout;
    let is_unavailable = || rollout.place != Place::Unasked && rollout.in_flight.is_none() && !facts.is_rolled_out();
    facts.flags.rollouts.is_on() && facts.leaves() && (rollout.place == Place::Uncounted || is_unavailable())
}

/// Edits that come in a row are written together, and what stock operators were asked to write is theirs for a moment.
fn settling(proposal: &Proposal<'_>) -> Answer {
    let facts = proposal.facts;
    let (settle, now) = (facts.flags.settle, proposal.now);
    let Some(plan) = proposal.plan.filter(|plan| plan.writes()) else { return Answer::Go };
    let of_edits = if facts.leaves() { None } else { proposal.edits.wait(settle, now.instant) };
    let asked = facts.memory.touched.as_ref().filter(|_| plan.stock_is_behind && plan.touch.is_none());
    let of_stock = asked.and_then(|(_, since)| now.left(*since, settle));
    of_edits.or(of_stock).map_or(Answer::Go, Answer::Wait)
}

#[cfg(test)]
mod tests;
