//! What is to be decided about one hosted cluster: its sources, the gates before any write, the plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{Reason, annotations};
use kube::ResourceExt;
use kube::core::SelectorExt as _;
use tokio::sync::Semaphore;

use super::context::Context;
use super::heavy::Load;
use super::options::{GuestAgent, Mode};
use super::queue::Queue;
use super::rollouts::Counting;
use crate::fleet::rollout::Cause;
use crate::hosted::carry_over::carried;
use crate::hosted::delivery::{Delivery, meaningless};
use crate::hosted::observed::{ObservedTarget, short_digest};
use crate::hosted::plan::{Facts, Plan, TargetPlan, plan};
use crate::hosted::pool_config::PoolSources;
use crate::hosted::report::{SourceTrouble, Verdict, foreign_of};
use crate::hosted::sources::{ClusterMap, ManagementLayer, OwnSources, pause_ends, settings};
use crate::hosted::value::remembered;
use crate::management::index::Index;
use crate::management::index::declared::{Declaration, Sources};
use crate::mirrors::Policy;
use hypermirror_api::ClusterKey;

/// When a heavy hosted cluster looks for a place again.
const PLACE_AGAIN: Duration = Duration::from_millis(100);

/// What is there of each target, by place.
pub(super) type Observed = Vec<Option<Arc<ObservedTarget>>>;

/// What was decided about one hosted cluster before its targets are planned.
pub(super) struct Case {
    pub(super) key: ClusterKey,
    pub(super) object: Arc<HostedCluster>,
    pub(super) management: Arc<ManagementLayer>,
    pub(super) map: ClusterMap,
    pub(super) use_management: bool,
    /// The revision of the management layer.
    pub(super) management_revision: u64,
    /// What a rollout that begins now comes from.
    pub(super) cause: Cause,
    /// A mirror kind of the management cluster is gone, and nobody saw its objects.
    blind: bool,
    /// What it declares itself.
    pub(super) own: OwnSources,
    /// What its NodePools declare.
    pub(super) pools: BTreeMap<String, PoolSources>,
    pub(super) leaving: bool,
    pub(super) troubles: Vec<SourceTrouble>,
    /// Why nothing may be written.
    pub(super) held: Option<Verdict>,
    /// How heavy it is.
    pub(super) load: Load,
}

/// Annotations whose values mean nothing.
fn meaningless_annotations(object: &HostedCluster, management_mirrors: Option<String>) -> Vec<SourceTrouble> {
    let mirrors = management_mirrors.map(|value| {
        let key = annotations::MANAGEMENT_MIRRORS;
        format!("annotation {key} has the invalid value {value:?}, which is treated as Use; set it to Use or Ignore")
    });
    let delivery = Delivery::said(object).1.map(|value| meaningless(&value));
    let messages = mirrors.into_iter().chain(delivery);
    messages.map(|message| SourceTrouble { reason: Reason::MalformedObject, message }).collect()
}

/// What a rollout that begins now comes from: an owner must not be able to make it look like the management layer's. The
/// fleet's administrator has the whole fleet left; of a hosted cluster that does without the management layer nothing comes
/// from there; and with everything in force, `is_settled`, nothing but its own layer can have changed.
fn cause(fleet_leaves: bool, use_management: bool, is_settled: bool) -> Cause {
    if !fleet_leaves && (!use_management || is_settled) { Cause::Own } else { Cause::Management }
}

/// What the index knows of one hosted cluster at one moment.
struct Known {
    object: Arc<HostedCluster>,
    management: Arc<ManagementLayer>,
    management_revision: u64,
    is_settled: bool,
    blind: bool,
    troubles: Vec<SourceTrouble>,
    declaration: Declaration,
}

/// None for a hosted cluster that is gone or going, and as long as a ConfigMap of it has to be read first.
fn known(index: &Index, key: &ClusterKey) -> Option<Known> {
    let cluster = index.cluster(key)?;
    if cluster.object.metadata.deletion_timestamp.is_some() {
        return None; // its owner takes everything away, the report included
    }
    let management_revision = index.management_revision();
    Some(Known {
        object: Arc::clone(&cluster.object),
        management: index.management(),
        management_revision,
        is_settled: cluster.settled == Some(management_revision),
        blind: index.mirrors.blind(),
        troubles: index.mirrors.troubles(Instant::now()),
        declaration: index.declaration(key)?,
    })
}

/// Puts together what is declared, and remembers what of it is in force; none if it is heavy and every place is taken.
fn resolve(
    ctx: &Context,
    key: &ClusterKey,
    declaration: &Declaration,
    places: &Arc<Semaphore>,
) -> Option<(Load, Sources)> {
    let sources = declaration.resolve();
    let load = Load::of(sources.mirrors(), places)?;
    ctx.index().remember(key, declaration, &sources);
    Some((load, sources))
}

