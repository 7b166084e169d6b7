//! What belongs to an image without being part of it: signatures, attestations, SBOMs and other referrers.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use super::super::error::{Reason, RegistryError};
use super::super::name::Reference;
use super::super::wire::digest::Digest;
use super::options::PlatformFilter;
use super::side::{Side, SideKey};
use super::tree::{Reader, Role, Tree};

/// The tags of cosign, after the digest.
const SUFFIXES: [&str; 3] = [".sig", ".att", ".sbom"];
/// Signatures of SBOMs of images, and no further.
const MAX_DEPTH: usize = 3;
/// The tags of one repository, if they could be listed.
type Tags = Arc<OnceCell<Option<Arc<BTreeSet<String>>>>>;

/// Finds attachments.
#[derive(Debug, Default)]
pub(super) struct Finder {
    tags: Mutex<HashMap<SideKey, Tags>>,
    /// Registries without the referrers API.
    without_api: Mutex<BTreeSet<String>>,
}

/// What is looked at.
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) side: &'a Side,
    pub(super) reader: &'a Reader,
    /// How many images come from there.
    pub(super) images: usize,
}

impl Finder {
    /// What is attached to a tree and to everything in it.
    ///
    /// # Errors
    /// It could not be looked for.
    pub(super) async fn find(&self, search: Search<'_>, image: &Tree) -> Result<Vec<Tree>, RegistryError> {
        let mut found = Vec::new();
        let mut seen: BTreeSet<Digest> = image.manifests.iter().map(|it| it.digest.clone()).collect();
        for manifest in &image.manifests {
            self.of(search, &manifest.digest, 0, &mut seen, &mut found).await?;
        }
        Ok(found)
    }

    fn of<'a>(
        &'a self,
        search: Search<'a>,
        subject: &'a Digest,
        depth: usize,
        seen: &'a mut BTreeSet<Digest>,
        found: &'a mut Vec<Tree>,
    ) -> BoxFuture<'a, Result<(), RegistryError>> {
        Box::pin(async move {
            let tags = self.tags(search).await;
            let stem = subject.referrers_tag();
            for suffix in SUFFIXES {
                let tag = format!("{stem}{suffix}");
                if tags.as_ref().is_some_and(|tags| !tags.contains(&tag)) {
                    continue;
                }
                if let Some(tree) = self.tree(search, &Reference::Tag(tag.clone()), Role::Tagged(tag)).await? {
                    found.push(tree);
                }
            }
            for digest in self.referrers(search, subject, tags.as_deref()).await? {
                if depth >= MAX_DEPTH || !seen.insert(digest.clone()) {
                    continue;
                }
                let role = Role::Referrer(subject.clone());
                if let Some(tree) = self.tree(search, &Reference::Digest(digest.clone()), role).await? {
                    found.push(tree);
                    self.of(search, &digest, depth + 1, seen, found).await?;
                }
            }
            Ok(())
        })
    }

    /// An attachment; nothing if it is only listed.
    async fn tree(&self, search: Search<'_>, reference: &Reference, role: Role) -> Result<Option<Tree>, RegistryError> {
        let sources = std::slice::from_ref(search.side);
        let read = search.reader.tree(sources, reference, &PlatformFilter::default(), role).await;
        match read {
            Ok(tree) => Ok(Some(tree)),
            Err(error) if error.reason() == Reason::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn referrers(
        &self,
        search: Search<'_>,
        subject: &Digest,
        tags: Option<&BTreeSet<String>>,
    ) -> Result<Vec<Digest>, RegistryError> {
        let store = search.side.key().store;
        let lacks_api = self.without_api.lock().unwrap_or_else(PoisonError::into_inner).contains(&store);
        if !lacks_api {
            let found = search.side.referrers(subject).await?;
            if found.is_by_tag {
                self.without_api.lock().unwrap_or_else(PoisonError::into_inner).insert(store);
            }
            return Ok(found.manifests.into_iter().map(|it| it.digest).collect());
        }
        let tag = subject.referrers_tag();
        if tags.is_some_and(|tags| !tags.contains(&tag)) {
            return Ok(Vec::new());
        }
        match search.side.manifest(&Reference::Tag(tag)).await {
            Ok(index) => Ok(index.manifest.children.into_iter().map(|it| it.digest).collect()),
            Err(error) if error.reason() == Reason::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The tags, if their list takes no more requests than the tags of all images would. Otherwise, and who does not list them, is
    /// asked tag by tag.
    async fn tags(&self, search: Search<'_>) -> Option<Arc<BTreeSet<String>>> {
        let key = search.side.key();
        let cell = self.tags.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        let pages = search.images.saturating_mul(SUFFIXES.len());
        let list = async || {
            let tags = search.side.short_tags(pages).await.ok().flatten()?;
            Some(Arc::new(tags.into_iter().collect()))
        };
        cell.get_or_init(list).await.clone()
    }
}
