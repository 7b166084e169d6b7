//! Removes hypermirror from a guest cluster: first the mirrors on its nodes, then all objects.

use std::time::{Duration, Instant};

use hypermirror_api::report::{GuestReport, NodesReport};
use hypermirror_api::{ClusterKey, Reason};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::connect::{NoConnection, failed};
use super::outcome::{known, overrule, record, record_no_connection};
use super::{Guest, give, jittered, pace};
use crate::guest::objects::{AgentPorts, AgentSpec, GuestInput, GuestObjects, node_mirror_sets};
use crate::guest::summary::Summary;
use crate::guest::{GuestClient, GuestError, guest_set};
use crate::hosted::condition_state::ConditionState;
use crate::hosted::guest::GuestOutcome;
use crate::manager::context::Context;
use crate::manager::observe::Seen;
use crate::process::flags::ReloadMethod;

const KIND: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/nodemirrorsets.hypermirror.dev";

/// Removes all objects of hypermirror from a reachable guest cluster.
pub(super) async fn leave(ctx: &Context, guest: &mut Guest, client: &GuestClient, seen: &Seen) -> Option<Duration> {
    let key = &seen.facts.key;
    guest.watches.stop();
    if known(ctx, key).is_some_and(|known| is_left_behind(&known) && known.guest.is_some()) {
        guest.leaving_since = None; // it is reachable again: the timeout of its nodes starts now
    }
    let since = *guest.leaving_since.get_or_insert_with(Instant::now);
    let late = since.elapsed() >= ctx.settings.guests.leave_timeout;
    match step(client, late).await {
        Ok(None) => {
            guest.health.worked();
            guest.base = None;
            gone(ctx, key, "hypermirror is removed from the guest cluster");
            None
        }
        Ok(Some(summary)) if late => {
            guest.base = None;
            let message = nodes_left_behind(&summary, ctx.settings.guests.leave_timeout);
            left_behind(ctx, key, message, |_| (None, Some(summary.report)));
            None
        }
        Ok(Some(summary)) => {
            guest.health.worked();
            let done = &summary.report.summary;
            let message = format!("waiting for nodes to remove their mirror configuration: {done} done");
            let synced = ConditionState::new("False", Reason::Leaving, message);
            record(ctx, key, |before| {
                let unknown = GuestOutcome::unknown(synced, before);
                Some(GuestOutcome { nodes: Some(summary.verdict), nodes_report: Some(summary.report), ..unknown })
            });
            guest.asked += 1;
            Some(pace::pause(guest.asked - 1).unwrap_or(Duration::from_secs(15)))
        }
        Err(error) => {
            overrule(ctx, guest, &error).await;
            let none = failed(guest, key, &error);
            without_connection(ctx, guest, seen, none)
        }
    }
}

/// An unreachable guest cluster delays the removal only until the timeout. One without objects of hypermirror does not delay
/// it.
pub(super) fn without_connection(
    ctx: &Context,
    guest: &mut Guest,
    seen: &Seen,
    none: NoConnection,
) -> Option<Duration> {
    let key = &seen.facts.key;
    let known = known(ctx, key);
    let has_ours = guest.mirrors.is_some() || known.as_ref().is_some_and(|known| known.guest.is_some());
    if !has_ours && !matches!(none, NoConnection::Undecided(_)) {
        gone(ctx, key, "hypermirror never wrote to the guest cluster");
        return None;
    }
    let timeout = ctx.settings.guests.leave_timeout;
    let since = *guest.leaving_since.get_or_insert_with(Instant::now);
    let left = timeout.checked_sub(since.elapsed()).filter(|left| !left.is_zero());
    let is_given_up = left.is_none() || known.as_ref().is_some_and(is_left_behind);
    if !is_given_up {
        let again = record_no_connection(ctx, key, none);
        return again.into_iter().chain(left).min();
    }
    let (why, pause) = match none {
        NoConnection::Undecided(pause) => (String::new(), Some(pause)),
        NoConnection::Told(verdict, pause) => (format!(" ({})", verdict.message), pause),
    };
    let message = format!(
        "timed out: the guest cluster was not reachable within {}{why}; its nodes keep their mirrors and agents",
        told_duration(timeout)
    );
    left_behind(ctx, key, message, |before| {
        before.map(|before| (before.guest.clone(), before.nodes_report.clone())).unwrap_or_default()
    });
    // The administrator who uninstalls may restore it. A cluster that is no longer selected may belong to another manager.
    let tries_on = seen.facts.uninstalls() || !seen.facts.leaves();
    tries_on.then(|| pause.unwrap_or_else(|| jittered(Duration::from_mins(1), key)))
}

