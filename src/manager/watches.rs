//! The watches of the manager, which update the index and the queue.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::names::{HOSTED_CLUSTERS_CRD, HOSTED_CONTROL_PLANES_CRD, NODE_POOLS_CRD};
use hypermirror_api::{ClusterKey, HostedClusterMirrors, names};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::core::error_boundary::InvalidObject;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::config_maps;
use super::context::Context;
use super::guest_watches;
use super::mirror_watch::MirrorWatch;
use super::options::GuestAgent;
use super::owner_watch;
use crate::client::optional_kind::{Follower, InstalledCrd, follow};
use crate::client::watch::{Update, updates};
use crate::management::index::cluster::SeenCluster;
use crate::management::index::targets::TargetMeta;
use crate::management::lease::LeaseMemory;
use crate::management::mirror_kind::MirrorKind;
use crate::process::first_look::Awaited;

/// Time in which edits are combined: short enough not to be noticed.
const COALESCE: Duration = Duration::from_millis(20);

/// Starts all watches.
pub fn start(ctx: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let (changed, bursts) = mpsc::channel(1);
    tasks.spawn(resolve_changes(Arc::clone(ctx), bursts));
    for kind in MirrorKind::ALL {
        let awaited = ctx.first_look.await_watch(kind.crd());
        let mut watch = MirrorWatch { ctx: Arc::clone(ctx), kind, changed: changed.clone(), awaited };
        let client = ctx.client.clone();
        tasks.spawn(async move { follow(&client, kind.crd(), &mut watch).await });
    }
    watch_kind(ctx, tasks, HOSTED_CLUSTERS_CRD, |ctx, awaited| hosted_clusters(ctx, awaited).boxed());
    // Before its first list, the owners of control-plane namespaces are not known. If the kind is not installed, namespaces that
    // two HostedClusters claim are not written to.
    watch_kind(ctx, tasks, HOSTED_CONTROL_PLANES_CRD, |ctx, awaited| owner_watch::control_planes(ctx, awaited).boxed());
    for place in 0..ctx.settings.flags.targets.len() {
        tasks.spawn(target_deployments(Arc::clone(ctx), place));
    }
    if ctx.settings.guests.agent.who != GuestAgent::Off {
        guest_watches::start(ctx, tasks);
        watch_kind(ctx, tasks, NODE_POOLS_CRD, |ctx, awaited| guest_watches::node_pools(ctx, awaited).boxed());
    }
    let awaited = ctx.first_look.await_watch("imageMirrorConfigRef");
    tasks.spawn(config_maps::follow_field(Arc::clone(ctx), awaited));
    tasks.spawn(config_maps::follow(Arc::clone(ctx)));
    tasks.spawn(config_maps::read_asked(Arc::clone(ctx)));
    tasks.spawn(reports(Arc::clone(ctx)));
    tasks.spawn(lease(Arc::clone(ctx)));
}

/// Resolves the management layer after each burst of changes.
async fn resolve_changes(ctx: Arc<Context>, mut bursts: mpsc::Receiver<()>) {
    while bursts.recv().await.is_some() {
        tokio::time::sleep(COALESCE).await;
        let _ = bursts.try_recv(); // it came with the burst
        ctx.resolve_management();
    }
}

/// Watches the objects of a kind while its CRD exists.
fn watch_kind(ctx: &Arc<Context>, tasks: &mut JoinSet<()>, crd: &'static str, objects: ObjectWatch) {
    let awaited = ctx.first_look.await_watch(crd);
    let mut kind = Kind { ctx: Arc::clone(ctx), awaited, objects };
    tasks.spawn(async move {
        let client = kind.ctx.client.clone();
        follow(&client, crd, &mut kind).await;
    });
}

type ObjectWatch = fn(Arc<Context>, Awaited) -> BoxFuture<'static, ()>;

/// Watches a kind that may be missing without an effect.
struct Kind {
    ctx: Arc<Context>,
    awaited: Awaited,
    objects: ObjectWatch,
}

