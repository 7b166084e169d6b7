//! Reconciles one hosted cluster: observe, compute a turn, apply it, report.

use std::time::Duration;

use hypermirror_api::{ClusterKey, Reason};

use super::act::{Act, Acted};
use super::context::{Context, moment};
use super::heavy::Load;
use super::observe::{Absent, Seen};
use super::reporter::Reporter;
use crate::hosted::facts::Slot;
use crate::hosted::status::status;
use crate::hosted::turn::turn;
use crate::management::apply::WriteError;

/// Pause before a heavy hosted cluster requests a slot again.
const PLACE_AGAIN: Duration = Duration::from_millis(100);

/// Reconciles one hosted cluster as far as its gates allow, and enqueues its report.
///
/// # Errors
/// [`WriteError`] if a read or write failed, so that the hosted cluster must be reconciled again.
pub async fn reconcile(ctx: &Context, reporter: &Reporter, key: &ClusterKey) -> Result<(), WriteError> {
    let result = take_turns(ctx, reporter, key).await;
    ctx.release(key, &result);
    result.map(|_| ())
}

/// Computes and applies turns until there is nothing to write or a gate holds the writes. Each write changes the targets, and
/// the next turn includes all other changes. Returns the reason if a gate holds.
async fn take_turns(ctx: &Context, reporter: &Reporter, key: &ClusterKey) -> Result<Option<Reason>, WriteError> {
    if !ctx.may_write() {
        return Ok(None);
    }
    let (mut load, mut slot, mut writes) = (Load::default(), Slot::default(), 0);
    loop {
        let Some(Seen { mut facts, load: held }) = observe(ctx, key, load, &slot, writes).await? else {
            return Ok(None);
        };
        load = held;
        // The writes of an earlier attempt are known now: a claimed slot without a mark is released.
        if facts.has_claim && slot == Slot::NotClaimed {
            ctx.give_back(key);
        }
        facts.rollout.slot = slot;
        let now = moment();
        let turn = ctx.heavy.compute(&load, || turn(&facts, now));
        match Act::new(ctx, &facts, &turn, now).carry_out(&mut writes).await? {
            Acted::Again(next) => slot = next,
            Acted::Waits => {
                if let Some(left) = turn.again_after {
                    ctx.queue.add_after(key.clone(), left);
                }
                return Ok(None);
            }
            Acted::Done { outcome, failure } => {
                let (facts, turn) = ctx.refresh(facts, turn, now);
                if let Some(left) = turn.again_after {
                    ctx.queue.add_after(key.clone(), left);
                }
                let status = ctx.heavy.compute(&load, || status(&facts, &turn, &outcome, now));
                reporter.submit(ctx, key, &facts.object, status);
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
) -> Result<Option<Seen>, WriteError> {
    match ctx.observe(key, load, *slot != Slot::NotClaimed).await {
        Ok(Ok(seen)) => Ok(Some(seen)),
        Ok(Err(Absent::Busy)) => {
            ctx.queue.add_after(key.clone(), PLACE_AGAIN);
            Ok(None)
        }
        Ok(Err(Absent::Gone | Absent::Unread)) => Ok(None),
        Err(error) => {
            // Nothing was written for the claimed slot.
            if *slot == Slot::Claimed && writes == 0 {
                ctx.give_back(key);
            }
            Err(error)
        }
    }
}
