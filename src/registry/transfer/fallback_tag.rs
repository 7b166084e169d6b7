//! Lists a referrer under the tag of its subject, at registries without the referrers API: read, merge, write, read again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, StreamExt as _};
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
/// How many lists are looked at again at once.
const AT_ONCE: usize = 16;

/// What is listed of one subject.
#[derive(Debug)]
struct Listed {
    side: Side,
    subject: Digest,
    /// One writer at a time; those of other processes are seen by reading again.
    entries: AsyncMutex<Vec<Value>>,
}

/// What one run lists.
#[derive(Debug, Default)]
pub(super) struct FallbackTags(Mutex<HashMap<(SideKey, Digest), Arc<Listed>>>);

impl FallbackTags {
    /// Lists a referrer.
    ///
    /// # Errors
    /// The list cannot be read or written, or others overwrite it again and again.
    pub(super) async fn list(&self, side: &Side, subject: &Digest, referrer: &Fetched) -> Result<(), RegistryError> {
        let new = || Arc::new(Listed { side: side.clone(), subject: subject.clone(), entries: AsyncMutex::default() });
        let key = (side.key(), subject.clone());
        let listed = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert_with(new).clone();
        let mut entries = listed.entries.lock().await;
        let kind = referrer.manifest.kind.name();
        let new = entry(&referrer.digest.to_string(), kind, &referrer.bytes);
        entries.push(new.map_err(Cause::from).map_err(|cause| listed.failed(cause))?);
        listed.write(&entries).await
    }

    /// Looks once more whether everything is listed. A process that had read a list before this one wrote it may have written it
    /// after this one had read it back.
    pub(super) async fn settle(&self) -> Vec<RegistryError> {
        let all: Vec<Arc<Listed>> = self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let looks = all.iter().map(|listed| async move { listed.write(&listed.entries.lock().await).await.err() });
        stream::iter(looks).buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await
    }
}

impl Listed {
    /// Adds what is not in the list, and reads it back.
    async fn write(&self, entries: &[Value]) -> Result<(), RegistryError> {
        let tag = self.subject.referrers_tag();
        for _ in 0..ATTEMPTS {
            let Some(index) = self.lacking(&tag, entries).await? else { return Ok(()) };
            self.side.tag(&tag, &index).await?;
        }
        if self.lacking(&tag, entries).await?.is_none() {
            return Ok(());
        }
        let message = format!("another writer replaced the list of referrers {ATTEMPTS} times");
        Err(self.failed(Cause::Unconfirmed(message)))
    }

    /// The list with the entries, if they are not in it.
    async fn lacking(&self, tag: &str, entries: &[Value]) -> Result<Option<Fetched>, RegistryError> {
        let failed = |cause| self.failed(cause);
        let existing = match self.side.manifest(&Reference::Tag(tag.to_owned())).await {
            Ok(index) => Some(index.bytes),
            Err(error) if error.reason() == Reason::NotFound => None,
            Err(error) => return Err(error),
        };
        let merged = merged(existing.as_deref(), entries).map_err(Cause::from).map_err(failed)?;
        let Some(bytes) = merged else { return Ok(None) };
        let manifest = Manifest::parse(&bytes, Some(OCI_INDEX)).map_err(Cause::from).map_err(failed)?;
        Ok(Some(Fetched { digest: Digest::of(Algorithm::Sha256, &bytes), bytes: bytes.into(), manifest }))
    }

    fn failed(&self, cause: Cause) -> RegistryError {
        let reference = Reference::Tag(self.subject.referrers_tag());
        RegistryError { operation: "list the referrers of", place: self.side.place(Some(&reference)), cause }
    }
}
