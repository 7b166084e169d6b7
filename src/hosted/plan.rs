//! Plans the changes of all targets of one hosted cluster, and their order.

mod ahead;
mod planned;

use std::sync::Arc;

use hypermirror_api::{Reason, annotations};

use self::ahead::{announce, mark_ahead};
use super::argument::{self, ArgumentMode};
use super::entries::Entries;
use super::known::{EntrySet, Known};
use super::observed::{ObservedContainer, ObservedTarget};
use super::patch::PatchBuilder;
use super::sources::{ManagementLayer, OverrideMap, fits};
use super::target::TargetSpec;
use super::value::{self, EnvView};
use crate::digest::short_digest;
use crate::mirrors::overrides::EMPTY;

pub use planned::{Plan, Target, TargetPlan};

/// The input of a plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// The desired map.
    pub map: &'a OverrideMap,
    /// The current management layer.
    pub management: &'a ManagementLayer,
    /// Entries that were removed from the map while this process ran.
    pub removed: &'a EntrySet,
    /// Managed entries in annotations and the report (see [`value::remembered`]).
    pub remembered: &'a EntrySet,
    /// The targets, the parent first; plans of them are passed over.
    pub targets: &'a [Target],
    /// The sources in `--registry-overrides`.
    pub argument: ArgumentMode,
    /// Whether to remove all entries, because the hosted cluster is no longer managed.
    pub leaving: bool,
    /// Whether the time for the children to get the entries from the parent is over.
    pub handover_over: bool,
    /// Whether stock operators may be triggered.
    pub trigger: Trigger,
    /// How writes count in the rollout budget.
    pub rollout: Counted<'a>,
}

/// Whether stock operators may be triggered to read the mirrors again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// They must not: they would read fewer mirrors than before.
    Forbidden,
    /// They may, and this process has not triggered them yet: nobody knows which mirrors they read when they last were.
    First,
    /// They may, and this process has triggered them before.
    Repeated,
}

/// How writes count in the rollout budget. The default if there is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted<'a> {
    /// The value of the annotation `hypermirror.dev/rollout` for writes that restart pods.
    pub mark: Option<&'a str>,
    /// Whether an earlier rollout is in flight, so that its mark is kept.
    pub in_flight: bool,
}

/// Plans one hosted cluster. `mirrors_observed` is the annotation of that name on the HostedCluster.
pub fn plan(input: &PlanInput<'_>, mirrors_observed: Option<&str>) -> Plan {
    let known = Known {
        management: &input.management.explained,
        wanted: &input.map.entries,
        removed: input.removed,
        remembered: input.remembered,
    };
    let views: Vec<Option<View<'_>>> = input.targets.iter().map(|target| view(target, &known)).collect();
    let stock_values = views.iter().flatten().filter_map(|view| view.env.stock);
    let retired = value::retired(stock_values, &known);
    let parent = views.first().and_then(Option::as_ref);
    let parent_managed = parent.is_some_and(|parent| parent.target.stock_managed);
    let triggers = parent_managed && !input.leaving && input.trigger != Trigger::Forbidden;
    let printed =
        parent.filter(|_| triggers).map(|parent| parent.env.stock.cloned().unwrap_or_else(|| Entries::from(EMPTY)));
    let stock_is_behind = printed.as_ref().is_some_and(|printed| is_behind(input, printed));
    let touch = printed.and_then(|printed| touch(input, &printed, stock_is_behind, mirrors_observed));
    let plan_one = |place: usize, view: &View<'_>| {
        let child = place > 0 && parent_managed && view.target.stock_managed;
        if input.leaving { leave(input, view) } else { plan_target(input, &known, view, &retired, child) }
    };
    let targets = input.targets.iter().zip(&views).enumerate().map(|(place, (target, view))| {
        let plan = match view {
            Some(view) => Some(plan_one(place, view)),
            None => target.observed.as_ref().map(|_| container_missing()),
        };
        Target { plan, ..Target::new(Arc::clone(&target.spec), target.observed.clone()) }
    });
    let mut targets: Vec<Target> = targets.collect();
    let first = targets.first_mut().and_then(|target| target.plan.as_mut());
    if let (Some(plan), Some(parent), true) = (first, parent, stock_is_behind) {
        mark_ahead(input, parent, plan);
    }
    Plan { targets, stock_is_behind, touch }
}

/// One existing target with its container.
struct View<'a> {
    spec: &'a TargetSpec,
    target: &'a ObservedTarget,
    container: &'a ObservedContainer,
    env: EnvView<'a>,
}

fn view<'a>(target: &'a Target, known: &Known<'_>) -> Option<View<'a>> {
    let observed = target.observed.as_deref()?;
    let container = observed.container.as_ref()?;
    Some(View { spec: &target.spec, target: observed, container, env: value::env_view(observed, container, known) })
}

