//! One hosted cluster: observe, plan, apply, report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{Reason, annotations};
use kube::ResourceExt;
use kube::core::SelectorExt as _;

use super::context::Context;
use super::options::Mode;
use super::reporter::{Draft, Reporter};
use crate::fleet::observed::{ObservedTarget, short_digest};
use crate::fleet::plan::{Facts, Plan, TargetPlan, plan};
use crate::fleet::report::{SourceTrouble, Verdict, carried, foreign_of};
use crate::fleet::sources::{ClusterMap, ManagementLayer, cluster_map, pause_ends, settings};
use crate::fleet::value::remembered;
use crate::kube::ClusterKey;
use crate::kube::apply::WriteError;

/// How often a plan is made again because the targets moved meanwhile, before the queue's backoff takes over.
const ROUNDS: usize = 6;

/// What was decided about one hosted cluster before its targets are planned.
struct Case {
    key: ClusterKey,
    object: Arc<HostedCluster>,
    management: Arc<ManagementLayer>,
    map: ClusterMap,
    use_management: bool,
    blind: bool,
    leaving: bool,
    troubles: Vec<SourceTrouble>,
    /// Why nothing may be written.
    held: Option<Verdict>,
}

/// What is there of each target, by place.
type Observed = Vec<Option<Arc<ObservedTarget>>>;

/// Brings one hosted cluster to what is wanted, as far as it may be written now, and hands its report on.
///
/// # Errors
/// [`WriteError`] if a read or write failed; the hosted cluster has to be looked at again.
pub async fn reconcile(ctx: &Context, reporter: &Reporter, key: &ClusterKey) -> Result<(), WriteError> {
    if !ctx.may_write() {
        return Ok(());
    }
    let mut observed = observe(ctx, key).await?;
    let Some(case) = Case::new(ctx, key) else { return Ok(()) };
    let mut rounds = 0;
    let (plan, failure) = loop {
        let mut plan = case.plan(ctx, &observed);
        case.contest(ctx, &observed, &mut plan);
        if case.held.is_some() || !plan.writes() {
            break (plan, None);
        }
        rounds += 1;
        if !ctx.may_write() {
            return Ok(()); // another instance may lead by now
        }
        if let Some(value) = &plan.touch {
            case.ask(ctx, &plan, value).await?;
        }
        if let Some(left) = settling(ctx, key).filter(|_| plan.stock_is_behind) {
            ctx.queue.add_after(key.clone(), left);
            return Ok(());
        }
        match case.write(ctx, &plan, |target| target.patch.as_ref()).await {
            Ok(()) | Err(WriteError::Conflict { .. } | WriteError::Gone { .. }) if rounds < ROUNDS => {}
            Ok(()) => break (plan, None),
            Err(error) => break (plan, Some(error)),
        }
        observed = observe(ctx, key).await?;
    };
    case.remember(ctx, &plan);
    case.report(ctx, reporter, &observed, &plan, failure.as_ref());
    failure.map_or(Ok(()), Err)
}

/// How long stock operators still have to write what they were asked to read.
fn settling(ctx: &Context, key: &ClusterKey) -> Option<Duration> {
    let index = ctx.index();
    let (_, since) = index.cluster(key)?.touched.as_ref()?;
    ctx.settings.settle.checked_sub(since.elapsed()).filter(|left| !left.is_zero())
}

/// Reads those targets that moved since they were last read or written.
async fn observe(ctx: &Context, key: &ClusterKey) -> Result<Observed, WriteError> {
    let slots = ctx.index().targets_of(key);
    let namespace = key.control_plane_namespace();
    let reads = slots.into_iter().zip(&ctx.settings.targets).enumerate().map(|(place, (slot, spec))| {
        let namespace = &namespace;
        async move {
            if !slot.is_stale() {
                return Ok(slot.meta.and(slot.observed));
            }
            match ctx.writer.read_target(namespace, spec).await {
                Ok(target) => Ok(Some(ctx.index().observe_target(key, place, target))),
                Err(WriteError::Gone { .. }) => Ok(None), // its watch tells soon
                Err(error) => Err(error),
            }
        }
    });
    join_all(reads).await.into_iter().collect()
}

