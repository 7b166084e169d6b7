//! The payloads of releases, each read once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::super::client::Client;
use super::super::content_key::ContentKey;
use super::super::distribution::Target;
use super::super::name::Reference;
use super::payload::PayloadImage;
use super::release::{ReleaseError, payload};

/// A fleet has some dozen releases on some mirrors; with more, all are read again.
const MAX_PAYLOADS: usize = 256;

type Slot = Arc<OnceCell<Arc<[PayloadImage]>>>;

/// Payloads by the place and the credential they were read with: whoever cannot read a release does not learn what is in it.
#[derive(Default)]
pub struct Payloads(Mutex<HashMap<ContentKey, Slot>>);

impl fmt::Debug for Payloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Payloads")
    }
}

impl Payloads {
    /// The payload of a release at one place.
    ///
    /// # Errors
    /// [`ReleaseError`]. A failure is not remembered.
    pub async fn read(
        &self,
        client: &Client,
        target: Target<'_>,
        reference: &Reference,
    ) -> Result<Arc<[PayloadImage]>, ReleaseError> {
        let digest = match reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(_) => client.head_manifest(target, reference).await?.digest,
        };
        let slot = self.slot(ContentKey::new(target, &digest));
        let read = async || payload(client, target, &Reference::Digest(digest)).await.map(Arc::from);
        slot.get_or_try_init(read).await.cloned()
    }

    fn slot(&self, key: ContentKey) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAX_PAYLOADS && !slots.contains_key(&key) {
            slots.clear();
        }
        slots.entry(key).or_default().clone()
    }
}
