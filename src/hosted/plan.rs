//! The plan for one hosted cluster: what each target carries, what has to change, and in which order.

mod ahead;

use std::collections::{BTreeSet, HashSet};

use hypermirror_api::{Reason, annotations};

use self::ahead::{announce, mark_ahead};
use super::argument::{self, ArgumentMode};
use super::known::{EntrySet, Known, entries};
use super::observed::{ObservedContainer, ObservedTarget, short_digest};
use super::patch::PatchBuilder;
use super::sources::{ManagementLayer, OverrideMap, fits};
use super::target::TargetSpec;
use super::value::{self, EnvView};

/// Everything that the plan for one hosted cluster depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The map that is wanted.
    pub map: &'a OverrideMap,
    /// The management layer that is in force.
    pub management: &'a ManagementLayer,
    /// Entries that left the map while this process ran.
    pub departed: &'a EntrySet,
    /// Entries that annotations and the report remember as ours (see [`value::remembered`]).
    pub remembered: &'a EntrySet,
    /// The targets, the parent first, and what is there of each.
    pub targets: &'a [(&'a TargetSpec, Option<&'a ObservedTarget>)],
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

/// What to do with one target.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // independent facts, each read by itself
pub struct TargetPlan {
    /// Whether its process is told exactly what is wanted.
    pub up_to_date: bool,
    /// The whole change; none if nothing has to change, or not now.
    pub patch: Option<json_patch::Patch>,
    /// The annotations alone, ahead of the change: they restart nothing.
    pub announce: Option<json_patch::Patch>,
    /// Whether the patch changes the pod template.
    pub restarts: bool,
    /// Whether it only puts back what somebody's change has taken, in the rollout of that change; see [`restores`].
    pub restores: bool,
    /// Whether our env var or argument is there now.
    pub carries: bool,
    /// Whether one of them is there once the patch is written.
    pub keeps: bool,
    /// It waits for its parent's entries.
    pub waits_for_parent: bool,
    /// Why it is not up to date, or what is worth knowing although it is.
    pub reason: Option<Reason>,
    /// The same for a person.
    pub message: String,
    /// The value that it should carry.
    pub value: String,
    /// Entries of the stock value that are somebody else's.
    pub foreign: String,
    /// Entries of the annotation that stands now that are somebody else's: what a report has to say about it.
    pub admitted_foreign: String,
}

/// The plan for one hosted cluster.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// One for each target of the facts, in their order; none where it does not exist.
    pub targets: Vec<Option<TargetPlan>>,
    /// Whether a stock operator has not read the present mirrors of the management cluster yet.
    pub stock_is_behind: bool,
    /// Whether it should be asked to read them, and the value that asks it to.
    pub touch: Option<String>,
}

impl Plan {
    /// Whether anything has to be written now.
    pub fn writes(&self) -> bool {
        self.touch.is_some() || self.targets.iter().flatten().any(|target| target.patch.is_some())
    }

    /// Whether pods restart by what has to be written now: by our patches, or by those of stock operators that we ask.
    pub fn restarts(&self) -> bool {
        let asks = self.touch.is_some() && self.stock_is_behind;
        asks || self
            .targets
            .iter()
            .flatten()
            .any(|target| target.restarts && !target.restores && target.patch.is_some())
    }

    /// Whether children are still to change, once their parent has handed its entries on.
    pub fn waits_for_parent(&self) -> bool {
        self.targets.iter().flatten().any(|target| target.waits_for_parent)
    }
}