/// Whether a person asked to have everything of ours taken away from it, or from all.
fn is_uninstalled(ctx: &Context, object: &HostedCluster) -> bool {
    let one = object.annotations().get(annotations::UNINSTALL).is_some_and(|value| value == "true");
    one || ctx.memory.borrow().uninstall
}

impl Case {
    /// None for a hosted cluster that is gone or going, as long as a ConfigMap of it has to be read first, and as long as
    /// it is heavy and every place for such is taken; it is in `queue` again then.
    pub(super) async fn new(ctx: &Context, key: &ClusterKey, queue: &Queue, places: &Arc<Semaphore>) -> Option<Self> {
        let now = jiff::Timestamp::now();
        let Known { object, management, management_revision, is_settled, blind, mut troubles, declaration } =
            known(&ctx.index(), key)?;
        let Some((load, Sources { own, pools, .. })) = resolve(ctx, key, &declaration, places) else {
            queue.add_after(key.clone(), PLACE_AGAIN);
            return None;
        };
        let (settings, unknown) = settings(&object, now);
        if !settings.use_management {
            troubles.clear();
        }
        troubles.extend(own.troubles.iter().cloned());
        troubles.extend(meaningless_annotations(&object, unknown));
        let map = ctx.heavy.map(&load, &management, &own.entries, settings.use_management).await;
        let fleet_leaves = ctx.memory.borrow().uninstall;
        let leaving = is_uninstalled(ctx, &object) || !ctx.settings.selector.matches(object.labels());
        let mut case = Self {
            key: key.clone(),
            use_management: settings.use_management,
            management_revision,
            cause: cause(fleet_leaves, settings.use_management, is_settled),
            blind: blind && settings.use_management,
            own,
            pools,
            object,
            management,
            map,
            leaving,
            troubles,
            held: None,
            load,
        };
        if case.blind || case.own.is_lost {
            case.map.map = Arc::new(case.carried(ctx));
        }
        case.held = case.hold(ctx, settings.paused);
        case.look_when_pause_ends(ctx, now);
        Some(case)
    }

    fn look_when_pause_ends(&self, ctx: &Context, now: jiff::Timestamp) {
        if let Some(ends) = pause_ends(&self.object, now) {
            let left = Duration::try_from(ends.duration_since(now)).unwrap_or_default();
            ctx.queue.add_after(self.key.clone(), left);
            ctx.guest_queue.add_after(self.key.clone(), left);
        }
    }

    /// While something cannot be read that nobody remembers, what was admitted or reported before stays.
    fn carried(&self, ctx: &Context) -> crate::hosted::sources::OverrideMap {
        let index = ctx.index();
        let slots = index.targets_of(&self.key);
        let report = index.cluster(&self.key).and_then(|cluster| cluster.report.clone());
        drop(index);
        let observed = slots.iter().filter_map(|slot| slot.observed.as_deref());
        carried(&self.map.map, report.as_deref(), observed, ctx.settings.argument)
    }

    /// Whether it leaves because a person asked for that, and not because the selector no longer matches.
    pub(super) fn uninstalls(&self, ctx: &Context) -> bool {
        is_uninstalled(ctx, &self.object)
    }

    /// Whether nothing of ours is to be in the guest: it leaves our care, or wants nothing on its nodes.
    pub(super) fn wants_guest_left(&self) -> bool {
        self.leaving || Delivery::of(&*self.object) == Delivery::None
    }

    /// That its control-plane namespace is not its own, if it is not.
    pub(super) fn refused(&self) -> Option<&Verdict> {
        self.held.as_ref().filter(|held| held.reason == Reason::NamespaceClaimedTwice)
    }

    /// The gates, in their order.
    fn hold(&self, ctx: &Context, paused: Option<String>) -> Option<Verdict> {
        if let Some(refusal) = ctx.index().claims.refusal(&self.key) {
            return Some(refusal.verdict(&self.key.control_plane_namespace()));
        }
        if let Some(why) = paused {
            return Some(Verdict::new("Unknown", Reason::Paused, format!("nothing is written: {why}")));
        }
        if ctx.settings.mode == Mode::Observe {
            let message = "--mode=observe: nothing is written; `hypermirror diff` shows the changes";
            return Some(Verdict::new("False", Reason::Observing, message));
        }
        if ctx.waits_for_admission() {
            return Some(Verdict::new(
                "False",
                Reason::Leaving,
                "removing hypermirror: waiting for the admission to \
                                                                be removed",
            ));
        }
        if self.leaving && ctx.settings.guests.agent.who != GuestAgent::Off {
            let left = ctx.index().guests.outcome(&self.key).is_some_and(|outcome| outcome.left);
            if !left {
                let message = "removing hypermirror: waiting for the nodes of the guest cluster to remove their \
                               mirrors";
                return Some(Verdict::new("False", Reason::Leaving, message));
            }
        }
        let empties = !self.leaving && self.map.map.entries.is_empty();
        let permission = ctx.memory.borrow().allow_removal.clone();
        let revision = ctx.index().revision();
        let held = empties.then(|| ctx.gate.held(revision, || ctx.members(), permission.as_deref())).flatten()?;
        held.emptied.binary_search(&self.key.to_string()).ok()?;
        let message = held.message(&ctx.settings.namespace, hypermirror_api::names::LEASE);
        Some(Verdict::new("False", Reason::RemovalHeld, message))
    }