impl Case {
    fn new(ctx: &Context, key: &ClusterKey) -> Option<Self> {
        let now = jiff::Timestamp::now();
        let index = ctx.index();
        let object = Arc::clone(&index.cluster(key)?.object);
        if object.metadata.deletion_timestamp.is_some() {
            return None; // its owner takes everything away, the report included
        }
        let management = index.management();
        let (blind, mut troubles) = (index.mirrors.blind(), index.mirrors.troubles(Instant::now()));
        drop(index);
        let (settings, unknown) = settings(&object, now);
        if !settings.use_management {
            troubles.clear();
        }
        if let Some(value) = unknown {
            let key = annotations::MANAGEMENT_MIRRORS;
            let message = format!("annotation {key} is {value:?}; it is Use or Ignore, and counts as Use");
            troubles.push(SourceTrouble { reason: Reason::MalformedObject, message });
        }
        let map = cluster_map(&management, &object, settings.use_management);
        let leaving = !ctx.settings.selector.matches(object.labels());
        let mut case = Self {
            key: key.clone(),
            use_management: settings.use_management,
            blind: blind && settings.use_management,
            object,
            management,
            map,
            leaving,
            troubles,
            held: None,
        };
        if case.blind {
            case.map.map = Arc::new(case.carried(ctx));
        }
        case.held = case.hold(ctx, settings.paused);
        if let Some(ends) = pause_ends(&case.object, now) {
            let left = Duration::try_from(ends.duration_since(now)).unwrap_or_default();
            ctx.queue.add_after(key.clone(), left);
        }
        Some(case)
    }

    /// While a kind is gone whose objects nobody saw, what was admitted or reported before stays.
    fn carried(&self, ctx: &Context) -> crate::fleet::sources::OverrideMap {
        let index = ctx.index();
        let slots = index.targets_of(&self.key);
        let report = index.cluster(&self.key).and_then(|cluster| cluster.report.clone());
        drop(index);
        let observed = slots.iter().filter_map(|slot| slot.observed.as_deref());
        carried(&self.map.map, report.as_deref(), observed)
    }

    /// The gates, in their order.
    fn hold(&self, ctx: &Context, paused: Option<String>) -> Option<Verdict> {
        if let Some(why) = paused {
            return Some(Verdict::new("Unknown", Reason::Paused, format!("nothing is written: {why}")));
        }
        if ctx.settings.mode == Mode::Observe {
            let message = "the manager observes only; `hypermirror diff` shows what would change";
            return Some(Verdict::new("False", Reason::Observing, message));
        }
        let empties = !self.leaving && self.map.map.entries.is_empty();
        let permission = ctx.memory.borrow().allow_removal.clone();
        let revision = ctx.index().revision();
        let held = empties.then(|| ctx.gate.held(revision, || ctx.members(), permission.as_deref())).flatten()?;
        held.emptied.binary_search(&self.key.to_string()).ok()?;
        let message = held.message(&ctx.settings.namespace, hypermirror_api::names::LEASE);
        Some(Verdict::new("False", Reason::RemovalHeld, message))
    }

