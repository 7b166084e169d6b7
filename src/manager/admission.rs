//! Which admission is installed, looked at now and then. Reports tell it; nothing else depends on it.

use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::options::Mode;
use crate::management::admission_registration::installed;

/// An administrator installs or removes one now and then, and a report may say so a little later.
const LOOK: Duration = Duration::from_mins(1);

/// Looks once. Answers whether something else is known now.
pub async fn look(ctx: &Context) -> bool {
    // Who only observes has nothing to restore.
    if ctx.settings.mode == Mode::Observe {
        return false;
    }
    match installed(&ctx.client).await {
        Ok(admission) => ctx.set_admission(admission),
        Err(error) => {
            tracing::debug!(%error, "failed to detect the installed admission; trying again");
            false
        }
    }
}

/// Looks again and again until the process ends.
pub async fn follow(ctx: Arc<Context>) {
    loop {
        tokio::time::sleep(LOOK).await;
        if look(&ctx).await {
            let keys = ctx.index().keys();
            ctx.queue.add_all(keys);
        }
    }
}
