//! Fills the gaps of mirrors: copies exactly what checks found missing, one image after the other.
//!
//! Three have to agree: `--fill`, `--destination-allow`, and the annotation of the HostedCluster. It is read with the pull secret
//! of the hosted cluster, and written with the process's own credentials.

pub mod backlog;
pub mod gaps;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{ClusterKey, annotations};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt as _;
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::super::image::allow::Allowed;
use super::super::image::defaults::EndDefaults;
use super::super::status::ScanFailure;
use super::access::Access;
use super::context::Context;
use crate::management::events::About;
use crate::registry::auth::ecr::Ecr;
use crate::registry::auth::keychain::Keychain;
use crate::registry::credentials::ecr::EcrHost;
use crate::registry::transfer::progress::Silent;
use crate::registry::transfer::{Copier, CopyError, CopyOptions, Destination, Job, RegistrySide, Side};
use crate::registry::{Client, Credential, Reference, Repository};
use crate::telemetry::metrics::{OutcomeLabels, gauge};
use backlog::{Backlog, Failure, Progress};
use gaps::{Gap, Gaps};

/// Blobs that are copied at once: whoever pulls from the same mirrors comes first.
const AT_ONCE: usize = 8;
/// Images that are copied for one hosted cluster before it is the turn of the next one.
const TURN: usize = 20;
/// The longest time for one image: the next one may be at a registry that answers.
const LIMIT: Duration = Duration::from_mins(30);

/// What fills gaps.
pub struct Filler {
    /// `--destination-allow`.
    pub destinations: Vec<Allowed>,
    /// The process's own credentials for destinations.
    own: EndDefaults,
    /// The process's own AWS identity.
    ecr: Option<Arc<Ecr>>,
    backlog: Mutex<Backlog>,
    /// Woken when something may have to be copied.
    changed: Notify,
}

impl Filler {
    /// With the rules of Images.
    pub fn new(destinations: Vec<Allowed>, own: EndDefaults, ecr: Option<Arc<Ecr>>) -> Self {
        Self { destinations, own, ecr, backlog: Mutex::default(), changed: Notify::new() }
    }

    /// Takes what a check found. Returns what was done for the hosted cluster so far.
    pub fn take(&self, key: &ClusterKey, gaps: Option<Gaps>) -> Progress {
        let mut backlog = self.backlog();
        if let Some(gaps) = gaps {
            backlog.put(key, gaps);
            self.changed.notify_one();
        }
        backlog.progress(key)
    }

    /// Drops a hosted cluster: it was deleted, or its annotation was removed.
    pub fn forget(&self, key: &ClusterKey) {
        self.backlog().forget(key);
    }

    /// So many copies are in the status.
    pub fn wrote(&self, key: &ClusterKey, progress: &Progress) {
        self.backlog().wrote(key, progress.copied);
    }

