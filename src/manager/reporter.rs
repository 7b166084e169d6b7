//! Writes reports: only what changed, and after the targets, which matter more.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::report::{MirrorConfigReport, RolloutReport};
use hypermirror_api::{ConditionType, HostedClusterMirrorsStatus, Reason};
use kube::ResourceExt;
use tokio::sync::Notify;

use super::boot;
use super::context::Context;
use super::options::GuestAgent;
use crate::fleet::claims::Refusal;
use crate::hosted::guest::GuestOutcome;
use crate::hosted::observed::ObservedTarget;
use crate::hosted::plan::Plan;
use crate::hosted::pool_config::{self, PoolSources};
use crate::hosted::report::{self, SourceTrouble, Verdict};
use crate::hosted::sources::OverrideMap;
use crate::management::apply::WriteError;
use crate::management::events::{About, Events};
use crate::mirrors::finding::Finding;
use crate::printable;
use crate::telemetry::metrics::gauge;
use hypermirror_api::ClusterKey;

/// How long reports wait for the targets of a fan-out.
const PATIENCE: Duration = Duration::from_secs(20);
/// A pause after a report that could not be written.
const RETRY: Duration = Duration::from_secs(5);

/// What a report is made of.
pub struct Draft<'a> {
    /// The hosted cluster.
    pub key: &'a ClusterKey,
    /// The same, as it was read.
    pub object: &'a Arc<HostedCluster>,
    /// Its map.
    pub map: &'a OverrideMap,
    /// About the entries that it uses.
    pub findings: Vec<&'a Finding>,
    /// About whole objects and kinds that it uses.
    pub troubles: &'a [SourceTrouble],
    /// Its ConfigMap of mirror sets.
    pub reference: Option<&'a MirrorConfigReport>,
    /// What its NodePools declare.
    pub pools: &'a BTreeMap<String, PoolSources>,
    /// Its targets.
    pub observed: &'a [Option<Arc<ObservedTarget>>],
    /// What was planned for them last.
    pub plan: &'a Plan,
    /// A gate or a failure that stands before them.
    pub held: Option<Verdict>,
    /// About its OLM catalogs, if anything is said about them.
    pub catalogs: Option<Verdict>,
    /// It is no longer in our care.
    pub leaving: bool,
    /// Because a person asked for that.
    pub uninstalls: bool,
    /// Its last rollout under the rollout budget.
    pub rollout: Option<RolloutReport>,
    /// That this one is not back in time.
    pub rollout_failed: Option<Verdict>,
}

/// A report that is being written, until this is dropped.
struct Writing<'r> {
    reporter: &'r Reporter,
    key: ClusterKey,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.reporter.writing().remove(&self.key);
        self.reporter.changed.notify_one(); // a newer one may be in line meanwhile
    }
}

struct Pending {
    object: Arc<HostedCluster>,
    /// None: the hosted cluster has left our care, and its report goes.
    status: Option<HostedClusterMirrorsStatus>,
}

/// Reports in line; clones are the same line.
#[derive(Clone, Default)]
pub struct Reporter {
    pending: Arc<Mutex<HashMap<ClusterKey, Pending>>>,
    /// Whose report is being written now: one at a time each, so that a transition is told once.
    writing: Arc<Mutex<HashSet<ClusterKey>>>,
    changed: Arc<Notify>,
}

impl Reporter {
    fn pending(&self) -> MutexGuard<'_, HashMap<ClusterKey, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the report of one hosted cluster and puts it in line if it says something else than the one that stands.
    pub fn submit(&self, ctx: &Context, draft: &Draft<'_>) {
        let old = ctx.index().cluster(draft.key).and_then(|cluster| cluster.report.clone());
        // One whose namespace nobody can be said to own may have left something of ours there.
        let is_disputed = is_disputed(ctx, draft.key);
        let done = draft.leaving && !is_disputed && draft.plan.targets.iter().flatten().all(|target| target.up_to_date);
        let left = done && !Self::keeps_record(ctx, draft, old.as_deref());
        let status = (!left).then(|| report::fitted(printable::value(status(ctx, draft, old.as_deref()))));
        if old.as_deref() == status.as_ref() {
            self.pending().remove(draft.key);
            return;
        }
        self.pending().insert(draft.key.clone(), Pending { object: Arc::clone(draft.object), status });
        self.changed.notify_one();
    }

    /// Puts in line that the work on a hosted cluster panicked: what was reported of it last, but for that.
    pub fn submit_failure(&self, ctx: &Context, key: &ClusterKey) {
        let known = ctx.index().cluster(key).map(|cluster| (Arc::clone(&cluster.object), cluster.report.clone()));
        let Some((object, old)) = known else { return };
        self.fail(key, object, old.as_deref(), jiff::Timestamp::now());
    }

    fn fail(
        &self,
        key: &ClusterKey,
        object: Arc<HostedCluster>,
        old: Option<&HostedClusterMirrorsStatus>,
        now: jiff::Timestamp,
    ) {
        let status = report::work_failed(old, object.metadata.generation.unwrap_or_default(), now);
        self.pending().insert(key.clone(), Pending { object, status: Some(status) });
        self.changed.notify_one();
    }

