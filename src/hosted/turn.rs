//! One turn of one hosted cluster: a pure function from the known facts to the writes and the report.

use std::sync::Arc;
use std::time::Duration;

use hypermirror_api::annotations;
use kube::ResourceExt as _;

use super::boot::{self, BootWish};
use super::carry_over::foreign_of;
use super::catalogs::mirrored::declared;
use super::catalogs::patience::{CatalogStep, step};
use super::conditions::control_plane_condition;
use super::contest::Contest;
use super::facts::{ClusterFacts, Moment};
use super::flight::{self, Flight};
use super::gates::{Gate, GateName, Proposal, gate, is_uncounted};
use super::memory::Memory;
use super::plan::{Counted, Plan, PlanInput, Target, Trigger, plan};
use super::proof::control_plane::would_be_written_by_stock;
use super::sources::OverrideMap;
use super::value::remembered;
use crate::digest::short_digest;
use crate::fleet::lag::Progress;
use crate::fleet::rollout::{Cause, Mark, next_mark};
use crate::mirrors::Policy;

/// The result of a turn.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The desired map.
    pub map: Arc<OverrideMap>,
    /// The planned writes to the control plane.
    pub plan: Plan,
    /// Whether to write them now.
    pub gate: Gate,
    /// Whether it is written without a slot of the rollout budget although there is a limit.
    pub is_uncounted: bool,
    /// The planned boot ConfigMaps. Empty while a gate holds writes for nodes.
    pub boot: Vec<BootWish>,
    /// The planned writes to OLM catalogs.
    pub catalogs: CatalogStep,
    /// Whether to remove hypermirror's annotation from the HostedCluster, after everything else was removed.
    pub withdraws: bool,
    /// The state of its last rollout.
    pub rollout: Flight,
    /// The memory, updated with the observations of this turn.
    pub memory: Memory,
    /// The time of the next turn if no event triggers an earlier one.
    pub again_after: Option<Duration>,
}

/// Computes a turn. It depends only on the facts, not on the instance that leads.
pub fn turn(facts: &ClusterFacts, now: Moment) -> Turn {
    let is_uncounted = is_uncounted(facts);
    let mut plan = planned(facts, !is_uncounted, now);
    let mut memory = Memory::clone(&facts.memory);
    let contested = leave_contested(facts, &mut memory.contests, &mut plan.targets, now);
    if !facts.leaves() {
        memory.edits.record(&wanted_digest(facts), facts.flags.settle, now.instant);
    }
    let gate = gate(&Proposal { facts, plan: Some(&plan), edits: &memory.edits, now });
    if gate == Gate::Go && plan.writes() {
        memory.edits.apply(now.instant);
    }
    let reaches_nodes = matches!(gate, Gate::Go | Gate::Hold(..)) && !gate.holds_nodes();
    let refused = gate.condition().filter(|_| gate.holding() == Some(GateName::NamespaceClaim));
    let proven = || {
        let proven = facts.coverage.as_ref().map(|coverage| coverage.catalogs(now.time));
        declared(&facts.fleet.management.map.resolved, proven.unwrap_or_default())
    };
    let catalogs = step(&facts.object, facts.leaves(), refused, memory.catalogs.as_ref(), proven, now.instant);
    let is_triggered =
        memory.touched.is_some() || facts.object.annotations().contains_key(annotations::MIRRORS_OBSERVED);
    let rollout = flight::of(facts, &plan, &gate, now);
    let pause = facts.pause_left(now);
    let handover = plan.waits_for_parent().then(|| facts.flags.handover + Duration::from_millis(50));
    let stale = facts.coverage.as_ref().and_then(|coverage| coverage.changes_in(now.time));
    let of_gate = if let Gate::Wait(_, left) = &gate { Some(*left) } else { None };
    Turn {
        map: Arc::clone(&facts.map.map),
        is_uncounted,
        boot: if reaches_nodes { boot::wishes(facts, now.time) } else { Vec::new() },
        catalogs,
        withdraws: reaches_nodes && facts.leaves() && is_triggered && plan.is_up_to_date(),
        again_after: contested
            .into_iter()
            .chain(pause)
            .chain(handover)
            .chain(of_gate)
            .chain(rollout.again_after)
            .chain(stale)
            .min(),
        rollout,
        memory,
        gate,
        plan,
    }
}

impl Turn {
    /// The targets that are not up to date, and why.
    pub fn progress(&self) -> Progress {
        let left = self.plan.planned().filter(|target| !target.up_to_date).count();
        if left == 0 {
            return Progress::DONE;
        }
        let reason = control_plane_condition(&self.plan.targets, self.gate.condition()).reason;
        // The other two end by themselves.
        let ends = |gate| matches!(gate, GateName::RolloutBudget | GateName::Settling);
        let is_held = self.gate.holding().is_some_and(|gate| !ends(gate));
        Progress { left, reason, is_held, is_written: false }
    }

