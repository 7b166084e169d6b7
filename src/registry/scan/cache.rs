//! Contents that were read before. By their digest, and for the repository and credential that they were read with: who may
//! not read a private image, or whose registry lies about digests, learns nothing from somebody else's scan.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::super::content_key::ContentKey;
use super::super::distribution::Target;
use super::super::error::RegistryError;
use super::super::wire::digest::Digest;
use super::super::wire::manifest::Manifest;
use super::config::ImageConfig;

/// The oldest go first. A manifest takes about 2 KiB.
const CAPACITY: usize = 20_000;

type Slot<T> = Arc<OnceCell<Arc<T>>>;

struct Held<T> {
    slots: HashMap<ContentKey, Slot<T>>,
    order: VecDeque<ContentKey>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { slots: HashMap::new(), order: VecDeque::new() }
    }
}

/// Manifests and configs, each read once however many ask for it at the same time. What could not be read is not kept.
pub struct ContentCache {
    capacity: usize,
    manifests: Mutex<Held<Manifest>>,
    configs: Mutex<Held<ImageConfig>>,
}

impl Default for ContentCache {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl fmt::Debug for ContentCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentCache").finish_non_exhaustive()
    }
}

impl ContentCache {
    /// One that holds so many manifests, and as many configs.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { capacity, manifests: Mutex::default(), configs: Mutex::default() }
    }

    pub(super) async fn manifest(
        &self,
        target: Target<'_>,
        digest: &Digest,
        read: impl AsyncFnOnce() -> Result<Manifest, RegistryError>,
    ) -> Result<Arc<Manifest>, RegistryError> {
        let slot = slot(&self.manifests, self.capacity, target, digest);
        slot.get_or_try_init(async || read().await.map(Arc::new)).await.cloned()
    }

    pub(super) async fn config(
        &self,
        target: Target<'_>,
        digest: &Digest,
        read: impl AsyncFnOnce() -> Result<ImageConfig, RegistryError>,
    ) -> Result<Arc<ImageConfig>, RegistryError> {
        let slot = slot(&self.configs, self.capacity, target, digest);
        slot.get_or_try_init(async || read().await.map(Arc::new)).await.cloned()
    }
}

fn slot<T>(held: &Mutex<Held<T>>, capacity: usize, target: Target<'_>, digest: &Digest) -> Slot<T> {
    let key = ContentKey::new(target, digest);
    let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(slot) = held.slots.get(&key) {
        return slot.clone();
    }
    if held.order.len() >= capacity
        && let Some(oldest) = held.order.pop_front()
    {
        held.slots.remove(&oldest);
    }
    held.order.push_back(key.clone());
    held.slots.entry(key).or_default().clone()
}
