//! What is evaluated for the whole fleet, once a second: gauges, the rollout budget, the gate for mass removals and the
//! annotations of the Lease.

use std::sync::Arc;
use std::time::Duration;

use hypermirror_api::{ConditionType, HostedClusterMirrorsStatus, Reason};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::context::{Context, moment};
use super::rollouts;
use crate::client::cause::Cause;
use crate::management::index::lags::Side;
use crate::management::lease;
use crate::telemetry::metrics::{ManagerMetrics, ReasonLabels, StateLabels, gauge};

/// Interval. Rollouts fail and halts end by the clock, and a second is early enough for both; see `FleetGate` for what it costs.
const INTERVAL: Duration = Duration::from_secs(1);

/// Runs until the process ends.
pub(super) async fn run(ctx: Arc<Context>) {
    let mut rollouts = rollouts::Housekeeping::default();
    // A standby counts as well: its gauges show that its watches work. It writes nothing, and forgets what it has logged.
    loop {
        tokio::time::sleep(INTERVAL).await;
        let (clusters, reports) = ctx.store.reports();
        count(&ctx.metrics, clusters, &reports);
        count_lags(&ctx);
        count_proofs(&ctx.metrics, &reports, ctx.store.oldest_check(), moment().time);
        rollouts.update(&ctx.rollouts);
        if ctx.leader.may_write() {
            ctx.admission.remove_first(ctx.uninstalls()).await;
            check_removals(&ctx).await;
            record_kinds(&ctx).await;
        }
    }
}

/// Writes reports again when another removal is held, and removes an approval that is used up, so that it approves no later one.
async fn check_removals(ctx: &Context) {
    // Any target that was not read may have entries.
    if ctx.store.reads_target_lists() {
        return;
    }
    let permission = ctx.lease.borrow().allow_removal.clone();
    let members = ctx.store.members(&ctx.settings.selector);
    let removals = ctx.gate.evaluate(members, permission.as_deref());
    ctx.metrics.removals_held.set(gauge(removals.held));
    if removals.has_changed {
        ctx.store.enqueue_all();
    }
    if removals.is_used_up {
        warn(lease::remove_approval(&ctx.client, &ctx.settings.namespace).await, "remove the approval of a removal");
    }
}

/// Records the installed mirror kinds on the Lease, so that a later process knows that a kind was removed.
async fn record_kinds(ctx: &Context) {
    if let Some(kinds) = ctx.store.kinds_to_record() {
        let recorded = lease::record_kinds(&ctx.client, &ctx.settings.namespace, &kinds).await;
        warn(recorded, "record the mirror kinds");
    }
}

/// The next interval tries again.
fn warn(written: kube::Result<()>, what: &str) {
    if let Err(error) = written {
        tracing::warn!(error = %Cause(&error), "failed to {what} on the Lease; trying again");
    }
}

fn count(metrics: &ManagerMetrics, clusters: usize, reports: &[Arc<HostedClusterMirrorsStatus>]) {
    metrics.hosted_clusters.set(gauge(clusters));
    let targets = reports.iter().flat_map(|report| &report.control_plane.targets);
    metrics.targets.set(gauge(targets.clone().count()));
    metrics.targets_up_to_date.set(gauge(targets.filter(|target| target.up_to_date).count()));
    let nodes = reports.iter().filter_map(|report| report.nodes.as_ref());
    metrics.nodes.set(nodes.clone().map(|nodes| nodes.total).sum());
    metrics.nodes_applied.set(nodes.map(|nodes| nodes.applied).sum());
    let conditions = reports.iter().flat_map(|report| &report.conditions);
    let synced = conditions.filter(|condition| condition.type_ == ConditionType::GuestSynced.as_str());
    metrics.guests.clear();
    for reason in synced.filter_map(|condition| Reason::parse(&condition.reason)) {
        metrics.guests.get_or_create(&ReasonLabels { reason: reason.as_str() }).inc();
    }
}

/// Without an agent, nobody reports what nodes use.
fn count_lags(ctx: &Context) {
    ctx.metrics.control_plane_lag.set(&ctx.store.fleet_lag(Side::ControlPlane));
    if ctx.settings.flags.has_guests {
        ctx.metrics.node_lag.set(&ctx.store.fleet_lag(Side::Nodes));
    }
}

fn count_proofs(
    metrics: &ManagerMetrics,
    reports: &[Arc<HostedClusterMirrorsStatus>],
    oldest: Option<Timestamp>,
    now: Timestamp,
) {
    let is_held = |condition: &Condition| {
        condition.reason == Reason::ProofMissing.as_str() && condition.type_ != ConditionType::MirrorsProven.as_str()
    };
    let held = reports.iter().filter(|report| report.conditions.iter().any(is_held)).count();
    metrics.proofs_held.set(gauge(held));
    let conditions = reports.iter().flat_map(|report| &report.conditions);
    let proven: Vec<&Condition> =
        conditions.filter(|condition| condition.type_ == ConditionType::MirrorsProven.as_str()).collect();
    // All of them, so that an alert on one of them has a zero to start from.
    for (state, status) in [("Proven", "True"), ("Missing", "False"), ("Unknown", "Unknown")] {
        let count = proven.iter().filter(|condition| condition.status == status).count();
        metrics.mirrors_proven.get_or_create(&StateLabels { state }).set(gauge(count));
    }
    let age = oldest.map_or(0, |oldest| now.duration_since(oldest).as_secs().max(0));
    metrics.proof_age.set(age);
}

#[cfg(test)]
mod tests;
