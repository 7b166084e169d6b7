//! The plan for one hosted cluster: what each target carries, what has to change, and in which order.

mod ahead;
mod planned;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use hypermirror_api::{Reason, annotations};

use self::ahead::{announce, mark_ahead};
use super::argument::{self, ArgumentMode};
use super::known::{EntrySet, Known, entries};
use super::observed::{ObservedContainer, ObservedTarget};
use super::patch::PatchBuilder;
use super::sources::{ManagementLayer, OverrideMap, fits};
use super::target::TargetSpec;
use super::value::{self, EnvView};
use crate::digest::short_digest;

pub use planned::{Plan, Target, TargetPlan};

/// Everything that the plan for one hosted cluster depends on.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// The map that is wanted.
    pub map: &'a OverrideMap,
    /// The management layer that is in force.
    pub management: &'a ManagementLayer,
    /// Entries that left the map while this process ran.
    pub departed: &'a EntrySet,
    /// Entries that annotations and the report remember as ours (see [`value::remembered`]).
    pub remembered: &'a EntrySet,
    /// The targets, the parent first; plans of them are passed over.
    pub targets: &'a [Target],
    /// What goes into `--registry-overrides`.
    pub argument: ArgumentMode,
    /// Take away what is ours: the hosted cluster is no longer in our care.
    pub leaving: bool,
    /// The children have had their time to get our entries from the parent.
    pub handover_over: bool,
    /// Whether stock operators may be asked to read the mirrors again; not while they would find less than there was.
    pub may_touch: bool,
    /// How the rollout budget counts what is written now.
    pub rollout: Counted<'a>,
}

/// How the rollout budget counts what is written now; the default where it is off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted<'a> {
    /// What each write that restarts something leaves in the annotation `hypermirror.dev/rollout`.
    pub mark: Option<&'a str>,
    /// An earlier one is not back yet: its mark stays.
    pub in_flight: bool,
}

