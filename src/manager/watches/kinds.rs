//! The watch of each kind: which objects, which part of them is kept, and which change they are.
//!
//! Lists of a management cluster are long, so each object is reduced while the list is read. Managed fields alone are more than
//! half of a Deployment.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use hypermirror_api::hypershift::{HostedCluster, HostedControlPlane, NodePool};
use hypermirror_api::{HostedClusterMirrors, MirrorCoverage, names};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use tokio::sync::watch;

use super::{Watcher, apply_events};
use crate::client::watch::{Update, updates};
use crate::management::index::change::{Change, Decoded};
use crate::management::index::claims::ControlPlaneMeta;
use crate::management::index::cluster::SeenCluster;
use crate::management::index::coverages::SeenCoverage;
use crate::management::index::guests::{SecretMeta, SeenPool};
use crate::management::index::reports::SeenReport;
use crate::management::index::targets::TargetMeta;
use crate::management::lease::LeaseMemory;

/// Time after which every API server uses a changed CRD. Until then, one that still has the old schema removes the field of the
/// reference from what it sends, and does not send the object again.
pub(super) const SCHEMA_SPREADS: Duration = Duration::from_secs(5);

/// All objects, without a selector.
fn all() -> watcher::Config {
    watcher::Config::default()
}

/// The objects with one name in all namespaces, which RBAC can restrict by `resourceNames`. All others stay on the server.
fn named(name: &str) -> watcher::Config {
    watcher::Config::default().fields(&format!("metadata.name={name}"))
}

/// Reduces an object. One that cannot be decoded does not end the watch of all others.
fn decoded<K, T>(kind: &str, object: DeserializeGuard<K>, reduce: impl FnOnce(K) -> T) -> Decoded<T> {
    match object.0 {
        Ok(object) => Decoded::Object(reduce(object)),
        Err(invalid) => {
            let namespace = invalid.metadata.namespace.unwrap_or_default();
            let name = invalid.metadata.name.unwrap_or_default();
            let error = invalid.error;
            tracing::warn!(
                kind,
                namespace,
                name,
                error,
                "failed to decode an object; its last known state stays in use"
            );
            Decoded::Invalid { namespace, name }
        }
    }
}

/// Watches the HostedClusters, and lists them anew when their CRD has its field back.
pub(super) async fn hosted_clusters(watcher: Watcher) {
    let kind = "HostedCluster";
    // A CRD without the field of the reference removes it from what is sent, and no event follows when it is sent again. So the
    // objects are listed anew, but only when every API server has the new schema.
    loop {
        let api: Api<DeserializeGuard<HostedCluster>> = Api::all(watcher.client.clone());
        let reduce = move |object| {
            decoded(kind, object, |mut cluster: HostedCluster| {
                cluster.metadata.managed_fields = None;
                SeenCluster::from(cluster)
            })
        };
        let events = updates(api, all(), reduce);
        let listed = || watcher.awaited.done();
        let again = async {
            watcher.store.relist_requested().await;
            tokio::time::sleep(SCHEMA_SPREADS).await;
        };
        tokio::select! {
            () = apply_events(kind, events, &watcher.store, Change::HostedClusters, listed) => return,
            () = again => {}
        }
    }
}

/// Watches the HostedControlPlanes, as metadata: an annotation names the owner of their namespace. If the CRD is removed, the
/// last known owners are kept.
pub(super) async fn control_planes(watcher: Watcher) {
    let api: Api<PartialObjectMeta<HostedControlPlane>> = Api::all(watcher.client.clone());
    let events = updates(api, all(), |object: PartialObjectMeta<HostedControlPlane>| ControlPlaneMeta::of(&object));
    let listed = || watcher.awaited.done();
    apply_events("HostedControlPlane", events, &watcher.store, Change::HostedControlPlanes, listed).await;
}

