//! Follows the objects of one mirror kind. The store resolves the management layer from them.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use hypermirror_api::mirror_sets::{ImageContentSourcePolicy, ImageDigestMirrorSet, ImageTagMirrorSet};
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::store::Store;
use crate::client::optional_kind::{Follower, InstalledCrd, Objects, Presence, follow_objects};
use crate::client::watch::{Failure, updates};
use crate::management::index::change::{Change, MirrorChange};
use crate::management::index::mirror_kinds::MirrorObject;
use crate::management::mirror_kind::MirrorKind;
use crate::mirrors::Layer;
use crate::mirrors::entry::{self, MirrorEntry};
use crate::process::initial_lists::Awaited;

/// The handler of one mirror kind.
#[derive(Clone)]
pub struct MirrorWatch {
    /// Where changes go.
    pub store: Store,
    /// The kind.
    pub kind: MirrorKind,
    /// Called when the first list is complete.
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
        let reduce = move |object: DeserializeGuard<K>| match object.0 {
            Ok(object) => (object.name_any(), MirrorObject::Entries(read(&object).into())),
            Err(invalid) => (invalid.metadata.name.unwrap_or_default(), MirrorObject::Malformed(invalid.error)),
        };
        let api: Api<DeserializeGuard<K>> = Api::all(crd.client.clone());
        let open = || updates(api.clone(), watcher::Config::default(), reduce.clone()).boxed();
        follow_objects(&mut self, &crd, is_restored, stream::empty(), open).await;
    }

    fn change(&self, change: MirrorChange) {
        self.store.apply(Change::Mirrors(self.kind, change));
    }
}

impl Follower for MirrorWatch {
    fn present(&mut self, crd: InstalledCrd) -> BoxFuture<'static, ()> {
        // Asked before the kind counts as present: objects of a restored kind follow their CRD one by one, and those that are not
        // there yet must not be taken for deleted.
        let is_restored = self.store.has_vanished(self.kind);
        self.change(MirrorChange::Presence(Presence::Present));
        let (watch, layer) = (self.clone(), Layer::Management);
        match self.kind {
            MirrorKind::Icsp => {
                let read = move |set: &ImageContentSourcePolicy| entry::of_object(&set.name_any(), &set.spec, layer);
                watch.run(crd, is_restored, read).boxed()
            }
            MirrorKind::Idms => {
                let read = move |set: &ImageDigestMirrorSet| entry::of_object(&set.name_any(), &set.spec, layer);
                watch.run(crd, is_restored, read).boxed()
            }
            MirrorKind::Itms => {
                let read = move |set: &ImageTagMirrorSet| entry::of_object(&set.name_any(), &set.spec, layer);
                watch.run(crd, is_restored, read).boxed()
            }
        }
    }

    fn gone(&mut self) {
        self.change(MirrorChange::Presence(Presence::Absent));
    }

    fn absent(&mut self) {
        self.gone();
        self.awaited.done();
    }
}

impl Objects for MirrorWatch {
    type Object = (String, MirrorObject);

    fn name(object: &Self::Object) -> &str {
        &object.0
    }

    fn apply(&mut self, objects: Vec<Self::Object>) {
        self.change(MirrorChange::Applied(objects));
    }

    fn lacks_any(&self, objects: &[Self::Object]) -> bool {
        self.store.lacks_any(self.kind, objects)
    }

    fn replace(&mut self, objects: Vec<Self::Object>) {
        self.change(MirrorChange::Listed(objects));
        // The management layer is resolved by now: the first reconcile may wait for this, and must not plan without it.
        self.awaited.done();
    }

    fn remove(&mut self, name: &str) {
        self.change(MirrorChange::Deleted(name.to_owned()));
    }

    fn keep_only(&mut self, names: &BTreeSet<String>) {
        self.change(MirrorChange::Restored(names.clone()));
    }

    fn failing(&mut self, failure: &Failure) {
        let (kind, code, error) = (self.kind.crd(), failure.code, &failure.message);
        tracing::warn!(kind, code, error, "failed to watch the objects of a kind; trying again");
        self.change(MirrorChange::Failing(failure.clone(), Instant::now()));
    }
}
