//! Watches Images and takes them into their queue.

use std::sync::Arc;

use hypermirror_api::{Image, annotations};
use kube::core::DeserializeGuard;
use kube::{Api, Resource as _};

use super::super::context::Context;
use super::super::watch::{Slim, feed, watched};
use super::due::Copies;
use super::status::Known;
use crate::mirrors::ImageReference;

/// Watches until the process ends. Nothing waits for the first list: where the CRD is not installed, there are no Images.
pub async fn follow(ctx: Arc<Context>) {
    let api: Api<DeserializeGuard<Image>> = Api::all(ctx.client.clone());
    feed(api, &ctx.images.queue, slim, |key| ctx.images.forget(key), || ()).await;
}

fn slim(guard: &DeserializeGuard<Image>) -> Slim<Copies> {
    let version = guard.meta().resource_version.clone().unwrap_or_default();
    let (spec, known) = match &guard.0 {
        Ok(image) => (Ok(image.spec.clone()), image.status.as_ref().map(Known::of).unwrap_or_default()),
        Err(invalid) => (Err(invalid.error.clone()), Known::default()),
    };
    let names = spec.as_ref().map(|spec| vec![&spec.source.name, &spec.destination.name]).unwrap_or_default();
    let hosts = names.into_iter().filter_map(|name| Some(ImageReference::parse(name).ok()?.registry)).collect();
    Slim { object: watched(guard, annotations::COPY_NOW, spec, hosts), known, version }
}
