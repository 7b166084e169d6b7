//! Watches the Secrets with kubeconfigs of guest clusters, as metadata of three names, and the NodePools.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use hypermirror_api::hypershift::NodePool;
use k8s_openapi::api::core::v1::Secret;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use tokio::task::JoinSet;

use super::context::Context;
use crate::client::watch::{Update, updates};
use crate::management::index::guests::{KUBECONFIG_SECRETS, SecretMeta};
use crate::process::first_look::Awaited;

/// Starts the watches of the Secrets.
pub fn start(ctx: &Arc<Context>, tasks: &mut JoinSet<()>) {
    for (place, name) in KUBECONFIG_SECRETS.into_iter().enumerate() {
        tasks.spawn(secrets(Arc::clone(ctx), place, name));
    }
}

/// Watches the metadata of Secrets of one name in all namespaces.
async fn secrets(ctx: Arc<Context>, place: usize, name: &'static str) {
    let awaited = ctx.first_look.await_watch(format!("secrets/{name}"));
    let api: Api<PartialObjectMeta<Secret>> = Api::all(ctx.client.clone());
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let slim = |secret: PartialObjectMeta<Secret>| SecretMeta {
        namespace: secret.namespace().unwrap_or_default(),
        resource_version: secret.resource_version().unwrap_or_default(),
    };
    let mut stream = pin!(updates(api, config, slim));
    while let Some(update) = stream.next().await {
        let changed = match update {
            Update::Replaced(secrets) => {
                awaited.done();
                ctx.index().guests.replace_secrets(place, &secrets)
            }
            Update::Applied(secret) => {
                let changed = ctx.index().guests.apply_secret(place, &secret);
                Vec::from_iter(changed.then_some(secret.namespace))
            }
            Update::Deleted(secret) => {
                ctx.index().guests.remove_secret(place, &secret.namespace);
                vec![secret.namespace]
            }
            Update::Failing(failure) => {
                tracing::warn!(name, code = failure.code, error = failure.message, "failed to watch Secrets");
                continue;
            }
        };
        let owners: Vec<_> = changed.iter().filter_map(|namespace| ctx.index().claims.owner(namespace)).collect();
        ctx.guest_queue.add_all(owners);
    }
}

/// Watches the NodePools.
pub async fn node_pools(ctx: Arc<Context>, awaited: Awaited) {
    let api: Api<DeserializeGuard<NodePool>> = Api::all(ctx.client.clone());
    // If a NodePool cannot be decoded, its last known state is kept.
    let slim = |pool: DeserializeGuard<NodePool>| pool.0.ok();
    let mut stream = pin!(updates(api, watcher::Config::default(), slim));
    while let Some(update) = stream.next().await {
        let changed = match update {
            Update::Replaced(pools) => {
                awaited.done();
                ctx.index().guests.replace_pools(&pools.into_iter().flatten().collect::<Vec<_>>())
            }
            Update::Applied(pool) => pool.map(|pool| ctx.index().guests.apply_pool(&pool)).unwrap_or_default(),
            Update::Deleted(pool) => Vec::from_iter(pool.map(|pool| ctx.index().guests.remove_pool(&pool))),
            Update::Failing(failure) => {
                tracing::warn!(code = failure.code, error = failure.message, "failed to watch NodePools");
                continue;
            }
        };
        // Its configuration is part of the report.
        ctx.queue_changed(changed);
    }
}
