//! A manifest with everything below it, as the sources have it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;

use super::super::distribution::Fetched;
use super::super::error::{Cause, Reason, RegistryError};
use super::super::name::Reference;
use super::super::wire::digest::Digest;
use super::super::wire::manifest::{Descriptor, MAX_DEPTH};
use super::super::wire::media_type::ManifestType;
use super::options::PlatformFilter;
use super::side::Side;

/// A manifest with everything below it.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// Children before those that name them; the last one is the root.
    pub(super) manifests: Vec<Arc<Fetched>>,
    /// Children that are not copied.
    pub(super) lacking: usize,
    /// What it is at the destination.
    pub(super) role: Role,
}

/// What a tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The image that somebody asked for.
    Image,
    /// What is found by a tag that contains the digest of an image, such as its signature.
    Tagged(String),
    /// What names this image as its subject.
    Referrer(Digest),
}

impl Tree {
    pub(super) fn root(&self) -> Option<&Arc<Fetched>> {
        self.manifests.last()
    }

    /// Every blob that a registry must hold for it.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().flat_map(|manifest| manifest.manifest.blobs())
    }
}

/// Reads manifests, each once.
#[derive(Debug, Default)]
pub(super) struct Reader(Mutex<HashMap<Digest, Arc<Fetched>>>);

impl Reader {
    /// Reads a manifest and what is below it.
    ///
    /// # Errors
    /// No source has it, or it cannot be copied.
    pub(super) async fn tree(
        &self,
        sources: &[Side],
        reference: &Reference,
        platforms: &PlatformFilter,
        role: Role,
    ) -> Result<Tree, RegistryError> {
        let root = self.manifest(sources, reference).await?;
        let mut tree = Tree { manifests: Vec::new(), lacking: 0, role };
        self.add(sources, root, platforms, &mut tree, 0).await?;
        Ok(tree)
    }

    fn add<'a>(
        &'a self,
        sources: &'a [Side],
        manifest: Arc<Fetched>,
        platforms: &'a PlatformFilter,
        tree: &'a mut Tree,
        depth: usize,
    ) -> BoxFuture<'a, Result<(), RegistryError>> {
        Box::pin(async move {
            let is_there = tree.manifests.iter().any(|known| known.digest == manifest.digest);
            if is_there {
                return Ok(());
            }
            let failed = |cause| refused(sources, &manifest.digest, cause);
            if manifest.manifest.kind == ManifestType::Schema1 {
                let message = "it is of schema 1, which can only be converted, and then has another digest".to_owned();
                return Err(failed(Cause::Invalid { what: "an image that can be copied", message }));
            }
            if depth > MAX_DEPTH {
                let message = format!("indexes are nested more than {MAX_DEPTH} deep");
                return Err(failed(Cause::Invalid { what: "an image that can be copied", message }));
            }
            let (wanted, others): (Vec<_>, Vec<_>) =
                manifest.manifest.children.iter().partition(|child| platforms.takes(child));
            tree.lacking += others.len();
            let read = wanted.into_iter().map(|child| async move {
                (child, self.manifest(sources, &Reference::Digest(child.digest.clone())).await)
            });
            for (child, read) in futures::future::join_all(read).await {
                match read {
                    Ok(found) => self.add(sources, found, platforms, tree, depth + 1).await?,
                    // Some registries name attestations that they do not hold.
                    Err(error) if child.is_attestation && error.reason() == Reason::NotFound => tree.lacking += 1,
                    Err(error) => return Err(error),
                }
            }
            tree.manifests.push(manifest);
            Ok(())
        })
    }

    /// From the first source that has it.
    pub(super) async fn manifest(
        &self,
        sources: &[Side],
        reference: &Reference,
    ) -> Result<Arc<Fetched>, RegistryError> {
        if let Reference::Digest(digest) = reference
            && let Some(known) = self.known(digest)
        {
            return Ok(known);
        }
        let mut last = None;
        for side in sources {
            match side.manifest(reference).await {
                Ok(found) => {
                    let found = Arc::new(found);
                    self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(found.digest.clone(), found.clone());
                    return Ok(found);
                }
                // Of several errors the one that says more than that it is not there.
                Err(error) => {
                    last = Some(last.filter(|it: &RegistryError| it.reason() != Reason::NotFound).unwrap_or(error));
                }
            }
        }
        Err(last.unwrap_or_else(|| nowhere(reference)))
    }

    fn known(&self, digest: &Digest) -> Option<Arc<Fetched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }
}

fn refused(sources: &[Side], digest: &Digest, cause: Cause) -> RegistryError {
    let reference = Reference::Digest(digest.clone());
    match sources.first() {
        Some(side) => RegistryError { operation: "copy", place: side.place(Some(&reference)), cause },
        None => RegistryError { cause, ..nowhere(&reference) },
    }
}

/// Nobody was named as a source.
pub(super) fn nowhere(reference: &Reference) -> RegistryError {
    let place = super::super::error::Place {
        registry: String::new(),
        repository: String::new(),
        reference: Some(reference.to_string()),
    };
    let message = "there is no source for it".to_owned();
    RegistryError { operation: "copy", place, cause: Cause::Invalid { what: "a copy", message } }
}
