//! Periodically detects the installed admission, only for reports.

use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::options::Mode;
use crate::management::admission_registration::installed;

/// Interval. An admission is rarely installed or removed, and a delay in reports is acceptable.
const LOOK: Duration = Duration::from_mins(1);

/// Detects the admission once. Returns whether it has changed.
pub async fn look(ctx: &Context) -> bool {
    // With --mode=observe there are no entries to restore.
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

/// Detects the admission periodically until the process ends.
pub async fn follow(ctx: Arc<Context>) {
    loop {
        tokio::time::sleep(LOOK).await;
        if look(&ctx).await {
            let keys = ctx.index().keys();
            ctx.queue.add_all(keys);
        }
    }
}
