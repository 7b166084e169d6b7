//! Removes hypermirror from a guest cluster: first the mirrors on its nodes, then all objects.

use std::time::{Duration, Instant};

use hypermirror_api::report::{GuestReport, NodesReport};
use hypermirror_api::{ClusterKey, Reason};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::connect::{NoConnection, failed};
use super::outcome::Synced;
use super::{Guest, Guests, jittered, pace, push};
use crate::guest::objects::{AgentPorts, AgentSpec, GuestInput, GuestObjects, node_mirror_sets};
use crate::guest::summary::Summary;
use crate::guest::{GuestClient, GuestError, guest_set};
use crate::hosted::condition_state::ConditionState;
use crate::hosted::facts::ClusterFacts;
use crate::hosted::guest::GuestOutcome;
use crate::process::flags::{ReloadMethod, RuntimeChoice};

const KIND: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/nodemirrorsets.hypermirror.dev";

/// Removes all objects of hypermirror from a reachable guest cluster.
pub(super) async fn remove(guests: &Guests, guest: &mut Guest, client: &GuestClient, facts: &ClusterFacts) -> Synced {
    let (key, before) = (&facts.key, facts.guest.as_deref());
    guest.watches.stop();
    if before.is_some_and(|before| is_left_behind(before) && before.guest.is_some()) {
        guest.leaving_since = None; // it is reachable again: the timeout of its nodes starts now
    }
    let since = *guest.leaving_since.get_or_insert_with(Instant::now);
    let timeout = guests.options.leave_timeout;
    let late = since.elapsed() >= timeout;
    match step(client, late).await {
        Ok(None) => {
            guest.health.worked();
            guest.base = None;
            Synced::new(gone(key, "hypermirror is removed from the guest cluster", before), None)
        }
        Ok(Some(summary)) if late => {
            guest.base = None;
            let message = nodes_left_behind(&summary, timeout);
            Synced::new(left_behind(key, message, None, Some(summary.report)), None)
        }
        Ok(Some(summary)) => {
            guest.health.worked();
            let done = &summary.report.summary;
            let message = format!("waiting for nodes to remove their mirror configuration: {done} done");
            let unknown = GuestOutcome::unknown(ConditionState::new("False", Reason::Leaving, message), before);
            let outcome = GuestOutcome { nodes: Some(summary.verdict), nodes_report: Some(summary.report), ..unknown };
            guest.reads += 1;
            Synced::new(outcome, pace::pause(guest.reads - 1).unwrap_or(Duration::from_secs(15)))
        }
        Err(error) => {
            guests.overrule(guest, &error).await;
            let none = failed(guest, key, &error);
            without_connection(guests, guest, facts, none)
        }
    }
}

/// An unreachable guest cluster delays the removal only until the timeout. One without objects of hypermirror does not delay
/// it.
pub(super) fn without_connection(
    guests: &Guests,
    guest: &mut Guest,
    facts: &ClusterFacts,
    none: NoConnection,
) -> Synced {
    let (key, before) = (&facts.key, facts.guest.as_deref());
    let has_objects = guest.mirrors.is_some() || before.is_some_and(|before| before.guest.is_some());
    if !has_objects && !matches!(none, NoConnection::Undecided(_)) {
        return Synced::new(gone(key, "hypermirror never wrote to the guest cluster", before), None);
    }
    let timeout = guests.options.leave_timeout;
    let since = *guest.leaving_since.get_or_insert_with(Instant::now);
    let left = timeout.checked_sub(since.elapsed()).filter(|left| !left.is_zero());
    let is_given_up = left.is_none() || before.is_some_and(is_left_behind);
    if !is_given_up {
        let synced = guests.no_connection(key, none, before);
        return Synced { again: synced.again.into_iter().chain(left).min(), ..synced };
    }
    let (why, pause) = match none {
        NoConnection::Undecided(pause) => (String::new(), Some(pause)),
        NoConnection::Reported(verdict, pause) => (format!(" ({})", verdict.message), pause),
    };
    let message = format!(
        "timed out: the guest cluster was not reachable within {}{why}; its nodes keep their mirrors and agents",
        in_minutes(timeout)
    );
    let (guest, nodes) = before.map(|before| (before.guest.clone(), before.nodes_report.clone())).unwrap_or_default();
    // The administrator who uninstalls may restore it. A cluster that is no longer selected may belong to another manager.
    let tries_on = facts.uninstalls() || !facts.leaves();
    let again = tries_on.then(|| pause.unwrap_or_else(|| jittered(Duration::from_mins(1), key)));
    Synced::new(left_behind(key, message, guest, nodes), again)
}

