//! Acquires and renews the Lease while the process runs.

use std::time::{Duration, Instant};

use hypermirror_api::names;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::election::{Candidate, Step};
use crate::client::cause::Cause;
use crate::client::deadline::{answered, answered_within};
use crate::process::flags::LeaseFlags;
use crate::process::identity::{own_identity, own_namespace};

/// Number of retries after a conflict, before the next interval.
const CONFLICTS: usize = 2;
/// Timeout for the release at shutdown. If it fails, the Lease expires by itself.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);
/// The minimum lease duration: the API has a resolution of seconds.
const SHORTEST: Duration = Duration::from_secs(2);

/// The configuration of the Lease.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// The name of the Lease: each kind of process has its own.
    pub name: &'static str,
    /// The namespace of the manager.
    pub namespace: String,
    /// The identity of this replica.
    pub identity: String,
    /// Time without a renewal after which another replica may take over.
    pub duration: Duration,
}

impl LeaseSettings {
    /// The Lease of this name, from the flags of a process.
    ///
    /// # Errors
    /// If the namespace is unknown.
    pub fn new(name: &'static str, flags: &LeaseFlags) -> anyhow::Result<Self> {
        Ok(Self {
            name,
            namespace: own_namespace(flags.namespace.clone())?,
            identity: flags.identity.clone().unwrap_or_else(own_identity),
            duration: flags.lease_duration,
        })
    }
}

/// A term of leadership.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// The time until which this replica leads.
    until: Instant,
    /// The earliest time at which another replica may lead.
    others_from: Instant,
    /// The Lease's `leaseTransitions`, which is incremented with each change of the holder.
    number: i64,
}

/// The current term, which renewals extend. `None` if this replica does not lead.
#[derive(Clone, Debug)]
pub struct Term(watch::Receiver<Option<Held>>);

impl Term {
    /// Whether this replica leads now. It depends on the clock, so that a process that was suspended does not lead when it
    /// resumes, before it reads the Lease.
    pub fn lasts(&self) -> bool {
        self.writes_until().is_some()
    }

    /// The time by which a write that starts now must be complete, before another replica may lead. `None` if this replica does
    /// not lead.
    pub fn writes_until(&self) -> Option<Instant> {
        let held = (*self.0.borrow())?;
        (Instant::now() < held.until).then_some(held.others_from)
    }

    /// The number of the term, greater than that of all earlier terms of all replicas.
    pub fn number(&self) -> i64 {
        self.0.borrow().map_or(0, |held| held.number)
    }

    /// Waits until leadership starts. False if the election has stopped.
    pub async fn begun(&mut self) -> bool {
        self.0.wait_for(Option::is_some).await.is_ok()
    }

    /// Waits until leadership ends. False if the election has stopped.
    pub async fn ended(&mut self) -> bool {
        self.0.wait_for(Option::is_none).await.is_ok()
    }
}

/// Takes part in the election until it is dropped.
pub struct Leadership {
    /// Whether this replica leads. It ends before another replica may lead, also if the API server is unavailable.
    pub term: Term,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
    /// A separate thread, so that the Lease is renewed when the other threads are busy.
    _thread: Thread,
}

struct Thread(Option<Runtime>);

impl Drop for Thread {
    /// Must not be dropped in a task, because dropping the runtime blocks.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Leadership {
    /// Starts the election. The Lease is created if it does not exist. `connect` creates a separate client for the Lease, whose
    /// connections are on the same thread.
    ///
    /// # Errors
    /// If the thread or the client cannot be created.
    pub async fn compete<E>(
        connect: impl Future<Output = Result<Client, E>> + Send + 'static,
        settings: &LeaseSettings,
    ) -> Result<Self, E>
    where
        E: From<std::io::Error> + Send + 'static,
    {
        let thread = Builder::new_multi_thread().worker_threads(1).thread_name("lease").enable_all().build()?;
        let client = thread.spawn(connect).await.map_err(std::io::Error::other)??;
        let (sender, term) = watch::channel(None);
        let (end, ended) = oneshot::channel();
        let holder = Holder {
            name: settings.name,
            api: Api::namespaced(client, &settings.namespace),
            candidate: Candidate::new(&settings.identity, settings.duration.max(SHORTEST)),
            term: sender,
            held: None,
        };
        let task = thread.spawn(holder.run(ended));
        Ok(Self { term: Term(term), end, task, _thread: Thread(Some(thread)) })
    }

    /// Releases the Lease, so that another replica takes over immediately.
    pub async fn release(self) {
        let _ = self.end.send(());
        if self.task.await.is_err() {
            tracing::warn!("failed to release the Lease; other replicas wait until it expires");
        }
    }
}

