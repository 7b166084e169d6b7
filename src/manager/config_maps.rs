//! The ConfigMaps that hosted clusters and node pools reference. Namespaces with references are watched as metadata, and new
//! versions of referenced ConfigMaps are read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use hypermirror_api::names::HOSTED_CLUSTERS_CRD;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use serde::Deserialize;
use serde_json::Value;
use tokio::task::{AbortHandle, JoinSet};

use super::context::Context;
use super::reading::Name;
use crate::client::deadline::answered;
use crate::client::optional_kind::{crd_watch, standing};
use crate::client::watch::{Update, updates};
use crate::management::index::config_maps::LoadedConfigMap;
use crate::process::first_look::Awaited;

/// Pause after a failed read.
const RETRY: Duration = Duration::from_secs(5);
/// Size above which parsing takes more than some milliseconds.
const LARGE: usize = 16 << 10;
/// After a large text, the next one of the same namespace waits for this many times its duration, so that one owner cannot
/// use a whole processor.
const REST: u32 = 3;
/// Maximum of these pauses.
const LONGEST_REST: Duration = Duration::from_secs(5);
/// The path of the reference field in a CRD version.
const FIELD: &str = "/schema/openAPIV3Schema/properties/spec/properties/imageMirrorConfigRef";

/// Starts and stops watches when references change.
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
                tracing::warn!(namespace, code = failure.code, error = why, "failed to watch ConfigMaps; trying again");
                if index.config_maps.fail(&namespace, &why) { index.referred_in(&namespace) } else { BTreeSet::new() }
            }
        };
        let keys = index.referring(&namespace, &changed);
        drop(index);
        ctx.queue_changed(keys);
    }
}

/// Reads queued ConfigMaps until the process ends, so that workers do not wait for them.
pub async fn read_asked(ctx: Arc<Context>) {
    let mut tasks = JoinSet::new();
    loop {
        let name = ctx.reading.next().await;
        while tasks.try_join_next().is_some() {}
        tasks.spawn(read_one(Arc::clone(&ctx), name));
    }
}

async fn read_one(ctx: Arc<Context>, name: Name) {
    let is_read = get_and_load(&ctx, &name).await;
    if !is_read {
        requeue(&ctx, &name); // an error is reported immediately
        tokio::time::sleep(RETRY).await;
    }
    // Before the hosted clusters are enqueued, because their reconcile may enqueue it again.
    ctx.reading.done(&name);
    requeue(&ctx, &name);
}

fn requeue(ctx: &Context, (namespace, name): &Name) {
    let keys = ctx.index().referring(namespace, &BTreeSet::from([name.clone()]));
    for key in keys {
        ctx.queue.add(key.clone());
        ctx.guest_queue.add(key);
    }
}

/// Returns false if it could not be read.
async fn get_and_load(ctx: &Arc<Context>, name: &Name) -> bool {
    let mut turn = None;
    loop {
        let Ok(request) = ctx.reading.requests.acquire().await else { return false };
        let before = ctx.index().config_maps.version(&name.0, &name.1);
        let found = match get(ctx, name).await {
            Ok(Some(found)) => found,
            Ok(None) => return true,
            Err(()) => return false,
        };
        let version = found.resource_version().unwrap_or_default();
        let data = found.data.unwrap_or_default();
        let is_large = data.values().map(String::len).sum::<usize>() > LARGE;
        if is_large && turn.is_none() {
            let large = ctx.reading.large(&name.0);
            turn = Arc::clone(&large).try_acquire_owned().ok();
            if turn.is_none() {
                drop((request, data)); // not kept in memory while it waits
                turn = large.acquire_owned().await.ok();
                continue;
            }
        }
        let Some((content, took)) = read(ctx, name, version, data, is_large).await else {
            ctx.index().config_maps.fail_to_load(&name.0, &name.1, "reading its text failed".to_owned());
            return false;
        };
        ctx.index().load_config_map(content, before.as_deref());
        if turn.is_some() {
            tokio::spawn(async move {
                tokio::time::sleep((took * REST).min(LONGEST_REST)).await;
                drop(turn);
            });
        }
        return true;
    }
}

/// Gets the ConfigMap. If it does not exist, the index is updated.
async fn get(ctx: &Context, (namespace, name): &Name) -> Result<Option<ConfigMap>, ()> {
    let api: Api<ConfigMap> = Api::namespaced(ctx.client.clone(), namespace);
    match answered(api.get_opt(name)).await {
        Ok(Some(found)) => Ok(Some(found)),
        Ok(None) => {
            ctx.index().config_maps.remove(namespace, name);
            Ok(None)
        }
        Err(error) => {
            ctx.index().config_maps.fail_to_load(namespace, name, error.to_string());
            tracing::warn!(namespace, name, %error, "failed to read a ConfigMap; trying again");
            Err(())
        }
    }
}

/// Parses its text on a separate thread, and returns the duration.
async fn read(
    ctx: &Context,
    (namespace, name): &Name,
    version: String,
    data: BTreeMap<String, String>,
    is_large: bool,
) -> Option<(LoadedConfigMap, Duration)> {
    let (namespace, name) = (namespace.clone(), name.clone());
    let read = move || {
        let start = Instant::now();
        let content = LoadedConfigMap::read(&namespace, &name, version, &data);
        (content, start.elapsed())
    };
    ctx.heavy.read(is_large, read).await.ok()
}

/// The part of a CRD that shows whether it has the field.
#[derive(Deserialize)]
struct Definition {
    spec: DefinitionSpec,
}

#[derive(Deserialize)]
struct DefinitionSpec {
    versions: Vec<Value>,
}

/// Watches whether the HostedCluster CRD has the field of the reference.
pub async fn follow_field(ctx: Arc<Context>, awaited: Awaited) {
    let (api, config) = crd_watch(&ctx.client, HOSTED_CLUSTERS_CRD);
    let slim = |crd: PartialObjectMeta<CustomResourceDefinition>| standing(&crd).map(|_| crd.metadata.generation);
    let mut stream = pin!(updates(api, config, slim));
    let mut known = None;
    while let Some(update) = stream.next().await {
        let now = match update {
            Update::Replaced(list) => list.into_iter().next().flatten(),
            Update::Applied(standing) => standing,
            // Without the CRD no field is pruned: the objects do not exist, and their last known state is kept.
            Update::Deleted(_) => None,
            Update::Failing(_) => continue,
        };
        if let Some(now) = now.filter(|now| known != Some(*now)) {
            let Some(is_served) = field_served(&ctx).await else { continue };
            known = Some(now);
            if ctx.index().serve_reference_field(is_served) {
                tracing::info!(is_served, "detected whether the HostedCluster CRD has spec.imageMirrorConfigRef");
                if is_served {
                    ctx.field_restored.notify_one();
                }
                ctx.queue_all();
            }
        }
        awaited.done();
    }
}

/// Retries until the API server responds. `None` if the CRD does not exist.
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
            Err(error) => tracing::warn!(%error, "failed to read the HostedCluster CRD; trying again"),
        }
        tokio::time::sleep(RETRY).await;
    }
}
