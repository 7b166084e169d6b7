//! The objects of one mirror kind: a deletion counts only while the kind itself stays.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::context::Context;
use crate::client::optional_kind::ask_standing;
use crate::client::watch::{Update, updates};
use crate::management::index::mirror_kinds::Declared;
use crate::management::mirror_kind::MirrorKind;
use crate::mirrors::entry::MirrorEntry;
use crate::process::first_look::Awaited;

/// How long the objects of a kind that is back may take to follow it: whoever restores a CRD restores them next.
const RESTORE_GRACE: Duration = Duration::from_secs(10);
/// Between two questions for a CRD that was not answered.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What the watch of one kind works with.
pub struct MirrorWatch {
    /// Shared.
    pub ctx: Arc<Context>,
    /// The kind.
    pub kind: MirrorKind,
    /// The UID of its CRD.
    pub crd: String,
    /// Told when the management layer has to be resolved again.
    pub changed: mpsc::Sender<()>,
    /// Told when the first list is in.
    pub awaited: Awaited,
}

/// The objects of a kind that is back, until the grace is over: what was known stays, what is told is added.
struct Restore {
    until: tokio::time::Instant,
    told: BTreeSet<String>,
}

type Told = (String, Declared);

impl MirrorWatch {
    /// Watches until it is aborted. `back`: the kind was there before, went away, and is there again.
    pub async fn run<K>(self, back: bool, read: impl Fn(&K) -> Vec<MirrorEntry> + Send + 'static)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let slim = move |object: DeserializeGuard<K>| match object.0 {
            Ok(object) => (object.name_any(), Declared::Entries(read(&object).into())),
            Err(invalid) => (invalid.metadata.name.unwrap_or_default(), Declared::Malformed(invalid.error)),
        };
        let api: Api<DeserializeGuard<K>> = Api::all(self.ctx.client.clone());
        let mut stream = pin!(updates(api, watcher::Config::default(), slim));
        let mut restore =
            back.then(|| Restore { until: tokio::time::Instant::now() + RESTORE_GRACE, told: BTreeSet::new() });
        loop {
            let until = restore.as_ref().map(|restore| restore.until);
            let over = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            let moved = tokio::select! {
                () = over => self.end_restore(&mut restore),
                update = stream.next() => match update {
                    Some(update) => self.take(update, &mut restore).await,
                    None => return,
                },
            };
            if moved {
                let _ = self.changed.try_send(()); // full: a change is already waiting to be resolved
            }
        }
    }

    async fn take(&self, update: Update<Told>, restore: &mut Option<Restore>) -> bool {
        match (update, restore) {
            (Update::Replaced(objects), Some(restore)) => {
                restore.told = objects.iter().map(|(name, _)| name.clone()).collect();
                let mut index = self.ctx.index();
                objects
                    .into_iter()
                    .fold(false, |moved, (name, told)| index.mirrors.apply(self.kind, name, told) || moved)
            }
            (Update::Applied((name, declared)), Some(restore)) => {
                restore.told.insert(name.clone());
                self.ctx.index().mirrors.apply(self.kind, name, declared)
            }
            (Update::Deleted((name, _)), Some(restore)) => {
                restore.told.remove(&name);
                false
            }
            (Update::Replaced(objects), None) => {
                let lost = self.ctx.index().mirrors.misses_any(self.kind, &objects);
                if lost && !self.kind_stays().await {
                    return false;
                }
                if self.ctx.index().mirrors.replace(self.kind, objects) {
                    // At once: this may be what the first look waits for, and no plan may be made without it.
                    self.ctx.resolve_management();
                }
                self.awaited.done();
                false
            }
            (Update::Applied((name, declared)), None) => self.ctx.index().mirrors.apply(self.kind, name, declared),
            (Update::Deleted((name, _)), None) => {
                self.kind_stays().await && self.ctx.index().mirrors.remove(self.kind, &name)
            }
            (Update::Failing(failure), _) => {
                let kind = self.kind.crd();
                tracing::warn!(
                    kind,
                    code = failure.code,
                    error = failure.message,
                    "failed to watch the objects of a kind; trying again"
                );
                if self.ctx.index().mirrors.refuse(self.kind, &failure, Instant::now()) {
                    self.ctx.queue_all();
                }
                false
            }
        }
    }

    fn end_restore(&self, restore: &mut Option<Restore>) -> bool {
        restore.take().is_some_and(|restore| self.ctx.index().mirrors.keep_only(self.kind, &restore.told))
    }

    /// Whether an object was deleted by somebody, or goes with its kind. When a CRD is deleted the API server deletes its
    /// objects first, so only the CRD's own state tells the difference; and one that was installed again since is no
    /// better than none.
    async fn kind_stays(&self) -> bool {
        loop {
            match ask_standing(&self.ctx.client, self.kind.crd()).await {
                Ok(uid) => return uid.as_deref() == Some(&self.crd),
                Err(error) => {
                    tracing::warn!(kind = self.kind.crd(), %error, "failed to read a CRD; deleted objects stay in use until it can be read");
                    tokio::time::sleep(ASK_AGAIN).await;
                }
            }
        }
    }
}
