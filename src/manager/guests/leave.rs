//! A hosted cluster that leaves our care: its nodes give their mirrors back first, then everything of ours goes.

use std::time::{Duration, Instant};

use hypermirror_api::Reason;
use serde_json::Value;

use super::connect::{NoConnection, failed};
use super::sync::{conclude, tell};
use super::{Guest, give, pace};
use crate::agent::reload::Method;
use crate::fleet::guest::GuestOutcome;
use crate::fleet::report::Verdict;
use crate::guest::objects::{AgentPorts, AgentSpec, GuestInput, GuestObjects, node_mirror_sets};
use crate::guest::summary::{Summary, summarize};
use crate::guest::{GuestClient, GuestError, guest_set};
use crate::kube::ClusterKey;
use crate::manager::context::Context;

const KIND: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/nodemirrorsets.hypermirror.dev";

/// Takes everything of ours out of a guest that answers.
pub(super) async fn leave(
    ctx: &Context,
    guest: &mut Guest,
    client: &GuestClient,
    key: &ClusterKey,
) -> Option<Duration> {
    let since = *guest.leaving_since.get_or_insert_with(Instant::now);
    let late = since.elapsed() >= ctx.settings.guests.leave_timeout;
    match step(client, late).await {
        Ok(None) => {
            gone(ctx, key, "nothing of ours is left in the guest");
            guest.base = None;
            None
        }
        Ok(Some(summary)) if late => {
            let names: Vec<&str> = summary.report.behind.iter().map(|node| node.name.as_str()).collect();
            gone(ctx, key, &format!("left without an answer of nodes: {}", names.join(", ")));
            guest.base = None;
            None
        }
        Ok(Some(summary)) => {
            let message = format!("{} nodes have given their mirrors back", summary.report.summary);
            let synced = Verdict::new("False", Reason::Leaving, message);
            conclude(ctx, key, |before| {
                let unknown = GuestOutcome::unknown(synced, before);
                Some(GuestOutcome { nodes: Some(summary.verdict), nodes_report: Some(summary.report), ..unknown })
            });
            guest.asked += 1;
            Some(pace::pause(guest.asked - 1).unwrap_or(Duration::from_secs(15)))
        }
        Err(error) => {
            let none = failed(guest, key, &error);
            without_connection(ctx, guest, key, none)
        }
    }
}

/// A guest that nobody reaches is not waited for without end; one that has no kubeconfig never had anything of ours.
pub(super) fn without_connection(
    ctx: &Context,
    guest: &mut Guest,
    key: &ClusterKey,
    none: NoConnection,
) -> Option<Duration> {
    let since = *guest.leaving_since.get_or_insert_with(Instant::now);
    let left = ctx.settings.guests.leave_timeout.checked_sub(since.elapsed()).filter(|left| !left.is_zero());
    let missing = matches!(&none, NoConnection::Told(verdict, _) if verdict.reason == Reason::KubeconfigMissing);
    if missing || left.is_none() {
        gone(ctx, key, if missing { "there is no guest to leave" } else { "left without an answer of the guest" });
        return None;
    }
    let again = tell(ctx, key, none);
    again.into_iter().chain(left).min()
}

/// The report of a cluster that leaves goes with it: what a person has to know stands in the log, too.
fn gone(ctx: &Context, key: &ClusterKey, message: &str) {
    tracing::warn!(cluster = %key, message, "the guest is left");
    let synced = Verdict::new("True", Reason::Leaving, message);
    conclude(ctx, key, |_| {
        Some(GuestOutcome { synced, nodes: None, bootstrap: None, guest: None, nodes_report: None, left: true })
    });
}

/// Empties the sets, and when all nodes have confirmed, or it is too late for that, deletes what is ours. None: all gone.
async fn step(client: &GuestClient, late: bool) -> Result<Option<Summary>, GuestError> {
    if client.get::<Value>(KIND).await?.is_none() {
        return delete_all(client).await.map(|()| None);
    }
    let empty = node_mirror_sets(&[], &[]);
    let (sets, _) = client.ensure(&empty).await?;
    client.prune("NodeMirrorSet", &empty).await?;
    let sets: Vec<_> = sets.iter().filter_map(guest_set).collect();
    let summary = summarize(&client.read_back(&sets).await?);
    let silent = |node: &str| summary.silent.iter().any(|silent| silent == node);
    // A node without an agent has nothing to give back.
    let done = summary.report.behind.iter().all(|node| silent(&node.name));
    if done || late {
        delete_all(client).await?;
    }
    Ok((!done).then_some(summary))
}

/// Whatever is ours, whichever way it was given; the CRDs last, with the objects of their kinds.
async fn delete_all(client: &GuestClient) -> Result<(), GuestError> {
    let kinds = give::kinds(client).await?;
    let (reload, ports) = (Method::default(), AgentPorts::default());
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
