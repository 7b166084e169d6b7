//! Writes and deletes the boot ConfigMaps in the control-plane namespace.

use std::time::Duration;

use hypermirror_api::Reason;
use serde_json::Value;

use super::Act;
use crate::hosted::boot::{BootWish, config_map_name, digest};
use crate::hosted::condition_state::SourceTrouble;
use crate::hosted::memory::Boot;
use crate::management::apply::WriteError;

/// Pause after a failed write. It usually needs a change of permissions, so a short pause would not help.
const RETRY: Duration = Duration::from_secs(30);

impl Act<'_> {
    /// Reconciles the ConfigMaps. A failed write is reported for its NodePool.
    ///
    /// HyperShift replaces nodes with each change of a ConfigMap, so a change waits for further edits (`--rollout-batch`).
    pub(super) async fn reconcile_boot(&mut self) {
        let turn = self.turn;
        // One after the other, and each with its own trouble: a NodePool whose file is refused must not keep the others from theirs.
        for BootWish { pool, config_map } in &turn.boot {
            let (reason, message) = match config_map {
                Err(trouble) => (trouble.reason, trouble.message.clone()),
                Ok(wanted) => match self.deliver(pool, wanted.as_ref()).await {
                    Ok(()) => continue,
                    Err(error) => {
                        self.ctx.store.clusters.add_after(self.key.clone(), RETRY);
                        let hint = "install manifests/overlays/rollout-delivery, which has the required RBAC";
                        (Reason::WriteFailed, format!("{error} ({hint})"))
                    }
                },
            };
            self.outcome.boot_troubles.entry(pool.clone()).or_default().push(SourceTrouble { reason, message });
        }
    }

    async fn deliver(&mut self, pool: &str, object: Option<&Value>) -> Result<(), WriteError> {
        let (ctx, now) = (self.ctx, self.now.instant);
        let wanted = object.map(digest);
        let unknown = || Boot { wanted: None, since: now, current: None, read_at: now };
        let boot = self.memory.boots.entry(pool.to_owned()).or_insert_with(unknown);
        if boot.wanted != wanted {
            (boot.wanted, boot.since) = (wanted.clone(), now);
        }
        // It is not watched, so edits and deletions are detected only here.
        let interval = ctx.settings.guests.guest_interval;
        let known = boot.current.clone().filter(|_| self.now.left(boot.read_at, interval).is_some());
        let current = if let Some(current) = known {
            current
        } else {
            boot.read_at = now;
            ctx.writer.read_config_map(&self.namespace, &config_map_name(pool)).await?.as_ref().map(digest)
        };
        boot.current = Some(current.clone());
        if current == wanted {
            if wanted.is_some() {
                ctx.store.clusters.add_after(self.key.clone(), interval);
            }
            return Ok(());
        }
        if let Some(left) = self.now.left(boot.since, ctx.settings.rollout_batch) {
            ctx.store.clusters.add_after(self.key.clone(), left);
            return Ok(());
        }
        boot.current = None; // the result of a failed write is not known
        match object {
            Some(object) => ctx.writer.apply_config_map(object).await?,
            None => ctx.writer.delete_config_map(&self.namespace, &config_map_name(pool)).await?,
        }
        boot.current = Some(wanted);
        ctx.store.clusters.add_after(self.key.clone(), interval);
        Ok(())
    }
}