fn container_missing() -> TargetPlan {
    TargetPlan {
        reason: Some(Reason::ContainerMissing),
        message: "no container has the expected name; nothing was written".to_owned(),
        ..TargetPlan::default()
    }
}

/// Whether the stock operator of the parent has not read the current mirrors of the management cluster. It reads them only when
/// its HostedCluster changes.
fn is_behind(input: &PlanInput<'_>, printed: &Entries) -> bool {
    let current = &input.management.stock_value;
    current != printed && current.set() != printed.set()
}

/// The value that triggers it: a digest of the mirrors, and one of its value at that time. It is triggered for each state of the
/// mirrors, and again after each change of its value, because it may have read them before the last change. A manager that has
/// just become the leader triggers it once more if its value has entries that the mirrors no longer have: it may have read them while
/// they were different for a moment.
fn touch(input: &PlanInput<'_>, printed: &Entries, behind: bool, mirrors_observed: Option<&str>) -> Option<String> {
    let digest = &input.management.stock_digest;
    let value = format!("{digest}-{}", short_digest(printed.as_str()));
    let Some(observed) = mirrors_observed else {
        let never_anything = input.management.stock_value.is_empty() && !behind;
        return (!never_anything).then_some(value);
    };
    if !behind && observed.split('-').next() == Some(digest) {
        return None;
    }
    let has_removed = || {
        let current = input.management.stock_value.set();
        printed.iter().any(|entry| !current.contains(entry))
    };
    let (repeated, is_first) = (format!("{value}-repeated"), input.trigger == Trigger::First && has_removed());
    if observed == value { is_first.then_some(repeated) } else { (is_first || observed != repeated).then_some(value) }
}

/// Plans the removal of all appended values.
fn leave(input: &PlanInput<'_>, view: &View<'_>) -> TargetPlan {
    let mut patch = PatchBuilder::new(view.target, view.container);
    let mut restarts = false;
    if let Some(entry) = view.env.ours.and_then(|ours| view.container.env.get(ours)) {
        patch.remove_env(entry);
        restarts = true;
    }
    for entry in argument::appended(view.target, view.container).into_iter().rev() {
        patch.remove_argument(entry);
        restarts = true;
    }
    patch.memory(None, None);
    patch.argument_memory(None);
    // The mark is removed last, because it identifies the rollout in flight.
    let mark = view.target.rollout.as_deref();
    let counts = if restarts { input.rollout.mark } else { mark.filter(|_| input.rollout.in_flight) };
    patch.annotation(annotations::ROLLOUT, mark, counts);
    let mut plan = TargetPlan { restarts, patch: patch.build(), ..TargetPlan::default() };
    if plan.patch.is_none() && counts.is_some() {
        plan.reason = Some(Reason::Leaving);
        "waiting for the rollout without the removed entries".clone_into(&mut plan.message);
    }
    plan.up_to_date = plan.patch.is_none() && plan.reason.is_none();
    plan
}

fn too_large(plan: TargetPlan) -> TargetPlan {
    let message = format!(
        "the override map has {} bytes and was not written: the limit for an environment variable and its name is {}",
        plan.value.as_str().len(),
        super::sources::MAX_VALUE_BYTES
    );
    TargetPlan { reason: Some(Reason::ValueTooLarge), message, ..plan }
}

fn plan_target(
    input: &PlanInput<'_>,
    known: &Known<'_>,
    view: &View<'_>,
    retired: &Entries,
    child: bool,
) -> TargetPlan {
    let wanted = value::wanted_value(&input.map.env, view.env.stock, known);
    let carries = view.env.ours.is_some() || argument::ours(view.target, view.container).is_some();
    let mut plan = TargetPlan {
        value: wanted.value,
        foreign: wanted.foreign,
        annotated_foreign: view
            .target
            .overrides
            .as_ref()
            .map(|annotation| known.foreign(annotation))
            .unwrap_or_default(),
        carries,
        ..TargetPlan::default()
    };
    if !fits(&plan.value) {
        return too_large(plan);
    }
    let argument = argument::wanted(input.argument, view.spec, &input.map.resolved, view.target, view.container);
    note_left_out(&mut plan, &argument);
    let mut patch = PatchBuilder::new(view.target, view.container);
    let env = plan_env(&mut patch, input, view, &plan.value);
    let argument_changes = plan_argument(&mut patch, view, &argument);
    let retired = Some(retired).filter(|retired| env.kept && !retired.is_empty());
    patch.memory(env.kept.then_some(&plan.value).map(|value| env.keeps(view, value)), retired);
    plan.restarts = env.changes || argument_changes;
    plan.keeps = env.kept || argument.value.is_some();
    plan.up_to_date = !plan.restarts;
    plan.announce = announce(input, known, view, &ahead::Next { plan: &plan, argument: &argument, retired, child });
    if child && plan.restarts && !input.handover_over && !handed_over(view, known) {
        plan.waits_for_parent = true;
        plan.restarts = false;
        plan.patch.clone_from(&plan.announce);
        plan.reason = Some(Reason::Updating);
        "waiting for its parent to pass on the entries".clone_into(&mut plan.message);
        return plan;
    }
    plan.restores = plan.restarts && restores(view, &plan, &env, argument.value.as_ref());
    if let Some(mark) = input.rollout.mark.filter(|_| plan.restarts && !plan.restores) {
        patch.annotation(annotations::ROLLOUT, view.target.rollout.as_deref(), Some(mark));
    }
    plan.patch = patch.build();
    plan
}

