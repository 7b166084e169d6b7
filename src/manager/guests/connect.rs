//! From a Secret to a client of the guest that answers.

use std::time::Duration;

use hypermirror_api::Reason;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::watch::Watches;
use super::{Connection, Guest, Guests, jittered, look};
use crate::client::deadline::answered;
use crate::guest::certificate;
use crate::guest::health::{Health, Next};
use crate::guest::kubeconfig::GuestAccess;
use crate::guest::{GuestClient, GuestError, InFlight};
use crate::hosted::verdict::Verdict;
use crate::management::index::guests::KubeconfigSecret;
use crate::manager::context::Context;
use hypermirror_api::ClusterKey;

/// The key of every one of these Secrets.
const KEY: &str = "kubeconfig";
/// Something on the management cluster went wrong.
const RETRY: Duration = Duration::from_secs(2);
/// Between two tries at what the guest has refused.
const AFTER_REFUSAL: Duration = Duration::from_secs(30);
/// The same where its answer was too large.
const AFTER_TOO_LARGE: Duration = Duration::from_mins(5);

/// Why there is nobody to talk to.
pub(super) enum NoConnection {
    /// Told, and looked at again after a while; none: when something changes.
    Told(Verdict, Option<Duration>),
    /// Too early to tell: a failure or an answer alone decides nothing.
    Undecided(Duration),
}

/// The client of a guest that answered a moment ago, or does now.
pub(super) async fn connect(
    ctx: &Context,
    guests: &Guests,
    guest: &mut Guest,
    key: &ClusterKey,
) -> Result<GuestClient, NoConnection> {
    let Some(secret) = ctx.index().kubeconfig(key) else {
        let message = "waiting for the kubeconfig of the guest cluster in the control-plane namespace";
        let missing = Verdict::new("Unknown", Reason::KubeconfigMissing, message);
        return Err(NoConnection::Told(missing, None));
    };
    let known = guest.connection.take_if(|connection| connection.secret != secret);
    if known.is_some() {
        (guest.base, guest.watches) = (None, Watches::default()); // other credentials, other rights
    }
    let is_new = guest.connection.is_none();
    if guest.connection.is_none() {
        guest.connection = Some(open(ctx, &guests.in_flight, key, secret).await?);
    }
    let Some(connection) = guest.connection.clone() else { return Err(NoConnection::Undecided(RETRY)) };
    if let Some(end) = connection.expires.filter(|end| *end <= jiff::Timestamp::now()) {
        let name = connection.secret.name;
        let message = format!("the client certificate in Secret {name} expired at {end}");
        return Err(NoConnection::Told(Verdict::new("False", Reason::CredentialsExpired, message), None));
    }
    if is_new || guest.health != Health::default() {
        probe(guest, key, &connection).await?;
    }
    Ok(connection.client.within(look(ctx, guest)))
}

async fn open(
    ctx: &Context,
    in_flight: &InFlight,
    key: &ClusterKey,
    secret: KubeconfigSecret,
) -> Result<Connection, NoConnection> {
    let namespace = key.control_plane_namespace();
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), &namespace);
    let read = answered(api.get_opt(secret.name)).await.map_err(|error| {
        tracing::warn!(cluster = %key, secret = secret.name, %error, "failed to read the kubeconfig of a guest cluster; trying again");
        NoConnection::Undecided(RETRY)
    })?;
    let Some(content) = read else { return Err(NoConnection::Undecided(RETRY)) }; // its watch tells soon
    let refused = |why: &str| {
        let message = format!("Secret {namespace}/{}: {why}", secret.name);
        NoConnection::Told(Verdict::new("False", Reason::KubeconfigRefused, message), None)
    };
    let data = content.data.unwrap_or_default();
    let bytes = data.get(KEY).ok_or_else(|| refused(&format!("key {KEY} is missing")))?;
    let access = GuestAccess::parse(&bytes.0, &namespace).map_err(|error| refused(&error.to_string()))?;
    let client = GuestClient::new(&access, &ctx.metrics.guest_requests, in_flight);
    let client = client.map_err(|error| refused(&error.to_string()))?;
    Ok(Connection { secret, client, expires: certificate::expires(&access.credentials) })
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

