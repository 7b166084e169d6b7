//! Writing blobs and manifests into a layout.

use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, PoisonError};

use bytes::BytesMut;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use tokio::sync::OwnedMutexGuard;

use super::super::client::BlobSource;
use super::super::distribution::Fetched;
use super::super::error::RegistryError;
use super::super::transport::Pieces;
use super::super::wire::digest::{Digest, Hasher};
use super::content::{Content, PIECE_BYTES};
use super::index::Entry;
use super::store::Growing;
use super::{Layout, LayoutError, Trouble, add, blocking, referrer};

const OPERATION: &str = "write the blob";
/// How often a source that breaks off is opened again before a byte more has come.
const MAX_TRIES: u32 = 5;

/// The right to write a blob. It is held by the last write, too, so that one that was given up cannot write into the next blob.
type Turn = Arc<OwnedMutexGuard<()>>;

/// A blob that is being written.
struct Writing<'a> {
    layout: &'a Layout,
    turn: Turn,
    digest: &'a Digest,
    size: u64,
    growing: Growing,
    hasher: Hasher,
    /// How many bytes are hashed; those of `buffer` are not written yet.
    at: u64,
    buffer: BytesMut,
}

impl Layout {
    /// Writes a blob unless it is there; whether it was written. What an interrupted run left of it is used, and read again if it
    /// proves wrong.
    ///
    /// # Errors
    /// The source ends, has other bytes, or the file cannot be written.
    pub async fn write_blob(&self, source: &dyn BlobSource) -> Result<bool, RegistryError> {
        let (digest, size) = (source.digest(), source.size());
        let turn = Arc::new(self.turn(digest).await);
        if self.has_blob(digest, size).await? {
            return Ok(false);
        }
        let mut writing = Writing::begin(self, turn, digest, size).await?;
        let mut is_resumed = writing.at > 0;
        let mut tries = 0;
        loop {
            let before = writing.at;
            let filled = writing.fill(source).await;
            writing.flush().await.map_err(|trouble| writing.failed(trouble))?;
            match filled {
                Ok(()) => {}
                // What cannot be written cannot be written a moment later.
                Err(error) if tries >= MAX_TRIES || !error.cause.is_retryable() => return Err(error),
                Err(_) => {
                    tries = if writing.at > before { 0 } else { tries + 1 };
                    continue;
                }
            }
            if writing.at < size {
                let message = format!("its source has {} bytes of {size}", writing.at);
                return Err(writing.failed(Trouble::invalid(message)));
            }
            match writing.commit().await.map_err(|trouble| writing.failed(trouble))? {
                None => return Ok(true),
                Some(_) if is_resumed => {
                    is_resumed = false;
                    writing.restart().await.map_err(|trouble| writing.failed(trouble))?;
                }
                Some(actual) => return Err(writing.failed(Trouble::Digest { expected: digest.clone(), actual })),
            }
        }
    }

    async fn turn(&self, digest: &Digest) -> OwnedMutexGuard<()> {
        let key = (!self.0.store.is_sequential()).then(|| digest.clone());
        let turn = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        turn.lock_owned().await
    }

    /// Writes a manifest, which no name names yet. What is attached to another manifest is listed at once: nothing else leads to
    /// it.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn write_manifest(&self, manifest: &Fetched) -> Result<(), RegistryError> {
        self.write_blob(&ManifestBytes(manifest)).await?;
        let Some((subject, descriptor)) = referrer(manifest) else { return Ok(()) };
        let entry = Self::entry(manifest).of_type(descriptor.artifact_type.as_deref());
        self.put(entry).await?;
        if let Some(known) = self.0.referrers.get() {
            add(&mut known.lock().unwrap_or_else(PoisonError::into_inner), subject, descriptor);
        }
        Ok(())
    }

    /// The entry of a manifest.
    pub fn entry(manifest: &Fetched) -> Entry {
        Entry::new(manifest.manifest.kind.name(), &manifest.digest, manifest.bytes.len() as u64)
    }
}

/// A manifest is a blob, too.
struct ManifestBytes<'a>(&'a Fetched);

impl BlobSource for ManifestBytes<'_> {
    fn digest(&self) -> &Digest {
        &self.0.digest
    }

    fn size(&self) -> u64 {
        self.0.bytes.len() as u64
    }

    fn open(&self, offset: u64) -> BoxFuture<'_, Result<Pieces, RegistryError>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.bytes.len());
        let rest = self.0.bytes.slice(from..);
        Box::pin(async move { Ok(stream::iter([Ok(rest)]).boxed()) })
    }
}

impl<'a> Writing<'a> {
    async fn begin(layout: &'a Layout, turn: Turn, digest: &'a Digest, size: u64) -> Result<Self, LayoutError> {
        let (store, name) = (layout.0.store.clone(), digest.clone());
        let begun = blocking(move || store.begin(&name, size)).await;
        let growing = begun.map_err(|trouble| layout.failed(OPERATION, Some(digest), trouble))?;
        let hasher = Hasher::new(digest.algorithm());
        let mut writing = Self { layout, turn, digest, size, growing, hasher, at: 0, buffer: BytesMut::new() };
        let held = writing.growing.held;
        if held > 0 && held <= size {
            let content = Content::new(writing.growing.file.clone(), 0, held);
            while writing.at < held {
                let read = content.piece(writing.at).await;
                let piece = read.map_err(|trouble| layout.failed(OPERATION, Some(digest), trouble))?;
                writing.hasher.update(&piece);
                writing.at += piece.len() as u64;
            }
        }
        Ok(writing)
    }

    fn failed(&self, trouble: Trouble) -> RegistryError {
        self.layout.failed(OPERATION, Some(self.digest), trouble).into()
    }

    /// Takes bytes from the source until it ends.
    async fn fill(&mut self, source: &dyn BlobSource) -> Result<(), RegistryError> {
        if self.at >= self.size {
            return Ok(());
        }
        let mut pieces = source.open(self.at).await?;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            if piece.len() as u64 > self.size - self.at {
                let message = format!("its source has more than its {} bytes", self.size);
                return Err(self.failed(Trouble::invalid(message)));
            }
            self.hasher.update(&piece);
            self.at += piece.len() as u64;
            self.buffer.extend_from_slice(&piece);
            if self.buffer.len() >= PIECE_BYTES {
                self.flush().await.map_err(|trouble| self.failed(trouble))?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Trouble> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let bytes = self.buffer.split().freeze();
        let place = self.growing.offset + self.at - bytes.len() as u64;
        let (file, turn) = (self.growing.file.clone(), self.turn.clone());
        blocking(move || {
            let written = file.write_all_at(&bytes, place).map_err(|error| Trouble::io("its bytes", &error));
            drop(turn);
            written
        })
        .await
    }

    /// Puts the blob in its place; or the digest of its bytes, if it is another one.
    async fn commit(&self) -> Result<Option<Digest>, Trouble> {
        let actual = self.hasher.clone().finish();
        let (store, digest, growing, size) =
            (self.layout.0.store.clone(), self.digest.clone(), self.growing.clone(), self.size);
        blocking(move || {
            if actual == digest {
                store.commit(&digest, &growing, size)?;
                return Ok(None);
            }
            store.discard(&digest);
            Ok(Some(actual))
        })
        .await
    }

    async fn restart(&mut self) -> Result<(), Trouble> {
        let (store, digest, size) = (self.layout.0.store.clone(), self.digest.clone(), self.size);
        self.growing = blocking(move || store.begin(&digest, size)).await?;
        self.hasher = Hasher::new(self.digest.algorithm());
        self.at = 0;
        Ok(())
    }
}
