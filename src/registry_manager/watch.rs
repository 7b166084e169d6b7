//! Watches Registries and takes them into the agenda.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use hypermirror_api::{Registry, annotations};
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Api, ResourceExt as _};

use super::agenda::{Moment, ObjectKey, Watched};
use super::context::Context;
use super::status::{Known, handled};
use crate::client::watch::{Update, updates};
use crate::process::first_look::Awaited;
use crate::registry::RegistryAddress;

/// An object without what nobody needs, such as its images.
struct Slim {
    object: Watched,
    known: Known,
    version: String,
}

/// Watches until the process ends.
pub async fn follow(ctx: Arc<Context>, awaited: Awaited) {
    let api: Api<DeserializeGuard<Registry>> = Api::all(ctx.client.clone());
    let mut updates = pin!(updates(api, watcher::Config::default(), slim));
    let mut is_failing = false;
    while let Some(update) = updates.next().await {
        match update {
            Update::Replaced(list) => {
                let mut gone = ctx.agenda().keys();
                for slim in list {
                    gone.remove(&slim.object.key);
                    put(&ctx, slim);
                }
                for key in gone {
                    ctx.forget(&key);
                }
                awaited.done();
                is_failing = false;
            }
            Update::Applied(slim) => put(&ctx, slim),
            Update::Deleted(slim) => ctx.forget(&slim.object.key),
            Update::Failing(failure) => {
                if !is_failing {
                    tracing::warn!(error = failure.message, "failed to watch Registries; trying again");
                }
                is_failing = true;
            }
        }
        ctx.changed.notify_one();
    }
}

fn put(ctx: &Context, slim: Slim) {
    let job = ctx.agenda().put(slim.object, slim.known, &slim.version, Moment::now());
    ctx.abort(job);
}

fn slim(guard: DeserializeGuard<Registry>) -> Slim {
    let meta = kube::Resource::meta(&guard).clone();
    let key = ObjectKey {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    };
    let scan_now = guard.annotations().get(annotations::SCAN_NOW).map(|value| handled(value));
    let (spec, known) = match guard.0 {
        Ok(registry) => {
            let known = registry.status.as_ref().map(Known::of).unwrap_or_default();
            (Ok(Arc::new(registry.spec)), known)
        }
        Err(invalid) => (Err(invalid.error), Known::default()),
    };
    let address = spec.as_ref().ok().and_then(|spec| RegistryAddress::parse(&spec.url).ok());
    let object = Watched {
        key,
        uid: meta.uid.unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        scan_now,
        spec,
        host: address.map(|address| address.name().to_owned()).unwrap_or_default(),
    };
    Slim { object, known, version: meta.resource_version.unwrap_or_default() }
}