/// Watches the NodePools.
pub(super) async fn node_pools(watcher: Watcher) {
    let kind = "NodePool";
    let api: Api<DeserializeGuard<NodePool>> = Api::all(watcher.client.clone());
    let events = updates(api, all(), move |object| decoded(kind, object, |pool: NodePool| SeenPool::from(&pool)));
    let listed = || watcher.awaited.done();
    apply_events(kind, events, &watcher.store, Change::NodePools, listed).await;
}

/// Watches the metadata of the Deployments with one target's name.
pub(super) async fn targets(watcher: Watcher, place: usize, name: String) {
    let api: Api<PartialObjectMeta<Deployment>> = Api::all(watcher.client.clone());
    let events = updates(api, named(&name), |object: PartialObjectMeta<Deployment>| TargetMeta::of(&object));
    let (change, listed) = (|update| Change::Targets(place, update), || watcher.awaited.done());
    apply_events(&format!("Deployment {name}"), events, &watcher.store, change, listed).await;
}

/// Watches the metadata of the Secrets with one kubeconfig's name. Their content is read when it is needed, and never cached.
pub(super) async fn kubeconfigs(watcher: Watcher, place: usize, name: &'static str) {
    let api: Api<PartialObjectMeta<Secret>> = Api::all(watcher.client.clone());
    let reduce = |secret: PartialObjectMeta<Secret>| SecretMeta {
        namespace: secret.namespace().unwrap_or_default(),
        resource_version: secret.resource_version().unwrap_or_default(),
    };
    let events = updates(api, named(name), reduce);
    let (change, listed) = (|update| Change::Kubeconfigs(place, update), || watcher.awaited.done());
    apply_events(&format!("Secret {name}"), events, &watcher.store, change, listed).await;
}

/// Watches the reports, because other clients may delete or edit them.
pub(super) async fn reports(watcher: Watcher) {
    let api: Api<HostedClusterMirrors> = Api::all(watcher.client.clone());
    let events = updates(api, all(), SeenReport::from).inspect(|update| {
        if matches!(update, Update::Failing(failure) if failure.code == Some(404)) {
            tracing::error!(
                "the CRD of HostedClusterMirrors is not installed; run hypermirror crd | kubectl apply --server-side -f -"
            );
        }
    });
    let listed = || watcher.awaited.done();
    apply_events("HostedClusterMirrors", events, &watcher.store, Change::Reports, listed).await;
}

/// Watches the MirrorCoverages, which the registry-manager writes. Their lists are not kept.
pub(super) async fn coverages(watcher: Watcher) {
    let api: Api<DeserializeGuard<MirrorCoverage>> = Api::all(watcher.client.clone());
    let reduce = |object| decoded("MirrorCoverage", object, |coverage: MirrorCoverage| SeenCoverage::of(&coverage));
    let events = updates(api, all(), reduce);
    let listed = || watcher.awaited.done();
    apply_events("MirrorCoverage", events, &watcher.store, Change::Coverages, listed).await;
}

/// Watches the annotations of the Lease, which survive a restart. Renewals have no effect.
pub(super) async fn lease(watcher: Watcher, namespace: String, memory: watch::Sender<LeaseMemory>) {
    let api: Api<PartialObjectMeta<Lease>> = Api::namespaced(watcher.client.clone(), &namespace);
    let events = updates(api, named(names::LEASE), |lease: PartialObjectMeta<Lease>| LeaseMemory::of(&lease));
    let mut events = pin!(events);
    while let Some(update) = events.next().await {
        let now = match update {
            Update::Replaced(list) => list.into_iter().next().unwrap_or_default(),
            Update::Applied(memory) => memory,
            // A Lease that is deleted is created again, and then has no annotations.
            Update::Deleted(_) | Update::Failing(_) => continue,
        };
        let kinds = now.once_there.clone();
        let is_changed = memory.send_if_modified(|known| std::mem::replace(known, now.clone()) != now);
        watcher.store.apply(Change::RecordedKinds(kinds));
        if is_changed {
            watcher.store.enqueue_all();
        }
        watcher.awaited.done();
    }
}
