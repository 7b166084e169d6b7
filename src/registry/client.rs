//! The client: the calls of `distribution`, each made by the policy.

mod learned;
pub mod offer;
mod uploads;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::credentials::Credential;
use super::distribution::tags::{Paging, TagList};
use super::distribution::{Api, BlobTail, CatalogPaging, Fetched, Head, Pushed, Referrers, Target};
use super::error::{Place, RegistryError};
use super::name::{Reference, RegistryAddress};
use super::policy::{Mode, Policy, PolicyOptions};
use super::quirks::Quirks;
use super::transport::Transport;
use super::wire::digest::Digest;
use super::wire::rate_limit::RateLimit;
use learned::Learned;
pub use offer::{Offer, Presence};
pub use uploads::{BlobSource, Written};

/// A function that is told of budgets, for metrics.
pub type OnLimit = Arc<dyn Fn(&RegistryAddress, RateLimit) + Send + Sync>;

/// Reads and writes registries. Cheap to clone; clones share connections, tokens and paces.
#[derive(Clone, Debug)]
pub struct Client {
    api: Arc<Api>,
    policy: Arc<Policy>,
    learned: Arc<Learned>,
    mode: Mode,
}

impl Client {
    /// Over these connections.
    pub fn new(transport: Transport, options: PolicyOptions) -> Self {
        Self::telling(transport, options, Arc::new(|_, _| {}))
    }

    /// The same; `tell` is called with each budget that a registry announces.
    pub fn telling(transport: Transport, options: PolicyOptions, tell: OnLimit) -> Self {
        let policy = Arc::new(Policy::new(options));
        let paces = policy.clone();
        let announced = Arc::new(move |registry: &RegistryAddress, credential: &Credential, limit| {
            paces.announced(registry, credential, limit);
            tell(registry, limit);
        });
        Self { api: Arc::new(Api::new(transport, announced)), policy, learned: Arc::default(), mode: Mode::Patient }
    }

    /// The same client for one who only wants to know what is there now.
    #[must_use]
    pub fn as_probe(&self) -> Self {
        Self { mode: Mode::Probe, ..self.clone() }
    }

    /// What registries want people to know, each once.
    pub fn take_notices(&self) -> Vec<String> {
        self.api.take_notices()
    }

