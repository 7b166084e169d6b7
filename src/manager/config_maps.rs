//! The ConfigMaps that hosted clusters and node pools refer to: watched as metadata where somebody refers to one, read when
//! they are referred to and new.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use serde::Deserialize;
use serde_json::Value;
use tokio::task::{AbortHandle, JoinSet};

use super::context::Context;
use super::readiness::Awaited;
use crate::kube::ClusterKey;
use crate::kube::deadline::answered;
use crate::kube::index::config_maps::{ConfigMapState, LoadedConfigMap};
use crate::kube::kinds::{HOSTED_CLUSTERS_CRD, crd_watch, standing};
use crate::kube::watch::{Update, updates};

/// A pause after a ConfigMap that could not be read.
const RETRY: Duration = Duration::from_secs(5);
/// Where a CRD's version says whether it has the field of the reference.
const FIELD: &str = "/schema/openAPIV3Schema/properties/spec/properties/imageMirrorConfigRef";

/// Starts and stops the watches as references come and go.
pub async fn follow(ctx: Arc<Context>) {
    let mut watches: HashMap<String, AbortHandle> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let changed = ctx.references_changed.notified();
        let wanted = ctx.index().referring_namespaces();
        watches.retain(|namespace, watch| {
            let is_wanted = wanted.contains(namespace);
            if !is_wanted {
                watch.abort();
                ctx.index().config_maps.forget(namespace);
            }
            is_wanted
        });
        for namespace in wanted {
            let started = watches.contains_key(&namespace);
            if !started {
                let watch = tasks.spawn(watch_namespace(Arc::clone(&ctx), namespace.clone()));
                watches.insert(namespace, watch);
            }
        }
        while tasks.try_join_next().is_some() {}
        changed.await;
    }
}

async fn watch_namespace(ctx: Arc<Context>, namespace: String) {
    let api: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(ctx.client.clone(), &namespace);
    let slim =
        |object: PartialObjectMeta<ConfigMap>| (object.name_any(), object.resource_version().unwrap_or_default());
    let mut stream = pin!(updates(api, watcher::Config::default(), slim));
    while let Some(update) = stream.next().await {
        let mut index = ctx.index();
        let changed = match update {
            Update::Replaced(list) => {
                let (changed, is_first) = index.config_maps.replace(&namespace, list);
                if is_first { index.referred_in(&namespace) } else { changed }
            }
            Update::Applied((name, version)) => {
                let is_new = index.config_maps.apply(&namespace, &name, &version);
                if is_new { BTreeSet::from([name]) } else { BTreeSet::new() }
            }
            Update::Deleted((name, _)) => {
                index.config_maps.remove(&namespace, &name);
                BTreeSet::from([name])
            }
            Update::Failing(failure) => {
                let why = failure.message;
                tracing::warn!(namespace, code = failure.code, error = why, "ConfigMaps cannot be watched now");
                if index.config_maps.fail(&namespace, &why) { index.referred_in(&namespace) } else { BTreeSet::new() }
            }
        };
        let keys = index.referring(&namespace, &changed);
        drop(index);
        ctx.queue_changed(keys);
    }
}

/// Reads those ConfigMaps of a hosted cluster that are new.
pub async fn load(ctx: &Context, key: &ClusterKey) {
    for name in stale(ctx, key) {
        let api: Api<ConfigMap> = Api::namespaced(ctx.client.clone(), &key.namespace);
        let read = answered(api.get_opt(&name)).await;
        take(ctx, key, &name, read);
    }
}

fn stale(ctx: &Context, key: &ClusterKey) -> Vec<String> {
    let index = ctx.index();
    let is_stale = |name: &String| matches!(index.config_maps.state(&key.namespace, name), ConfigMapState::Stale(_));
    index.referred(key).into_iter().filter(is_stale).collect()
}

fn take(ctx: &Context, key: &ClusterKey, name: &str, read: kube::Result<Option<ConfigMap>>) {
    let config_maps = &mut ctx.index().config_maps;
    match read {
        Ok(Some(found)) => {
            let version = found.resource_version().unwrap_or_default();
            let data = found.data.unwrap_or_default();
            config_maps.load(LoadedConfigMap::new(&key.namespace, name, version, data));
        }
        Ok(None) => config_maps.remove(&key.namespace, name),
        Err(error) => {
            config_maps.fail_to_load(&key.namespace, name, error.to_string());
            tracing::warn!(cluster = %key, name, %error, "a ConfigMap cannot be read");
            ctx.queue.add_after(key.clone(), RETRY);
            ctx.guest_queue.add_after(key.clone(), RETRY);
        }
    }
}

/// What of a CRD says whether it has the field.
#[derive(Deserialize)]
struct Definition {
    spec: DefinitionSpec,
}

#[derive(Deserialize)]
struct DefinitionSpec {
    versions: Vec<Value>,
}

/// Follows whether the HostedCluster CRD has the field of the reference.
pub async fn follow_field(ctx: Arc<Context>, awaited: Awaited) {
    let (api, config) = crd_watch(&ctx.client, HOSTED_CLUSTERS_CRD);
    let slim = |crd: PartialObjectMeta<CustomResourceDefinition>| standing(&crd).map(|_| crd.metadata.generation);
    let mut stream = pin!(updates(api, config, slim));
    let mut known = None;
    while let Some(update) = stream.next().await {
        let now = match update {
            Update::Replaced(list) => list.into_iter().next().flatten(),
            Update::Applied(standing) => standing,
            // Without a CRD nothing is pruned: the objects are gone, and what was known of them stays.
            Update::Deleted(_) => None,
            Update::Failing(_) => continue,
        };
        if let Some(now) = now.filter(|now| known != Some(*now)) {
            let Some(is_served) = field_served(&ctx).await else { continue };
            known = Some(now);
            if ctx.index().serve_reference_field(is_served) {
                tracing::info!(is_served, "whether HostedClusters have spec.imageMirrorConfigRef");
                ctx.queue_all();
            }
        }
        awaited.done();
    }
}

/// Asks until there is an answer; none if the CRD is gone.
async fn field_served(ctx: &Context) -> Option<bool> {
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{HOSTED_CLUSTERS_CRD}");
    loop {
        let request = http::Request::get(path.as_str()).body(Vec::new()).ok()?;
        match answered(ctx.client.request::<Definition>(request)).await {
            Ok(definition) => {
                let served = definition.spec.versions.iter().filter(|version| version["served"] == true);
                return Some(served.into_iter().all(|version| version.pointer(FIELD).is_some()));
            }
            Err(kube::Error::Api(status)) if status.code == 404 => return None,
            Err(error) => tracing::warn!(%error, "the HostedCluster CRD cannot be read"),
        }
        tokio::time::sleep(RETRY).await;
    }
}