    fn plan(&self, ctx: &Context, observed: &Observed) -> Plan {
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
        };
        plan(&facts, mirrors_observed.as_deref())
    }

    /// Leaves alone for a while what somebody takes away again and again.
    fn contest(&self, ctx: &Context, observed: &Observed, plan: &mut Plan) {
        let now = Instant::now();
        let mut index = ctx.index();
        let Some(cluster) = index.cluster_mut(&self.key) else { return };
        cluster.contests.resize_with(plan.targets.len(), Default::default);
        let targets = plan.targets.iter_mut().zip(observed).zip(&mut cluster.contests);
        for ((plan, target), contest) in targets {
            let (Some(plan), Some(target)) = (plan, target) else { continue };
            if plan.carries || plan.restarts {
                contest.observe(target, plan.carries, now);
            } else {
                contest.forget();
            }
            let Some(left) = contest.truce(now).filter(|_| plan.restarts) else { continue };
            let by = target.last_writer.as_deref().unwrap_or("somebody");
            *plan = TargetPlan {
                reason: Some(Reason::Contested),
                message: format!("{by} takes our entry away without a change of its own; left alone for a while"),
                value: std::mem::take(&mut plan.value),
                foreign: std::mem::take(&mut plan.foreign),
                admitted_foreign: std::mem::take(&mut plan.admitted_foreign),
                ..TargetPlan::default()
            };
            ctx.queue.add_after(self.key.clone(), left);
        }
    }

    /// Touches the HostedCluster, which makes stock operators read the mirrors again; before that the annotations, if they
    /// will write something then.
    async fn ask(&self, ctx: &Context, plan: &Plan, value: &str) -> Result<(), WriteError> {
        if plan.stock_is_behind {
            match self.write(ctx, plan, |target| target.announce.as_ref()).await {
                Ok(()) | Err(WriteError::Conflict { .. } | WriteError::Gone { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        ctx.writer.touch(&self.key, value).await?;
        if let Some(cluster) = ctx.index().cluster_mut(&self.key) {
            cluster.touched = Some((value.to_owned(), Instant::now()));
            cluster.admit(&self.map.map, &self.management.explained);
        }
        Ok(())
    }

    async fn write(
        &self,
        ctx: &Context,
        plan: &Plan,
        patch_of: impl Fn(&TargetPlan) -> Option<&json_patch::Patch>,
    ) -> Result<(), WriteError> {
        let namespace = self.key.control_plane_namespace();
        let writes =
            plan.targets.iter().zip(&ctx.settings.targets).enumerate().filter_map(|(place, (target, spec))| {
                let patch = patch_of(target.as_ref()?)?;
                let namespace = &namespace;
                Some(async move {
                    let written = ctx.writer.patch_target(namespace, spec, patch).await;
                    let mut index = ctx.index();
                    match written {
                        Ok(target) => {
                            index.observe_target(&self.key, place, target);
                            Ok(())
                        }
                        Err(error) => {
                            index.distrust_targets(&self.key);
                            Err(error)
                        }
                    }
                })
            });
        // All are tried; a real failure is told before a conflict, which only means to look again.
        let results: Vec<_> = join_all(writes).await;
        let mut errors: Vec<WriteError> = results.into_iter().filter_map(Result::err).collect();
        errors.sort_by_key(|error| matches!(error, WriteError::Conflict { .. } | WriteError::Gone { .. }));
        errors.into_iter().next().map_or(Ok(()), Err)
    }

    /// What the next plan has to know.
    fn remember(&self, ctx: &Context, plan: &Plan) {
        let mut index = ctx.index();
        let Some(cluster) = index.cluster_mut(&self.key) else { return };
        if self.held.is_none() && !self.leaving {
            cluster.admit(&self.map.map, &self.management.explained);
        }
        let parent_done = plan.targets.first().and_then(Option::as_ref).is_some_and(|parent| parent.up_to_date);
        let digest = short_digest(&self.map.map.env);
        let known = cluster.parent_since.as_ref().is_some_and(|(known, _)| *known == digest);
        match (parent_done, known) {
            (true, false) => cluster.parent_since = Some((digest, Instant::now())),
            (false, _) => cluster.parent_since = None,
            (true, true) => {}
        }
        drop(index);
        if plan.targets.iter().flatten().any(|target| target.waits_for_parent) {
            ctx.queue.add_after(self.key.clone(), ctx.settings.handover + Duration::from_millis(50));
        }
    }

    fn report(
        &self,
        ctx: &Context,
        reporter: &Reporter,
        observed: &Observed,
        plan: &Plan,
        failure: Option<&WriteError>,
    ) {
        let findings = self.management.findings.iter().filter(|_| self.use_management).chain(&self.map.findings);
        let held = failure.map(|error| Verdict::new("False", Reason::WriteFailed, error.to_string()));
        reporter.submit(
            ctx,
            &Draft {
                key: &self.key,
                object: &self.object,
                map: &self.map.map,
                findings: findings.collect(),
                troubles: &self.troubles,
                observed,
                plan,
                held: held.or_else(|| self.held.clone()),
                leaving: self.leaving,
            },
        );
    }
}
