//! Reconciles one guest cluster: connect, push, read the status of nodes, report.

use std::time::Duration;

use hypermirror_api::Reason;
use hypermirror_api::report::GuestReport;

use super::connect::{connect, failed};
use super::outcome::Synced;
use super::push::{Push, Pushed, push};
use super::watch::Enqueuer;
use super::{Guest, Guests, bootstrap, pace, removal};
use crate::fleet::lag::Progress;
use crate::guest::seen::WATCHED;
use crate::guest::summary::Summary;
use crate::guest::{GuestClient, GuestError};
use crate::hosted::condition_state::ConditionState;
use crate::hosted::facts::{ClusterFacts, Moment};
use crate::hosted::gates::{self, GateName};
use crate::hosted::guest::GuestOutcome;
use crate::manager::observe::Observation;
use crate::manager::options::GuestAgent;

/// Reconciles one guest cluster.
pub(super) async fn sync(guests: &Guests, guest: &mut Guest, observed: &Observation, now: Moment) -> Synced {
    let facts = &observed.facts;
    let (key, before) = (&facts.key, facts.guest.as_deref());
    match gates::held(facts, now) {
        Some((GateName::NamespaceClaim, refused)) => {
            *guest = Guest::default(); // the known state belongs to another HostedCluster
            return Synced::new(GuestOutcome::refused(refused, before), guests.interval(key));
        }
        Some((gate, held)) if !gate.is_of_leaving() => {
            let again = facts.pause_left(now).into_iter().chain([guests.interval(key)]).min();
            return Synced::new(GuestOutcome { synced: held, ..resting(before) }, again);
        }
        _ => {}
    }
    match connect(guests, guest, observed).await {
        Ok(client) if facts.wants_guest_left() => removal::remove(guests, guest, &client, facts).await,
        Ok(client) => {
            guest.leaving_since = None;
            serve(guests, guest, &client, observed, now).await
        }
        Err(none) if facts.wants_guest_left() => removal::without_connection(guests, guest, facts, none),
        Err(none) => guests.no_connection(key, none, before),
    }
}

/// The outcome while nothing may be written.
fn resting(before: Option<&GuestOutcome>) -> GuestOutcome {
    let nothing = ConditionState::new("Unknown", Reason::Paused, "");
    before.cloned().unwrap_or_else(|| GuestOutcome::unknown(nothing, None))
}

async fn serve(
    guests: &Guests,
    guest: &mut Guest,
    client: &GuestClient,
    observed: &Observation,
    now: Moment,
) -> Synced {
    let facts = &observed.facts;
    match push_and_read(guests, guest, client, observed, now).await {
        Ok(Ok((pushed, summary))) => {
            guest.health.worked();
            guests.watch(guest, observed);
            guests.report(guest, client, observed, &pushed, summary).await
        }
        Ok(Err(pause)) => Synced::later(pause),
        Err(error) => {
            guest.base = None;
            guests.overrule(guest, &error).await;
            let none = failed(guest, &facts.key, &error);
            guests.no_connection(&facts.key, none, facts.guest.as_deref())
        }
    }
}

/// Writes the mirrors and reads the status of nodes. Returns the pause if the mirrors have to wait for a slot.
async fn push_and_read(
    guests: &Guests,
    guest: &mut Guest,
    client: &GuestClient,
    observed: &Observation,
    now: Moment,
) -> Result<Result<(Pushed, Summary), Duration>, GuestError> {
    let pushed = match push(guests, guest, client, observed, now.time).await? {
        Push::Done(pushed) => pushed,
        Push::Waits(pause) => return Ok(Err(pause)),
    };
    if pushed.changed {
        guest.reads = 0;
    }
    let summary = client.read_back(&pushed.sets).await?;
    Ok(Ok((pushed, summary)))
}

impl Guests {
    /// Starts the watches that detect changes of hypermirror's objects by other clients.
    fn watch(&self, guest: &mut Guest, observed: &Observation) {
        let (Some(connection), Some(base), Some(mirrors)) = (&guest.connection, &guest.base, &guest.mirrors) else {
            return;
        };
        let (key, queue) = (observed.facts.key.clone(), self.queue().clone());
        let enqueuer = Enqueuer { key, queue, term: self.leader.term.clone() };
        let kinds =
            WATCHED.into_iter().filter(|kind| mirrors.has(kind) || base.others.iter().any(|other| other == kind));
        guest.watches.start(&self.slots, &connection.client, kinds, &enqueuer);
    }

