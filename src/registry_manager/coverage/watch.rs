//! Follows MirrorCoverages, and takes changes of hosted clusters into the schedule.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use hypermirror_api::{ClusterKey, MirrorCoverage, annotations};
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Api, ResourceExt as _};

use super::super::status::handled;
use super::context::Context;
use super::schedule::Known;
use crate::client::optional_kind::{Follower, InstalledCrd};
use crate::client::watch::{Update, updates};
use crate::process::initial_lists::Awaited;

/// Watches MirrorCoverages while their CRD is installed.
pub struct CoverageWatch {
    /// Where changes go.
    pub ctx: Arc<Context>,
    /// Called when the first list is complete.
    pub awaited: Awaited,
}

impl Follower for CoverageWatch {
    fn present(&mut self, _: InstalledCrd) -> BoxFuture<'static, ()> {
        follow(self.ctx.clone(), self.awaited.clone()).boxed()
    }

    fn gone(&mut self) {}

    fn absent(&mut self) {
        tracing::error!(
            "the CRD of MirrorCoverage is not installed; run hypermirror crd | kubectl apply --server-side -f -"
        );
    }
}

async fn follow(ctx: Arc<Context>, awaited: Awaited) {
    let api: Api<DeserializeGuard<MirrorCoverage>> = Api::all(ctx.client.clone());
    let mut updates = pin!(updates(api, watcher::Config::default(), known));
    while let Some(update) = updates.next().await {
        let now = Instant::now();
        match update {
            Update::Replaced(list) => {
                ctx.schedule().observe_all(list.into_iter().collect::<BTreeMap<_, _>>(), now);
                awaited.done();
            }
            Update::Applied((key, known)) => ctx.schedule().observe(&key, Some(known), now),
            Update::Deleted((key, _)) => ctx.schedule().observe(&key, None, now),
            Update::Failing(failure) => {
                tracing::warn!(error = failure.message, "failed to watch MirrorCoverages; trying again");
            }
        }
        ctx.count();
        ctx.wake.notify_one();
    }
}

/// One that cannot be decoded is as one without a status: the next check replaces it.
fn known(object: DeserializeGuard<MirrorCoverage>) -> (ClusterKey, Known) {
    let key = ClusterKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
    let check_now = object.annotations().get(annotations::CHECK_NOW).map(|value| handled(value));
    let uid = object.uid().unwrap_or_default();
    let status = object.0.ok().and_then(|coverage| coverage.status);
    (key, Known { uid, check_now, status })
}

/// Takes changes of hosted clusters into the schedule, until it is dropped.
pub async fn take_changes(ctx: Arc<Context>) {
    loop {
        let (queue, key) = tokio::select! {
            key = ctx.store.clusters.next() => (&ctx.store.clusters, key),
            // Only there, deleted hosted clusters are named.
            key = ctx.store.guests.next() => (&ctx.store.guests, key),
        };
        if ctx.store.contains(&key) {
            ctx.schedule().change(&key, Instant::now());
        } else {
            ctx.forget(&key);
        }
        queue.done(&key, false);
        ctx.wake.notify_one();
    }
}