/// Remaining objects are kept in the report until they are removed.
pub(super) fn is_left_behind(outcome: &GuestOutcome) -> bool {
    outcome.synced.reason == Reason::LeftBehind
}

fn nodes_left_behind(summary: &Summary, timeout: Duration) -> String {
    let (count, names) = (summary.unconfirmed, summary.unconfirmed_names.join(", "));
    let nodes = if count == 1 { "1 node" } else { &format!("{count} nodes") };
    let more = count.checked_sub(summary.unconfirmed_names.len()).filter(|more| *more > 0);
    let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
    let timeout = told_duration(timeout);
    format!(
        "timed out: {nodes} did not confirm within {timeout} and may keep their mirror configuration: \
             {names}{more}"
    )
}

fn told_duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds > 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// Ends the removal. The report is deleted, unless it lists nodes that may keep their configuration.
fn gone(ctx: &Context, key: &ClusterKey, message: &str) {
    tracing::info!(cluster = %key, message, "finished with the guest cluster");
    record(ctx, key, |before| {
        if let Some(before) = before.filter(|before| is_left_behind(before) && before.guest.is_none()) {
            return Some(GuestOutcome { left: true, ..before.clone() });
        }
        let synced = ConditionState::new("True", Reason::Leaving, message);
        Some(GuestOutcome { synced, nodes: None, bootstrap: None, guest: None, nodes_report: None, left: true })
    });
}

/// Continues with the control plane, and reports which objects remain.
fn left_behind(
    ctx: &Context,
    key: &ClusterKey,
    message: String,
    kept: impl FnOnce(Option<&GuestOutcome>) -> (Option<GuestReport>, Option<NodesReport>),
) {
    tracing::warn!(cluster = %key, message, "finished, but some mirrors remain in the guest cluster");
    let synced = ConditionState::new("False", Reason::LeftBehind, message);
    record(ctx, key, |before| {
        let (guest, nodes_report) = kept(before);
        Some(GuestOutcome { synced, nodes: None, bootstrap: None, guest, nodes_report, left: true })
    });
}

/// Empties the sets. When all nodes have confirmed or the timeout is over, deletes all objects. `None` when complete.
async fn step(client: &GuestClient, late: bool) -> Result<Option<Summary>, GuestError> {
    if client.get::<IgnoredAny>(KIND).await?.is_none() {
        return delete_all(client).await.map(|()| None);
    }
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
    let kinds = give::kinds(client).await?;
    let (reload, ports) = (ReloadMethod::default(), AgentPorts::default());
    let agent = AgentSpec { image: String::new(), reload, ports, api: None };
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
mod tests {
    use super::*;
    use crate::guest::summary::{AgentStatus, Tally};

    #[test]
    fn nodes_that_keep_their_files_are_named() {
        let summary = |nodes: usize| {
            let mut tally = Tally::new(&[]);
            for node in 0..nodes {
                tally.node(&format!("n{node:02}"), &std::collections::BTreeMap::new());
                let status = serde_json::json!({"metadata": {"name": format!("n{node:02}")}, "status": {}});
                tally.status(&serde_json::from_value::<AgentStatus>(status).unwrap());
            }
            tally.node("without-agent", &std::collections::BTreeMap::new());
            tally.finish()
        };
        let told = |nodes: usize| nodes_left_behind(&summary(nodes), Duration::from_mins(5));
        assert_eq!(told(1), "timed out: 1 node did not confirm within 5m and may keep their mirror configuration: n00");
        assert!(told(2).starts_with("timed out: 2 nodes did not confirm within 5m"), "{}", told(2));
        assert!(told(25).ends_with("n18, n19 and 5 more"), "{}", told(25));
        assert_eq!(
            (told_duration(Duration::from_secs(90)), told_duration(Duration::ZERO)),
            ("90s".into(), "0s".into())
        );
    }
}
