//! Lists a referrer under the tag of its subject, at registries without the referrers API: read, merge, write, read again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::Mutex as AsyncMutex;

use super::super::distribution::Fetched;
use super::super::error::{Cause, Reason, RegistryError};
use super::super::name::Reference;
use super::super::wire::digest::{Algorithm, Digest};
use super::super::wire::manifest::Manifest;
use super::super::wire::media_type::OCI_INDEX;
use super::super::wire::referrers_index::{entry, merged};
use super::side::{Side, SideKey};

/// How often it is written when others write, too.
const ATTEMPTS: usize = 3;

type Subject = (SideKey, Digest);

/// One writer at a time for each subject; those of other processes are seen by reading again.
#[derive(Debug, Default)]
pub(super) struct FallbackTags(Mutex<HashMap<Subject, Arc<AsyncMutex<()>>>>);

impl FallbackTags {
    /// Lists a referrer.
    ///
    /// # Errors
    /// The list cannot be read or written, or others overwrite it again and again.
    pub(super) async fn list(&self, side: &Side, subject: &Digest, referrer: &Fetched) -> Result<(), RegistryError> {
        let key = (side.key(), subject.clone());
        let lock = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        let _alone = lock.lock().await;
        let tag = subject.referrers_tag();
        let reference = Reference::Tag(tag.clone());
        let failed =
            |cause| RegistryError { operation: "list the referrers of", place: side.place(Some(&reference)), cause };
        let kind = referrer.manifest.kind.name();
        let new = entry(&referrer.digest.to_string(), kind, &referrer.bytes).map_err(Cause::from).map_err(failed)?;
        for _ in 0..ATTEMPTS {
            let Some(index) = missing(side, &reference, &new).await? else { return Ok(()) };
            side.tag(&tag, &index).await?;
        }
        if missing(side, &reference, &new).await?.is_none() {
            return Ok(());
        }
        let message = format!("another writer replaced the list of referrers {ATTEMPTS} times");
        Err(failed(Cause::Unconfirmed(message)))
    }
}

/// The list with the entry, if it is not in it.
async fn missing(side: &Side, reference: &Reference, new: &Value) -> Result<Option<Fetched>, RegistryError> {
    let failed =
        |cause| RegistryError { operation: "list the referrers of", place: side.place(Some(reference)), cause };
    let existing = match side.manifest(reference).await {
        Ok(index) => Some(index.bytes),
        Err(error) if error.reason() == Reason::NotFound => None,
        Err(error) => return Err(error),
    };
    let merged = merged(existing.as_deref(), std::slice::from_ref(new)).map_err(Cause::from).map_err(failed)?;
    let Some(bytes) = merged else { return Ok(None) };
    let manifest = Manifest::parse(&bytes, Some(OCI_INDEX)).map_err(Cause::from).map_err(failed)?;
    Ok(Some(Fetched { digest: Digest::of(Algorithm::Sha256, &bytes), bytes: bytes.into(), manifest }))
}
