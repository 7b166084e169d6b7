//! Writes changed reports, after the targets, which are more important.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{ClusterKey, HostedClusterMirrorsStatus};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use tokio::sync::Notify;

use super::context::Context;
use crate::hosted::conditions::work_failed;
use crate::hosted::status::{self, Related, Transition, transitions};
use crate::management::apply::WriteError;
use crate::management::events::{About, Events};

/// Maximum time for which reports wait for writes of targets.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause after a failed write.
const RETRY: Duration = Duration::from_secs(5);

/// Marks a report as being written until this is dropped.
struct Writing<'r> {
    reporter: &'r Reporter,
    key: ClusterKey,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.reporter.writing().remove(&self.key);
        self.reporter.changed.notify_one(); // a newer one may be queued
    }
}

struct Pending {
    object: Arc<HostedCluster>,
    /// `None` deletes the report, because the hosted cluster is no longer managed.
    status: Option<HostedClusterMirrorsStatus>,
}

/// The queue of reports. Clones share the queue.
#[derive(Clone, Default)]
pub struct Reporter {
    pending: Arc<Mutex<HashMap<ClusterKey, Pending>>>,
    /// The reports that are being written: one at a time for each hosted cluster, so that each event is published once.
    writing: Arc<Mutex<HashSet<ClusterKey>>>,
    changed: Arc<Notify>,
}

impl Reporter {
    fn pending(&self) -> MutexGuard<'_, HashMap<ClusterKey, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enqueues the report of one hosted cluster if it differs from the current one.
    pub fn submit(
        &self,
        ctx: &Context,
        key: &ClusterKey,
        object: &Arc<HostedCluster>,
        status: Option<HostedClusterMirrorsStatus>,
    ) {
        if ctx.report(key).as_deref() == status.as_ref() {
            self.pending().remove(key);
            return;
        }
        self.pending().insert(key.clone(), Pending { object: Arc::clone(object), status });
        self.changed.notify_one();
    }

    /// Enqueues the last report of a hosted cluster with a condition about a panic.
    pub fn submit_failure(&self, ctx: &Context, key: &ClusterKey) {
        let known = ctx.index().cluster(key).map(|cluster| (Arc::clone(&cluster.object), cluster.report.clone()));
        let Some((object, old)) = known else { return };
        self.fail(key, object, old.as_deref(), jiff::Timestamp::now());
    }

    fn fail(
        &self,
        key: &ClusterKey,
        object: Arc<HostedCluster>,
        old: Option<&HostedClusterMirrorsStatus>,
        now: jiff::Timestamp,
    ) {
        let status = work_failed(old, object.metadata.generation.unwrap_or_default(), now);
        self.pending().insert(key.clone(), Pending { object, status: Some(status) });
        self.changed.notify_one();
    }

    /// Writes queued reports until the process ends.
    pub async fn run(self, ctx: Arc<Context>, events: Events) {
        loop {
            let changed = self.changed.notified();
            let Some(key) = self.take_next() else {
                changed.await;
                continue;
            };
            let _writing = Writing { reporter: &self, key: key.clone() };
            let _ = tokio::time::timeout(PATIENCE, ctx.queue.until_idle()).await;
            let Some(pending) = self.pending().remove(&key) else { continue };
            if ctx.may_write()
                && let Err(error) = self.write(&ctx, &events, &key, &pending).await
            {
                tracing::warn!(cluster = %key, %error, "failed to write a report; trying again");
                ctx.queue.add_after(key, RETRY);
            }
        }
    }

    fn writing(&self) -> MutexGuard<'_, HashSet<ClusterKey>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next report, which the caller must write.
    fn take_next(&self) -> Option<ClusterKey> {
        let (pending, mut writing) = (self.pending(), self.writing());
        let next = pending.keys().find(|key| !writing.contains(*key)).cloned()?;
        writing.insert(next.clone());
        Some(next)
    }

    async fn write(
        &self,
        ctx: &Context,
        events: &Events,
        key: &ClusterKey,
        pending: &Pending,
    ) -> Result<(), WriteError> {
        let Some(status) = &pending.status else {
            ctx.writer.delete_report(key).await?;
            ctx.index().apply_report(key, None);
            return Ok(());
        };
        let old = ctx.report(key);
        if old.is_none() {
            ctx.writer.create_report(key, &pending.object).await?;
        }
        match ctx.writer.write_report(key, status).await {
            Err(WriteError::Gone { .. }) => {
                ctx.writer.create_report(key, &pending.object).await?;
                ctx.writer.write_report(key, status).await?;
            }
            other => other?,
        }
        ctx.index().apply_report(key, Some(status.clone()));
        record(ctx, events, key, &pending.object, &transitions(old.as_deref(), status)).await;
        Ok(())
    }
}

/// Publishes an event for each transition.
async fn record(
    ctx: &Context,
    events: &Events,
    key: &ClusterKey,
    object: &HostedCluster,
    transitions: &[Transition<'_>],
) {
    let uid = object.uid().unwrap_or_default();
    for transition in transitions {
        let pool = match transition.about {
            status::About::HostedCluster => None,
            status::About::NodePool(name) => {
                let Some(pool) = ctx.index().guests.pools(key).get(name).cloned() else { continue };
                Some((ClusterKey { namespace: key.namespace.clone(), name: name.to_owned() }, pool.uid))
            }
        };
        let about = match &pool {
            None => About { kind: "HostedCluster", key, uid: &uid },
            Some((key, uid)) => About { kind: "NodePool", key, uid },
        };
        let related = transition.related.as_ref().map(|related| related_object(key, related));
        events.record(&about, transition.is_good, transition.reason, transition.message, related).await;
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
mod tests {
    use super::*;

    #[test]
    fn work_that_panicked_is_put_in_line_in_place_of_what_was_to_be_told() {
        let (reporter, key) = (Reporter::default(), ClusterKey { namespace: "clusters".into(), name: "west".into() });
        let object = Arc::new(HostedCluster::new("west", hypermirror_api::hypershift::HostedClusterSpec::default()));
        let stale = Pending { object: Arc::clone(&object), status: None };
        reporter.pending().insert(key.clone(), stale);
        reporter.fail(&key, object, None, jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(reporter.take_next(), Some(key.clone()));
        let status = reporter.pending().remove(&key).unwrap().status.unwrap();
        let reasons: Vec<&str> = status.conditions.iter().map(|condition| condition.reason.as_str()).collect();
        assert_eq!(reasons, ["WorkFailed", "WorkFailed"]);
    }
}
