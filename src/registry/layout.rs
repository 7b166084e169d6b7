//! OCI image layouts: a directory, or a tar archive of one, that holds images of many repositories. For the way over an air gap.
//!
//! An image has its full name there (`org.opencontainers.image.ref.name`), so that skopeo and podman read single images of a
//! bundle, too. Nothing here trusts a layout: its links are not followed, and what is read has the digest that it was asked for
//! by, or is not read.

mod archive;
mod content;
mod directory;
mod error;
pub mod index;
mod new_archive;
mod path;
mod repository;
mod store;
mod write;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::{Mutex as AsyncMutex, OnceCell};

use super::distribution::Fetched;
use super::error::RegistryError;
use super::wire::digest::{Digest, Hasher};
use super::wire::manifest::{Descriptor, MAX_MANIFEST_BYTES, Manifest};
use content::Content;
pub use error::{LayoutError, Trouble};
use index::{Entry, Index};
pub use path::{Form, LayoutPath, PathError};
pub use repository::LayoutRepository;
use store::Store;

/// An open layout. Cheap to clone; clones share the files.
#[derive(Clone)]
pub struct Layout(Arc<Shared>);

struct Shared {
    path: LayoutPath,
    store: Arc<Store>,
    index: Mutex<Listed>,
    /// The last version of the index that is on disk.
    saved: AsyncMutex<u64>,
    /// Who writes a blob; an archive has one writer at a time.
    turns: Mutex<HashMap<Option<Digest>, Arc<AsyncMutex<()>>>>,
    /// What is attached to manifests, by their digests.
    referrers: OnceCell<Mutex<HashMap<Digest, Vec<Descriptor>>>>,
}

#[derive(Default)]
struct Listed {
    index: Index,
    version: u64,
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Layout").field(&self.0.path.to_string()).finish()
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.path.fmt(f)
    }
}

impl Layout {
    /// Opens a layout to read it.
    ///
    /// # Errors
    /// It is none.
    pub async fn open(path: &LayoutPath) -> Result<Self, LayoutError> {
        Self::with("open", path, Store::open).await
    }

    /// Opens or creates a directory, or begins an archive, to write to it.
    ///
    /// # Errors
    /// There is something else, or another process writes to it.
    pub async fn create(path: &LayoutPath) -> Result<Self, LayoutError> {
        Self::with("write to", path, Store::create).await
    }

    /// What [`Self::create`] would find, without creating anything.
    ///
    /// # Errors
    /// There is something else.
    pub async fn preview(path: &LayoutPath) -> Result<Self, LayoutError> {
        Self::with("write to", path, Store::preview).await
    }

    async fn with(
        operation: &'static str,
        path: &LayoutPath,
        open: impl FnOnce(&LayoutPath) -> Result<Store, Trouble> + Send + 'static,
    ) -> Result<Self, LayoutError> {
        let path = path.whole();
        let place = path.to_string();
        let opened = blocking(move || {
            let store = open(&path)?;
            let index = store.index()?.map(|bytes| Index::parse(&bytes).map_err(Trouble::invalid)).transpose()?;
            Ok((path, store, index.unwrap_or_default()))
        });
        let (path, store, index) = opened.await.map_err(|trouble| LayoutError { operation, place, trouble })?;
        Ok(Self(Arc::new(Shared {
            path,
            store: Arc::new(store),
            index: Mutex::new(Listed { index, version: 0 }),
            saved: AsyncMutex::new(0),
            turns: Mutex::default(),
            referrers: OnceCell::new(),
        })))
    }

    /// Whether it is an archive.
    pub fn is_archive(&self) -> bool {
        self.0.path.form == Form::Archive
    }