    /// The outcome of a complete push.
    async fn report(
        &self,
        guest: &mut Guest,
        client: &GuestClient,
        observed: &Observation,
        pushed: &Pushed,
        summary: Summary,
    ) -> Synced {
        let (facts, complete) = (&observed.facts, summary.is_complete());
        let age = guest.change.as_ref().map(|change| change.since.elapsed());
        if complete || age.is_some_and(|age| age > pace::PATIENCE) {
            guest.change = None;
        }
        // Nodes need a short time to confirm a change. A report that says so would be outdated when it is read, and would make
        // `Ready` flap with each edit. A failure is not waited for.
        let early =
            !complete && age.is_some_and(|age| age < pace::GRACE) && summary.verdict.reason != Reason::NodesFailing;
        let progress = nodes_left(&summary, pushed);
        let outcome = if early {
            None
        } else {
            let image = self.options.agent.image.as_deref();
            let bootstrap = bootstrap::covered(client, facts, image, &summary).await;
            let secret = guest.connection.as_ref().map(|connection| connection.secret.name).unwrap_or_default();
            Some(GuestOutcome {
                synced: held(facts, pushed).unwrap_or_else(|| self.synced(guest)),
                nodes: Some(summary.verdict),
                bootstrap: Some(bootstrap),
                guest: Some(guest_report(secret, pushed)),
                nodes_report: Some(summary.report),
                left: false,
            })
        };
        Synced { outcome, again: Some(self.next_read(guest, observed, complete)), progress: Some(progress) }
    }

    /// While nodes have not confirmed, their status is read soon, and then less and less often: they cannot notify the manager.
    fn next_read(&self, guest: &mut Guest, observed: &Observation, complete: bool) -> Duration {
        let interval = self.interval(&observed.facts.key);
        if complete {
            return interval;
        }
        guest.reads += 1;
        let pause = pace::pause(guest.reads - 1);
        pause.map_or(interval.min(Duration::from_mins(1)), |pause| pause.min(interval))
    }

    fn synced(&self, guest: &Guest) -> ConditionState {
        let options = &self.options.agent;
        if options.who == GuestAgent::Managed && options.image.is_none() {
            let message = "the mirrors are up to date, but the agent is not installed: its image is unknown (set \
                           --agent-image)";
            return ConditionState::new("False", Reason::AgentImageMissing, message);
        }
        if guest.base.as_ref().is_some_and(|base| !base.kinds.admission_policies) {
            let message = "all hypermirror objects in the guest cluster are up to date; without \
                           ValidatingAdmissionPolicies an agent can write the status of any node";
            return ConditionState::new("True", Reason::NodeIdentityUnverified, message);
        }
        ConditionState::new("True", Reason::AsExpected, "all hypermirror objects in the guest cluster are up to date")
    }
}

fn nodes_left(summary: &Summary, pushed: &Pushed) -> Progress {
    let left = usize::try_from(summary.report.total - summary.report.applied).unwrap_or_default();
    Progress { left, reason: summary.verdict.reason, is_held: false, is_written: pushed.changed }
}

/// The condition while sources are held because their mirrors are not proven. All other objects are up to date.
fn held(facts: &ClusterFacts, pushed: &Pushed) -> Option<ConditionState> {
    let enforcement = facts.enforcement.as_ref().filter(|_| !pushed.held.is_empty())?;
    Some(pushed.held.condition(&facts.key, &enforcement.token))
}

fn guest_report(secret: &str, pushed: &Pushed) -> GuestReport {
    let mut sets: Vec<String> = pushed.sets.iter().map(|set| format!("{}@{}", set.name, set.generation)).collect();
    sets.sort();
    GuestReport { kubeconfig: secret.to_owned(), objects: i64::try_from(pushed.objects).unwrap_or(i64::MAX), sets }
}

#[cfg(test)]
mod tests;