    /// Whether the report has to stay: a guest that was asked to be left keeps something of ours.
    fn keeps_record(ctx: &Context, draft: &Draft<'_>, old: Option<&HostedClusterMirrorsStatus>) -> bool {
        let outcome = guest_outcome(ctx, draft.key, old);
        draft.uninstalls && outcome.is_some_and(|outcome| outcome.synced.reason == Reason::LeftBehind)
    }

    /// Writes what is in line until the process ends.
    pub async fn run(self, ctx: Arc<Context>, events: Events) {
        loop {
            let changed = self.changed.notified();
            let Some(key) = self.take_next() else {
                changed.await;
                continue;
            };
            let _writing = Writing { reporter: &self, key: key.clone() };
            let _ = tokio::time::timeout(PATIENCE, ctx.queue.until_idle()).await;
            let Some(pending) = self.pending().remove(&key) else { continue };
            if ctx.may_write()
                && let Err(error) = self.write(&ctx, &events, &key, &pending).await
            {
                tracing::warn!(cluster = %key, %error, "failed to write a report; trying again");
                ctx.queue.add_after(key, RETRY);
            }
        }
    }

    fn writing(&self) -> MutexGuard<'_, HashSet<ClusterKey>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A report that nobody writes now; it is the caller's to write.
    fn take_next(&self) -> Option<ClusterKey> {
        let (pending, mut writing) = (self.pending(), self.writing());
        let next = pending.keys().find(|key| !writing.contains(*key)).cloned()?;
        writing.insert(next.clone());
        Some(next)
    }

    async fn write(
        &self,
        ctx: &Context,
        events: &Events,
        key: &ClusterKey,
        pending: &Pending,
    ) -> Result<(), WriteError> {
        let Some(status) = &pending.status else {
            ctx.writer.delete_report(key).await?;
            ctx.index().apply_report(key, None);
            return Ok(());
        };
        let old = ctx.index().cluster(key).and_then(|cluster| cluster.report.clone());
        if old.is_none() {
            ctx.writer.create_report(key, &pending.object).await?;
        }
        match ctx.writer.write_report(key, status).await {
            Err(WriteError::Gone { .. }) => {
                ctx.writer.create_report(key, &pending.object).await?;
                ctx.writer.write_report(key, status).await?;
            }
            other => other?,
        }
        ctx.index().apply_report(key, Some(status.clone()));
        let uid = pending.object.uid().unwrap_or_default();
        for condition in &status.conditions {
            let before = old.iter().flat_map(|old| &old.conditions).find(|before| before.type_ == condition.type_);
            let good = condition.status == "True";
            let moved =
                before.map_or(!good, |before| before.status != condition.status || before.reason != condition.reason);
            // A cluster that is being born has no kubeconfig, one that waits for its turn no trouble: nothing went wrong.
            let quiet = [Reason::KubeconfigMissing, Reason::RolloutWaiting];
            let is_quiet = quiet.iter().any(|reason| reason.as_str() == condition.reason);
            if moved && !is_quiet && condition.type_ != ConditionType::Ready.as_str() {
                let reason = if good { &condition.type_ } else { &condition.reason };
                let cluster = About { kind: "HostedCluster", key, uid: &uid };
                events.tell(&cluster, good, reason, &condition.message).await;
            }
        }
        tell_pools(ctx, events, key, status, old.as_deref()).await;
        Ok(())
    }
}

/// Tells each NodePool what its configuration comes to, if that is news.
async fn tell_pools(
    ctx: &Context,
    events: &Events,
    key: &ClusterKey,
    status: &HostedClusterMirrorsStatus,
    old: Option<&HostedClusterMirrorsStatus>,
) {
    let pools = ctx.index().guests.pools(key);
    for report in &status.node_pools {
        let before = old.iter().flat_map(|old| &old.node_pools).find(|before| before.name == report.name);
        let moved =
            before.map_or(!report.valid, |before| before.valid != report.valid || before.reason != report.reason);
        let Some(pool) = pools.get(&report.name).filter(|_| moved) else { continue };
        let name = ClusterKey { namespace: key.namespace.clone(), name: report.name.clone() };
        let reason = if report.valid { ConditionType::NodePoolConfigValid.as_str() } else { &report.reason };
        let about = About { kind: "NodePool", key: &name, uid: &pool.uid };
        events.tell(&about, report.valid, reason, &report.message).await;
    }
}

/// Whether nobody can be said to own its control-plane namespace: what the report remembers of it stays.
fn is_disputed(ctx: &Context, key: &ClusterKey) -> bool {
    matches!(ctx.index().claims.refusal(key), Some(Refusal::Shared))
}

fn control_plane(ctx: &Context, draft: &Draft<'_>) -> Verdict {
    let planned: Vec<_> = ctx.settings.targets.iter().zip(draft.plan.targets.iter().map(Option::as_ref)).collect();
    let verdict = report::control_plane_verdict(&planned, draft.held.clone());
    let failed = draft.rollout_failed.clone().filter(|_| verdict.reason != Reason::RemovalHeld);
    failed.unwrap_or(verdict)
}

