//! Kinds that come and go: a CRD is watched by its name, its objects while it is there. What is known of a kind stays when it
//! goes away, because nobody deleted its objects one by one.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Fuse};
use futures::stream::{Stream, StreamExt as _};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use tokio::time::Instant;

use super::deadline::answered;
use super::watch::{Failure, Update, updates};

/// How long the objects of a restored kind may take to follow it: whoever restores a CRD restores them next.
const RESTORE_GRACE: Duration = Duration::from_secs(10);
/// Between two requests for a CRD that could not be read.
const RETRY: Duration = Duration::from_secs(1);

/// Whether a CRD is there and stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Its objects can be watched.
    Present,
    /// It is not there, or on its way out: then the API server deletes all objects of the kind first.
    Absent,
}

/// The UID of a CRD that is there to stay; none while it is on its way out. One that is installed again is another one.
pub fn standing(crd: &PartialObjectMeta<CustomResourceDefinition>) -> Option<String> {
    crd.uid().filter(|_| crd.metadata.deletion_timestamp.is_none())
}

/// The watch of one CRD, which RBAC can restrict by `resourceNames`.
pub fn crd_watch(client: &Client, crd: &str) -> (Api<PartialObjectMeta<CustomResourceDefinition>>, watcher::Config) {
    let config = watcher::Config::default().fields(&format!("metadata.name={crd}"));
    (Api::all(client.clone()), config)
}

/// A CRD as it was when the watch of its objects began.
#[derive(Clone)]
pub struct InstalledCrd {
    /// Reads it.
    pub client: Client,
    /// Its name.
    pub name: &'static str,
    /// Its UID.
    pub uid: String,
}

impl InstalledCrd {
    /// Reads the UID of a CRD that is there to stay, from the API server and not from a cache.
    ///
    /// # Errors
    /// Any answer but yes and no: then nothing may be concluded.
    pub async fn read(client: &Client, name: &str) -> kube::Result<Option<String>> {
        let api = Api::<CustomResourceDefinition>::all(client.clone());
        Ok(answered(api.get_metadata_opt(name)).await?.as_ref().and_then(standing))
    }

