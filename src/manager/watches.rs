//! Every watch of the manager, and what each does to the index and the queue.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::mirror_sets::{ImageContentSourcePolicy, ImageDigestMirrorSet, ImageTagMirrorSet};
use hypermirror_api::names::{HOSTED_CLUSTERS_CRD, HOSTED_CONTROL_PLANES_CRD, NODE_POOLS_CRD};
use hypermirror_api::{ClusterKey, HostedClusterMirrors, names};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::core::error_boundary::InvalidObject;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::config_maps;
use super::context::Context;
use super::guest_watches;
use super::mirror_watch::MirrorWatch;
use super::options::GuestAgent;
use super::owner_watch;
use crate::client::optional_kind::{Presence, crd_watch, standing};
use crate::client::watch::{Update, updates};
use crate::management::index::cluster::SeenCluster;
use crate::management::index::targets::TargetMeta;
use crate::management::lease::LeaseMemory;
use crate::management::mirror_kind::MirrorKind;
use crate::mirrors::Layer;
use crate::mirrors::entry;
use crate::process::first_look::Awaited;

/// Edits that come together are resolved together; short enough that nobody notices.
const COALESCE: Duration = Duration::from_millis(20);

/// Starts all watches.
pub fn start(ctx: &Arc<Context>, tasks: &mut JoinSet<()>) {
    let (told, bursts) = mpsc::channel(1);
    tasks.spawn(resolve_changes(Arc::clone(ctx), bursts));
    for kind in MirrorKind::ALL {
        let awaited = ctx.first_look.await_watch(kind.crd());
        let (ctx, changed) = (Arc::clone(ctx), told.clone());
        tasks.spawn(async move {
            follow_crd(&ctx, kind.crd(), Some(kind), &changed, &awaited, |crd, back| {
                let (ctx, changed, awaited) = (Arc::clone(&ctx), changed.clone(), awaited.clone());
                mirror_watch(MirrorWatch { ctx, kind, crd, changed, awaited }, back)
            })
            .await;
        });
    }
    let awaited = ctx.first_look.await_watch(HOSTED_CLUSTERS_CRD);
    let (context, changed) = (Arc::clone(ctx), told.clone());
    tasks.spawn(async move {
        let start = |_, _| tokio::spawn(hosted_clusters(Arc::clone(&context), awaited.clone()));
        follow_crd(&context, HOSTED_CLUSTERS_CRD, None, &changed, &awaited, start).await;
    });
    // Before its first list nobody knows whose a control-plane namespace is. Where the kind is not installed, no namespace
    // that two HostedClusters claim is written to.
    let awaited = ctx.first_look.await_watch(HOSTED_CONTROL_PLANES_CRD);
    let (context, changed) = (Arc::clone(ctx), told.clone());
    tasks.spawn(async move {
        let start = |_, _| tokio::spawn(owner_watch::control_planes(Arc::clone(&context), awaited.clone()));
        follow_crd(&context, HOSTED_CONTROL_PLANES_CRD, None, &changed, &awaited, start).await;
    });
    for place in 0..ctx.settings.targets.len() {
        tasks.spawn(target_deployments(Arc::clone(ctx), place));
    }
    if ctx.settings.guests.agent.who != GuestAgent::Off {
        guest_watches::start(ctx, tasks);
        let awaited = ctx.first_look.await_watch(NODE_POOLS_CRD);
        let context = Arc::clone(ctx);
        tasks.spawn(async move {
            let start = |_, _| tokio::spawn(guest_watches::node_pools(Arc::clone(&context), awaited.clone()));
            follow_crd(&context, NODE_POOLS_CRD, None, &told, &awaited, start).await;
        });
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

fn tell(changed: &mpsc::Sender<()>) {
    let _ = changed.try_send(()); // full: a change is already waiting to be resolved
}

/// Follows one CRD: its objects are watched while it is there.
async fn follow_crd(
    ctx: &Context,
    crd: &str,
    kind: Option<MirrorKind>,
    changed: &mpsc::Sender<()>,
    awaited: &Awaited,
    start: impl Fn(String, bool) -> JoinHandle<()>,
) {
    let gone = || {
        if let Some(kind) = kind {
            ctx.index().mirrors.set_presence(kind, Presence::Absent);
            tell(changed);
            ctx.queue_all();
        }
    };
    let (api, config) = crd_watch(&ctx.client, crd);
    let mut stream = pin!(updates(api, config, |crd| standing(&crd)));
    let mut running: Option<(String, JoinHandle<()>)> = None;
    while let Some(update) = stream.next().await {
        let now = match update {
            Update::Replaced(list) => list.into_iter().next().flatten(),
            Update::Applied(standing) => standing,
            Update::Deleted(_) => None,
            Update::Failing(failure) => {
                tracing::warn!(crd, code = failure.code, error = failure.message, "failed to watch a CRD");
                continue;
            }
        };
        // Also when it was removed and installed again while the watch was away.
        if let Some((_, task)) = running.take_if(|(uid, _)| Some(&*uid) != now.as_ref()) {
            tracing::warn!(crd, "a CRD was removed; the last known objects of its kind stay in use");
            task.abort();
            gone();
        }
        match now {
            None => {
                gone();
                awaited.done();
            }
            Some(uid) if running.is_none() => {
                tracing::info!(crd, "a CRD is installed; watching its objects");
                let back = kind.is_some_and(|kind| ctx.index().mirrors.set_presence(kind, Presence::Present));
                running = Some((uid.clone(), start(uid, back)));
            }
            Some(_) => {}
        }
    }
}

fn mirror_watch(watch: MirrorWatch, back: bool) -> JoinHandle<()> {
    match watch.kind {
        MirrorKind::Icsp => {
            let read = |set: &ImageContentSourcePolicy| entry::of_object(&set.name_any(), &set.spec, Layer::Management);
            tokio::spawn(watch.run(back, read))
        }
        MirrorKind::Idms => {
            let read = |set: &ImageDigestMirrorSet| entry::of_object(&set.name_any(), &set.spec, Layer::Management);
            tokio::spawn(watch.run(back, read))
        }
        MirrorKind::Itms => {
            let read = |set: &ImageTagMirrorSet| entry::of_object(&set.name_any(), &set.spec, Layer::Management);
            tokio::spawn(watch.run(back, read))
        }
    }
}

/// Watches the HostedClusters.
async fn hosted_clusters(ctx: Arc<Context>, awaited: Awaited) {
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
                    ctx.guest_queue.add(key); // what is remembered of its guest goes
                    ctx.queue_changed(changed);
                }
            }
            Update::Failing(failure) => {
                tracing::warn!(code = failure.code, error = failure.message, "failed to watch HostedClusters");
            }
        }
    }
}

/// A HostedCluster that does not decode is told in the log; what is known of it stays in force.
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

/// Watches the Deployments of one target's name, everywhere, as metadata.
async fn target_deployments(ctx: Arc<Context>, place: usize) {
    let Some(spec) = ctx.settings.targets.get(place) else { return };
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

/// Watches our own reports: somebody may delete or edit one.
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

/// Watches the Lease for what it remembers; renewals change nothing.
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
