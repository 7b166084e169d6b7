//! The result of a reconcile of a guest cluster.

use std::time::Duration;

use hypermirror_api::ClusterKey;

use super::connect::NoConnection;
use super::{Guest, Guests};
use crate::client::cause::Cause;
use crate::fleet::lag::Progress;
use crate::guest::GuestError;
use crate::hosted::guest::GuestOutcome;

/// What a reconcile has found, and when the next one is due.
#[derive(Debug, PartialEq)]
pub(super) struct Synced {
    /// To be recorded. `None`: the last result stays, because a single failure may be temporary.
    pub(super) outcome: Option<GuestOutcome>,
    /// `None`: when an object changes.
    pub(super) again: Option<Duration>,
    /// The nodes that are not up to date. `None` if they were not counted.
    pub(super) progress: Option<Progress>,
}

impl Synced {
    pub(super) fn new(outcome: GuestOutcome, again: impl Into<Option<Duration>>) -> Self {
        let progress = outcome.left.then_some(Progress::DONE);
        Self { outcome: Some(outcome), again: again.into(), progress }
    }

    /// The last result stays.
    pub(super) fn later(again: Duration) -> Self {
        Self { outcome: None, again: Some(again), progress: None }
    }
}

impl Guests {
    /// The result without a connection.
    pub(super) fn no_connection(&self, key: &ClusterKey, none: NoConnection, before: Option<&GuestOutcome>) -> Synced {
        match none {
            NoConnection::Undecided(pause) => Synced::later(pause),
            NoConnection::Reported(verdict, pause) => {
                let again = pause.unwrap_or_else(|| self.interval(key));
                Synced::new(GuestOutcome::unknown(verdict, before), again)
            }
        }
    }

    /// Objects of a later term belong to another leader, unless this replica leads according to the Lease, whose terms start again
    /// if it was deleted and recreated.
    pub(super) async fn overrule(&self, guest: &mut Guest, error: &GuestError) {
        let GuestError::Newer { what, term } = error else { return };
        let ours = guest.term;
        match self.leader.holds_lease().await {
            Ok(true) => {
                tracing::info!(
                    what,
                    term,
                    ours,
                    "the Lease was recreated, so its term restarted; overwriting the object"
                );
                guest.overrules = *term;
            }
            Ok(false) => tracing::warn!(
                what,
                term,
                ours,
                "a newer leader has written to the guest cluster; this replica does not write"
            ),
            Err(error) => tracing::warn!(error = %Cause(&error), "failed to read the Lease; trying again"),
        }
    }
}