    /// The memory after the writes of this turn that its gates allow.
    pub fn update_memory(&self, facts: &ClusterFacts, memory: &mut Memory, now: Moment) {
        // The owner decides when writes start that were deferred by a pause.
        if self.gate.holding() == Some(GateName::Paused) || self.plan.is_up_to_date() {
            memory.settled = Some(facts.fleet.management_revision);
        }
        if !self.gate.holds_map() && !facts.leaves() {
            memory.record_map(&self.map, &facts.fleet.management.explained);
        }
        let parent = self.plan.targets.first().and_then(|target| target.plan.as_ref());
        let digest = short_digest(self.map.env.as_str());
        let is_known = memory.parent_since.as_ref().is_some_and(|(known, _)| *known == digest);
        match (parent.is_some_and(|parent| parent.up_to_date), is_known) {
            (true, false) => memory.parent_since = Some((digest, now.instant)),
            (false, _) => memory.parent_since = None,
            (true, true) => {}
        }
        memory.rollout_done = memory.rollout_done.max(self.rollout.is_back);
    }
}

/// The plan. `counts` is whether each write that restarts pods sets the mark of the rollout budget.
fn planned(facts: &ClusterFacts, counts: bool, now: Moment) -> Plan {
    let (flags, management, memory) = (&facts.flags, &facts.fleet.management, &facts.memory);
    let removed = memory.removed_with(&facts.map.map, &management.explained);
    let observed = facts.targets.iter().filter_map(|target| target.observed.as_deref());
    let remembered = remembered(observed, |target| foreign_of(facts.report.as_deref(), target));
    let mark = mark(facts, now).filter(|_| counts);
    let in_flight = facts.rollout.in_flight.is_some() && !facts.is_rolled_out();
    let handover_over = memory.parent_since.as_ref().is_some_and(|(digest, since)| {
        *digest == short_digest(facts.map.map.env.as_str()) && now.left(*since, flags.handover).is_none()
    });
    let input = PlanInput {
        map: &facts.map.map,
        management,
        removed: &removed,
        remembered: &remembered,
        targets: &facts.targets,
        argument: flags.argument,
        leaving: facts.leaves(),
        handover_over: flags.plans_final_state || handover_over,
        trigger: match &memory.touched {
            _ if !flags.triggers_stock || facts.is_blind() => Trigger::Forbidden,
            // They would read what is held.
            _ if would_be_written_by_stock(&facts.held, &management.stock_value) => Trigger::Forbidden,
            None => Trigger::First,
            Some(_) => Trigger::Repeated,
        },
        rollout: Counted { in_flight: mark.is_some() && in_flight, mark: mark.as_deref() },
    };
    // The watch of HostedClusters may not have delivered hypermirror's own write yet.
    let annotation = facts.object.annotations().get(annotations::MIRRORS_OBSERVED);
    let touched = memory.touched.as_ref().map(|(value, _)| value).or(annotation);
    plan(&input, touched.map(String::as_str))
}

/// The mark for the writes. `None` without a limit. An incomplete rollout keeps its mark through further edits, so that its
/// timeout and its cause do not change.
fn mark(facts: &ClusterFacts, now: Moment) -> Option<String> {
    if !facts.flags.rollouts.is_on() {
        return None;
    }
    let in_flight = facts.rollout.in_flight.filter(|_| !facts.is_rolled_out());
    let next = || Mark::of(next_mark(facts.rollout.last, now.time), cause(facts));
    Some(in_flight.unwrap_or_else(next).to_string())
}

/// The cause of a rollout that starts now. An owner must not be able to attribute it to the management layer. The removal of
/// the whole fleet is caused by its administrator. A hosted cluster that ignores the management layer causes its own rollouts,
/// and so does one whose management layer did not change.
fn cause(facts: &ClusterFacts) -> Cause {
    let is_settled = facts.memory.settled == Some(facts.fleet.management_revision);
    let is_own = !facts.fleet.leaves && (!facts.settings.use_management || is_settled);
    if is_own { Cause::Own } else { Cause::Management }
}

/// Delays writes of targets whose entry another client repeatedly removes. Returns the time of the next attempt.
fn leave_contested(
    facts: &ClusterFacts,
    contests: &mut Vec<Contest>,
    targets: &mut [Target],
    now: Moment,
) -> Option<Duration> {
    if facts.leaves() {
        contests.clear(); // hypermirror removes the entries itself
        return None;
    }
    contests.resize_with(targets.len(), Default::default);
    let mut again: Option<Duration> = None;
    for (target, contest) in targets.iter_mut().zip(contests) {
        let (Some(plan), Some(observed)) = (&mut target.plan, &target.observed) else { continue };
        if let Some(left) = contest.observe(observed, plan, facts.flags.handover, now.instant) {
            *plan = std::mem::take(plan).contested(observed.last_writer.as_deref());
            again = again.into_iter().chain([left]).min();
        }
    }
    again
}

/// A digest of everything that an edit of mirrors changes.
fn wanted_digest(facts: &ClusterFacts) -> String {
    let map = &facts.map.map;
    let is_strict =
        |(_, source): &(&String, &crate::mirrors::ResolvedSource)| source.policy == Policy::NeverContactSource;
    let strict: Vec<&str> = map.resolved.sources.iter().filter(is_strict).map(|(name, _)| name.as_str()).collect();
    short_digest(&format!("{} {} {}", map.env, strict.join(","), facts.fleet.management.stock_digest))
}

#[cfg(test)]
mod tests;