impl Follower for Kind {
    fn present(&mut self, _: InstalledCrd) -> BoxFuture<'static, ()> {
        (self.objects)(Arc::clone(&self.ctx), self.awaited.clone())
    }

    fn gone(&mut self) {}

    fn absent(&mut self) {
        self.awaited.done();
    }
}

/// Time after which every API server uses a changed CRD. Until then, one that still has the old schema removes the field of the
/// reference from what it sends, and does not send the object again.
const SCHEMA_SPREADS: Duration = Duration::from_secs(5);

/// Watches the HostedClusters, and lists them anew when their CRD has its field back.
async fn hosted_clusters(ctx: Arc<Context>, awaited: Awaited) {
    repeated(&ctx.field_restored, || watch_hosted_clusters(&ctx, &awaited)).await;
}

/// Runs a watch, and starts it anew some time after each notification.
async fn repeated<W: Future<Output = ()>>(restored: &Notify, watch: impl Fn() -> W) {
    loop {
        let spread = async {
            restored.notified().await;
            tokio::time::sleep(SCHEMA_SPREADS).await;
        };
        tokio::select! {
            () = watch() => return,
            () = spread => {}
        }
    }
}

async fn watch_hosted_clusters(ctx: &Context, awaited: &Awaited) {
    let api: Api<DeserializeGuard<HostedCluster>> = Api::all(ctx.client.clone());
    let slim = |object: DeserializeGuard<HostedCluster>| match object.0 {
        Ok(mut cluster) => {
            cluster.metadata.managed_fields = None;
            Ok(cluster)
        }
        Err(invalid) => Err(Box::new(invalid)),
    };
    let mut stream = pin!(updates(api, watcher::Config::default(), slim));
    while let Some(update) = stream.next().await {
        match update {
            Update::Replaced(clusters) => {
                let clusters: Vec<SeenCluster> = clusters.into_iter().filter_map(readable).map(Into::into).collect();
                let changed = ctx.index().replace_clusters(clusters);
                ctx.queue_changed(changed);
                awaited.done();
            }
            Update::Applied(cluster) => {
                let cluster = readable(cluster).map(SeenCluster::from);
                let changed = cluster.map(|cluster| ctx.index().apply_cluster(cluster)).unwrap_or_default();
                ctx.queue_changed(changed);
            }
            Update::Deleted(cluster) => {
                if let Some(cluster) = readable(cluster) {
                    let key = ClusterKey::of(&cluster);
                    let changed = ctx.index().remove_cluster(&key);
                    ctx.guest_queue.add(key); // drop the memory of its guest cluster
                    ctx.queue_changed(changed);
                }
            }
            Update::Failing(failure) => {
                tracing::warn!(code = failure.code, error = failure.message, "failed to watch HostedClusters");
            }
        }
    }
}

/// Logs a HostedCluster that cannot be parsed. Its last known state stays in use.
fn readable(cluster: Result<HostedCluster, Box<InvalidObject>>) -> Option<HostedCluster> {
    cluster
        .map_err(|invalid| {
            let (namespace, name) = (&invalid.metadata.namespace, &invalid.metadata.name);
            tracing::warn!(
                namespace,
                name,
                error = invalid.error,
                "failed to decode a HostedCluster; nothing is changed for it"
            );
        })
        .ok()
}

