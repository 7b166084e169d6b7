//! Records all versions of all Deployments, in order, with a watch.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::StreamExt as _;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use serde_json::Value;
use tokio::task::JoinHandle;

/// One version of one Deployment.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its resource version.
    pub version: String,
    /// The time of the watch event.
    pub at: Instant,
    /// The object.
    pub object: Value,
}

/// A recorder. Dropping it stops the watch.
pub struct Timeline {
    versions: Arc<Mutex<Vec<Version>>>,
    task: JoinHandle<()>,
}

impl Timeline {
    /// Starts to record, with the existing Deployments first.
    pub fn start(client: Client) -> Self {
        let versions: Arc<Mutex<Vec<Version>>> = Arc::default();
        let task = tokio::spawn(record(client, Arc::clone(&versions)));
        Self { versions, task }
    }

    fn versions(&self) -> MutexGuard<'_, Vec<Version>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of versions, which is a position in the timeline.
    pub fn len(&self) -> usize {
        self.versions().len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.versions().is_empty()
    }

    /// The last recorded version of one Deployment.
    pub fn last(&self, namespace: &str, name: &str) -> Option<Version> {
        let own = |version: &&Version| version.namespace == namespace && version.name == name;
        self.versions().iter().rev().find(own).cloned()
    }

    /// The versions of one Deployment in a part of the timeline, preceded by the one at its start.
    pub fn of(&self, part: Range<usize>, namespace: &str, name: &str) -> Vec<Version> {
        let versions = self.versions();
        let own = |version: &&Version| version.namespace == namespace && version.name == name;
        let (before, since) = versions.split_at(part.start.min(versions.len()));
        let before = before.iter().rev().find(own);
        let since = since.iter().take(part.len()).filter(own);
        before.into_iter().chain(since).cloned().collect()
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn record(client: Client, versions: Arc<Mutex<Vec<Version>>>) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"));
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let mut events = watcher::watcher(api, watcher::Config::default()).boxed();
    while let Some(event) = events.next().await {
        let Ok(Event::Apply(object) | Event::InitApply(object)) = event else { continue };
        let metadata = object.metadata.clone();
        let Ok(object) = serde_json::to_value(object) else { continue };
        versions.lock().unwrap_or_else(PoisonError::into_inner).push(Version {
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
            version: metadata.resource_version.unwrap_or_default(),
            at: Instant::now(),
            object,
        });
    }
}