    pub(super) fn plan(&self, ctx: &Context, observed: &Observed, counting: &Counting) -> Plan {
        let index = ctx.index();
        let cluster = index.cluster(&self.key);
        let report = cluster.and_then(|cluster| cluster.report.clone());
        let departed =
            cluster.map(|cluster| cluster.departing(&self.map.map, &self.management.explained)).unwrap_or_default();
        // The watch of HostedClusters may be behind our own touch.
        let annotation = self.object.annotations().get(annotations::MIRRORS_OBSERVED).cloned();
        let touched = cluster.and_then(|cluster| cluster.touched.as_ref()).map(|(value, _)| value.clone());
        let mirrors_observed = touched.or(annotation);
        let handover_over = cluster.and_then(|cluster| cluster.parent_since.as_ref()).is_some_and(|(digest, since)| {
            *digest == short_digest(&self.map.map.env) && since.elapsed() >= ctx.settings.handover
        });
        drop(index);
        let present = observed.iter().flatten().map(AsRef::as_ref);
        let remembered = remembered(present, |target| foreign_of(report.as_deref(), target));
        let targets: Vec<_> = ctx.settings.targets.iter().zip(observed.iter().map(Option::as_deref)).collect();
        let facts = Facts {
            map: &self.map.map,
            management: &self.management,
            departed: &departed,
            remembered: &remembered,
            targets: &targets,
            argument: ctx.settings.argument,
            leaving: self.leaving,
            handover_over,
            may_touch: !self.blind,
            rollout: counting.facts(),
        };
        ctx.heavy.compute(&self.load, || plan(&facts, mirrors_observed.as_deref()))
    }

    /// Leaves alone for a while what somebody takes away again and again.
    pub(super) fn contest(&self, ctx: &Context, observed: &Observed, plan: &mut Plan) {
        let now = Instant::now();
        let mut index = ctx.index();
        let Some(cluster) = index.cluster_mut(&self.key) else { return };
        if self.leaving {
            return cluster.contests.clear(); // what goes now is taken by nobody else
        }
        cluster.contests.resize_with(plan.targets.len(), Default::default);
        let targets = plan.targets.iter_mut().zip(observed).zip(&mut cluster.contests);
        for ((plan, target), contest) in targets {
            let (Some(plan), Some(target)) = (plan, target) else { continue };
            let Some(left) = contest.observe(target, plan, ctx.settings.handover, now) else { continue };
            let by = target.last_writer.as_deref().unwrap_or("somebody");
            *plan = TargetPlan {
                reason: Some(Reason::Contested),
                message: format!(
                    "{by} removes the entry of hypermirror without another change; the next attempt is delayed"
                ),
                value: std::mem::take(&mut plan.value),
                foreign: std::mem::take(&mut plan.foreign),
                admitted_foreign: std::mem::take(&mut plan.admitted_foreign),
                ..TargetPlan::default()
            };
            ctx.queue.add_after(self.key.clone(), left);
        }
    }

    /// How long the plan still waits because further edits of the map may come; see [`Edits`](crate::hosted::edits::Edits).
    pub(super) fn rests(&self, ctx: &Context) -> Option<Duration> {
        if self.leaving {
            return None;
        }
        let (settle, now) = (ctx.settings.settle, Instant::now());
        let mut index = ctx.index();
        let edits = &mut index.cluster_mut(&self.key)?.edits;
        edits.see(&self.wanted(), settle, now);
        edits.wait(settle, now)
    }

    /// What is wanted is written from now on.
    pub(super) fn begin(&self, ctx: &Context) {
        if let Some(cluster) = ctx.index().cluster_mut(&self.key) {
            cluster.edits.begin(Instant::now());
        }
    }

    /// Everything that an edit of mirrors changes, as a digest.
    fn wanted(&self) -> String {
        let sources = self.map.map.resolved.sources.iter();
        let strict =
            sources.filter(|(_, source)| source.policy == Policy::NeverContactSource).map(|(name, _)| name.as_str());
        let strict: Vec<&str> = strict.collect();
        short_digest(&format!("{} {} {}", self.map.map.env, strict.join(","), self.management.stock_digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_owner_changes_is_its_own_cause_and_what_nobody_knows_is_the_managements() {
        assert_eq!(cause(false, true, true), Cause::Own);
        assert_eq!(cause(false, true, false), Cause::Management, "the management layer moved, or this process is new");
        assert_eq!(cause(false, false, false), Cause::Own, "it does without the management layer");
        assert_eq!(cause(true, false, true), Cause::Management, "the whole fleet is left");
    }
}