    /// Whether a missing object was deleted by somebody, and not with its kind.
    ///
    /// When a CRD is deleted the API server deletes its objects first, so only the CRD's own state tells the difference. One
    /// that was installed again since is another one, whose objects are still to come. While it cannot be read nothing may be
    /// removed, so this waits.
    async fn stays(&self) -> bool {
        loop {
            match Self::read(&self.client, self.name).await {
                Ok(uid) => return uid.as_deref() == Some(&*self.uid),
                Err(error) => {
                    tracing::warn!(crd = self.name, %error, "failed to read a CRD; deleted objects stay in use until it can be read");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// Whoever wants to know when a kind comes and goes.
pub trait Follower: Send {
    /// The kind is there: the future watches its objects, and is dropped when the kind goes away.
    fn present(&mut self, crd: InstalledCrd) -> BoxFuture<'static, ()>;
    /// The kind went away; it may have been installed again since.
    fn gone(&mut self);
    /// The kind is not there now.
    fn absent(&mut self);
}

/// Follows a kind by the name of its CRD, for ever.
pub async fn follow(client: &Client, crd: &'static str, follower: &mut impl Follower) {
    let (api, config) = crd_watch(client, crd);
    let crds = updates(api, config, |crd| standing(&crd));
    let installed = |uid| InstalledCrd { client: client.clone(), name: crd, uid };
    follow_crd(crds, crd, installed, follower).await;
}

async fn follow_crd(
    crds: impl Stream<Item = Update<Option<String>>>,
    name: &str,
    installed: impl Fn(String) -> InstalledCrd,
    follower: &mut impl Follower,
) {
    let mut crds = pin!(crds);
    let mut running: Option<(String, Fuse<BoxFuture<'static, ()>>)> = None;
    loop {
        let objects = async {
            if let Some((_, objects)) = &mut running {
                objects.await;
            }
            // Their watch never ends by itself; if it did, it would begin again with the next CRD.
            std::future::pending::<()>().await;
        };
        let update = tokio::select! {
            update = crds.next() => update,
            () = objects => None,
        };
        let Some(update) = update else { return };
        let now = match update {
            Update::Replaced(list) => list.into_iter().next().flatten(),
            Update::Applied(standing) => standing,
            Update::Deleted(_) => None,
            Update::Failing(failure) => {
                tracing::warn!(
                    crd = name,
                    code = failure.code,
                    error = failure.message,
                    "failed to watch a CRD; trying again"
                );
                continue;
            }
        };
        // Also when it was removed and installed again while the watch was away.
        if running.take_if(|(uid, _)| Some(&*uid) != now.as_ref()).is_some() {
            tracing::warn!(crd = name, "a CRD was removed; the last known objects of its kind stay in use");
            follower.gone();
        }
        match now {
            None => follower.absent(),
            Some(uid) if running.is_none() => {
                tracing::info!(crd = name, "a CRD is installed; watching its objects");
                running = Some((uid.clone(), follower.present(installed(uid)).fuse()));
            }
            Some(_) => {}
        }
    }
}

/// What is known of the objects of one kind.
pub trait Objects: Send {
    /// What is kept of an object.
    type Object: Send;

    /// Its name.
    fn name(object: &Self::Object) -> &str;
    /// Adds or replaces objects.
    fn apply(&mut self, objects: Vec<Self::Object>);
    /// Whether a known object is not in a list.
    fn lacks_any(&self, objects: &[Self::Object]) -> bool;
    /// Records the complete list.
    fn replace(&mut self, objects: Vec<Self::Object>);
    /// Removes an object that somebody deleted.
    fn remove(&mut self, name: &str);
    /// Removes all objects but these.
    fn keep_only(&mut self, names: &BTreeSet<String>);
    /// The objects cannot be read now.
    fn failing(&mut self, failure: &Failure);
}

/// Keeps what is known of a kind's objects up to date, until it is dropped. `open` starts a watch; it is called again each time
/// that `again` yields.
///
/// `is_restored`: the kind was there before, went away, and is there again. Then objects are only added for [`RESTORE_GRACE`];
/// those that did not follow their kind by then are removed.
pub async fn follow_objects<O, S>(
    objects: &mut O,
    crd: &InstalledCrd,
    is_restored: bool,
    again: impl Stream<Item = ()>,
    open: impl Fn() -> S,
) where
    O: Objects,
    S: Stream<Item = Update<O::Object>> + Unpin,
{
    let mut stream = open();
    let mut again = pin!(again);
    let mut restored = is_restored.then(BTreeSet::new);
    let mut grace = pin!(tokio::time::sleep_until(Instant::now() + RESTORE_GRACE));
    loop {
        let update = tokio::select! {
            () = &mut grace, if restored.is_some() => {
                objects.keep_only(&restored.take().unwrap_or_default());
                continue;
            }
            Some(()) = again.next() => {
                stream = open();
                continue;
            }
            update = stream.next() => update,
        };
        match (update, &mut restored) {
            (None, _) => return,
            (Some(Update::Failing(failure)), _) => objects.failing(&failure),
            (Some(update), Some(restored)) => restore(objects, update, restored),
            (Some(update), None) => record(objects, update, crd).await,
        }
    }
}

/// Records an update of a kind that is being restored: nothing is removed yet.
fn restore<O: Objects>(objects: &mut O, update: Update<O::Object>, restored: &mut BTreeSet<String>) {
    match update {
        Update::Replaced(list) => {
            *restored = list.iter().map(|object| O::name(object).to_owned()).collect();
            objects.apply(list);
        }
        Update::Applied(object) => {
            restored.insert(O::name(&object).to_owned());
            objects.apply(vec![object]);
        }
        Update::Deleted(object) => {
            restored.remove(O::name(&object));
        }
        Update::Failing(_) => {}
    }
}

async fn record<O: Objects>(objects: &mut O, update: Update<O::Object>, crd: &InstalledCrd) {
    match update {
        Update::Replaced(list) => {
            if !objects.lacks_any(&list) || crd.stays().await {
                objects.replace(list);
            }
        }
        Update::Applied(object) => objects.apply(vec![object]),
        Update::Deleted(object) => {
            if crd.stays().await {
                objects.remove(O::name(&object));
            }
        }
        Update::Failing(_) => {}
    }
}

#[cfg(test)]
mod tests;
