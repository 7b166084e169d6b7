//! What is known of a guest cluster after a reconcile of it, and how it is recorded.

use std::sync::Arc;
use std::time::Duration;

use hypermirror_api::ClusterKey;

use super::connect::NoConnection;
use super::{Guest, jittered};
use crate::guest::GuestError;
use crate::hosted::guest::GuestOutcome;
use crate::management::index::Index;
use crate::manager::context::Context;

/// The result of the last reconcile, by this process or a previous one.
pub(super) fn known(ctx: &Context, key: &ClusterKey) -> Option<GuestOutcome> {
    known_in(&ctx.index(), key).map(|known| (*known).clone())
}

fn known_in(index: &Index, key: &ClusterKey) -> Option<Arc<GuestOutcome>> {
    index.guests.outcome(key).or_else(|| {
        let report = index.cluster(key)?.report.clone()?;
        GuestOutcome::reported(&report).map(Arc::new)
    })
}

/// Records an outcome, and enqueues the report if it has changed.
pub(super) fn record(
    ctx: &Context,
    key: &ClusterKey,
    outcome: impl FnOnce(Option<&GuestOutcome>) -> Option<GuestOutcome>,
) {
    let mut index = ctx.index();
    let before = known_in(&index, key);
    let Some(outcome) = outcome(before.as_deref()) else { return };
    let changed = index.guests.conclude(key, outcome);
    drop(index);
    if changed {
        ctx.queue.add(key.clone());
    }
}

/// Records that there is no connection; returns when to try again.
pub(super) fn record_no_connection(ctx: &Context, key: &ClusterKey, none: NoConnection) -> Option<Duration> {
    match none {
        NoConnection::Undecided(pause) => Some(pause),
        NoConnection::Told(verdict, pause) => {
            record(ctx, key, |before| Some(GuestOutcome::unknown(verdict, before)));
            pause.or_else(|| Some(jittered(ctx.settings.guests.guest_interval, key)))
        }
    }
}

/// Objects of a later term belong to another leader, unless this replica leads according to the Lease, whose terms start again
/// if it was deleted and recreated.
pub(super) async fn overrule(ctx: &Context, guest: &mut Guest, error: &GuestError) {
    let GuestError::Newer { what, term } = error else { return };
    match ctx.holds_lease().await {
        Ok(true) => {
            tracing::info!(
                what,
                term,
                ours = guest.term,
                "the Lease was recreated, so its term restarted; overwriting the object"
            );
            guest.overrules = *term;
        }
        Ok(false) => tracing::warn!(
            what,
            term,
            ours = guest.term,
            "a newer leader has written to the guest cluster; this replica does not write"
        ),
        Err(error) => tracing::warn!(%error, "failed to read the Lease; trying again"),
    }
}