/// What a failed call means for the connection: one that may well be a hiccup is told when it lasts.
pub(super) fn failed(guest: &mut Guest, key: &ClusterKey, error: &GuestError) -> NoConnection {
    let told = |status: &'static str| Verdict::new(status, error.reason(), error.to_string());
    match error {
        // Another instance tells, or this one when it leads again.
        GuestError::Stopped | GuestError::Newer { .. } => NoConnection::Undecided(RETRY),
        // A Secret that was rotated is told by its watch; a server that learns of a new authority is not.
        GuestError::Unauthorized(_) => {
            guest.connection = None;
            guest.watches.stop();
            NoConnection::Told(told("False"), Some(jittered(AFTER_REFUSAL, key)))
        }
        GuestError::Denied { .. } | GuestError::Forbidden { .. } | GuestError::Failed { .. } => {
            NoConnection::Told(told("False"), Some(jittered(AFTER_REFUSAL, key)))
        }
        // It costs more than any other answer, and it is not one that mends itself.
        GuestError::TooLarge { .. } => NoConnection::Told(told("False"), Some(jittered(AFTER_TOO_LARGE, key))),
        GuestError::Unfinished { .. } => {
            let pause = unwell(guest).max(AFTER_REFUSAL);
            NoConnection::Told(told("Unknown"), Some(jittered(pause, key)))
        }
        // Somebody else writes there, too: look again; one who always says so is like one that is down.
        GuestError::Conflict { .. } | GuestError::Gone { .. } | GuestError::Authority(_) => {
            lasting(guest, key, told("False"))
        }
        GuestError::Down { .. } => lasting(guest, key, told("Unknown")),
    }
}

/// Told when it lasts.
fn lasting(guest: &mut Guest, key: &ClusterKey, verdict: Verdict) -> NoConnection {
    let pause = unwell(guest);
    if guest.health.is_down() {
        NoConnection::Told(verdict, Some(jittered(pause, key)))
    } else {
        NoConnection::Undecided(pause)
    }
}

/// Counts a failure; answers when to try again.
fn unwell(guest: &mut Guest) -> Duration {
    let pause = guest.health.failed();
    if guest.health.is_down() {
        guest.change = None; // nobody waits for a guest that is down
        guest.watches.stop();
    }
    pause
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ClusterKey {
        ClusterKey { namespace: "clusters".into(), name: "west".into() }
    }

    fn told(none: NoConnection) -> Option<(&'static str, Reason)> {
        match none {
            NoConnection::Told(verdict, pause) => {
                assert!(pause.is_some_and(|pause| pause > Duration::from_secs(1)), "told, and asked less often");
                Some((verdict.status, verdict.reason))
            }
            NoConnection::Undecided(_) => None,
        }
    }

    #[test]
    fn a_guest_whose_calls_fail_is_told_after_the_third_although_it_answers_probes() {
        let what = || "GET x".to_owned();
        for (error, expected) in [
            (GuestError::Down { what: what(), message: "503".into() }, ("Unknown", Reason::ConnectionDown)),
            (GuestError::Conflict { what: what() }, ("False", Reason::PushFailed)),
            (GuestError::Gone { what: what() }, ("False", Reason::PushFailed)),
            (GuestError::Authority("x".into()), ("False", Reason::AuthorityUnknown)),
        ] {
            let mut guest = Guest::default();
            for round in 0..6 {
                while guest.health.answered() != Next::Work {}
                let expected = (round >= 2).then_some(expected);
                assert_eq!(told(failed(&mut guest, &key(), &error)), expected, "{error}, round {round}");
            }
        }
    }

    #[test]
    fn what_no_second_try_mends_is_told_at_once_and_the_end_of_a_term_never() {
        let what = || "LIST x".to_owned();
        for (error, expected) in [
            (GuestError::Unfinished { what: what() }, Some(("Unknown", Reason::ConnectionDown))),
            (GuestError::TooLarge { what: what() }, Some(("False", Reason::AnswerTooLarge))),
            (GuestError::Failed { what: what(), message: "x".into() }, Some(("False", Reason::PushFailed))),
            (GuestError::Stopped, None),
            (GuestError::Newer { what: what(), term: 7 }, None),
        ] {
            assert_eq!(told(failed(&mut Guest::default(), &key(), &error)), expected, "{error}");
        }
    }
}
