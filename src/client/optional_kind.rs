//! The kinds that may come and go: their CRDs are watched by name, their objects while the CRD is there.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};

use super::deadline::answered;

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

/// Asks for a CRD now, not from a cache: whether a deleted object was deleted by a person or went with its CRD.
///
/// # Errors
/// Any answer but yes and no: then nothing may be concluded.
pub async fn ask_standing(client: &Client, crd: &str) -> Result<Option<String>, kube::Error> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    Ok(answered(api.get_metadata_opt(crd)).await?.as_ref().and_then(standing))
}

/// The watch of one CRD, which RBAC can restrict by `resourceNames`.
pub fn crd_watch(client: &Client, crd: &str) -> (Api<PartialObjectMeta<CustomResourceDefinition>>, watcher::Config) {
    let config = watcher::Config::default().fields(&format!("metadata.name={crd}"));
    (Api::all(client.clone()), config)
}
