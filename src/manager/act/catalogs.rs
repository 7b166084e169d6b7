//! Reconciles the OLM catalogs of hosted clusters with annotations about them. Those of others are never read.

use std::time::Instant;

use super::Act;
use crate::hosted::catalogs::compare::{Difference, compare, stock_images};
use crate::hosted::catalogs::patience::{BUSY, CatalogMemory, CatalogStep, IDLE, TRIES};
use crate::hosted::catalogs::requested::{RequestedCatalogs, Wanted};
use crate::hosted::catalogs::{Handling, condition};
use crate::hosted::condition_state::ConditionState;
use crate::management::apply::WriteError;
use crate::manager::options::OlmCatalogs;

impl Act<'_> {
    /// Reads the catalogs, writes those that HyperShift did not update within its time, and returns the condition. `None` without
    /// annotations about them.
    pub(super) async fn reconcile_catalogs(&mut self) -> Option<ConditionState> {
        let (ctx, turn) = (self.ctx, self.turn);
        let requested = match &turn.catalogs {
            CatalogStep::None => {
                self.memory.catalogs = None;
                self.outcome.catalog_images = Some(Vec::new());
                return None;
            }
            CatalogStep::Report(verdict) => {
                self.memory.catalogs = None;
                self.outcome.catalog_images = Some(Vec::new());
                return Some(verdict.clone());
            }
            CatalogStep::Rest(left, verdict) => {
                ctx.store.clusters.add_after(self.key.clone(), *left);
                return Some(verdict.clone());
            }
            CatalogStep::Read(requested) => requested,
        };
        let (differences, handling) = match self.apply_catalogs(requested).await {
            Ok(outcome) => outcome,
            Err(error) => (Vec::new(), Handling::Failed(error.to_string())),
        };
        let pause = match handling {
            Handling::Waiting if differences.is_empty() => IDLE,
            Handling::Waiting => BUSY,
            Handling::Left(_) | Handling::Failed(_) => ctx.settings.catalog_patience.clamp(BUSY, IDLE),
        };
        ctx.store.clusters.add_after(self.key.clone(), pause);
        Some(condition(requested, &differences, &handling))
    }

    /// The remaining differences and the next step.
    async fn apply_catalogs(
        &mut self,
        requested: &RequestedCatalogs,
    ) -> Result<(Vec<Difference>, Handling), WriteError> {
        let (differences, left, tries) = self.find_differences(requested).await?;
        if differences.is_empty() {
            return Ok((differences, Handling::Waiting));
        }
        if !left.is_zero() {
            self.ctx.store.clusters.add_after(self.key.clone(), left);
            let is_contested = tries >= TRIES;
            let why = || "another client reverts the change repeatedly; the next attempt is delayed".to_owned();
            return Ok((differences, if is_contested { Handling::Left(why()) } else { Handling::Waiting }));
        }
        if let Some(why) = self.why_not_written(&differences) {
            return Ok((differences, Handling::Left(why)));
        }
        for difference in &differences {
            let Some(patch) = &difference.patch else { continue };
            match self.ctx.writer.patch_catalog(&self.namespace, difference.object, patch).await {
                Ok(()) => {
                    if let Some(memory) = &mut self.memory.catalogs {
                        memory.wrote(Instant::now());
                    }
                }
                // It has changed, maybe because HyperShift updated it: read it again.
                Err(WriteError::Conflict { .. } | WriteError::Gone { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        // Read again instead of trusting the responses: HyperShift may revert a catalog within milliseconds, and the condition
        // must not say that it is applied.
        let (differences, ..) = self.find_differences(requested).await?;
        Ok((differences, Handling::Waiting))
    }

    fn why_not_written(&self, differences: &[Difference]) -> Option<String> {
        if self.ctx.settings.olm_catalogs == OlmCatalogs::Report {
            return Some("--olm-catalogs=report: hypermirror does not change it".to_owned());
        }
        if let Some(held) = self.turn.gate.condition().filter(|_| self.turn.gate.holds_map()) {
            return Some(held.message.clone());
        }
        if differences.iter().all(|difference| difference.patch.is_none()) {
            return Some("nothing is written".to_owned());
        }
        (!self.ctx.may_write_for(self.key)).then(|| "another instance leads".to_owned())
    }

    /// The differences, the remaining time for HyperShift to update them, and the number of writes without effect.
    async fn find_differences(
        &mut self,
        requested: &RequestedCatalogs,
    ) -> Result<(Vec<Difference>, std::time::Duration, u32), WriteError> {
        let objects = self.ctx.writer.read_catalogs(&self.namespace, &requested.wanted).await?;
        let (found, patience) = (compare(&requested.wanted, &objects), self.ctx.settings.catalog_patience);
        // The registry-manager learns from the report what to look for.
        let is_asked = matches!(requested.wanted, Wanted::Proven(_));
        self.outcome.catalog_images = Some(if is_asked { stock_images(&objects) } else { Vec::new() });
        let before = self.memory.catalogs.as_ref();
        let (memory, left, tries) = CatalogMemory::found(before, &requested.wanted, &found, patience, Instant::now());
        self.memory.catalogs = Some(memory);
        Ok((found, left, tries))
    }
}
