//! Copies what is missing for hosted clusters, in turns, and tells people.

use std::convert::Infallible;
use std::time::Instant;

use hypermirror_api::ClusterKey;
use hypermirror_api::hypershift::HostedCluster;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt as _;
use tokio::time::sleep_until;

use super::super::access::Access;
use super::super::context::Context;
use super::backlog::Failure;
use super::gaps::Gap;
use super::{Filler, is_wanted};
use crate::management::events::About;
use crate::registry::Client;
use crate::registry::auth::keychain::Keychain;
use crate::telemetry::metrics::{OutcomeLabels, gauge};

/// Images that are copied for one hosted cluster before it is the turn of the next one.
const TURN: usize = 20;

/// Copies what is missing, as long as it is polled. The fleet pulls from the same registries: one image at a time.
pub async fn fill_when_due(ctx: &Context) -> Infallible {
    let Some(filler) = &ctx.filler else { return std::future::pending().await };
    loop {
        // Before the look at the backlog, so that no change between the two is missed.
        let changed = filler.changed.notified();
        let (due, retry) = {
            let mut backlog = filler.backlog();
            ctx.metrics.remaining.set(gauge(backlog.remaining()));
            (backlog.next_cluster(Instant::now()), backlog.next_retry())
        };
        if let Some(key) = due {
            take_turn(ctx, filler, &key).await;
            continue;
        }
        let until_retry = async {
            match retry {
                Some(retry) => sleep_until(retry.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => {}
            () = until_retry => {}
        }
    }
}

/// Copies some images for a hosted cluster, and asks for a check when none is left.
async fn take_turn(ctx: &Context, filler: &Filler, key: &ClusterKey) {
    let Some(cluster) = ctx.store.facts(key).map(|known| known.object).filter(|cluster| is_wanted(cluster)) else {
        return filler.forget(key);
    };
    let reach = reach(ctx, &cluster).await;
    for _ in 0..TURN {
        let Some((mirror, gap)) = filler.backlog().next(key, Instant::now()) else { break };
        let result = match &reach {
            Ok((client, keychain)) => filler.copy(client, keychain, &gap).await,
            Err(failure) => Err(failure.clone()),
        };
        let outcome = result.as_ref().map_or_else(|failure| failure.reason, |_| "Copied");
        ctx.metrics.fills.get_or_create(&OutcomeLabels { outcome }).inc();
        ctx.metrics.filled_bytes.inc_by(*result.as_ref().unwrap_or(&0));
        let end = result.as_ref().map(|_| ()).map_err(Clone::clone);
        let is_news = filler.backlog().done(key, &mirror, end, (Instant::now(), Timestamp::now()));
        if is_news {
            announce(ctx, &cluster, key, (&mirror, &gap), result).await;
        }
    }
    // Finds what is left, and reports what was done.
    if filler.backlog().take_news(key, Instant::now()) {
        ctx.schedule().ask(key, Instant::now());
        ctx.wake.notify_one();
    }
}

async fn reach(ctx: &Context, cluster: &HostedCluster) -> Result<(Client, Keychain), Failure> {
    let refused = |reason: &'static str| move |message: String| Failure { reason, message };
    let access = Access::read(&ctx.client, cluster).await;
    let keychain = access.keychain.map_err(refused("CredentialsNotReadable"))?;
    let clients = access.authorities.and_then(|pem| ctx.clients.of(&pem).map_err(|error| error.to_string()));
    let (_, clients) = clients.map_err(refused("AuthoritiesNotReadable"))?;
    Ok((clients.verified, keychain))
}

async fn announce(
    ctx: &Context,
    cluster: &HostedCluster,
    key: &ClusterKey,
    (mirror, gap): (&str, &Gap),
    result: Result<u64, Failure>,
) {
    let uid = cluster.uid().unwrap_or_default();
    let about = About {
        api_version: "hypershift.openshift.io/v1beta1",
        kind: "HostedCluster",
        namespace: &key.namespace,
        name: &key.name,
        uid: &uid,
    };
    // Names the image, so that the events of several images are not counted as one.
    let related = ObjectReference {
        api_version: Some("hypermirror.dev/v1alpha1".to_owned()),
        kind: Some("MirrorCoverage".to_owned()),
        namespace: Some(key.namespace.clone()),
        name: Some(key.name.clone()),
        field_path: Some(format!("status.missing{{{mirror}}}")),
        ..ObjectReference::default()
    };
    let (is_good, reason, message) = match result {
        Ok(bytes) => (true, "MirrorFilled", format!("copied {} to {} ({bytes} bytes)", gap.image, gap.destination)),
        Err(Failure { reason, message }) => {
            let message = format!("failed to copy {} to {}: {reason}: {message}", gap.image, gap.destination);
            (false, "MirrorNotFilled", message)
        }
    };
    tracing::info!(cluster = %key, message, "filling a mirror");
    ctx.events.record(&about, is_good, reason, &message, Some(related)).await;
}
