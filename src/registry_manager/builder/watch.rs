//! Watches ImageBuilders and takes them into their queue.

use std::sync::Arc;

use hypermirror_api::{ImageBuilder, annotations};
use kube::core::DeserializeGuard;
use kube::{Api, Resource as _};

use super::super::agenda::ObjectKey;
use super::super::context::Context;
use super::super::watch::{Slim, feed, watched};
use super::Builders;
use super::due::{Builds, Known};
use super::jobs::remove_all_but;
use crate::client::cause::Cause;
use crate::mirrors::ImageReference;

/// Watches until the process ends.
pub async fn follow(ctx: Arc<Context>, builders: Arc<Builders>) {
    let api: Api<DeserializeGuard<ImageBuilder>> = Api::all(ctx.client.clone());
    feed(api, &builders.queue, slim, |key| forget(&ctx, &builders, key), || ()).await;
}

/// Drops an object. The garbage collector removes its Jobs, unless they are in another namespace.
fn forget(ctx: &Arc<Context>, builders: &Builders, key: &ObjectKey) {
    let uid =
        builders.queue.agenda().all().find(|(object, _)| object.key == *key).map(|(object, _)| object.uid.clone());
    builders.queue.forget(key);
    let namespace = builders.rules.environment.namespace.clone().filter(|namespace| *namespace != key.namespace);
    if let (Some(uid), Some(namespace), true) = (uid, namespace, ctx.term.lasts()) {
        let client = ctx.client.clone();
        // Jobs whose ImageBuilder is deleted while nobody watches end by their deadline, and are removed an hour later.
        tokio::spawn(async move {
            if let Err(error) = remove_all_but(&client, &namespace, &uid, &[]).await {
                tracing::warn!(namespace, uid, error = %Cause(&error), "failed to remove the Jobs of a deleted ImageBuilder");
            }
        });
    }
}

fn slim(guard: &DeserializeGuard<ImageBuilder>) -> Slim<Builds> {
    let version = guard.meta().resource_version.clone().unwrap_or_default();
    let (spec, status) = match &guard.0 {
        Ok(builder) => (Ok(builder.spec.clone()), builder.status.clone().unwrap_or_default()),
        Err(invalid) => (Err(invalid.error.clone()), hypermirror_api::ImageBuilderStatus::default()),
    };
    let name = spec.as_ref().ok().map(|spec| spec.image.name.clone());
    let hosts = name.and_then(|name| Some(ImageReference::parse(&name).ok()?.registry)).into_iter().collect();
    let known = Known { status, looked_at: None };
    Slim { object: watched(guard, annotations::BUILD_NOW, spec, hosts), known, version }
}
