//! Annotations that are written before a change. They do not restart pods, and an admission applies them to the next write of
//! another client.

use std::collections::BTreeSet;

use hypermirror_api::annotations;

use super::super::argument::{self, WantedArgument};
use super::super::entries::Entries;
use super::super::known::Known;
use super::super::patch::PatchBuilder;
use super::{PlanInput, TargetPlan, View};

/// The mark, before a rollout of a triggered stock operator.
pub(super) fn mark_ahead(input: &PlanInput<'_>, parent: &View<'_>, plan: &mut TargetPlan) {
    let (mut patch, current) = (PatchBuilder::new(parent.target, parent.container), parent.target.rollout.as_deref());
    patch.annotation(annotations::ROLLOUT, current, input.rollout.mark.or(current));
    let Some(mark) = patch.build() else { return };
    match &mut plan.announce {
        Some(announce) => announce.0.extend(mark.0.last().cloned()), // the patch already has the other operations
        None => plan.announce = Some(mark),
    }
}

/// The next state of one target.
pub(super) struct Next<'a> {
    pub(super) plan: &'a TargetPlan,
    pub(super) argument: &'a WantedArgument,
    /// Entries of stock values that are dropped.
    pub(super) retired: Option<&'a Entries>,
    /// Whether its parent writes it.
    pub(super) child: bool,
}

/// The annotations before the environment variable and the argument.
///
/// There is no value if nothing is appended and the stock operator will write it itself. Nothing is written if the appended
/// variable has an entry of another manager that was removed meanwhile, because it would then count as managed.
pub(super) fn announce(
    input: &PlanInput<'_>,
    known: &Known<'_>,
    view: &View<'_>,
    next: &Next<'_>,
) -> Option<json_patch::Patch> {
    let plan = next.plan;
    if !plan.restarts {
        return None;
    }
    // Entries that are no longer desired must stay identifiable until the environment variable is updated.
    let ours = view.env.ours.and_then(|ours| view.container.env.get(ours)).map(|entry| &entry.value);
    let foreign = plan.foreign.set();
    let gone = |entry: &&str| !input.map.entries.contains(*entry) && !foreign.contains(entry);
    let leaving: Vec<&str> = ours.into_iter().flat_map(Entries::iter).filter(gone).collect();
    if !leaving.iter().all(|entry| known.contains(entry)) {
        return None;
    }
    let (mut patch, target) = (PatchBuilder::new(view.target, view.container), view.target);
    let argument = leaving_arguments(known, view, next.argument);
    let stock_will_have_map = || next_stock_value(input, plan, next.child).is_same_map(&plan.value);
    let value = Some(&plan.value).filter(|_| target.overrides.is_some() || !stock_will_have_map());
    let retired = if value.is_some() { next.retired } else { target.retired.as_ref() };
    let retired = retired.into_iter().flat_map(Entries::iter);
    let retired: BTreeSet<&str> = retired.chain(leaving).chain(argument.iter().flatten().copied()).collect();
    let retired: Entries = retired.into_iter().collect();
    patch.memory(value, Some(&retired).filter(|retired| !retired.is_empty()));
    if argument.is_some() {
        patch.argument_memory(next.argument.value.as_ref());
    }
    patch.build()
}

/// The pairs of the current arguments that the next one does not have. The annotations keep them until it is written. `None` if
/// one of them now belongs to another manager.
fn leaving_arguments<'v>(known: &Known<'_>, view: &View<'v>, next: &WantedArgument) -> Option<Vec<&'v str>> {
    let stays = next.value.as_ref().map(Entries::set).unwrap_or_default();
    let ours = argument::appended(view.target, view.container);
    let leaving: Vec<&str> =
        ours.into_iter().flat_map(|entry| entry.value.iter()).filter(|entry| !stays.contains(entry)).collect();
    leaving.iter().all(|entry| known.contains(entry)).then_some(leaving)
}

/// The next value of the stock operator: the management mirrors on the parent, or the sorted value of the parent on a child.
fn next_stock_value(input: &PlanInput<'_>, plan: &TargetPlan, child: bool) -> Entries {
    if child {
        let mut sorted: Vec<&str> = plan.value.iter().collect();
        sorted.sort_unstable();
        return sorted.into_iter().collect();
    }
    input.management.stock_value.iter().chain(plan.foreign.iter()).collect()
}