fn status(ctx: &Context, draft: &Draft<'_>, old: Option<&HostedClusterMirrorsStatus>) -> HostedClusterMirrorsStatus {
    let now = jiff::Timestamp::now();
    let generation = draft.object.metadata.generation.unwrap_or_default();
    let specs = &ctx.settings.targets;
    let replaces_nodes = !draft.object.spec.image_content_sources.is_empty();
    let sources = report::sources_verdict(&draft.findings, draft.troubles, replaces_nodes);
    let control_plane = control_plane(ctx, draft);
    let keeps_map = control_plane.reason == Reason::RemovalHeld || is_disputed(ctx, draft.key);
    let pools = pool_config::verdict(draft.pools);
    let parts = [(ConditionType::SourcesResolved, &sources), (ConditionType::ControlPlaneUpToDate, &control_plane)];
    let pools = pools.iter().map(|verdict| (ConditionType::NodePoolConfigValid, verdict));
    let parts: Vec<_> = parts.into_iter().chain(pools).collect();
    let guest = guest_outcome(ctx, draft.key, old);
    let guest_verdicts = guest.as_deref().map(GuestOutcome::verdicts).unwrap_or_default();
    let counting = guest_verdicts.iter().filter(|_| guest.as_deref().is_some_and(GuestOutcome::counts));
    let before = old.map(|old| old.conditions.as_slice()).unwrap_or_default();
    let catalogs = report::catalogs_verdict(draft.catalogs.clone(), before);
    let catalogs = catalogs.as_ref().map(|verdict| (ConditionType::CatalogsValid, verdict));
    let ready = report::ready_verdict(&parts.iter().chain(counting).copied().chain(catalogs).collect::<Vec<_>>());
    let verdicts = parts.iter().chain(&guest_verdicts).copied().chain(catalogs).chain([(ConditionType::Ready, &ready)]);
    let conditions = report::conditions(before, &verdicts.collect::<Vec<_>>(), generation, now);
    let (guest, nodes) = guest.map(|guest| (guest.guest.clone(), guest.nodes_report.clone())).unwrap_or_default();
    if let Some(old) = old.filter(|_| keeps_map) {
        // The map that is told is the one in force.
        let mut told = old.clone();
        told.control_plane.rollout.clone_from(&draft.rollout);
        told.control_plane.admission = ctx.admission();
        let hosted_cluster_generation = generation;
        return HostedClusterMirrorsStatus { conditions, hosted_cluster_generation, guest, nodes, ..told };
    }
    let of_pools: Vec<Finding> = draft.pools.values().flat_map(pool_config::findings).collect();
    let boots = ctx.index().cluster(draft.key).map(|cluster| cluster.boots.clone());
    let (sources, cut) = report::source_reports(&draft.map.resolved);
    let observed: Vec<_> = specs.iter().zip(draft.observed.iter().map(Option::as_deref)).collect();
    HostedClusterMirrorsStatus {
        hosted_cluster_generation: generation,
        conditions,
        source_count: gauge(draft.map.resolved.sources.len()),
        sources,
        sources_cut: gauge(cut),
        findings: report::finding_reports(&draft.findings.iter().copied().chain(&of_pools).collect::<Vec<_>>()),
        mirror_config: draft.reference.cloned(),
        node_pools: pool_config::reports(draft.pools),
        boot: boot::reports(&boots.unwrap_or_default(), old.map(|old| old.boot.as_slice()).unwrap_or_default()),
        control_plane: report::control_plane_report(&observed, draft.plan, draft.rollout.clone(), ctx.admission()),
        guest,
        nodes,
    }
}

/// What is known of the guest: by this process, or until then by the one that wrote the report.
fn guest_outcome(
    ctx: &Context,
    key: &ClusterKey,
    old: Option<&HostedClusterMirrorsStatus>,
) -> Option<Arc<GuestOutcome>> {
    if ctx.settings.guests.agent.who == GuestAgent::Off {
        return None;
    }
    let known = ctx.index().guests.outcome(key);
    known.or_else(|| GuestOutcome::reported(old?).map(Arc::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_panicked_is_put_in_line_in_place_of_what_was_to_be_told() {
        let (reporter, key) = (Reporter::default(), ClusterKey { namespace: "clusters".into(), name: "west".into() });
        let object = Arc::new(HostedCluster::new("west", hypermirror_api::hypershift::HostedClusterSpec::default()));
        let stale = Pending { object: Arc::clone(&object), status: None };
        reporter.pending().insert(key.clone(), stale);
        reporter.fail(&key, object, None, jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(reporter.take_next(), Some(key.clone()));
        let status = reporter.pending().remove(&key).unwrap().status.unwrap();
        let reasons: Vec<&str> = status.conditions.iter().map(|condition| condition.reason.as_str()).collect();
        assert_eq!(reasons, ["WorkFailed", "WorkFailed"]);
    }
}