/// Plans one hosted cluster. `mirrors_observed` is the annotation of that name on the HostedCluster.
pub fn plan(facts: &Facts<'_>, mirrors_observed: Option<&str>) -> Plan {
    let known = Known {
        management: &facts.management.explained,
        wanted: &facts.map.entries,
        departed: facts.departed,
        remembered: facts.remembered,
    };
    let views: Vec<Option<View<'_>>> = facts.targets.iter().map(|(spec, target)| view(spec, *target, &known)).collect();
    let stock_values = views.iter().flatten().filter_map(|view| view.env.stock);
    let retired = value::retired(stock_values, &known);
    let parent = views.first().and_then(Option::as_ref);
    let parent_managed = parent.is_some_and(|parent| parent.target.stock_managed);
    let asks = parent_managed && !facts.leaving && facts.may_touch;
    let printed = parent.filter(|_| asks).map(|parent| parent.env.stock.unwrap_or(value::EMPTY));
    let stock_is_behind = printed.is_some_and(|printed| is_behind(facts, printed));
    let touch = printed.and_then(|printed| touch(facts, printed, stock_is_behind, mirrors_observed));
    let targets = facts.targets.iter().zip(&views).enumerate().map(|(place, ((_, target), view))| {
        let Some(view) = view else { return target.map(|_| container_missing()) };
        let child = place > 0 && parent_managed && view.target.stock_managed;
        Some(if facts.leaving { leave(facts, view) } else { plan_target(facts, &known, view, &retired, child) })
    });
    let mut targets: Vec<Option<TargetPlan>> = targets.collect();
    if let (Some(Some(plan)), Some(parent), true) = (targets.first_mut(), parent, stock_is_behind) {
        mark_ahead(facts, parent, plan);
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

fn view<'a>(spec: &'a TargetSpec, target: Option<&'a ObservedTarget>, known: &Known<'_>) -> Option<View<'a>> {
    let target = target?;
    let container = target.container.as_ref()?;
    Some(View { spec, target, container, env: value::env_view(target, container, known) })
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
fn is_behind(facts: &Facts<'_>, printed: &str) -> bool {
    let prints = facts.management.stock_value.as_str();
    let set = |value| entries(value).collect::<BTreeSet<_>>();
    prints != printed && set(prints) != set(printed)
}

/// The value that asks it to read them: a digest of the mirrors, and one of what it had printed when it was asked. Asked
/// for each state of the mirrors, and once more for each other answer: it may have read them at a moment that nobody saw.
fn touch(facts: &Facts<'_>, printed: &str, behind: bool, mirrors_observed: Option<&str>) -> Option<String> {
    let digest = &facts.management.stock_digest;
    let value = || Some(format!("{digest}-{}", short_digest(printed)));
    let Some(asked) = mirrors_observed else {
        let never_anything = facts.management.stock_value == value::EMPTY && !behind;
        return if never_anything { None } else { value() };
    };
    let same_mirrors = asked.split('-').next() == Some(digest);
    if same_mirrors && !behind { None } else { value().filter(|value| value != asked) }
}

/// Takes away what is ours and nothing else.
fn leave(facts: &Facts<'_>, view: &View<'_>) -> TargetPlan {
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
    let counts = if restarts { facts.rollout.mark } else { mark.filter(|_| facts.rollout.in_flight) };
    patch.annotation(annotations::ROLLOUT, mark, counts);
    let mut plan = TargetPlan { restarts, patch: patch.build(), ..TargetPlan::default() };
    if plan.patch.is_none() && counts.is_some() {
        plan.reason = Some(Reason::Leaving);
        "waiting for the rollout without the removed entries".clone_into(&mut plan.message);
    }
    plan.up_to_date = plan.patch.is_none() && plan.reason.is_none();
    plan
}

fn plan_target(facts: &Facts<'_>, known: &Known<'_>, view: &View<'_>, retired: &str, child: bool) -> TargetPlan {
    let wanted = value::wanted_value(&facts.map.env, view.env.stock, known);
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
    let argument = argument::wanted(facts.argument, view.spec, &facts.map.resolved, view.target, view.container);
    note_left_out(&mut plan, &argument);
    let mut patch = PatchBuilder::new(view.target, view.container);
    let env = plan_env(&mut patch, facts, view, &plan.value);
    let argument_changes = plan_argument(&mut patch, view, &argument);
    let retired = Some(retired).filter(|retired| env.kept && !retired.is_empty());
    patch.memory(env.kept.then_some(plan.value.as_str()).map(|value| env.keeps(view, value)), retired);
    plan.restarts = env.changes || argument_changes;
    plan.keeps = env.kept || argument.value.is_some();
    plan.up_to_date = !plan.restarts;
    plan.announce = announce(facts, known, view, &ahead::Next { plan: &plan, argument: &argument, retired, child });
    if child && plan.restarts && !facts.handover_over && !handed_over(view, known) {
        plan.waits_for_parent = true;
        plan.restarts = false;
        plan.patch.clone_from(&plan.announce);
        plan.reason = Some(Reason::Updating);
        "waiting for its parent to pass on the entries".clone_into(&mut plan.message);
        return plan;
    }
    plan.restores = plan.restarts && restores(view, &plan, &env, argument.value.as_deref());
    if let Some(mark) = facts.rollout.mark.filter(|_| plan.restarts && !plan.restores) {
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

fn plan_env(patch: &mut PatchBuilder<'_>, facts: &Facts<'_>, view: &View<'_>, wanted: &str) -> EnvChange {
    let stock_says = value::says(view.env.stock, wanted);
    let Some((place, ours)) = view.env.ours.and_then(|place| Some((place, view.container.env.get(place)?))) else {
        if !stock_says {
            patch.append_env(wanted);
        }
        return EnvChange { changes: !stock_says, kept: !stock_says };
    };
    if stock_says && facts.map.entries.is_empty() {
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
