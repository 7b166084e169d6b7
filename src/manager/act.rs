//! Applies turns. All writes to the management cluster for a hosted cluster, except its report, are here.

mod boot;
mod catalogs;

use futures::future::join_all;
use hypermirror_api::{ClusterKey, Reason};

use super::context::{Context, moment};
use crate::hosted::facts::{ClusterFacts, Moment, Slot};
use crate::hosted::gates::{Gate, GateName};
use crate::hosted::memory::Memory;
use crate::hosted::plan::TargetPlan;
use crate::hosted::status::Outcome;
use crate::hosted::turn::Turn;
use crate::management::apply::WriteError;

/// Maximum number of attempts in one reconcile if targets change concurrently, before the queue's back-off applies.
const WRITES: usize = 6;

/// The result of applying a turn.
pub(super) enum Acted {
    /// An object has changed: compute another turn, with this slot of the rollout budget.
    Again(Slot),
    /// It is too early, or this replica may no longer write: nothing is reported.
    Waits,
    /// Complete.
    Done { outcome: Outcome, failure: Option<WriteError> },
}

/// The part of a plan to write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Only the annotations, before the change.
    Announcement,
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

/// One turn that is being applied.
pub(super) struct Act<'a> {
    ctx: &'a Context,
    key: &'a ClusterKey,
    facts: &'a ClusterFacts,
    turn: &'a Turn,
    now: Moment,
    namespace: String,
    /// The memory to store.
    memory: Memory,
    outcome: Outcome,
}

impl<'a> Act<'a> {
    pub(super) fn new(ctx: &'a Context, facts: &'a ClusterFacts, turn: &'a Turn, now: Moment) -> Self {
        let (key, memory) = (&facts.key, turn.memory.clone());
        let namespace = key.control_plane_namespace();
        Self { ctx, key, facts, turn, now, namespace, memory, outcome: Outcome::default() }
    }

    /// Writes what the gate allows. `writes` counts the attempts of this reconcile.
    ///
    /// The memory is stored also after a failure, because the observations and completed writes remain valid.
    pub(super) async fn carry_out(mut self, writes: &mut usize) -> Result<Acted, WriteError> {
        let acted = self.write_through(writes).await;
        self.ctx.store.remember(self.key, &self.facts.memory, self.memory);
        acted
    }

    async fn write_through(&mut self, writes: &mut usize) -> Result<Acted, WriteError> {
        let place = &self.facts.rollout.slot;
        let failure = match &self.turn.gate {
            Gate::Wait(..) => return Ok(Acted::Waits),
            Gate::Claim => return Ok(Acted::Again(self.ctx.rollouts.claim(self.key))),
            Gate::Hold(GateName::RolloutBudget, held) => {
                if held.reason == Reason::TargetsUnavailable && *place == Slot::Claimed {
                    self.ctx.rollouts.skip(self.key);
                }
                None
            }
            Gate::Go if self.turn.plan.writes() => {
                if !self.ctx.may_write_for(self.key) {
                    return Ok(Acted::Waits); // another replica may lead now, or another HostedCluster own the namespace
                }
                *writes += 1;
                let mut next = place.clone();
                if self.turn.is_uncounted && next != Slot::NotNeeded {
                    self.ctx.rollouts.skip(self.key);
                    next = Slot::NotNeeded;
                }
                if self.trigger_stock_operators().await? {
                    return Ok(Acted::Again(next));
                }
                match self.write(Part::Change).await {
                    Ok(()) | Err(WriteError::Conflict { .. } | WriteError::Gone { .. }) if *writes < WRITES => {
                        return Ok(Acted::Again(next));
                    }
                    Ok(()) => None,
                    Err(error) => Some(error),
                }
            }
            Gate::Go | Gate::Hold(..) => None,
        };
        self.finish(failure).await
    }

    /// Writes what comes after the targets: boot ConfigMaps and OLM catalogs.
    async fn finish(&mut self, failure: Option<WriteError>) -> Result<Acted, WriteError> {
        // Asked again: the writes of the targets took time, in which the term or the claim of the namespace may have ended.
        if self.ctx.may_write_for(self.key) {
            self.reconcile_boot().await;
            // Last of all: the annotation on the HostedCluster shows a later manager that stock operators were triggered by one.
            if self.turn.withdraws {
                self.withdraw().await?;
            }
        }
        self.turn.update_memory(self.facts, &mut self.memory, self.now);
        self.outcome.catalogs = self.reconcile_catalogs().await;
        self.outcome.boots.clone_from(&self.memory.boots);
        self.outcome.failure = failure.as_ref().map(ToString::to_string);
        Ok(Acted::Done { outcome: std::mem::take(&mut self.outcome), failure })
    }

    /// Triggers the stock operators to read the mirrors, with an annotation on the HostedCluster. The annotations of targets that
    /// they will change are written before. Returns whether they were triggered and should get time to write.
    async fn trigger_stock_operators(&mut self) -> Result<bool, WriteError> {
        let plan = &self.turn.plan;
        let Some(value) = &plan.touch else { return Ok(false) };
        // The annotations come first: a stock operator that is triggered rolls its Deployment out, and the admission appends the
        // entries to that write only if the annotation is there. In the other order the pods would restart twice.
        if plan.stock_is_behind {
            match self.write(Part::Announcement).await {
                Ok(()) => {}
                // The mark that counts the rollout must exist before it starts.
                Err(WriteError::Conflict { .. } | WriteError::Gone { .. }) if !self.facts.flags.rollouts.is_on() => {}
                Err(error) => return Err(error),
            }
        }
        self.ctx.writer.touch(self.key, Some(value)).await?;
        // Their time starts now: the writes before it took some.
        self.memory.record_trigger(value, moment().instant);
        self.memory.record_map(&self.turn.map, &self.facts.fleet.management.explained);
        Ok(plan.stock_is_behind)
    }

    /// Removes hypermirror's annotation from a HostedCluster that is no longer managed, after all entries were removed.
    async fn withdraw(&mut self) -> Result<(), WriteError> {
        match self.ctx.writer.touch(self.key, None).await {
            Ok(()) | Err(WriteError::Gone { .. }) => {}
            Err(error) => return Err(error),
        }
        self.memory.touched = None;
        Ok(())
    }

    /// Writes all targets concurrently, and stores their new state.
    async fn write(&mut self, part: Part) -> Result<(), WriteError> {
        let (ctx, key, namespace) = (self.ctx, self.key, &self.namespace);
        let writes = self.turn.plan.targets.iter().enumerate().filter_map(|(place, target)| {
            let plan = target.plan.as_ref()?;
            let patch = part.of(plan)?;
            Some(async move {
                let written = ctx.writer.patch_target(namespace, &target.spec, patch).await;
                match written {
                    Ok(written) => ctx.store.record_target(key, place, written),
                    Err(error) => {
                        ctx.store.distrust_targets(key);
                        return Err(error);
                    }
                }
                Ok((place, plan))
            })
        });
        // Together, because the children would otherwise wait for their parent's response, and an edit reaches users only with the
        // last one. Which of them may be written together is the plan's decision.
        let mut errors = Vec::new();
        for result in join_all(writes).await {
            match result {
                Ok((place, plan)) if part == Part::Change => self.memory.record_write(place, plan, moment().instant),
                Ok(_) => {}
                Err(error) => errors.push(error),
            }
        }
        // All are tried. Other errors have priority over conflicts, after which the targets are only read again.
        errors.sort_by_key(|error| matches!(error, WriteError::Conflict { .. } | WriteError::Gone { .. }));
        errors.into_iter().next().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests;
