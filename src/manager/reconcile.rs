//! One hosted cluster: observe, plan, apply, report.

use std::time::{Duration, Instant};

use futures::future::join_all;
use hypermirror_api::{Reason, annotations};
use kube::ResourceExt as _;

use super::boot;
use super::case::{Case, Observed};
use super::catalogs;
use super::config_maps;
use super::context::Context;
use super::reporter::{Draft, Reporter};
use super::rollouts::{self, Admission, Counting};
use crate::hosted::observed::short_digest;
use crate::hosted::plan::{Plan, TargetPlan};
use crate::hosted::report::Verdict;
use crate::management::apply::WriteError;
use crate::management::index::Index;
use hypermirror_api::ClusterKey;

/// How often a plan is made again because the targets moved meanwhile, before the queue's backoff takes over.
const ROUNDS: usize = 6;

/// Brings one hosted cluster to what is wanted, as far as it may be written now, and hands its report on.
///
/// # Errors
/// [`WriteError`] if a read or write failed; the hosted cluster has to be looked at again.
pub async fn reconcile(ctx: &Context, reporter: &Reporter, key: &ClusterKey) -> Result<(), WriteError> {
    let result = bring(ctx, reporter, key).await;
    rollouts::conclude(ctx, key, &result);
    result.map(|_| ())
}

/// Answers which gate held it, if one did.
async fn bring(ctx: &Context, reporter: &Reporter, key: &ClusterKey) -> Result<Option<Reason>, WriteError> {
    if !ctx.may_write() {
        return Ok(None);
    }
    let Some((mut case, mut observed)) = open(ctx, key).await? else { return Ok(None) };
    let may_deliver = case.held.is_none(); // what waits for its rollout holds up no node
    let Some((plan, failure)) = carry_out(ctx, &mut case, &mut observed).await? else { return Ok(None) };
    if may_deliver && ctx.may_write_for(key) {
        boot::deliver(ctx, &mut case).await;
        case.withdraw(ctx, &plan).await?;
    }
    case.remember(ctx, &plan);
    let catalogs = catalogs::look(ctx, &case).await;
    case.report(ctx, reporter, &observed, &plan, failure.as_ref(), catalogs);
    failure.map_or(Ok(case.held.map(|held| held.reason)), Err)
}

/// Plans and writes until nothing is left to write, or a gate holds what is. Answers the last plan and why it was not carried
/// out, if it failed; none if it is not time for it yet.
async fn carry_out(
    ctx: &Context,
    case: &mut Case,
    observed: &mut Observed,
) -> Result<Option<(Plan, Option<WriteError>)>, WriteError> {
    let key = case.key.clone();
    let (mut rounds, mut is_counted) = (0, true);
    loop {
        let counting = if is_counted { Counting::of(ctx, case, observed) } else { Counting::default() };
        let mut plan = case.plan(ctx, observed, &counting);
        case.contest(ctx, observed, &mut plan);
        let rests = case.rests(ctx);
        if case.held.is_some() || !plan.writes() {
            return Ok(Some((plan, None)));
        }
        if let Some(left) = rests {
            ctx.queue.add_after(key, left);
            return Ok(None);
        }
        let admission = if is_counted { case.admit(ctx, &plan, observed).await? } else { Admission::Goes };
        match admission {
            Admission::Goes => {}
            Admission::Begins => continue, // with what was just read
            Admission::Uncounted => {
                is_counted = false;
                continue;
            }
            Admission::Held(verdict) => {
                case.held = Some(verdict);
                return Ok(Some((plan, None)));
            }
        }
        rounds += 1;
        if !ctx.may_write_for(&key) {
            return Ok(None); // another instance may lead by now, or another HostedCluster own the namespace
        }
        if let Some(left) = case.ask(ctx, &plan).await? {
            ctx.queue.add_after(key, left);
            return Ok(None);
        }
        match case.write(ctx, &plan, Part::Change).await {
            Ok(()) | Err(WriteError::Conflict { .. } | WriteError::Gone { .. }) if rounds < ROUNDS => {}
            Ok(()) => return Ok(Some((plan, None))),
            Err(error) => return Ok(Some((plan, Some(error)))),
        }
        *observed = observe(ctx, &key, false).await?;
    }
}

/// What is to be decided, and what there is; none for a hosted cluster that is left alone.
async fn open(ctx: &Context, key: &ClusterKey) -> Result<Option<(Case, Observed)>, WriteError> {
    config_maps::load(ctx, key);
    let observed = rollouts::observe_before(ctx, key).await?;
    let case = Case::new(ctx, key, &ctx.queue, &ctx.heavy.clusters).await;
    if case.is_none() {
        ctx.catalogs.forget(key);
    }
    Ok(case.map(|case| (case, observed)))
}

/// How long stock operators still have to write what they were asked to read.
fn settling(ctx: &Context, key: &ClusterKey) -> Option<Duration> {
    let index = ctx.index();
    let (_, since) = index.cluster(key)?.touched.as_ref()?;
    ctx.settings.settle.checked_sub(since.elapsed()).filter(|left| !left.is_zero())
}

