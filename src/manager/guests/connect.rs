//! Connects to guest clusters with the kubeconfig in a Secret.

use std::time::Duration;

use hypermirror_api::Reason;
use k8s_openapi::api::core::v1::Secret;

use super::watch::Watches;
use super::{Connection, Guest, Guests, jittered};
use crate::client::cause::Cause;
use crate::guest::certificate;
use crate::guest::health::{Health, Next};
use crate::guest::kubeconfig::GuestAccess;
use crate::guest::{GuestClient, GuestError};
use crate::hosted::condition_state::ConditionState;
use crate::management::index::guests::KubeconfigSecret;
use crate::manager::observe::Observation;
use hypermirror_api::ClusterKey;

/// The key in the Secrets.
const KEY: &str = "kubeconfig";
/// Pause after an error in the management cluster.
const RETRY: Duration = Duration::from_secs(2);
/// Pause after a request that the guest cluster rejected, which usually needs a change of its configuration.
const AFTER_REFUSAL: Duration = Duration::from_secs(30);
/// Pause after a response that is too large, which is expensive and rarely changes.
const AFTER_TOO_LARGE: Duration = Duration::from_mins(5);

/// Why there is no connection.
pub(super) enum NoConnection {
    /// Reported, and tried again after a pause. `None`: when an object changes.
    Reported(ConditionState, Option<Duration>),
    /// Not reported yet, because a single failure may be temporary.
    Undecided(Duration),
}

/// Returns the client of a guest cluster that responded recently or responds now.
pub(super) async fn connect(
    guests: &Guests,
    guest: &mut Guest,
    observed: &Observation,
) -> Result<GuestClient, NoConnection> {
    let key = &observed.facts.key;
    let Some(secret) = observed.kubeconfig.clone() else {
        let message = "waiting for the kubeconfig of the guest cluster in the control-plane namespace";
        let missing = ConditionState::new("Unknown", Reason::KubeconfigMissing, message);
        return Err(NoConnection::Reported(missing, None));
    };
    // A rotated Secret is another version. The old credentials may still work, but for how long is not known.
    let known = guest.connection.take_if(|connection| connection.secret != secret);
    if known.is_some() {
        (guest.base, guest.watches) = (None, Watches::default()); // other credentials, other rights
    }
    let is_new = guest.connection.is_none();
    if guest.connection.is_none() {
        guest.connection = Some(guests.open(key, secret).await?);
    }
    let Some(connection) = guest.connection.clone() else { return Err(NoConnection::Undecided(RETRY)) };
    if let Some(end) = connection.expires.filter(|end| *end <= jiff::Timestamp::now()) {
        let name = connection.secret.name;
        let message = format!("the client certificate in Secret {name} expired at {end}");
        return Err(NoConnection::Reported(ConditionState::new("False", Reason::CredentialsExpired, message), None));
    }
    // The probe costs one small request. Without it, a guest cluster that is down would cost the deadline of a whole reconcile each
    // time, and one with wrong credentials would refuse one request after the other.
    if is_new || guest.health != Health::default() {
        probe(guest, key, &connection).await?;
    }
    Ok(connection.client.within(guests.limits(guest)))
}

impl Guests {
    /// Reads the kubeconfig and creates a client. The Secret is read again for each connection, so that no credentials are cached
    /// longer than they are used.
    async fn open(&self, key: &ClusterKey, secret: KubeconfigSecret) -> Result<Connection, NoConnection> {
        let namespace = key.control_plane_namespace();
        let read = self.read::<Secret>(&namespace, secret.name).await.map_err(|error| {
            tracing::warn!(cluster = %key, secret = secret.name, error = %Cause(&error), "failed to read the kubeconfig of a guest cluster; trying again");
            NoConnection::Undecided(RETRY)
        })?;
        let Some(content) = read else { return Err(NoConnection::Undecided(RETRY)) }; // deleted: its watch will report it
        let refused = |why: &str| {
            let message = format!("Secret {namespace}/{}: {why}", secret.name);
            NoConnection::Reported(ConditionState::new("False", Reason::KubeconfigRefused, message), None)
        };
        let data = content.data.unwrap_or_default();
        let bytes = data.get(KEY).ok_or_else(|| refused(&format!("key {KEY} is missing")))?;
        let access = GuestAccess::parse(&bytes.0, &namespace).map_err(|error| refused(&error.to_string()))?;
        let client = GuestClient::new(&access, &self.requests, &self.in_flight);
        let client = client.map_err(|error| refused(&error.to_string()))?;
        Ok(Connection { secret, client, expires: certificate::expires(&access.credentials) })
    }
}

async fn probe(guest: &mut Guest, key: &ClusterKey, connection: &Connection) -> Result<(), NoConnection> {
    let Err(error) = connection.client.probe().await else {
        return match guest.health.answered() {
            Next::Work => Ok(()),
            Next::Probe(pause) => Err(NoConnection::Undecided(pause)),
        };
    };
    guest.health.unanswered();
    Err(failed(guest, key, &error))
}

/// Handles a failed request. Errors that may be temporary are reported only if they last.
pub(super) fn failed(guest: &mut Guest, key: &ClusterKey, error: &GuestError) -> NoConnection {
    let verdict = |status: &'static str| ConditionState::new(status, error.reason(), error.to_string());
    match error {
        // Reported by the replica that leads.
        GuestError::Stopped | GuestError::Newer { .. } => NoConnection::Undecided(RETRY),
        // The watch reports a rotated Secret, but not an API server that trusts a new CA.
        GuestError::Unauthorized(_) => {
            guest.connection = None;
            guest.watches.stop();
            NoConnection::Reported(verdict("False"), Some(jittered(AFTER_REFUSAL, key)))
        }
        GuestError::Denied { .. } | GuestError::Forbidden { .. } | GuestError::Failed { .. } => {
            NoConnection::Reported(verdict("False"), Some(jittered(AFTER_REFUSAL, key)))
        }
        // It is more expensive than other responses, and does not change by itself.
        GuestError::TooLarge { .. } => NoConnection::Reported(verdict("False"), Some(jittered(AFTER_TOO_LARGE, key))),
        GuestError::Unfinished { .. } => {
            let pause = count_failure(guest).max(AFTER_REFUSAL);
            NoConnection::Reported(verdict("Unknown"), Some(jittered(pause, key)))
        }
        // Caused by concurrent writes: try again. A guest cluster that always returns it is treated as unavailable.
        GuestError::Conflict { .. } | GuestError::Gone { .. } | GuestError::Authority(_) => {
            report_lasting(guest, key, verdict("False"))
        }
        GuestError::Down { .. } => report_lasting(guest, key, verdict("Unknown")),
    }
}

/// Reports the error if it lasts.
fn report_lasting(guest: &mut Guest, key: &ClusterKey, verdict: ConditionState) -> NoConnection {
    let pause = count_failure(guest);
    if guest.health.is_down() {
        NoConnection::Reported(verdict, Some(jittered(pause, key)))
    } else {
        NoConnection::Undecided(pause)
    }
}

/// Counts a failure. Returns the pause before the next attempt.
fn count_failure(guest: &mut Guest) -> Duration {
    let pause = guest.health.failed();
    if guest.health.is_down() {
        guest.change = None; // others do not wait for a guest cluster that is down
        guest.watches.stop();
    }
    pause
}

#[cfg(test)]
mod tests;