struct Holder {
    name: &'static str,
    api: Api<Lease>,
    candidate: Candidate,
    term: watch::Sender<Option<Held>>,
    held: Option<Held>,
}

impl Holder {
    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        // A turn that is interrupted by the end may have written already. The release reads the Lease again and writes only if
        // this replica still holds it.
        loop {
            let pause = tokio::select! {
                _ = &mut ended => break,
                pause = self.turn() => pause,
            };
            tokio::select! {
                _ = &mut ended => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.release().await;
    }

    async fn release(mut self) {
        if self.term.send_replace(None).is_some()
            && let Err(error) = answered_within(RELEASE_LIMIT, self.clear_holder()).await
        {
            tracing::warn!(error = %Cause(&error), "failed to release the Lease; other replicas wait until it expires");
        }
    }

    /// Reads the Lease, decides and writes. Returns the time of the next read.
    async fn turn(&mut self) -> Duration {
        // Times count from before the request: the server may have stored the renewal at any moment since then, and other
        // replicas count from when they saw it. A request that takes longer than the term is given up, and the term ends.
        let start = Instant::now();
        let limit = self.held.map_or(self.candidate.holds_for(), |held| held.until.saturating_duration_since(start));
        match answered_within(limit, self.read_and_write()).await {
            Ok(Some(number)) => {
                let (until, others_from) = (start + self.candidate.holds_for(), start + self.candidate.promise());
                self.held = Some(Held { until, others_from, number });
                self.publish();
            }
            Ok(None) => {
                self.held = None;
                self.publish();
            }
            Err(error) => tracing::warn!(error = %Cause(&error), "failed to renew the Lease; trying again"),
        }
        if self.held.is_some_and(|held| held.until <= Instant::now()) {
            self.held = None;
            self.publish();
        }
        let period = self.candidate.period(self.held.is_some());
        self.held.map_or(period, |held| period.min(held.until.saturating_duration_since(Instant::now())))
    }

    /// The number of the term if this replica holds the Lease.
    async fn read_and_write(&mut self) -> kube::Result<Option<i64>> {
        // A concurrent write of an annotation also causes a conflict, which is irrelevant: read again.
        for _ in 0..CONFLICTS {
            match self.try_once().await {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                other => return other,
            }
        }
        self.try_once().await
    }

    async fn try_once(&mut self) -> kube::Result<Option<i64>> {
        let lease = match self.api.get_opt(self.name).await? {
            Some(lease) => lease,
            None => self.create().await?,
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let step = self.candidate.step(&spec, Instant::now());
        let Some(write) = self.candidate.write(step, &spec, jiff::Timestamp::now()) else { return Ok(None) };
        // Guarded by the `resourceVersion`: if two replicas acquire it at the same time, one fails.
        let body = json!({"metadata": {"resourceVersion": lease.resource_version()}, "spec": write});
        let held = self.api.patch(self.name, &params(), &Patch::Merge(body)).await?;
        Ok(Some(held.spec.and_then(|spec| spec.lease_transitions).unwrap_or_default().into()))
    }

    async fn create(&self) -> kube::Result<Lease> {
        let metadata = ObjectMeta { name: Some(self.name.to_owned()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(LeaseSpec::default()) };
        match self.api.create(&PostParams::default(), &lease).await {
            Err(kube::Error::Api(status)) if status.code == 409 => self.api.get(self.name).await,
            created => created,
        }
    }

    async fn clear_holder(&mut self) -> kube::Result<()> {
        let lease = self.api.get(self.name).await?;
        if self.candidate.step(&lease.spec.clone().unwrap_or_default(), Instant::now()) != Step::Renew {
            return Ok(());
        }
        let nobody = json!({"holderIdentity": null, "renewTime": null, "acquireTime": null});
        let body = json!({"metadata": {"resourceVersion": lease.resource_version()}, "spec": nobody});
        self.api.patch(self.name, &params(), &Patch::Merge(body)).await.map(|_| ())
    }

    fn publish(&self) {
        let leads = self.held.is_some();
        if self.term.send_replace(self.held).is_some() != leads {
            tracing::info!(leads, "leadership changed");
        }
    }
}

/// Whether this replica holds the Lease on the server, in the term with this number.
///
/// # Errors
/// [`kube::Error`] if it cannot be read.
pub async fn is_held(client: &Client, namespace: &str, identity: &str, number: i64) -> kube::Result<bool> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let lease = answered(api.get(names::LEASE)).await?.spec.unwrap_or_default();
    let is_ours = lease.holder_identity.as_deref() == Some(identity);
    Ok(is_ours && i64::from(lease.lease_transitions.unwrap_or_default()) == number)
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
