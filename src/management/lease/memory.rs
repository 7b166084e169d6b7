//! State of the manager in annotations of the Lease, which survives a restart.

use std::collections::BTreeSet;

use hypermirror_api::{annotations, names};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::super::mirror_kind::MirrorKind;
use crate::client::deadline::answered;

/// The annotations of the Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseMemory {
    /// Mirror kinds whose CRDs were found.
    pub once_there: BTreeSet<MirrorKind>,
    /// The token of an approved mass removal.
    pub allow_removal: Option<String>,
    /// Whether hypermirror is to be removed from all hosted clusters.
    pub uninstall: bool,
}

impl LeaseMemory {
    /// Parses the annotations. Unknown kinds are skipped, because a newer version may have written them.
    pub fn of(lease: &PartialObjectMeta<Lease>) -> Self {
        let known = lease.annotations().get(annotations::KNOWN_KINDS).map(String::as_str).unwrap_or_default();
        Self {
            once_there: known.split(',').filter_map(|kind| kind.parse().ok()).collect(),
            allow_removal: lease.annotations().get(annotations::ALLOW_REMOVAL).cloned(),
            uninstall: lease.annotations().get(annotations::UNINSTALL).is_some_and(|value| value == "true"),
        }
    }
}

/// Records on the Lease the mirror kinds whose CRDs were found.
///
/// # Errors
/// [`kube::Error`] if the Lease cannot be written.
pub async fn record_kinds(client: &Client, namespace: &str, kinds: &BTreeSet<MirrorKind>) -> kube::Result<()> {
    let text = kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(",");
    annotate(client, namespace, annotations::KNOWN_KINDS, Some(&text)).await
}

/// Removes the approval of a mass removal, which is valid for only one.
///
/// # Errors
/// [`kube::Error`] if the Lease cannot be written.
pub async fn remove_approval(client: &Client, namespace: &str) -> kube::Result<()> {
    annotate(client, namespace, annotations::ALLOW_REMOVAL, None).await
}

/// Requests the removal of hypermirror from all hosted clusters.
///
/// # Errors
/// [`kube::Error`] if the Lease cannot be written.
pub async fn request_uninstall(client: &Client, namespace: &str) -> kube::Result<()> {
    annotate(client, namespace, annotations::UNINSTALL, Some("true")).await
}

async fn annotate(client: &Client, namespace: &str, key: &str, value: Option<&str>) -> kube::Result<()> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let params = PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    // Without a resourceVersion: the leader renews the Lease every few seconds, and annotations do not depend on that.
    let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
    answered(api.patch_metadata(names::LEASE, &params, &patch)).await.map(|_| ())
}
