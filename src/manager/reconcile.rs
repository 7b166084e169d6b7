//! Reconciles hosted clusters: observe, compute a turn, apply it, report.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use hypermirror_api::{ClusterKey, Reason};
use tracing::Instrument as _;

use super::act::{Act, Acted};
use super::context::{Context, moment};
use super::heavy::Load;
use super::observe::{Absent, Observation};
use super::reporter::Reporter;
use crate::hosted::facts::Slot;
use crate::hosted::status::status;
use crate::hosted::turn::turn;
use crate::management::apply::WriteError;
use crate::management::index::lags::Side;
use crate::telemetry::metrics::OutcomeLabels;

/// Pause before a heavy hosted cluster requests a slot again.
const SLOT_RETRY: Duration = Duration::from_millis(100);

/// Reconciles until the process ends.
pub(super) async fn work(ctx: Arc<Context>, reporter: Reporter) {
    let queue = &ctx.store.clusters;
    // A worker never waits for one hosted cluster: what is not possible yet is enqueued for later, and after a failure the queue
    // waits longer and longer for that one alone. So one that always fails costs the others nothing.
    loop {
        let key = queue.next().await;
        if *ctx.stopping.borrow() {
            queue.done(&key, false);
            continue;
        }
        let start = Instant::now();
        // Each reconcile is a separate trace.
        let span = tracing::info_span!(parent: None, "reconcile", cluster = %key);
        // A panic must not affect other hosted clusters.
        let work = AssertUnwindSafe(reconcile(&ctx, &reporter, &key).instrument(span)).catch_unwind();
        let Ok(result) = work.await else {
            tracing::error!(cluster = %key, "the reconcile of a hosted cluster panicked; trying again later");
            ctx.rollouts.end_panicked(&key);
            reporter.submit_failure(&key, moment().time);
            queue.done(&key, true);
            continue;
        };
        let outcome = result.as_ref().map_or_else(WriteError::category, |()| "ok");
        let took = start.elapsed().as_secs_f64();
        ctx.metrics.reconciles.get_or_create(&OutcomeLabels { outcome }).observe(took);
        if let Err(error) = &result {
            tracing::warn!(cluster = %key, %error, "failed to reconcile a hosted cluster; trying again");
        }
        queue.done(&key, result.is_err());
    }
}

/// Reconciles one hosted cluster as far as its gates allow, and enqueues its report.
///
/// # Errors
/// [`WriteError`] if a read or write failed, so that the hosted cluster must be reconciled again.
pub async fn reconcile(ctx: &Context, reporter: &Reporter, key: &ClusterKey) -> Result<(), WriteError> {
    let result = run_turns(ctx, reporter, key).await;
    ctx.rollouts.end_reconcile(key, &result);
    result.map(|_| ())
}

/// Computes and applies turns until there is nothing to write or a gate holds the writes. Each write changes the targets, and
/// the next turn includes all other changes. Returns the reason if a gate holds.
async fn run_turns(ctx: &Context, reporter: &Reporter, key: &ClusterKey) -> Result<Option<Reason>, WriteError> {
    if !ctx.leader.may_write() {
        return Ok(None);
    }
    let (mut load, mut slot, mut writes) = (Load::default(), Slot::default(), 0);
    // Not the next part of a plan but another turn follows a write: while it was written, the owner may have paused the hosted
    // cluster, stock HyperShift may have written the same value, or the term may have ended. `act` bounds the number of writes.
    loop {
        let Some(Observation { mut facts, load: held, edits, .. }) = observe(ctx, key, load, &slot, writes).await?
        else {
            return Ok(None);
        };
        load = held;
        // The writes of an earlier attempt are known now: a claimed slot without a mark is released.
        if facts.has_claim && slot == Slot::NotClaimed {
            ctx.rollouts.release(key);
        }
        facts.rollout.slot = slot;
        let now = moment();
        let turn = ctx.heavy.compute(&load, || turn(&facts, now));
        ctx.store.record_progress(Side::ControlPlane, key, edits, turn.progress());
        match Act::new(ctx, &facts, &turn, now).carry_out(&mut writes).await? {
            Acted::Again(next) => slot = next,
            Acted::Waits => {
                if let Some(left) = turn.again_after {
                    ctx.store.clusters.add_after(key.clone(), left);
                }
                return Ok(None);
            }
            Acted::Done { outcome, failure } => {
                let (facts, turn) = ctx.rollouts.refresh(facts, turn, now);
                if let Some(left) = turn.again_after {
                    ctx.store.clusters.add_after(key.clone(), left);
                }
                let status = ctx.heavy.compute(&load, || status(&facts, &turn, &outcome, now));
                reporter.submit(key, &facts.object, status);
                return failure.map_or(Ok(turn.gate.condition().map(|held| held.reason)), Err);
            }
        }
    }
}

/// The facts of the next turn, if available. After a request for a slot, the state of the pods is relevant, so all targets are
/// read.
async fn observe(
    ctx: &Context,
    key: &ClusterKey,
    load: Load,
    slot: &Slot,
    writes: usize,
) -> Result<Option<Observation>, WriteError> {
    match ctx.observe(key, load, *slot != Slot::NotClaimed).await {
        Ok(Ok(seen)) => Ok(Some(seen)),
        Ok(Err(Absent::Busy)) => {
            ctx.store.clusters.add_after(key.clone(), SLOT_RETRY);
            Ok(None)
        }
        Ok(Err(Absent::Gone | Absent::Unread | Absent::Unlisted)) => Ok(None),
        Err(error) => {
            // Nothing was written for the claimed slot.
            if *slot == Slot::Claimed && writes == 0 {
                ctx.rollouts.release(key);
            }
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests;