/// Plans one hosted cluster. `mirrors_observed` is the annotation of that name on the HostedCluster.
pub fn plan(input: &PlanInput<'_>, mirrors_observed: Option<&str>) -> Plan {
    let known = Known {
        management: &input.management.explained,
        wanted: &input.map.entries,
        departed: input.departed,
        remembered: input.remembered,
    };
    let views: Vec<Option<View<'_>>> = input.targets.iter().map(|target| view(target, &known)).collect();
    let stock_values = views.iter().flatten().filter_map(|view| view.env.stock);
    let retired = value::retired(stock_values, &known);
    let parent = views.first().and_then(Option::as_ref);
    let parent_managed = parent.is_some_and(|parent| parent.target.stock_managed);
    let asks = parent_managed && !input.leaving && input.may_touch;
    let printed = parent.filter(|_| asks).map(|parent| parent.env.stock.unwrap_or(value::EMPTY));
    let stock_is_behind = printed.is_some_and(|printed| is_behind(input, printed));
    let touch = printed.and_then(|printed| touch(input, printed, stock_is_behind, mirrors_observed));
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

/// Whether the parent's operator, if it is a stock one, has printed something else than the present mirrors of the
/// management cluster. It reads them only when its HostedCluster changes.
fn is_behind(input: &PlanInput<'_>, printed: &str) -> bool {
    let prints = input.management.stock_value.as_str();
    let set = |value| entries(value).collect::<BTreeSet<_>>();
    prints != printed && set(prints) != set(printed)
}

/// The value that asks it to read them: a digest of the mirrors, and one of what it had printed when it was asked. Asked
/// for each state of the mirrors, and once more for each other answer: it may have read them at a moment that nobody saw.
fn touch(input: &PlanInput<'_>, printed: &str, behind: bool, mirrors_observed: Option<&str>) -> Option<String> {
    let digest = &input.management.stock_digest;
    let value = || Some(format!("{digest}-{}", short_digest(printed)));
    let Some(asked) = mirrors_observed else {
        let never_anything = input.management.stock_value == value::EMPTY && !behind;
        return if never_anything { None } else { value() };
    };
    let same_mirrors = asked.split('-').next() == Some(digest);
    if same_mirrors && !behind { None } else { value().filter(|value| value != asked) }
}

/// Takes away what is ours and nothing else.
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
    patch.annotation(annotations::APPENDED_ARGUMENT, view.target.argument.as_deref(), None);
    // The mark is the last to go: as long as it counts, this one does.
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

fn plan_target(input: &PlanInput<'_>, known: &Known<'_>, view: &View<'_>, retired: &str, child: bool) -> TargetPlan {
    let wanted = value::wanted_value(&input.map.env, view.env.stock, known);
    let carries = view.env.ours.is_some() || argument::ours(view.target, view.container).is_some();
    let admitted = view.target.overrides.as_deref().unwrap_or_default();
    let mut plan = TargetPlan {
        value: wanted.value,
        foreign: wanted.foreign,
        admitted_foreign: known.foreign(admitted).join(","),
        carries,
        ..TargetPlan::default()
    };
    if !fits(&plan.value) {
        plan.reason = Some(Reason::ValueTooLarge);
        plan.message = format!(
            "the override map has {} bytes and was not written: the limit for an environment variable and its name \
             is {}",
            plan.value.len(),
            super::sources::MAX_VALUE_BYTES
        );
        return plan;
    }
    let argument = argument::wanted(input.argument, view.spec, &input.map.resolved, view.target, view.container);
    note_left_out(&mut plan, &argument);
    let mut patch = PatchBuilder::new(view.target, view.container);
    let env = plan_env(&mut patch, input, view, &plan.value);
    let argument_changes = plan_argument(&mut patch, view, &argument);
    let retired = Some(retired).filter(|retired| env.kept && !retired.is_empty());
    patch.memory(env.kept.then_some(plan.value.as_str()).map(|value| env.keeps(view, value)), retired);
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
    plan.restores = plan.restarts && restores(view, &plan, &env, argument.value.as_deref());
    if let Some(mark) = input.rollout.mark.filter(|_| plan.restarts && !plan.restores) {
        patch.annotation(annotations::ROLLOUT, view.target.rollout.as_deref(), Some(mark));
    }
    plan.patch = patch.build();
    plan
}

/// The annotations say what is wanted, what is ours is gone, and the change that took it is being rolled out: ours joins that
/// rollout, as an admission would have had it, and the rollout budget does not count it.
fn restores(view: &View<'_>, plan: &TargetPlan, env: &EnvChange, argument: Option<&str>) -> bool {
    let remembered = view.target.overrides.as_deref().filter(|_| view.env.ours.is_none());
    let is_remembered = remembered.is_some_and(|value| value::says(Some(value), &plan.value));
    let ours = argument::ours(view.target, view.container).map(|entry| &*entry.value);
    let argument_is_remembered = view.target.argument.as_deref() == argument && (ours.is_none() || ours == argument);
    (is_remembered || !env.changes) && argument_is_remembered && !view.target.rolled_out
}

/// What happens to our env var.
struct EnvChange {
    /// The pod template changes.
    changes: bool,
    /// Our env var is there afterwards.
    kept: bool,
}

impl EnvChange {
    /// The text of the annotation: that of the env var, also where an older text with the same meaning stays.
    fn keeps<'v>(&self, view: &View<'v>, value: &'v str) -> &'v str {
        let ours = view.env.ours.and_then(|ours| view.container.env.get(ours));
        ours.filter(|_| !self.changes).map_or(value, |entry| &entry.value)
    }
}

fn plan_env(patch: &mut PatchBuilder<'_>, input: &PlanInput<'_>, view: &View<'_>, wanted: &str) -> EnvChange {
    let stock_says = value::says(view.env.stock, wanted);
    let Some((place, ours)) = view.env.ours.and_then(|place| Some((place, view.container.env.get(place)?))) else {
        if !stock_says {
            patch.append_env(wanted);
        }
        return EnvChange { changes: !stock_says, kept: !stock_says };
    };
    if stock_says && input.map.entries.is_empty() {
        patch.remove_env(ours);
        return EnvChange { changes: true, kept: false };
    }
    if place + 1 < view.container.env.len() {
        // Somebody appended after ours: the last one counts.
        patch.remove_env(ours).append_env(wanted);
        return EnvChange { changes: true, kept: true };
    }
    let says = value::says(Some(&ours.value), wanted);
    if !says {
        patch.replace_env(ours, wanted);
    }
    EnvChange { changes: !says, kept: true }
}

fn plan_argument(patch: &mut PatchBuilder<'_>, view: &View<'_>, wanted: &argument::WantedArgument) -> bool {
    let ours = argument::appended(view.target, view.container);
    let same = ours.iter().map(|entry| &*entry.value).eq(wanted.value.as_deref());
    if !same {
        for entry in ours.into_iter().rev() {
            patch.remove_argument(entry);
        }
        if let Some(value) = &wanted.value {
            patch.append_argument(argument::form(view.spec, view.container), value);
        }
    }
    let annotation = view.target.argument.as_deref();
    patch.annotation(annotations::APPENDED_ARGUMENT, annotation, wanted.value.as_deref());
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

/// Whether a child's stock value already comes from the parent's present value: it names what is wanted and no other
/// entry of ours. Then only the order can differ, and no further change is on its way.
fn handed_over(view: &View<'_>, known: &Known<'_>) -> bool {
    let stock: HashSet<&str> = entries(view.env.stock.unwrap_or_default()).collect();
    let ours = stock.iter().filter(|entry| known.contains(entry));
    ours.clone().all(|entry| known.wanted.contains(*entry)) && ours.count() == known.wanted.len()
}

#[cfg(test)]
mod tests;