    /// Ends a term: the next leader checks anew.
    pub fn clear(&self) {
        self.backlog().clear();
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn credential(&self, repository: &Repository) -> Result<Credential, Failure> {
        let host = repository.registry.base().host_str().and_then(EcrHost::parse);
        match (&self.own.credential, &self.ecr, host) {
            (None, Some(ecr), Some(host)) => ecr.credential(&host).await.map_err(|cause| no_credential(&cause)),
            (own, ..) => Ok(own.clone().unwrap_or_default()),
        }
    }

    /// Copies an image. Returns the bytes that were sent.
    async fn copy(&self, client: &Client, keychain: &Keychain, gap: &Gap) -> Result<u64, Failure> {
        let mut sources = Vec::with_capacity(gap.sources.len());
        for source in &gap.sources {
            let credential = keychain.credential(source).await.map_err(|cause| no_credential(&cause))?;
            sources.push(Side::Registry(RegistrySide::new(client.clone(), source.clone(), credential)));
        }
        let credential = self.credential(&gap.destination).await?;
        let destination = RegistrySide::new(client.clone(), gap.destination.clone(), credential);
        let destination = match &self.ecr {
            Some(ecr) => destination.creating(ecr.clone()),
            None => destination,
        };
        let job = Job {
            sources,
            reference: Reference::Digest(gap.digest.clone()),
            destinations: vec![Destination { side: Side::Registry(destination), tag: None }],
        };
        let stop = CancellationToken::new();
        // A copy that is dropped, because another replica leads, must not go on in tasks of its own.
        let _stopped = stop.clone().drop_guard();
        // Also below a manifest that is there: what is missing may be one of its blobs.
        let options = CopyOptions { concurrency: AT_ONCE, is_thorough: true, ..CopyOptions::default() };
        let copier = Copier::new(options, Arc::new(Silent), stop);
        let report = timeout(LIMIT, copier.copy(vec![job])).await.map_err(|_| Failure {
            reason: "Timeout",
            message: format!("the copy did not end within {}m", LIMIT.as_secs() / 60),
        })?;
        report
            .outcomes
            .into_iter()
            .try_for_each(|outcome| outcome.result.map(|_| ()).map_err(|error| failure(&error)))?;
        Ok(report.bytes)
    }
}

fn no_credential(cause: &crate::registry::Cause) -> Failure {
    Failure { reason: "CredentialsUnavailable", message: cause.to_string() }
}

fn failure(error: &CopyError) -> Failure {
    let reason = match error {
        CopyError::Registry(error) => ScanFailure::from(error).reason.as_str(),
        CopyError::Stopped => "Timeout",
    };
    Failure { reason, message: error.to_string() }
}

/// Whether the owner of a hosted cluster wants its mirrors to be filled.
pub fn is_wanted(cluster: &HostedCluster) -> bool {
    cluster.annotations().get(annotations::FILL).is_some_and(|value| value == "true")
}

/// Copies what is missing, as long as it is polled. The fleet pulls from the same registries: one image at a time.
pub async fn fill_when_due(ctx: &Context) -> Infallible {
    let Some(filler) = &ctx.filler else { return std::future::pending().await };
    loop {
        // Before the look at the backlog, so that no change between the two is missed.
        let changed = filler.changed.notified();
        let (due, retry) = {
            let mut backlog = filler.backlog();
            ctx.metrics.remaining.set(gauge(backlog.remaining()));
            (backlog.next_cluster(Instant::now()), backlog.next_retry())
        };
        if let Some(key) = due {
            take_turn(ctx, filler, &key).await;
            continue;
        }
        let until_retry = async {
            match retry {
                Some(retry) => sleep_until(retry.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => {}
            () = until_retry => {}
        }
    }
}

/// Copies some images for a hosted cluster, and asks for a check when none is left.
async fn take_turn(ctx: &Context, filler: &Filler, key: &ClusterKey) {
    let Some(cluster) = ctx.store.facts(key).map(|known| known.object).filter(|cluster| is_wanted(cluster)) else {
        return filler.forget(key);
    };
    let reach = reach(ctx, &cluster).await;
    for _ in 0..TURN {
        let Some((mirror, gap)) = filler.backlog().next(key, Instant::now()) else { break };
        let result = match &reach {
            Ok((client, keychain)) => filler.copy(client, keychain, &gap).await,
            Err(failure) => Err(failure.clone()),
        };
        let outcome = result.as_ref().map_or_else(|failure| failure.reason, |_| "Copied");
        ctx.metrics.fills.get_or_create(&OutcomeLabels { outcome }).inc();
        ctx.metrics.filled_bytes.inc_by(*result.as_ref().unwrap_or(&0));
        let end = result.as_ref().map(|_| ()).map_err(Clone::clone);
        let is_news = filler.backlog().done(key, &mirror, end, (Instant::now(), Timestamp::now()));
        if is_news {
            announce(ctx, &cluster, key, (&mirror, &gap), result).await;
        }
    }
    // Finds what is left, and reports what was done.
    if filler.backlog().take_news(key, Instant::now()) {
        ctx.schedule().ask(key, Instant::now());
        ctx.wake.notify_one();
    }
}

async fn reach(ctx: &Context, cluster: &HostedCluster) -> Result<(Client, Keychain), Failure> {
    let refused = |reason: &'static str| move |message: String| Failure { reason, message };
    let access = Access::read(&ctx.client, cluster).await;
    let keychain = access.keychain.map_err(refused("CredentialsNotReadable"))?;
    let clients = access.authorities.and_then(|pem| ctx.clients.of(&pem).map_err(|error| error.to_string()));
    let (_, clients) = clients.map_err(refused("AuthoritiesNotReadable"))?;
    Ok((clients.verified, keychain))
}

async fn announce(
    ctx: &Context,
    cluster: &HostedCluster,
    key: &ClusterKey,
    (mirror, gap): (&str, &Gap),
    result: Result<u64, Failure>,
) {
    let uid = cluster.uid().unwrap_or_default();
    let about = About {
        api_version: "hypershift.openshift.io/v1beta1",
        kind: "HostedCluster",
        namespace: &key.namespace,
        name: &key.name,
        uid: &uid,
    };
    // Names the image, so that the events of several images are not counted as one.
    let related = ObjectReference {
        api_version: Some("hypermirror.dev/v1alpha1".to_owned()),
        kind: Some("MirrorCoverage".to_owned()),
        namespace: Some(key.namespace.clone()),
        name: Some(key.name.clone()),
        field_path: Some(format!("status.missing{{{mirror}}}")),
        ..ObjectReference::default()
    };
    let (is_good, reason, message) = match result {
        Ok(bytes) => (true, "MirrorFilled", format!("copied {} to {} ({bytes} bytes)", gap.image, gap.destination)),
        Err(Failure { reason, message }) => {
            let message = format!("failed to copy {} to {}: {reason}: {message}", gap.image, gap.destination);
            (false, "MirrorNotFilled", message)
        }
    };
    tracing::info!(cluster = %key, message, "filling a mirror");
    ctx.events.record(&about, is_good, reason, &message, Some(related)).await;
}
