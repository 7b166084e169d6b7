//! Writes changed reports, after the targets, which are more important.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{ClusterKey, HostedClusterMirrorsStatus};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use tokio::sync::Notify;

use super::leader::Leader;
use super::store::Store;
use crate::hosted::conditions::{keep_transition_times, work_failed};
use crate::hosted::status::{self, Related, Transition, transitions};
use crate::management::apply::{WriteError, Writer};
use crate::management::events::{About, Events};

/// Maximum time for which reports wait for writes of targets. A fleet that changes all the time must be reported, too.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause after a failed write.
const RETRY: Duration = Duration::from_secs(5);

/// The group and version of the objects that events are about.
const HYPERSHIFT: &str = "hypershift.openshift.io/v1beta1";

/// A report to write.
#[derive(Debug)]
struct Pending {
    object: Arc<HostedCluster>,
    /// `None` deletes the report, because the hosted cluster is no longer managed.
    status: Option<HostedClusterMirrorsStatus>,
}

#[derive(Debug, Default)]
struct State {
    pending: HashMap<ClusterKey, Pending>,
    /// The reports that are being written: one at a time for each hosted cluster, so that each event is published once.
    writing: HashSet<ClusterKey>,
}

/// The queue of reports. Only the newest one of each hosted cluster is kept. Clones share the queue.
#[derive(Clone, Debug, Default)]
struct Outbox {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl Outbox {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, key: &ClusterKey, pending: Pending) {
        self.with(|state| state.pending.insert(key.clone(), pending));
        self.changed.notify_one();
    }

    fn discard(&self, key: &ClusterKey) {
        self.with(|state| state.pending.remove(key));
    }

    /// Waits for a report that nobody writes. It is marked as being written until the result is dropped.
    async fn next(&self) -> Writing<'_> {
        loop {
            let changed = self.changed.notified();
            let next = self.with(|state| {
                let next = state.pending.keys().find(|key| !state.writing.contains(*key)).cloned()?;
                state.writing.insert(next.clone());
                Some(next)
            });
            match next {
                Some(key) => return Writing { outbox: self, key },
                None => changed.await,
            }
        }
    }
}

/// The right to write the report of one hosted cluster.
struct Writing<'r> {
    outbox: &'r Outbox,
    key: ClusterKey,
}

impl Writing<'_> {
    /// The report, as it is now.
    fn take(&self) -> Option<Pending> {
        self.outbox.with(|state| state.pending.remove(&self.key))
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.outbox.with(|state| state.writing.remove(&self.key));
        self.outbox.changed.notify_one(); // a newer one may be queued
    }
}

/// Writes reports. Clones share the queue.
#[derive(Clone)]
pub struct Reporter {
    outbox: Outbox,
    store: Store,
    writer: Writer,
    leader: Leader,
    events: Events,
}

impl Reporter {
    /// Creates the reporter.
    pub fn new(store: Store, writer: Writer, leader: Leader, events: Events) -> Self {
        Self { outbox: Outbox::default(), store, writer, leader, events }
    }

    /// Enqueues the report of one hosted cluster if it differs from the current one.
    pub fn submit(&self, key: &ClusterKey, object: &Arc<HostedCluster>, status: Option<HostedClusterMirrorsStatus>) {
        if self.store.report(key).as_deref() == status.as_ref() {
            return self.outbox.discard(key);
        }
        self.outbox.put(key, Pending { object: Arc::clone(object), status });
    }

    /// Enqueues the last report of a hosted cluster with a condition about a panic.
    pub fn submit_failure(&self, key: &ClusterKey, now: jiff::Timestamp) {
        let Some((object, old)) = self.store.reported(key) else { return };
        let status = work_failed(old.as_deref(), object.metadata.generation.unwrap_or_default(), now);
        self.outbox.put(key, Pending { object, status: Some(status) });
    }

    /// Writes queued reports until the process ends.
    pub async fn run(self) {
        // A change of the management layer changes all reports. They wait until no target is being written, because users wait
        // for the Deployments, and read reports afterwards. What is written is taken only then, so that a report that changes
        // meanwhile is written once.
        loop {
            let writing = self.outbox.next().await;
            let _ = tokio::time::timeout(PATIENCE, self.store.clusters.until_idle()).await;
            let Some(pending) = writing.take() else { continue };
            let key = &writing.key;
            if self.leader.may_write()
                && let Err(error) = self.write(key, pending).await
            {
                tracing::warn!(cluster = %key, %error, "failed to write a report; trying again");
                self.store.clusters.add_after(key.clone(), RETRY);
            }
        }
    }

    /// Writes a report and publishes its events.
    async fn write(&self, key: &ClusterKey, Pending { object, status }: Pending) -> Result<(), WriteError> {
        let Some(mut status) = status else {
            self.writer.delete_report(key).await?;
            self.store.record_report(key, None);
            return Ok(());
        };
        let old = self.store.report(key);
        if let Some(old) = &old {
            keep_transition_times(&old.conditions, &mut status.conditions);
        }
        // Another one was written since it was queued.
        if old.as_deref() == Some(&status) {
            return Ok(());
        }
        if old.is_none() {
            self.create(key, &object).await?;
        }
        let version = match self.writer.write_report(key, &status).await {
            // Somebody has deleted it, and its watch is behind.
            Err(WriteError::Gone { .. }) => {
                self.create(key, &object).await?;
                self.writer.write_report(key, &status).await?
            }
            other => other?,
        };
        // Events come last: one that is lost is in the report as well, but one that is published again with each failed write
        // would look like a new transition.
        self.store.record_written_report(key, status.clone(), version);
        self.record(key, &object, &transitions(old.as_deref(), &status)).await;
        Ok(())
    }

    async fn create(&self, key: &ClusterKey, object: &HostedCluster) -> Result<(), WriteError> {
        let version = self.writer.create_report(key, object).await?;
        // Its watch reports it without content. That is no news, or it would be computed and written once more.
        self.store.record_created_report(key, version);
        Ok(())
    }

    /// Publishes an event for each transition.
    async fn record(&self, key: &ClusterKey, object: &HostedCluster, transitions: &[Transition<'_>]) {
        let uid = object.uid().unwrap_or_default();
        for transition in transitions {
            let pool = match transition.about {
                status::About::HostedCluster => None,
                status::About::NodePool(name) => {
                    let Some(uid) = self.store.pool_uid(key, name) else { continue };
                    Some((ClusterKey { namespace: key.namespace.clone(), name: name.to_owned() }, uid))
                }
            };
            let (kind, key, uid) = match &pool {
                None => ("HostedCluster", key, &uid),
                Some((key, uid)) => ("NodePool", key, uid),
            };
            let about = About { api_version: HYPERSHIFT, kind, namespace: &key.namespace, name: &key.name, uid };
            let related = transition.related.as_ref().map(|related| related_object(key, related));
            self.events.record(&about, transition.is_good, transition.reason, transition.message, related).await;
        }
    }
}

fn related_object(key: &ClusterKey, related: &Related) -> ObjectReference {
    let (api_version, kind, namespace, name) = match related {
        Related::Target(name) => ("apps/v1", "Deployment", key.control_plane_namespace(), name),
        Related::ConfigMap(name) => ("v1", "ConfigMap", key.namespace.clone(), name),
    };
    ObjectReference {
        api_version: Some(api_version.to_owned()),
        kind: Some(kind.to_owned()),
        namespace: Some(namespace),
        name: Some(name.clone()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests;
