//! Fills the gaps of mirrors: copies exactly what checks found missing, one image after the other.
//!
//! Three have to agree: `--fill`, `--destination-allow`, and the annotation of the HostedCluster. It is read with the pull secret
//! of the hosted cluster, and written with the process's own credentials.

pub mod backlog;
pub mod gaps;
mod run;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{ClusterKey, annotations};
use kube::ResourceExt as _;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::image::allow::Allowed;
use super::super::image::defaults::EndDefaults;
use super::super::status::ScanFailure;
use crate::registry::auth::ecr::Ecr;
use crate::registry::auth::keychain::Keychain;
use crate::registry::credentials::ecr::EcrHost;
use crate::registry::transfer::progress::Silent;
use crate::registry::transfer::{Copier, CopyError, CopyOptions, Destination, Job, RegistrySide, Side};
use crate::registry::{Client, Credential, Reference, Repository};
use backlog::{Backlog, Failure, Progress};
use gaps::{Gap, Gaps};
pub use run::fill_when_due;

/// Blobs that are copied at once: whoever pulls from the same mirrors comes first.
const AT_ONCE: usize = 8;
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