    /// Asks whether the registry speaks the API and takes the credential.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self, registry: &RegistryAddress, credential: &Credential) -> Result<(), RegistryError> {
        self.policy.run(registry, credential, self.mode, || self.api.ping(registry, credential)).await
    }

    /// The digest of a manifest.
    ///
    /// # Errors
    /// It is not there, or not what was asked for.
    pub async fn head_manifest(&self, target: Target<'_>, reference: &Reference) -> Result<Head, RegistryError> {
        self.run(target, || self.api.head_manifest(target, reference)).await
    }

    /// A manifest whose bytes match its digest.
    ///
    /// # Errors
    /// It is not there, is not what its digest says, or is no manifest.
    pub async fn manifest(&self, target: Target<'_>, reference: &Reference) -> Result<Fetched, RegistryError> {
        self.run(target, || self.api.manifest(target, reference)).await
    }

    /// Asks whether a blob is there. `size` is what its descriptor says; 0 says nothing.
    ///
    /// # Errors
    /// It is not, has another size, or nobody can say.
    pub async fn head_blob(&self, target: Target<'_>, digest: &Digest, size: u64) -> Result<(), RegistryError> {
        self.run(target, || self.api.head_blob(target, digest, size)).await
    }

    /// A small blob.
    ///
    /// # Errors
    /// It is not there, has more than `limit` bytes, or others than its digest says.
    pub async fn small_blob(&self, target: Target<'_>, digest: &Digest, limit: usize) -> Result<Bytes, RegistryError> {
        self.run(target, || self.api.small_blob(target, digest, limit)).await
    }

    /// Reads a whole blob and keeps nothing of it: whether each byte is there and right.
    ///
    /// # Errors
    /// It is not there, or has other bytes than its digest says.
    pub async fn check_blob(&self, target: Target<'_>, digest: &Digest, size: u64) -> Result<(), RegistryError> {
        let read = || async {
            let mut stream = self.api.blob(target, digest, Some(size)).await?;
            let failed = |cause| {
                let place = Place::of(target.repository, Some(digest.to_string()));
                RegistryError { operation: "read the blob", place, cause }
            };
            while stream.next().await.map_err(failed)?.is_some() {}
            Ok(())
        };
        self.run(target, read).await
    }

    /// Begins to read a blob at an offset, unchecked.
    ///
    /// # Errors
    /// It is not there.
    pub async fn blob_from(&self, target: Target<'_>, digest: &Digest, offset: u64) -> Result<BlobTail, RegistryError> {
        self.run(target, || self.api.blob_from(target, digest, offset)).await
    }

    /// Writes a manifest as its bytes are, under its digest or a tag.
    ///
    /// # Errors
    /// The registry refuses, or has another digest for it.
    pub async fn put_manifest(
        &self,
        target: Target<'_>,
        reference: &Reference,
        manifest: &Fetched,
    ) -> Result<Pushed, RegistryError> {
        self.run(target, || self.api.put_manifest(target, reference, manifest)).await
    }

    /// Lists the tags of a repository. `on_page` is told how many there are so far.
    ///
    /// # Errors
    /// The repository is not there, or its list is none.
    pub async fn tags(&self, target: Target<'_>, on_page: impl Fn(usize)) -> Result<TagList, RegistryError> {
        let paging = Paging::new(&Quirks::of(&target.repository.registry));
        Ok(self.tags_within(target, paging, usize::MAX, on_page).await?.unwrap_or_default())
    }

    /// The same, if the list has at most so many pages.
    ///
    /// # Errors
    /// As [`Self::tags`].
    pub async fn short_tags(&self, target: Target<'_>, pages: usize) -> Result<Option<TagList>, RegistryError> {
        let paging = Paging::new(&Quirks::of(&target.repository.registry));
        self.tags_within(target, paging, pages, |_| {}).await
    }

    async fn tags_within(
        &self,
        target: Target<'_>,
        mut paging: Paging,
        pages: usize,
        on_page: impl Fn(usize),
    ) -> Result<Option<TagList>, RegistryError> {
        for _ in 0..pages {
            let page = self.run(target, || self.api.tags_page(target, &paging)).await?;
            let failed = |cause| RegistryError {
                operation: "list the tags of",
                place: Place::of(target.repository, None),
                cause,
            };
            let goes_on = paging.add(page).map_err(failed)?;
            on_page(paging.len());
            if !goes_on {
                return Ok(Some(paging.finish()));
            }
        }
        Ok(None)
    }

    /// Lists the repositories of a registry.
    ///
    /// # Errors
    /// The registry has no such list, or does not show it.
    pub async fn repositories(
        &self,
        registry: &RegistryAddress,
        credential: &Credential,
    ) -> Result<BTreeSet<String>, RegistryError> {
        let mut paging = CatalogPaging::default();
        loop {
            let read = || self.api.catalog_page(registry, credential, &paging);
            let page = self.policy.run(registry, credential, self.mode, read).await?;
            if !Api::add_catalog_page(registry, &mut paging, page)? {
                return Ok(paging.finish());
            }
        }
    }

    /// What is attached to a manifest.
    ///
    /// # Errors
    /// Nobody can say.
    pub async fn referrers(&self, target: Target<'_>, subject: &Digest) -> Result<Referrers, RegistryError> {
        self.run(target, || self.api.referrers(target, subject)).await
    }

    async fn run<T, C: Future<Output = Result<T, RegistryError>>>(
        &self,
        target: Target<'_>,
        call: impl Fn() -> C,
    ) -> Result<T, RegistryError> {
        let named = |mut error: RegistryError| {
            // What the policy itself refuses is about a registry: here it is known what was wanted of it.
            if error.place.repository.is_empty() {
                target.repository.path().clone_into(&mut error.place.repository);
            }
            error
        };
        self.policy.run(&target.repository.registry, target.credential, self.mode, call).await.map_err(named)
    }
}