/// Reads those targets that moved since they were last read or written, or all, where it matters how their pods are.
pub(super) async fn observe(ctx: &Context, key: &ClusterKey, all: bool) -> Result<Observed, WriteError> {
    let slots = ctx.index().targets_of(key);
    let namespace = key.control_plane_namespace();
    let reads = slots.into_iter().zip(&ctx.settings.targets).enumerate().map(|(place, (slot, spec))| {
        let namespace = &namespace;
        async move {
            let is_read = slot.is_stale() || (all && slot.meta.is_some());
            if !is_read {
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

/// What of a plan is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The annotations alone, ahead of the change.
    Announcement,
    /// The change.
    Change,
}

impl Part {
    fn of(self, target: &TargetPlan) -> Option<&json_patch::Patch> {
        match self {
            Self::Announcement => target.announce.as_ref(),
            Self::Change => target.patch.as_ref(),
        }
    }
}

/// What our own write means for whether somebody fights us: it may have taken our entry away, and a new pod of the parent
/// writes its children.
fn note_write(index: &mut Index, key: &ClusterKey, place: usize, written: &TargetPlan) {
    let Some(cluster) = index.cluster_mut(key).filter(|_| written.restarts) else { return };
    if let Some(contest) = cluster.contests.get_mut(place).filter(|_| !written.keeps) {
        contest.forget();
    }
    if place == 0 {
        cluster.contests.iter_mut().skip(1).for_each(|contest| contest.ask(Instant::now()));
    }
}

impl Case {
    /// Touches the HostedCluster, which makes stock operators read the mirrors again; before that the annotations, if they
    /// will write something then. Answers how long they still have to write it.
    async fn ask(&self, ctx: &Context, plan: &Plan) -> Result<Option<Duration>, WriteError> {
        self.begin(ctx);
        if let Some(value) = &plan.touch {
            if plan.stock_is_behind {
                match self.write(ctx, plan, Part::Announcement).await {
                    Ok(()) => {}
                    // What counts the rollout has to stand before it begins.
                    Err(WriteError::Conflict { .. } | WriteError::Gone { .. }) if !ctx.settings.rollouts.is_on() => {}
                    Err(error) => return Err(error),
                }
            }
            ctx.writer.touch(&self.key, Some(value)).await?;
            if let Some(cluster) = ctx.index().cluster_mut(&self.key) {
                cluster.touched = Some((value.to_owned(), Instant::now()));
                cluster.contests.iter_mut().for_each(|contest| contest.ask(Instant::now()));
                cluster.admit(&self.map.map, &self.management.explained);
            }
        }
        Ok(settling(ctx, &self.key).filter(|_| plan.stock_is_behind))
    }

    /// Takes our annotation off a HostedCluster that leaves, once nothing of ours is in its control plane.
    async fn withdraw(&self, ctx: &Context, plan: &Plan) -> Result<(), WriteError> {
        let asked = ctx.index().cluster(&self.key).is_some_and(|cluster| cluster.touched.is_some());
        let is_annotated = asked || self.object.annotations().contains_key(annotations::MIRRORS_OBSERVED);
        if !self.leaving || !is_annotated || !plan.targets.iter().flatten().all(|target| target.up_to_date) {
            return Ok(());
        }
        match ctx.writer.touch(&self.key, None).await {
            Ok(()) | Err(WriteError::Gone { .. }) => {}
            Err(error) => return Err(error),
        }
        if let Some(cluster) = ctx.index().cluster_mut(&self.key) {
            cluster.touched = None;
        }
        Ok(())
    }

    async fn write(&self, ctx: &Context, plan: &Plan, part: Part) -> Result<(), WriteError> {
        let namespace = self.key.control_plane_namespace();
        let writes =
            plan.targets.iter().zip(&ctx.settings.targets).enumerate().filter_map(|(place, (target, spec))| {
                let target = target.as_ref()?;
                let patch = part.of(target)?;
                let namespace = &namespace;
                Some(async move {
                    let written = ctx.writer.patch_target(namespace, spec, patch).await;
                    let mut index = ctx.index();
                    match written {
                        Ok(written) => {
                            index.observe_target(&self.key, place, written);
                            if part == Part::Change {
                                note_write(&mut index, &self.key, place, target);
                            }
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
        // What was put off by a pause is the owner's to begin.
        let is_paused = self.held.as_ref().is_some_and(|held| held.reason == Reason::Paused);
        if is_paused || plan.targets.iter().flatten().all(|target| target.up_to_date) {
            cluster.settled = Some(self.management_revision);
        }
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
        catalogs: Option<Verdict>,
    ) {
        let own = self.map.findings.iter().chain(&self.own.findings);
        let findings = self.management.findings.iter().filter(|_| self.use_management).chain(own);
        let held = failure.map(|error| Verdict::new("False", Reason::WriteFailed, error.to_string()));
        let pending = self.held.is_none() && rollouts::is_pending(ctx, &self.key, plan);
        let (rollout, rollout_failed) = rollouts::look_at(ctx, &self.key, observed, pending);
        let draft = Draft {
            key: &self.key,
            object: &self.object,
            map: &self.map.map,
            findings: findings.collect(),
            troubles: &self.troubles,
            reference: self.own.reference.as_ref(),
            pools: &self.pools,
            observed,
            plan,
            held: held.or_else(|| self.held.clone()),
            catalogs,
            leaving: self.leaving,
            uninstalls: self.uninstalls(ctx),
            rollout,
            rollout_failed,
        };
        ctx.heavy.compute(&self.load, || reporter.submit(ctx, &draft));
    }
}