    /// Where it is.
    pub fn path(&self) -> &LayoutPath {
        &self.0.path
    }

    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.0.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, operation: &'static str, of: Option<&Digest>, trouble: Trouble) -> LayoutError {
        let digest = of.map(|digest| format!(" {digest}")).unwrap_or_default();
        LayoutError { operation, place: format!("{}{digest}", self.0.path), trouble }
    }

    /// The images of its index.
    pub fn entries(&self) -> Vec<Entry> {
        self.listed().index.entries().to_vec()
    }

    /// The image of a name.
    ///
    /// # Errors
    /// The index has it for two images.
    pub fn find(&self, name: &str) -> Result<Option<Entry>, LayoutError> {
        let found = self.listed().index.find(name).map(Option::<&_>::cloned);
        found.map_err(|error| self.failed("find an image in", None, Trouble::invalid(error)))
    }

    /// Adds an image to the index, or gives its name to another one.
    ///
    /// # Errors
    /// The index cannot be written.
    pub async fn put(&self, entry: Entry) -> Result<(), LayoutError> {
        let version = {
            let mut listed = self.listed();
            if !listed.index.put(entry) {
                return Ok(());
            }
            listed.version += 1;
            listed.version
        };
        // Who waits here finds that the one before wrote both entries.
        let mut saved = self.0.saved.lock().await;
        if *saved >= version {
            return Ok(());
        }
        let (bytes, printed) = {
            let listed = self.listed();
            (listed.index.print(), listed.version)
        };
        let store = self.0.store.clone();
        let written = blocking(move || store.write_index(&bytes)).await;
        written.map_err(|trouble| self.failed("write the index of", None, trouble))?;
        *saved = printed;
        Ok(())
    }

    async fn content(&self, digest: &Digest) -> Result<Option<Content>, Trouble> {
        let (store, digest) = (self.0.store.clone(), digest.clone());
        blocking(move || store.blob(&digest)).await
    }

    /// Whether a blob of this size is there. Its bytes are checked when they are read.
    ///
    /// # Errors
    /// Its file cannot be opened.
    pub async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, LayoutError> {
        let found =
            self.content(digest).await.map_err(|trouble| self.failed("find the blob", Some(digest), trouble))?;
        Ok(found.is_some_and(|content| content.size == size))
    }

    /// Reads a manifest and checks its bytes.
    ///
    /// # Errors
    /// It is not there, is another one, or is none.
    pub async fn manifest(&self, digest: &Digest) -> Result<Fetched, LayoutError> {
        let read = async {
            let content = self.content(digest).await?.ok_or_else(|| Trouble::Missing("the manifest".to_owned()))?;
            let bytes = Bytes::from(blocking(move || content.whole(MAX_MANIFEST_BYTES)).await?);
            let actual = Digest::of(digest.algorithm(), &bytes);
            if actual != *digest {
                return Err(Trouble::Digest { expected: digest.clone(), actual });
            }
            let manifest = Manifest::parse(&bytes, None).map_err(Trouble::invalid)?;
            Ok(Fetched { digest: digest.clone(), bytes, manifest })
        };
        read.await.map_err(|trouble| self.failed("read the manifest", Some(digest), trouble))
    }

    /// The bytes of a blob from an offset on. They are checked from the first byte of the file: the last piece comes only if
    /// all are right.
    ///
    /// # Errors
    /// It is not there.
    pub async fn blob(
        &self,
        digest: &Digest,
        offset: u64,
    ) -> Result<BoxStream<'static, Result<Bytes, RegistryError>>, LayoutError> {
        let found = self.content(digest).await;
        let content = found.and_then(|found| found.ok_or_else(|| Trouble::Missing("the blob".to_owned())));
        let content = content.map_err(|trouble| self.failed("read the blob", Some(digest), trouble))?;
        let hasher = Hasher::new(digest.algorithm());
        let reader = Reader { layout: self.clone(), digest: digest.clone(), content, at: 0, offset, hasher };
        Ok(stream::unfold(Some(reader), |reader| async {
            let mut reader = reader?;
            match reader.next().await {
                Ok(piece) if piece.is_empty() => None,
                Ok(piece) => Some((Ok(piece), Some(reader))),
                Err(trouble) => {
                    let error = reader.layout.failed("read the blob", Some(&reader.digest), trouble);
                    Some((Err(error.into()), None))
                }
            }
        })
        .boxed())
    }

    /// What is attached to a manifest: what names it as its subject, and what lists of other tools name.
    ///
    /// # Errors
    /// A manifest of the index cannot be read.
    pub async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, LayoutError> {
        let all = self.0.referrers.get_or_try_init(|| self.read_referrers()).await?;
        let all = all.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.get(subject).cloned().unwrap_or_default())
    }

    async fn read_referrers(&self) -> Result<Mutex<HashMap<Digest, Vec<Descriptor>>>, LayoutError> {
        let mut all: HashMap<Digest, Vec<Descriptor>> = HashMap::new();
        for entry in self.entries() {
            // A bundle may lack what it was not asked to carry.
            let Ok(found) = self.manifest(&entry.digest).await else { continue };
            if let Some((subject, referrer)) = referrer(&found) {
                add(&mut all, subject, referrer);
            }
            let listed = entry.name.as_deref().and_then(listed_subject).filter(|_| found.manifest.kind.is_index());
            if let Some(subject) = listed {
                found.manifest.children.into_iter().for_each(|child| add(&mut all, subject.clone(), child));
            }
        }
        Ok(Mutex::new(all))
    }

    /// Ends writing: an archive gets its index and its name.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn finish(&self) -> Result<(), LayoutError> {
        let (store, index) = (self.0.store.clone(), self.listed().index.print());
        let finished = blocking(move || store.finish(&index)).await;
        finished.map_err(|trouble| self.failed("write", None, trouble))
    }
}

