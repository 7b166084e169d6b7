//! What is written ahead of a change, in annotations alone: it restarts nothing, and an admission gives it to whoever writes
//! the Deployment next.

use std::collections::{BTreeSet, HashSet};

use hypermirror_api::annotations;

use super::super::argument::{self, WantedArgument};
use super::super::known::{Known, entries};
use super::super::patch::PatchBuilder;
use super::super::value;
use super::{PlanInput, TargetPlan, View};

/// The mark, ahead of a rollout that a stock operator is asked for: it goes with what is announced.
pub(super) fn mark_ahead(input: &PlanInput<'_>, parent: &View<'_>, plan: &mut TargetPlan) {
    let (mut patch, current) = (PatchBuilder::new(parent.target, parent.container), parent.target.rollout.as_deref());
    patch.annotation(annotations::ROLLOUT, current, input.rollout.mark.or(current));
    let Some(mark) = patch.build() else { return };
    match &mut plan.announce {
        Some(announce) => announce.0.extend(mark.0.last().cloned()), // the other operations are there already
        None => plan.announce = Some(mark),
    }
}

/// What one target says next.
pub(super) struct Next<'a> {
    pub(super) plan: &'a TargetPlan,
    pub(super) argument: &'a WantedArgument,
    /// Entries of stock values that are left out.
    pub(super) retired: Option<&'a str>,
    /// Its parent writes it.
    pub(super) child: bool,
}

/// The annotations ahead of the env var and of the argument.
///
/// No value where nothing of ours is there and the stock operator is about to say it itself; nothing at all where our env
/// var repeats an entry of somebody else's that its owner took back meanwhile: it would be remembered as ours.
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
    // What our own env var still says and is no longer wanted must stay recognisable until the env var follows.
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

/// The pairs of our present arguments that the next one does not say; they are told by the annotations until it is there.
/// None where one of them is somebody else's by now.
fn leaving_arguments<'v>(known: &Known<'_>, view: &View<'v>, next: &WantedArgument) -> Option<Vec<&'v str>> {
    let stays: HashSet<&str> = entries(next.value.as_deref().unwrap_or_default()).collect();
    let ours = argument::appended(view.target, view.container);
    let leaving: Vec<&str> =
        ours.into_iter().flat_map(|entry| entries(&entry.value)).filter(|entry| !stays.contains(entry)).collect();
    leaving.iter().all(|entry| known.contains(entry)).then_some(leaving)
}

/// What the stock operator will write next: the management mirrors on the parent, the parent's value, sorted, on a child.
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
