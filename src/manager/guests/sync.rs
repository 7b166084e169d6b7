//! Reconciles one guest cluster: connect, write, read the status of nodes, report.

use std::time::Duration;

use hypermirror_api::Reason;
use hypermirror_api::report::GuestReport;

use super::connect::{connect, failed};
use super::give::{Given, Turn, give};
use super::outcome::{overrule, record, record_no_connection};
use super::watch::Asker;
use super::{Guest, Guests, bootstrap, jittered, leave, pace};
use crate::guest::seen::WATCHED;
use crate::guest::summary::Summary;
use crate::guest::{GuestClient, GuestError};
use crate::hosted::condition_state::ConditionState;
use crate::hosted::gates::{GateName, held};
use crate::hosted::guest::GuestOutcome;
use crate::manager::context::{Context, moment};
use crate::manager::heavy::Load;
use crate::manager::observe::{Absent, Seen};
use crate::manager::options::GuestAgent;
use hypermirror_api::ClusterKey;

/// Pause before a large guest cluster requests a slot again.
const PLACE_AGAIN: Duration = Duration::from_millis(100);

/// Reconciles one guest cluster. Returns the time of the next reconcile if no event triggers an earlier one.
pub(super) async fn sync(ctx: &Context, guests: &Guests, guest: &mut Guest, key: &ClusterKey) -> Option<Duration> {
    let seen = match ctx.see(key, Load::default(), &ctx.heavy.guests).await {
        Ok(seen) => seen,
        Err(Absent::Busy) => return Some(PLACE_AGAIN),
        Err(Absent::Gone | Absent::Unread) => return None,
    };
    let now = moment();
    let interval = jittered(ctx.settings.guests.guest_interval, key);
    match held(&seen.facts, now) {
        Some((GateName::NamespaceClaim, refused)) => {
            *guest = Guest::default(); // the known state belongs to another HostedCluster
            record(ctx, key, |before| Some(GuestOutcome::refused(refused, before)));
            return Some(interval);
        }
        Some((gate, held)) if !gate.is_of_leaving() => {
            record(ctx, key, |before| Some(GuestOutcome { synced: held, ..resting(before) }));
            return seen.facts.pause_left(now).into_iter().chain([interval]).min();
        }
        _ => {}
    }
    match connect(ctx, guests, guest, key).await {
        Ok(client) if seen.facts.wants_guest_left() => leave::leave(ctx, guest, &client, &seen).await,
        Ok(client) => {
            guest.leaving_since = None;
            serve(ctx, guests, guest, &client, &seen).await
        }
        Err(none) if seen.facts.wants_guest_left() => leave::without_connection(ctx, guest, &seen, none),
        Err(none) => record_no_connection(ctx, key, none),
    }
}

/// The outcome while nothing may be written.
fn resting(before: Option<&GuestOutcome>) -> GuestOutcome {
    let nothing = ConditionState::new("Unknown", Reason::Paused, "");
    before.cloned().unwrap_or_else(|| GuestOutcome::unknown(nothing, None))
}

async fn serve(
    ctx: &Context,
    guests: &Guests,
    guest: &mut Guest,
    client: &GuestClient,
    seen: &Seen,
) -> Option<Duration> {
    let key = &seen.facts.key;
    match give_and_read(ctx, guests, guest, client, seen).await {
        Ok(Ok((given, summary))) => {
            guest.health.worked();
            watch(ctx, guests, guest, key);
            Some(told(ctx, guest, client, seen, &given, summary).await)
        }
        Ok(Err(pause)) => Some(pause),
        Err(error) => {
            guest.base = None;
            overrule(ctx, guest, &error).await;
            record_no_connection(ctx, key, failed(guest, key, &error))
        }
    }
}

/// Starts the watches that detect changes of hypermirror's objects by other clients.
fn watch(ctx: &Context, guests: &Guests, guest: &mut Guest, key: &ClusterKey) {
    let (Some(connection), Some(base), Some(mirrors)) = (&guest.connection, &guest.base, &guest.mirrors) else {
        return;
    };
    let asker = Asker { key: key.clone(), queue: ctx.guest_queue.clone(), term: ctx.term.clone() };
    let kinds = WATCHED.into_iter().filter(|kind| mirrors.has(kind) || base.others.iter().any(|other| other == kind));
    guest.watches.start(&guests.places, &connection.client, kinds, &asker);
}

/// Writes the mirrors and reads the status of nodes. Returns the pause if the mirrors have to wait for a slot.
async fn give_and_read(
    ctx: &Context,
    guests: &Guests,
    guest: &mut Guest,
    client: &GuestClient,
    seen: &Seen,
) -> Result<Result<(Given, Summary), Duration>, GuestError> {
    let given = match give(ctx, guests, guest, client, seen).await? {
        Turn::Now(given) => given,
        Turn::Later(pause) => return Ok(Err(pause)),
    };
    if given.changed {
        guest.asked = 0;
    }
    let summary = client.read_back(&given.sets).await?;
    Ok(Ok((given, summary)))
}

async fn told(
    ctx: &Context,
    guest: &mut Guest,
    client: &GuestClient,
    seen: &Seen,
    given: &Given,
    summary: Summary,
) -> Duration {
    let key = &seen.facts.key;
    let complete = summary.is_complete();
    let age = guest.change.as_ref().map(|change| change.since.elapsed());
    if complete || age.is_some_and(|age| age > pace::PATIENCE) {
        guest.change = None;
    }
    // Nodes need a short time to confirm. Until then nothing is reported, because it would look like a failure.
    let early = !complete && age.is_some_and(|age| age < pace::GRACE) && summary.verdict.reason != Reason::NodesFailing;
    if !early {
        let bootstrap = bootstrap::covered(ctx, client, seen, &summary).await;
        let secret = guest.connection.as_ref().map(|connection| connection.secret.name).unwrap_or_default();
        let report = guest_report(secret, given);
        let synced = synced(ctx, guest);
        record(ctx, key, |_| {
            Some(GuestOutcome {
                synced,
                nodes: Some(summary.verdict),
                bootstrap: Some(bootstrap),
                guest: Some(report),
                nodes_report: Some(summary.report),
                left: false,
            })
        });
    }
    let interval = jittered(ctx.settings.guests.guest_interval, key);
    if complete {
        return interval;
    }
    guest.asked += 1;
    pace::pause(guest.asked - 1).map_or(interval.min(Duration::from_mins(1)), |pause| pause.min(interval))
}

fn guest_report(secret: &str, given: &Given) -> GuestReport {
    let mut sets: Vec<String> = given.sets.iter().map(|set| format!("{}@{}", set.name, set.generation)).collect();
    sets.sort();
    GuestReport { kubeconfig: secret.to_owned(), objects: i64::try_from(given.objects).unwrap_or(i64::MAX), sets }
}

fn synced(ctx: &Context, guest: &Guest) -> ConditionState {
    let options = &ctx.settings.guests.agent;
    if options.who == GuestAgent::Managed && options.image.is_none() {
        let message = "the mirrors are up to date, but the agent is not installed: its image is unknown (set \
                       --agent-image)";
        return ConditionState::new("False", Reason::AgentImageMissing, message);
    }
    if guest.base.as_ref().is_some_and(|base| !base.kinds.admission_policies) {
        let message = "all hypermirror objects in the guest cluster are up to date; without \
                       ValidatingAdmissionPolicies an agent can \
             write the status of any node";
        return ConditionState::new("True", Reason::NodeIdentityUnverified, message);
    }
    ConditionState::new("True", Reason::AsExpected, "all hypermirror objects in the guest cluster are up to date")
}
