//! Optional kinds: watches a CRD by its name, and its objects while it is installed. When a CRD is removed, the last known
//! objects are kept, because they were not deleted individually.

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

use super::cause::Cause;
use super::deadline::answered;
use super::watch::{Failure, Update, updates};

/// Time after a CRD is restored during which missing objects are not removed, because they are usually restored after it.
const RESTORE_GRACE: Duration = Duration::from_secs(10);
/// Pause after a failed read of a CRD.
const RETRY: Duration = Duration::from_secs(1);

/// Whether a CRD is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Its objects can be watched.
    Present,
    /// It is not installed or is being deleted, in which case the API server deletes all objects of the kind first.
    Absent,
}

/// The UID of an installed CRD. `None` while it is being deleted. A CRD that is installed again has another UID.
pub fn standing(crd: &PartialObjectMeta<CustomResourceDefinition>) -> Option<String> {
    crd.uid().filter(|_| crd.metadata.deletion_timestamp.is_none())
}

/// The watch of one CRD, which RBAC can restrict by `resourceNames`.
pub fn crd_watch(client: &Client, crd: &str) -> (Api<PartialObjectMeta<CustomResourceDefinition>>, watcher::Config) {
    let config = watcher::Config::default().fields(&format!("metadata.name={crd}"));
    (Api::all(client.clone()), config)
}

/// A CRD at the start of the watch of its objects.
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
    /// Reads the UID of an installed CRD from the API server, not from a cache.
    ///
    /// # Errors
    /// Any response from which neither its presence nor its absence follows.
    pub async fn read(client: &Client, name: &str) -> kube::Result<Option<String>> {
        let api = Api::<CustomResourceDefinition>::all(client.clone());
        Ok(answered(api.get_metadata_opt(name)).await?.as_ref().and_then(standing))
    }

    /// Whether a missing object was deleted individually, and not with its kind.
    ///
    /// When a CRD is deleted, the API server first deletes its objects, so only the state of the CRD shows the difference. If it
    /// was installed again, its objects may still follow. While it cannot be read nothing may be removed, so this retries until
    /// the read succeeds.
    async fn stays(&self) -> bool {
        loop {
            match Self::read(&self.client, self.name).await {
                Ok(uid) => return uid.as_deref() == Some(&*self.uid),
                Err(error) => {
                    tracing::warn!(crd = self.name, error = %Cause(&error), "failed to read a CRD; deleted objects stay in use until it can be read");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// The user of a kind.
pub trait Follower: Send {
    /// The CRD is installed. The returned future watches its objects and is dropped when the CRD is removed.
    fn present(&mut self, crd: InstalledCrd) -> BoxFuture<'static, ()>;
    /// The CRD was removed. It may have been installed again.
    fn gone(&mut self);
    /// The CRD is not installed.
    fn absent(&mut self);
}

/// Follows a kind by the name of its CRD, until it is dropped.
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
    // The objects are watched in this task, so that their watch ends with their CRD and no event of an old CRD can follow. Only
    // an answer of the API server starts or ends it: a failed watch says nothing about whether the CRD exists.
    loop {
        let objects = async {
            if let Some((_, objects)) = &mut running {
                objects.await;
            }
            // The watch never ends by itself. If it did, it would start again with the next version of the CRD.
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
                let (code, error) = (failure.code, failure.message);
                tracing::warn!(crd = name, code, error, "failed to watch a CRD; trying again");
                continue;
            }
        };
        // Also if it was removed and installed again while the watch was interrupted.
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

/// The known objects of one kind.
pub trait Objects: Send {
    /// The part of an object that is kept.
    type Object: Send;

    /// Its name.
    fn name(object: &Self::Object) -> &str;
    /// Adds or replaces objects.
    fn apply(&mut self, objects: Vec<Self::Object>);
    /// Whether a known object is missing in a list.
    fn lacks_any(&self, objects: &[Self::Object]) -> bool;
    /// Records the complete list.
    fn replace(&mut self, objects: Vec<Self::Object>);
    /// Removes an object that was deleted.
    fn remove(&mut self, name: &str);
    /// Removes all objects except these.
    fn keep_only(&mut self, names: &BTreeSet<String>);
    /// Records that the objects cannot be read.
    fn failing(&mut self, failure: &Failure);
}

/// Keeps the known objects of a kind up to date, until it is dropped. `open` starts a watch, and is called again each time that
/// `again` yields.
///
/// `is_restored`: the CRD was removed and installed again. Objects are then only added for [`RESTORE_GRACE`]; those that are
/// still missing afterwards are removed.
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
        // Restored objects follow their CRD one by one, often by a script. A list in between is not yet the whole truth.
        match (update, &mut restored) {
            (None, _) => return,
            (Some(Update::Failing(failure)), _) => objects.failing(&failure),
            (Some(update), Some(restored)) => restore(objects, update, restored),
            (Some(update), None) => record(objects, update, crd).await,
        }
    }
}

/// Records an update of a kind that is being restored, without removing objects.
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
