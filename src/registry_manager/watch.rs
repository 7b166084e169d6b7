//! Watches Registries and takes them into the agenda.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use hypermirror_api::{Registry, annotations};
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt as _};

use super::agenda::{Kind, ObjectKey, Watched};
use super::context::Context;
use super::due::Scans;
use super::queue::Queue;
use super::status::{Known, handled};
use crate::client::watch::{Update, updates};
use crate::process::initial_lists::Awaited;
use crate::registry::RegistryAddress;

/// An object without what nobody needs, such as its images.
pub struct Slim<K: Kind> {
    /// What users say.
    pub object: Watched<K::Spec>,
    /// What the status says.
    pub known: K::Known,
    /// Its `resourceVersion`.
    pub version: String,
}

/// Watches Registries until the process ends.
pub async fn follow(ctx: Arc<Context>, awaited: Awaited) {
    let api: Api<DeserializeGuard<Registry>> = Api::all(ctx.client.clone());
    feed(api, &ctx.scans, slim, |key| ctx.forget(key), || awaited.done()).await;
}

/// Keeps a queue up to date until the process ends. `forget` is called with each object that is gone, `listed` after each
/// complete list.
pub async fn feed<O, K>(
    api: Api<DeserializeGuard<O>>,
    queue: &Queue<K>,
    slim: fn(&DeserializeGuard<O>) -> Slim<K>,
    forget: impl Fn(&ObjectKey),
    listed: impl Fn(),
) where
    O: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
    K: Kind,
    Slim<K>: Send,
{
    let mut updates = pin!(updates(api, watcher::Config::default(), move |guard| slim(&guard)));
    let mut is_failing = false;
    let put = |slim: Slim<K>| queue.put(slim.object, slim.known, &slim.version);
    while let Some(update) = updates.next().await {
        match update {
            Update::Replaced(list) => {
                let mut gone = queue.agenda().keys();
                for slim in list {
                    gone.remove(&slim.object.key);
                    put(slim);
                }
                gone.iter().for_each(&forget);
                listed();
                is_failing = false;
            }
            Update::Applied(slim) => put(slim),
            Update::Deleted(slim) => forget(&slim.object.key),
            Update::Failing(failure) => {
                if !is_failing {
                    let kind = O::kind(&());
                    tracing::warn!(%kind, error = failure.message, "a watch fails; trying again");
                }
                is_failing = true;
            }
        }
    }
}

/// What all kinds have in common. `now` is the annotation that asks for a job.
pub fn watched<O, S>(guard: &DeserializeGuard<O>, now: &str, spec: Result<S, String>, hosts: Vec<String>) -> Watched<S>
where
    O: Resource<DynamicType = ()>,
    DeserializeGuard<O>: Resource<DynamicType = ()>,
{
    let meta = guard.meta();
    Watched {
        key: ObjectKey {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
        },
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        scan_now: guard.annotations().get(now).map(|value| handled(value)),
        spec: spec.map(Arc::new),
        hosts,
    }
}

fn slim(guard: &DeserializeGuard<Registry>) -> Slim<Scans> {
    let version = guard.meta().resource_version.clone().unwrap_or_default();
    let (spec, known) = match &guard.0 {
        Ok(registry) => (Ok(registry.spec.clone()), registry.status.as_ref().map(Known::of).unwrap_or_default()),
        Err(invalid) => (Err(invalid.error.clone()), Known::default()),
    };
    let address = spec.as_ref().ok().and_then(|spec| RegistryAddress::parse(&spec.url).ok());
    let hosts = address.map(|address| address.name().to_owned()).into_iter().collect();
    Slim { object: watched(guard, annotations::SCAN_NOW, spec, hosts), known, version }
}