struct Reader {
    layout: Layout,
    digest: Digest,
    content: Content,
    at: u64,
    offset: u64,
    hasher: Hasher,
}

impl Reader {
    /// The next piece that lies behind the offset; empty at the end.
    async fn next(&mut self) -> Result<Bytes, Trouble> {
        loop {
            let mut piece = self.content.piece(self.at).await?;
            self.hasher.update(&piece);
            let begin = self.at;
            self.at += piece.len() as u64;
            if self.at >= self.content.size {
                let hasher = std::mem::replace(&mut self.hasher, Hasher::new(self.digest.algorithm()));
                // The empty piece after the last one was checked with it.
                let actual =
                    if piece.is_empty() && self.content.size > 0 { self.digest.clone() } else { hasher.finish() };
                if actual != self.digest {
                    return Err(Trouble::Digest { expected: self.digest.clone(), actual });
                }
            }
            let skipped = usize::try_from(self.offset.saturating_sub(begin)).unwrap_or(usize::MAX).min(piece.len());
            let is_end = piece.is_empty();
            let piece = piece.split_off(skipped);
            if !piece.is_empty() || is_end {
                return Ok(piece);
            }
        }
    }
}

fn add(all: &mut HashMap<Digest, Vec<Descriptor>>, subject: Digest, referrer: Descriptor) {
    let known = all.entry(subject).or_default();
    if known.iter().all(|other| other.digest != referrer.digest) {
        known.push(referrer);
    }
}

/// What a manifest is about, and its own descriptor as registries list it.
fn referrer(fetched: &Fetched) -> Option<(Digest, Descriptor)> {
    let manifest = &fetched.manifest;
    let subject = manifest.subject.as_ref()?.digest.clone();
    let config_type = manifest.config.as_ref().map(|config| config.media_type.clone());
    let descriptor = Descriptor {
        media_type: manifest.kind.name().to_owned(),
        digest: fetched.digest.clone(),
        size: fetched.bytes.len() as u64,
        is_foreign: false,
        platform: None,
        is_attestation: false,
        artifact_type: manifest.artifact_type.clone().or(config_type),
    };
    Some((subject, descriptor))
}

/// The subject in the name of a list of referrers: `sha256-HEX`, with or without a repository.
fn listed_subject(name: &str) -> Option<Digest> {
    let tag = name.rsplit(':').next()?;
    Digest::parse(&tag.replacen('-', ":", 1)).ok()
}

/// Runs something on a thread that may wait.
async fn blocking<T: Send + 'static>(call: impl FnOnce() -> Result<T, Trouble> + Send + 'static) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(call).await.map_err(Trouble::invalid)?
}

#[cfg(test)]
mod tests;
