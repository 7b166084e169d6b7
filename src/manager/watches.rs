//! The watches of the manager: each turns its events into changes, which the store records.

mod config_maps;
mod kinds;
mod reference_field;

use std::pin::pin;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _};
use hypermirror_api::names::{
    HOSTED_CLUSTER_MIRRORS_CRD, HOSTED_CLUSTERS_CRD, HOSTED_CONTROL_PLANES_CRD, MIRROR_COVERAGES_CRD, NODE_POOLS_CRD,
};
use kube::Client;
use tokio::task::JoinSet;

use super::config_maps::ConfigMapReader;
use super::context::Context;
use super::heavy::Heavy;
use super::mirror_watch::MirrorWatch;
use super::options::GuestAgent;
use super::reading::Reading;
use super::store::Store;
use crate::client::optional_kind::{Follower, InstalledCrd, follow};
use crate::client::watch::Update;
use crate::management::index::change::Change;
use crate::management::index::guests::KUBECONFIG_SECRETS;
use crate::management::mirror_kind::MirrorKind;
use crate::process::initial_lists::{Awaited, InitialLists};

/// What a watch needs: where objects come from, and where changes go.
#[derive(Clone)]
struct Watcher {
    client: Client,
    store: Store,
    /// Called when the first list is complete.
    awaited: Awaited,
}

/// The watches of everything that declares mirrors, and where their events go.
pub struct Declarations {
    /// The management cluster.
    pub client: Client,
    /// Where changes go.
    pub store: Store,
    /// Opens when all watches have delivered their first list.
    pub initial_lists: InitialLists,
    /// The ConfigMaps to read.
    pub reading: Arc<Reading>,
    /// Expensive work.
    pub heavy: Arc<Heavy>,
}

impl Declarations {
    fn watcher(&self, name: &str) -> Watcher {
        Watcher {
            client: self.client.clone(),
            store: self.store.clone(),
            awaited: self.initial_lists.await_watch(name),
        }
    }

    /// Watches mirror kinds, HostedClusters, and the ConfigMaps that are referenced.
    pub fn watch(&self, tasks: &mut JoinSet<()>) {
        tasks.spawn(self.store.clone().resolve_edits());
        for kind in MirrorKind::ALL {
            let Watcher { client, store, awaited } = self.watcher(kind.crd());
            let mut watch = MirrorWatch { store, kind, awaited };
            tasks.spawn(async move { follow(&client, kind.crd(), &mut watch).await });
        }
        let hosted_clusters = self.watcher(HOSTED_CLUSTERS_CRD);
        tasks.spawn(while_installed(HOSTED_CLUSTERS_CRD, hosted_clusters, kinds::hosted_clusters));
        tasks.spawn(reference_field::watch(self.watcher("imageMirrorConfigRef")));
        tasks.spawn(config_maps::watch_referenced(self.client.clone(), self.store.clone()));
        let (client, store) = (self.client.clone(), self.store.clone());
        let reader = ConfigMapReader::new(client, store, Arc::clone(&self.reading), Arc::clone(&self.heavy));
        tasks.spawn(reader.read_queued());
    }

    /// Watches NodePools.
    pub fn watch_pools(&self, tasks: &mut JoinSet<()>) {
        tasks.spawn(while_installed(NODE_POOLS_CRD, self.watcher(NODE_POOLS_CRD), kinds::node_pools));
    }

    /// Watches reports of a manager that may not be installed.
    pub fn watch_optional_reports(&self, tasks: &mut JoinSet<()>) {
        let watcher = self.watcher(HOSTED_CLUSTER_MIRRORS_CRD);
        tasks.spawn(while_installed(HOSTED_CLUSTER_MIRRORS_CRD, watcher, kinds::reports));
    }
}

/// Starts all watches of the manager.
pub fn start(ctx: &Context, tasks: &mut JoinSet<()>) {
    let declarations = Declarations {
        client: ctx.client.clone(),
        store: ctx.store.clone(),
        initial_lists: ctx.leader.initial_lists.clone(),
        reading: Arc::clone(&ctx.reading),
        heavy: Arc::clone(&ctx.heavy),
    };
    declarations.watch(tasks);
    let watcher = |name: &str| declarations.watcher(name);
    // Before its first list, the owners of control-plane namespaces are not known. If the kind is not installed, namespaces that
    // two HostedClusters claim are not written to.
    let control_planes = watcher(HOSTED_CONTROL_PLANES_CRD);
    tasks.spawn(while_installed(HOSTED_CONTROL_PLANES_CRD, control_planes, kinds::control_planes));
    for (place, spec) in ctx.settings.flags.targets.iter().enumerate() {
        let name = spec.deployment.clone();
        tasks.spawn(kinds::targets(watcher(&format!("deployments/{name}")), place, name));
    }
    if ctx.settings.guests.agent.who != GuestAgent::Off {
        for (place, name) in KUBECONFIG_SECRETS.into_iter().enumerate() {
            tasks.spawn(kinds::kubeconfigs(watcher(&format!("secrets/{name}")), place, name));
        }
        declarations.watch_pools(tasks);
    }
    tasks.spawn(kinds::reports(watcher("hostedclustermirrors")));
    let coverages = watcher(MIRROR_COVERAGES_CRD);
    tasks.spawn(while_installed(MIRROR_COVERAGES_CRD, coverages, kinds::coverages));
    tasks.spawn(kinds::lease(watcher("lease"), ctx.settings.namespace.clone(), ctx.lease.clone()));
}

/// Applies all events of a watch, until it is dropped. After a failure, the watch itself tries again, and the last known state
/// stays in use.
async fn apply_events<T>(
    kind: &str,
    events: impl Stream<Item = Update<T>>,
    store: &Store,
    change: impl Fn(Update<T>) -> Change,
    listed: impl Fn(),
) {
    let mut events = pin!(events);
    while let Some(update) = events.next().await {
        if let Update::Failing(failure) = &update {
            let (code, error) = (failure.code, &failure.message);
            tracing::warn!(
                kind,
                code,
                error,
                "failed to watch objects, whose last known state stays in use; trying again"
            );
        }
        let is_list = matches!(update, Update::Replaced(_));
        store.apply(change(update));
        // After it is applied, because the first reconcile may only wait for this.
        if is_list {
            listed();
        }
    }
}

/// Watches the objects of a kind while its CRD is installed.
async fn while_installed<W>(crd: &'static str, watcher: Watcher, watch: fn(Watcher) -> W)
where
    W: Future<Output = ()> + Send + 'static,
{
    let client = watcher.client.clone();
    follow(&client, crd, &mut Optional { watcher, watch }).await;
}

/// A kind that may be missing without an effect.
struct Optional<W> {
    watcher: Watcher,
    watch: fn(Watcher) -> W,
}

impl<W: Future<Output = ()> + Send + 'static> Follower for Optional<W> {
    fn present(&mut self, _: InstalledCrd) -> BoxFuture<'static, ()> {
        (self.watch)(self.watcher.clone()).boxed()
    }

    fn gone(&mut self) {}

    fn absent(&mut self) {
        self.watcher.awaited.done();
    }
}

#[cfg(test)]
mod tests;
