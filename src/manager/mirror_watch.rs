//! Follows the objects of one mirror kind and updates the index.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use hypermirror_api::mirror_sets::{ImageContentSourcePolicy, ImageDigestMirrorSet, ImageTagMirrorSet};
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::context::Context;
use crate::client::optional_kind::{Follower, InstalledCrd, Objects, Presence, follow_objects};
use crate::client::watch::{Failure, updates};
use crate::management::index::mirror_kinds::Declared;
use crate::management::mirror_kind::MirrorKind;
use crate::mirrors::Layer;
use crate::mirrors::entry::{self, MirrorEntry};
use crate::process::first_look::Awaited;

/// The handler of one mirror kind.
#[derive(Clone)]
pub struct MirrorWatch {
    /// The shared state.
    pub ctx: Arc<Context>,
    /// The kind.
    pub kind: MirrorKind,
    /// Notified when the management layer has to be resolved again.
    pub changed: mpsc::Sender<()>,
    /// Notified when the first list is complete.
    pub awaited: Awaited,
}

impl MirrorWatch {
    async fn run<K>(
        mut self,
        crd: InstalledCrd,
        is_restored: bool,
        read: impl Fn(&K) -> Vec<MirrorEntry> + Clone + Send + 'static,
    ) where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let slim = move |object: DeserializeGuard<K>| match object.0 {
            Ok(object) => (object.name_any(), Declared::Entries(read(&object).into())),
            Err(invalid) => (invalid.metadata.name.unwrap_or_default(), Declared::Malformed(invalid.error)),
        };
        let api: Api<DeserializeGuard<K>> = Api::all(crd.client.clone());
        let open = || updates(api.clone(), watcher::Config::default(), slim.clone()).boxed();
        follow_objects(&mut self, &crd, is_restored, stream::empty(), open).await;
    }

    fn note(&self, is_changed: bool) {
        if is_changed {
            let _ = self.changed.try_send(()); // full: a change is already waiting to be resolved
        }
    }
}

impl Follower for MirrorWatch {
    fn present(&mut self, crd: InstalledCrd) -> BoxFuture<'static, ()> {
        let back = self.ctx.index().mirrors.set_presence(self.kind, Presence::Present);
        let watch = self.clone();
        let layer = Layer::Management;
        match self.kind {
            MirrorKind::Icsp => {
                let read = move |set: &ImageContentSourcePolicy| entry::of_object(&set.name_any(), &set.spec, layer);
                watch.run(crd, back, read).boxed()
            }
            MirrorKind::Idms => {
                let read = move |set: &ImageDigestMirrorSet| entry::of_object(&set.name_any(), &set.spec, layer);
                watch.run(crd, back, read).boxed()
            }
            MirrorKind::Itms => {
                let read = move |set: &ImageTagMirrorSet| entry::of_object(&set.name_any(), &set.spec, layer);
                watch.run(crd, back, read).boxed()
            }
        }
    }

    fn gone(&mut self) {
        self.ctx.index().mirrors.set_presence(self.kind, Presence::Absent);
        self.note(true);
        self.ctx.queue_all();
    }

    fn absent(&mut self) {
        self.gone();
        self.awaited.done();
    }
}

impl Objects for MirrorWatch {
    type Object = (String, Declared);

    fn name(object: &Self::Object) -> &str {
        &object.0
    }

    fn apply(&mut self, objects: Vec<Self::Object>) {
        let mut is_changed = false;
        {
            let mut index = self.ctx.index();
            for (name, declared) in objects {
                is_changed |= index.mirrors.apply(self.kind, name, declared);
            }
        }
        self.note(is_changed);
    }

    fn lacks_any(&self, objects: &[Self::Object]) -> bool {
        self.ctx.index().mirrors.lacks_any(self.kind, objects)
    }

    fn replace(&mut self, objects: Vec<Self::Object>) {
        if self.ctx.index().mirrors.replace(self.kind, objects) {
            // Immediately, because the first reconcile may wait for it, and must not plan without it.
            self.ctx.resolve_management();
        }
        self.awaited.done();
    }

    fn remove(&mut self, name: &str) {
        let is_changed = self.ctx.index().mirrors.remove(self.kind, name);
        self.note(is_changed);
    }

    fn keep_only(&mut self, names: &BTreeSet<String>) {
        let is_changed = self.ctx.index().mirrors.keep_only(self.kind, names);
        self.note(is_changed);
    }

    fn failing(&mut self, failure: &Failure) {
        let (kind, code, error) = (self.kind.crd(), failure.code, &failure.message);
        tracing::warn!(kind, code, error, "failed to watch the objects of a kind; trying again");
        if self.ctx.index().mirrors.refuse(self.kind, failure, Instant::now()) {
            self.ctx.queue_all();
        }
    }
}
