//! Annotations that are written before a change. They do not restart pods, and an admission applies them to the next write of
//! another client.

use std::collections::{BTreeSet, HashSet};

use hypermirror_api::annotations;

use super::super::argument::{self, WantedArgument};
use super::super::known::{Known, entries};
use super::super::patch::PatchBuilder;
use super::super::value;
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
    pub(super) retired: Option<&'a str>,
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
    let ours = view.env.ours.and_then(|ours| view.container.env.get(ours)).map(|entry| &*entry.value);
    let foreign: HashSet<&str> = entries(&plan.foreign).collect();
    let gone = |entry: &&str| !input.map.entries.contains(*entry) && !foreign.contains(entry);
    let leaving: Vec<&str> = entries(ours.unwrap_or_default()).filter(gone).collect();
    if !leaving.iter().all(|entry| known.contains(entry)) {
        return None;
    }
    let (mut patch, target) = (PatchBuilder::new(view.target, view.container), view.target);
    let argument = leaving_arguments(known, view, next.argument);
    let stock_will_say = || value::says(Some(&next_stock_value(input, plan, next.child)), &plan.value);
    let value = Some(plan.value.as_str()).filter(|_| target.overrides.is_some() || !stock_will_say());
    let retired = if value.is_some() { next.retired } else { target.retired.as_deref() };
    let retired: BTreeSet<&str> =
        entries(retired.unwrap_or_default()).chain(leaving).chain(argument.iter().flatten().copied()).collect();
    let retired = retired.into_iter().collect::<Vec<_>>().join(",");
    patch.memory(value, Some(retired.as_str()).filter(|retired| !retired.is_empty()));
    if argument.is_some() {
        patch.annotation(annotations::APPENDED_ARGUMENT, target.argument.as_deref(), next.argument.value.as_deref());
    }
    patch.build()
}

/// The pairs of the current arguments that the next one does not have. The annotations keep them until it is written. `None` if
/// one of them now belongs to another manager.
fn leaving_arguments<'v>(known: &Known<'_>, view: &View<'v>, next: &WantedArgument) -> Option<Vec<&'v str>> {
    let stays: HashSet<&str> = entries(next.value.as_deref().unwrap_or_default()).collect();
    let ours = argument::appended(view.target, view.container);
    let leaving: Vec<&str> =
        ours.into_iter().flat_map(|entry| entries(&entry.value)).filter(|entry| !stays.contains(entry)).collect();
    leaving.iter().all(|entry| known.contains(entry)).then_some(leaving)
}

/// The next value of the stock operator: the management mirrors on the parent, or the sorted value of the parent on a child.
fn next_stock_value(input: &PlanInput<'_>, plan: &TargetPlan, child: bool) -> String {
    if child {
        let mut sorted: Vec<&str> = entries(&plan.value).collect();
        sorted.sort_unstable();
        return sorted.join(",");
    }
    match plan.foreign.as_str() {
        "" => input.management.stock_value.clone(),
        foreign => format!("{},{foreign}", input.management.stock_value),
    }
}
