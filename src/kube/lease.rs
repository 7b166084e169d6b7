//! Leadership, and the manager's memory on its own Lease.

use std::collections::BTreeSet;
use std::time::Duration;

use hypermirror_api::{annotations, names};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt};
use kube_lease_manager::{LeaseCreateMode, LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::kinds::MirrorKind;

/// How the Lease is held.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// The manager's own namespace.
    pub namespace: String,
    /// This instance.
    pub identity: String,
    /// After how long without a renewal another instance may take over.
    pub duration: Duration,
}

/// Leadership while it lasts.
pub struct Leadership {
    /// Whether this instance leads.
    pub leads: watch::Receiver<bool>,
    task: JoinHandle<Result<LeaseManager, LeaseManagerError>>,
}

impl Leadership {
    /// Starts to compete for the Lease.
    ///
    /// # Errors
    /// [`LeaseManagerError`] if the Lease can be neither read nor made.
    pub async fn compete(client: Client, settings: &LeaseSettings) -> Result<Self, LeaseManagerError> {
        let duration = settings.duration.as_secs().max(3);
        let manager = LeaseManagerBuilder::new(client, names::LEASE)
            .with_namespace(&settings.namespace)
            .with_identity(&settings.identity)
            .with_duration(duration)
            // Renewed after a third of its duration: two renewals may fail.
            .with_grace(duration - duration / 3)
            .with_create_mode(LeaseCreateMode::AutoCreate)
            .build()
            .await?;
        let (leads, task) = manager.watch().await;
        Ok(Self { leads, task })
    }

    /// Gives the Lease up, so that another instance leads at once.
    pub async fn release(self) {
        drop(self.leads);
        if let Ok(Err(error)) = self.task.await {
            tracing::warn!(%error, "the Lease was not released; another instance has to wait until it expires");
        }
    }
}

/// What the Lease remembers beside its holder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseMemory {
    /// Mirror kinds that were once there.
    pub once_there: BTreeSet<MirrorKind>,
    /// The token of a mass removal that a person let through.
    pub allow_removal: Option<String>,
}

impl LeaseMemory {
    /// Reads the annotations; unknown kinds are skipped, a newer version may know them.
    pub fn of(lease: &PartialObjectMeta<Lease>) -> Self {
        let known = lease.annotations().get(annotations::KNOWN_KINDS).map(String::as_str).unwrap_or_default();
        Self {
            once_there: known.split(',').filter_map(|kind| kind.parse().ok()).collect(),
            allow_removal: lease.annotations().get(annotations::ALLOW_REMOVAL).cloned(),
        }
    }
}

/// Remembers on the Lease which kinds were once there.
///
/// # Errors
/// [`kube::Error`] if the Lease cannot be written.
pub async fn remember_kinds(client: &Client, namespace: &str, kinds: &BTreeSet<MirrorKind>) -> kube::Result<()> {
    let text = kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(",");
    annotate(client, namespace, annotations::KNOWN_KINDS, Some(&text)).await
}

/// Takes the permission for a mass removal away: it was for one.
///
/// # Errors
/// [`kube::Error`] if the Lease cannot be written.
pub async fn consume_permission(client: &Client, namespace: &str) -> kube::Result<()> {
    annotate(client, namespace, annotations::ALLOW_REMOVAL, None).await
}

async fn annotate(client: &Client, namespace: &str, key: &str, value: Option<&str>) -> kube::Result<()> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let params = PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch_metadata(names::LEASE, &params, &Patch::Merge(json!({"metadata": {"annotations": {key: value}}})))
        .await?;
    Ok(())
}