/// Remaining objects are kept in the report until they are removed.
fn is_left_behind(outcome: &GuestOutcome) -> bool {
    outcome.synced.reason == Reason::LeftBehind
}

fn nodes_left_behind(summary: &Summary, timeout: Duration) -> String {
    let (count, names) = (summary.unconfirmed, summary.unconfirmed_names.join(", "));
    let nodes = if count == 1 { "1 node" } else { &format!("{count} nodes") };
    let more = count.checked_sub(summary.unconfirmed_names.len()).filter(|more| *more > 0);
    let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
    let timeout = in_minutes(timeout);
    format!(
        "timed out: {nodes} did not confirm within {timeout} and may keep their mirror configuration: \
             {names}{more}"
    )
}

fn in_minutes(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds > 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// The end of the removal. Its report is deleted, unless it lists nodes that may keep their configuration.
fn gone(key: &ClusterKey, message: &str, before: Option<&GuestOutcome>) -> GuestOutcome {
    tracing::info!(cluster = %key, message, "finished with the guest cluster");
    if let Some(before) = before.filter(|before| is_left_behind(before) && before.guest.is_none()) {
        return GuestOutcome { left: true, ..before.clone() };
    }
    let synced = ConditionState::new("True", Reason::Leaving, message);
    GuestOutcome { synced, nodes: None, bootstrap: None, guest: None, nodes_report: None, left: true }
}

/// Continues with the control plane, and reports which objects remain.
fn left_behind(
    key: &ClusterKey,
    message: String,
    guest: Option<GuestReport>,
    nodes_report: Option<NodesReport>,
) -> GuestOutcome {
    tracing::warn!(cluster = %key, message, "finished, but some mirrors remain in the guest cluster");
    let synced = ConditionState::new("False", Reason::LeftBehind, message);
    GuestOutcome { synced, nodes: None, bootstrap: None, guest, nodes_report, left: true }
}

/// Empties the sets. When all nodes have confirmed or the timeout is over, deletes all objects. `None` when complete.
async fn step(client: &GuestClient, late: bool) -> Result<Option<Summary>, GuestError> {
    if client.get::<IgnoredAny>(KIND).await?.is_none() {
        return delete_all(client).await.map(|()| None);
    }
    // The mirrors go first, and the agent when nodes have confirmed: a node without an agent would keep its mirrors for ever.
    let empty = node_mirror_sets(&[], &[]);
    let (sets, _) = client.ensure(&empty).await?;
    client.prune("NodeMirrorSet", &empty).await?;
    let sets: Vec<_> = sets.iter().filter_map(guest_set).collect();
    let summary = client.read_back(&sets).await?;
    // A node without an agent has no configuration to remove.
    let done = summary.unconfirmed == 0;
    if done || late {
        delete_all(client).await?;
    }
    Ok((!done).then_some(summary))
}

/// Deletes all objects of hypermirror for all kinds of delivery. The CRDs are last, which also deletes their objects.
async fn delete_all(client: &GuestClient) -> Result<(), GuestError> {
    let kinds = push::kinds(client).await?;
    let (reload, ports) = (ReloadMethod::default(), AgentPorts::default());
    let agent = AgentSpec { image: String::new(), reload, runtime: RuntimeChoice::Crio, ports, api: None };
    let objects = GuestObjects::new(&GuestInput { entries: &[], pools: &[], agent: Some(&agent), kinds });
    if kinds.digest_mirror_sets {
        client.prune("ImageDigestMirrorSet", &[]).await?;
    }
    if kinds.tag_mirror_sets {
        client.prune("ImageTagMirrorSet", &[]).await?;
    }
    let foundations: Vec<&Value> = objects.foundations.iter().rev().collect();
    for object in objects.workloads.iter().chain(foundations).chain(&objects.crds) {
        client.delete_ours(object).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