/// Whether a write only restores removed entries: the annotations are up to date, and the change that removed the entries is
/// rolling out. The write joins that rollout, as with an admission, and does not count in the rollout budget.
fn restores(view: &View<'_>, plan: &TargetPlan, env: &EnvChange, argument: Option<&Entries>) -> bool {
    let remembered = view.target.overrides.as_ref().filter(|_| view.env.ours.is_none());
    let is_remembered = remembered.is_some_and(|value| value.is_same_map(&plan.value));
    let ours = argument::ours(view.target, view.container).map(|entry| &entry.value);
    let argument_is_remembered = view.target.argument.as_ref() == argument && (ours.is_none() || ours == argument);
    (is_remembered || !env.changes) && argument_is_remembered && !view.target.rolled_out
}

/// The change of the environment variable.
struct EnvChange {
    /// The pod template changes.
    changes: bool,
    /// Whether the appended variable exists afterwards.
    kept: bool,
}

impl EnvChange {
    /// The text of the annotation: that of the environment variable, even if an older equivalent text is kept.
    fn keeps<'v>(&self, view: &View<'v>, value: &'v Entries) -> &'v Entries {
        let ours = view.env.ours.and_then(|ours| view.container.env.get(ours));
        ours.filter(|_| !self.changes).map_or(value, |entry| &entry.value)
    }
}

fn plan_env(patch: &mut PatchBuilder<'_>, input: &PlanInput<'_>, view: &View<'_>, wanted: &Entries) -> EnvChange {
    let stock_has_map = value::has_map(view.env.stock, wanted);
    let Some((place, ours)) = view.env.ours.and_then(|place| Some((place, view.container.env.get(place)?))) else {
        if !stock_has_map {
            patch.append_env(wanted);
        }
        return EnvChange { changes: !stock_has_map, kept: !stock_has_map };
    };
    if stock_has_map && input.map.entries.is_empty() {
        patch.remove_env(ours);
        return EnvChange { changes: true, kept: false };
    }
    if place + 1 < view.container.env.len() {
        // Another client has appended a variable after it, and the last one applies.
        patch.remove_env(ours).append_env(wanted);
        return EnvChange { changes: true, kept: true };
    }
    let has_map = ours.value.is_same_map(wanted);
    if !has_map {
        patch.replace_env(ours, wanted);
    }
    EnvChange { changes: !has_map, kept: true }
}

fn plan_argument(patch: &mut PatchBuilder<'_>, view: &View<'_>, wanted: &argument::WantedArgument) -> bool {
    let ours = argument::appended(view.target, view.container);
    let same = ours.iter().map(|entry| &entry.value).eq(wanted.value.as_ref());
    if !same {
        for entry in ours.into_iter().rev() {
            patch.remove_argument(entry);
        }
        if let Some(value) = &wanted.value {
            patch.append_argument(argument::form(view.spec, view.container), value);
        }
    }
    patch.argument_memory(wanted.value.as_ref());
    !same
}

fn note_left_out(plan: &mut TargetPlan, argument: &argument::WantedArgument) {
    let mut notes = Vec::new();
    if !argument.taken.is_empty() {
        notes.push(format!("the stock --registry-overrides already has {}", argument.taken.join(", ")));
    }
    if !argument.wildcards.is_empty() {
        notes.push(format!("--registry-overrides cannot represent {}", argument.wildcards.join(", ")));
    }
    if !notes.is_empty() {
        plan.reason = Some(Reason::SourceTaken);
        plan.message = notes.join("; ");
    }
}

/// Whether a child's stock value is already derived from the parent's current value: it has all desired and no other managed
/// entries. Only the order can then differ, and no further change is pending.
fn handed_over(view: &View<'_>, known: &Known<'_>) -> bool {
    let stock = view.env.stock.map(Entries::set).unwrap_or_default();
    let ours = stock.iter().filter(|entry| known.contains(entry));
    ours.clone().all(|entry| known.wanted.contains(*entry)) && ours.count() == known.wanted.len()
}

#[cfg(test)]
mod tests;
