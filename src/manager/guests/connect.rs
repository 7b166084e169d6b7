//! From a Secret to a client of the guest that answers.

use std::time::Duration;

use hypermirror_api::Reason;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::{Connection, Guest};
use crate::fleet::report::Verdict;
use crate::guest::certificate;
use crate::guest::health::Next;
use crate::guest::kubeconfig::GuestAccess;
use crate::guest::{GuestClient, GuestError};
use crate::kube::ClusterKey;
use crate::kube::deadline::answered;
use crate::kube::index::guests::KubeconfigSecret;
use crate::manager::context::Context;

/// The key of every one of these Secrets.
const KEY: &str = "kubeconfig";
/// Something on the management cluster went wrong.
const RETRY: Duration = Duration::from_secs(2);

/// Why there is nobody to talk to.
pub(super) enum NoConnection {
    /// Told, and looked at again after a while; none: when something changes.
    Told(Verdict, Option<Duration>),
    /// Too early to tell: a failure or an answer alone decides nothing.
    Undecided(Duration),
}

/// The client of a guest that answered a moment ago, or does now.
pub(super) async fn connect(ctx: &Context, guest: &mut Guest, key: &ClusterKey) -> Result<GuestClient, NoConnection> {
    let Some(secret) = ctx.index().kubeconfig(key) else {
        let message = "the control-plane namespace has no kubeconfig of the guest yet";
        let missing = Verdict::new("Unknown", Reason::KubeconfigMissing, message);
        return Err(NoConnection::Told(missing, None));
    };
    let known = guest.connection.take_if(|connection| connection.secret != secret);
    if known.is_some() {
        guest.base = None; // other credentials, other rights
    }
    let is_new = guest.connection.is_none();
    if guest.connection.is_none() {
        guest.connection = Some(open(ctx, key, secret).await?);
    }
    let Some(connection) = guest.connection.clone() else { return Err(NoConnection::Undecided(RETRY)) };
    if let Some(end) = connection.expires.filter(|end| *end <= jiff::Timestamp::now()) {
        let name = connection.secret.name;
        let message = format!("the client certificate in Secret {name} is not valid since {end}");
        return Err(NoConnection::Told(Verdict::new("False", Reason::CredentialsExpired, message), None));
    }
    if is_new || guest.health != crate::guest::health::Health::default() {
        probe(guest, key, &connection).await?;
    }
    Ok(connection.client)
}

async fn open(ctx: &Context, key: &ClusterKey, secret: KubeconfigSecret) -> Result<Connection, NoConnection> {
    let namespace = key.control_plane_namespace();
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), &namespace);
    let read = answered(api.get_opt(secret.name)).await.map_err(|error| {
        tracing::warn!(cluster = %key, secret = secret.name, %error, "a guest's kubeconfig cannot be read now");
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
    let client = GuestClient::new(&access, &ctx.metrics.guest_requests).map_err(|error| refused(&error.to_string()))?;
    Ok(Connection { secret, client, expires: certificate::expires(&access.credentials) })
}

async fn probe(guest: &mut Guest, key: &ClusterKey, connection: &Connection) -> Result<(), NoConnection> {
    let Err(error) = connection.client.probe().await else {
        return match guest.health.answered() {
            Next::Work => Ok(()),
            Next::Probe(pause) => Err(NoConnection::Undecided(pause)),
        };
    };
    Err(failed(guest, key, &error))
}

/// What a failed call means for the connection: one that may well be a hiccup is told when it lasts.
pub(super) fn failed(guest: &mut Guest, key: &ClusterKey, error: &GuestError) -> NoConnection {
    if matches!(error, GuestError::Unauthorized(_)) {
        // A Secret that was rotated is told by its watch; a server that learns of a new authority is not.
        guest.connection = None;
        let verdict = Verdict::new("False", error.reason(), error.to_string());
        return NoConnection::Told(verdict, Some(super::jittered(Duration::from_secs(30), key)));
    }
    if matches!(error, GuestError::Conflict { .. } | GuestError::Gone { .. }) {
        return NoConnection::Undecided(RETRY); // somebody else writes there, too: look again
    }
    if error.is_answer() {
        let verdict = Verdict::new("False", error.reason(), error.to_string());
        return NoConnection::Told(verdict, Some(super::jittered(Duration::from_secs(30), key)));
    }
    let pause = guest.health.failed();
    guest.change = None; // nobody waits for a guest that is down
    if !guest.health.is_down() {
        return NoConnection::Undecided(pause);
    }
    let status = if matches!(error, GuestError::Authority(_)) { "False" } else { "Unknown" };
    let verdict = Verdict::new(status, error.reason(), error.to_string());
    NoConnection::Told(verdict, Some(super::jittered(pause, key)))
}