/// Watches the metadata of the Deployments with one target's name in all namespaces.
async fn target_deployments(ctx: Arc<Context>, place: usize) {
    let Some(spec) = ctx.settings.flags.targets.get(place) else { return };
    let awaited = ctx.first_look.await_watch(format!("deployments/{}", spec.deployment));
    let api: Api<PartialObjectMeta<Deployment>> = Api::all(ctx.client.clone());
    let config = watcher::Config::default().fields(&format!("metadata.name={}", spec.deployment));
    let slim = |deployment: PartialObjectMeta<Deployment>| TargetMeta::of(&deployment);
    let mut stream = pin!(updates(api, config, slim));
    while let Some(update) = stream.next().await {
        match update {
            Update::Replaced(targets) => {
                let changed = ctx.index().replace_targets(place, &targets);
                ctx.queue.add_all(changed);
                awaited.done();
            }
            Update::Applied(target) => {
                let changed = ctx.index().apply_target(place, &target);
                ctx.queue.add_all(changed);
            }
            Update::Deleted(target) => {
                let changed = ctx.index().remove_target(place, &target);
                ctx.queue.add_all(changed);
            }
            Update::Failing(failure) => {
                let name = &spec.deployment;
                tracing::warn!(name, code = failure.code, error = failure.message, "failed to watch Deployments");
            }
        }
    }
}

/// Watches the reports, because other clients may delete or edit them.
async fn reports(ctx: Arc<Context>) {
    let awaited = ctx.first_look.await_watch("hostedclustermirrors");
    let api: Api<HostedClusterMirrors> = Api::all(ctx.client.clone());
    let slim = |report: HostedClusterMirrors| (ClusterKey::of(&report), report.status.unwrap_or_default());
    let mut stream = pin!(updates(api, watcher::Config::default(), slim));
    while let Some(update) = stream.next().await {
        match update {
            Update::Replaced(reports) => {
                let changed = ctx.index().replace_reports(reports);
                ctx.queue.add_all(changed);
                awaited.done();
            }
            Update::Applied((key, status)) => {
                if ctx.index().apply_report(&key, Some(status)) {
                    ctx.queue.add(key);
                }
            }
            Update::Deleted((key, _)) => {
                if ctx.index().apply_report(&key, None) {
                    ctx.queue.add(key);
                }
            }
            Update::Failing(failure) if failure.code == Some(404) => {
                tracing::error!(
                    "the CRD of HostedClusterMirrors is not installed; run hypermirror crd | kubectl apply --server-side -f -"
                );
            }
            Update::Failing(failure) => {
                tracing::warn!(code = failure.code, error = failure.message, "failed to watch HostedClusterMirrors");
            }
        }
    }
}

/// Watches the annotations of the Lease. Renewals have no effect.
async fn lease(ctx: Arc<Context>) {
    let awaited = ctx.first_look.await_watch("lease");
    let api: Api<PartialObjectMeta<Lease>> = Api::namespaced(ctx.client.clone(), &ctx.settings.namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={}", names::LEASE));
    let mut stream = pin!(updates(api, config, |lease: PartialObjectMeta<Lease>| LeaseMemory::of(&lease)));
    while let Some(update) = stream.next().await {
        let memory = match update {
            Update::Replaced(list) => list.into_iter().next().unwrap_or_default(),
            Update::Applied(memory) => memory,
            Update::Deleted(_) | Update::Failing(_) => continue,
        };
        let forgot = ctx.index().mirrors.remember(memory.once_there.clone());
        if ctx.memory.send_if_modified(|known| std::mem::replace(known, memory.clone()) != memory) || forgot {
            ctx.resolve_management();
            ctx.queue_all();
        }
        awaited.done();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn hosted_clusters_are_listed_anew_when_every_api_server_has_the_restored_field() {
        let (restored, starts, began) = (Notify::new(), Cell::new(Vec::new()), Instant::now());
        let watch = || {
            starts.set([starts.take(), vec![began.elapsed()]].concat());
            pending::<()>()
        };
        let restore = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            restored.notify_one();
            tokio::time::sleep(Duration::from_secs(60)).await;
        };
        let run = async { tokio::join!(repeated(&restored, watch), restore) };
        assert!(timeout(Duration::from_secs(120), run).await.is_err(), "the watch goes on");
        assert_eq!(starts.take(), [Duration::ZERO, Duration::from_secs(60) + SCHEMA_SPREADS]);
    }
}
