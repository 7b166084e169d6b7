//! Where images come from and go to: a repository in a registry, or an OCI layout.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};

use super::super::auth::ecr::Ecr;
use super::super::client::{BlobSource, Client, Offer, Presence, Written};
use super::super::credentials::Credential;
use super::super::credentials::ecr::EcrHost;
use super::super::distribution::{Fetched, Pushed, Referrers, Session, Target};
use super::super::error::{Cause, Place, Reason, RegistryError};
use super::super::layout::LayoutRepository;
use super::super::name::{Reference, Repository};
use super::super::transport::Pieces;
use super::super::wire::digest::Digest;
use super::super::wire::manifest::Descriptor;

/// A source or a destination. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Side {
    /// A repository in a registry.
    Registry(RegistrySide),
    /// A repository in an OCI layout.
    Layout(LayoutRepository),
}

/// A repository, and the client and credential for it.
#[derive(Clone)]
pub struct RegistrySide {
    client: Client,
    repository: Arc<Repository>,
    credential: Arc<Credential>,
    /// Who creates repositories, where the registry wants that.
    ecr: Option<Arc<Ecr>>,
}

impl fmt::Debug for RegistrySide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegistrySide").field(&self.repository.to_string()).finish()
    }
}

/// What tells two sides apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SideKey {
    /// A registry, or the path of a layout: blobs move within one without being sent.
    pub store: String,
    /// The repository in it; empty for a layout.
    pub repository: String,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(side) => side.repository.fmt(f),
            Self::Layout(side) => side.fmt(f),
        }
    }
}

impl Side {
    /// What tells it apart from others.
    pub fn key(&self) -> SideKey {
        match self {
            Self::Registry(side) => SideKey {
                store: side.repository.registry.base().to_string(),
                repository: side.repository.path().to_owned(),
            },
            Self::Layout(side) => {
                SideKey { store: side.layout().to_string(), repository: side.written_as().to_owned() }
            }
        }
    }

    /// Itself and a content of it, for errors.
    pub fn place(&self, reference: Option<&Reference>) -> Place {
        match self {
            Self::Registry(side) => Place::of(&side.repository, reference.map(ToString::to_string)),
            Self::Layout(side) => Place {
                registry: side.layout().to_string(),
                repository: String::new(),
                reference: reference.map(ToString::to_string),
            },
        }
    }

    /// The digest of a manifest; nothing if it is not there.
    ///
    /// # Errors
    /// Nobody can say.
    pub async fn digest(&self, reference: &Reference) -> Result<Option<Digest>, RegistryError> {
        let found = match self {
            Self::Registry(side) => side.client.head_manifest(side.target(), reference).await.map(|head| head.digest),
            Self::Layout(side) => side.digest(reference).await.map_err(Into::into),
        };
        or_absent(found)
    }

    /// A manifest with its bytes, which match its digest.
    ///
    /// # Errors
    /// It is not there, or is none.
    pub async fn manifest(&self, reference: &Reference) -> Result<Fetched, RegistryError> {
        match self {
            Self::Registry(side) => side.client.manifest(side.target(), reference).await,
            Self::Layout(side) => Ok(side.manifest(reference).await?),
        }
    }

    /// Whether a blob is there.
    ///
    /// # Errors
    /// Nobody can say.
    pub async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, RegistryError> {
        let found = match self {
            Self::Registry(side) => side.client.head_blob(side.target(), digest, size).await,
            Self::Layout(side) => return Ok(side.layout().has_blob(digest, size).await?),
        };
        match found {
            // It has another size: it is not what the manifest names.
            Err(error) if matches!(error.cause, Cause::Size { .. }) => Ok(false),
            found => or_absent(found).map(|found| found.is_some()),
        }
    }

    /// The bytes of a blob from an offset to its end, as they come: the caller checks them.
    ///
    /// # Errors
    /// It is not there.
    pub async fn read_blob(&self, blob: &Descriptor, offset: u64) -> Result<Pieces, RegistryError> {
        match self {
            Self::Registry(side) => {
                let tail = side.client.blob_from(side.target(), &blob.digest, offset).await?;
                let place = Place::of(&side.repository, Some(blob.digest.to_string()));
                let pieces = stream::unfold(Some(tail), move |tail| {
                    let place = place.clone();
                    async move {
                        let mut tail = tail?;
                        match tail.next().await {
                            Ok(Some(piece)) => Some((Ok(piece), Some(tail))),
                            Ok(None) => None,
                            Err(cause) => Some((Err(RegistryError { operation: "read the blob", place, cause }), None)),
                        }
                    }
                });
                Ok(pieces.boxed())
            }
            Self::Layout(side) => Ok(side.layout().blob(&blob.digest, offset).await?),
        }
    }

    /// Offers a blob before its bytes are read. `from` are repositories of the same registry that hold it.
    ///
    /// # Errors
    /// The registry limits requests.
    pub async fn offer_blob(
        &self,
        blob: (&Digest, u64),
        from: &[String],
        presence: Presence,
    ) -> Result<Offer, RegistryError> {
        match self {
            Self::Registry(side) => side.client.offer_blob(side.target(), blob, from, presence).await,
            Self::Layout(_) => Ok(Offer::Wanted(None)),
        }
    }

    /// Writes a blob, in the upload that was begun when it was offered.
    ///
    /// # Errors
    /// It is refused, or its source ended.
    pub async fn write_blob(&self, source: &dyn BlobSource, begun: Option<Session>) -> Result<Written, RegistryError> {
        match self {
            Self::Registry(side) => {
                side.created(|| side.client.send_blob(side.target(), source, begun.clone())).await?;
                Ok(Written::Uploaded)
            }
            // What it holds it holds for all images.
            Self::Layout(side) => {
                Ok(if side.layout().write_blob(source).await? { Written::Uploaded } else { Written::Mounted })
            }
        }
    }

    /// Whether each repository needs the bytes of a blob, although others of the same registry hold it.
    pub fn ignores_mounts(&self) -> bool {
        match self {
            Self::Registry(side) => side.client.ignores_mounts(side.target()),
            Self::Layout(_) => false,
        }
    }

    /// Writes a manifest under its digest, as its bytes are.
    ///
    /// # Errors
    /// It is refused.
    pub async fn write_manifest(&self, manifest: &Fetched) -> Result<Pushed, RegistryError> {
        self.put(&Reference::Digest(manifest.digest.clone()), manifest).await
    }

    /// Writes a manifest under a tag, which names it from then on.
    ///
    /// # Errors
    /// It is refused; [`Cause::TagImmutable`] if the tag stays with another manifest.
    pub async fn tag(&self, tag: &str, manifest: &Fetched) -> Result<Pushed, RegistryError> {
        let reference = Reference::Tag(tag.to_owned());
        let refused = match self.put(&reference, manifest).await {
            Err(refused) => refused,
            pushed => return pushed,
        };
        // Registries refuse to change a tag in words of their own. What they hold is plain.
        let is_refused =
            matches!(&refused.cause, Cause::Refused(it) if matches!(it.status, 400 | 403 | 405 | 409 | 412));
        let held = if is_refused { self.digest(&reference).await.ok().flatten() } else { None };
        match held {
            // Without Docker's answer to a push of what is there already (ECR).
            Some(held) if held == manifest.digest => Ok(Pushed { lists_referrers: true }),
            Some(held) if !is_incomplete(&refused.cause) => {
                Err(RegistryError { cause: Cause::TagImmutable { held, wanted: manifest.digest.clone() }, ..refused })
            }
            _ => Err(refused),
        }
    }

    async fn put(&self, reference: &Reference, manifest: &Fetched) -> Result<Pushed, RegistryError> {
        match self {
            Self::Registry(side) => side.created(|| side.client.put_manifest(side.target(), reference, manifest)).await,
            Self::Layout(side) => {
                side.put(reference, manifest).await?;
                Ok(Pushed { lists_referrers: true })
            }
        }
    }

    /// What is attached to a manifest.
    ///
    /// # Errors
    /// Nobody can say.
    pub async fn referrers(&self, subject: &Digest) -> Result<Referrers, RegistryError> {
        match self {
            Self::Registry(side) => side.client.referrers(side.target(), subject).await,
            Self::Layout(side) => {
                Ok(Referrers { manifests: side.layout().referrers(subject).await?, is_by_tag: false })
            }
        }
    }

    /// All tags.
    ///
    /// # Errors
    /// They cannot be listed.
    pub async fn tags(&self) -> Result<Vec<String>, RegistryError> {
        match self {
            Self::Registry(side) => Ok(side.client.tags(side.target(), |_| {}).await?.tags),
            Self::Layout(side) => Ok(side.tags()),
        }
    }

    /// All tags, if the list is no longer than so many pages.
    ///
    /// # Errors
    /// They cannot be listed.
    pub async fn short_tags(&self, pages: usize) -> Result<Option<Vec<String>>, RegistryError> {
        match self {
            Self::Registry(side) => Ok(side.client.short_tags(side.target(), pages).await?.map(|list| list.tags)),
            Self::Layout(side) => Ok(Some(side.tags())),
        }
    }
}

/// Whether a registry refuses a manifest because it lacks something of it.
pub(super) fn is_incomplete(cause: &Cause) -> bool {
    let Cause::Refused(refusal) = cause else { return false };
    refusal.code.as_deref().is_some_and(|code| matches!(code, "MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN"))
}

fn or_absent<T>(found: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.reason() == Reason::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl RegistrySide {
    /// A repository as the holder of a credential sees it.
    pub fn new(client: Client, repository: Repository, credential: Credential) -> Self {
        Self { client, repository: Arc::new(repository), credential: Arc::new(credential), ecr: None }
    }

    /// Creates repositories of ECR that are not there when something is written to them.
    #[must_use]
    pub fn creating(self, ecr: Arc<Ecr>) -> Self {
        Self { ecr: Some(ecr), ..self }
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    fn target(&self) -> Target<'_> {
        Target { repository: &self.repository, credential: &self.credential }
    }

    /// Writes; once more if the repository was not there and could be created.
    async fn created<T, W: Future<Output = Result<T, RegistryError>>>(
        &self,
        write: impl Fn() -> W,
    ) -> Result<T, RegistryError> {
        let error = match write().await {
            Err(error) if error.reason() == Reason::NotFound => error,
            written => return written,
        };
        let name = self.repository.registry.base().host_str().unwrap_or_default();
        let (Some(ecr), Some(host)) = (&self.ecr, EcrHost::parse(name)) else { return Err(error) };
        let account = name.split('.').next().unwrap_or_default();
        let failed = |cause| RegistryError {
            operation: "create the repository",
            place: Place::of(&self.repository, None),
            cause,
        };
        ecr.create_repository(&host, account, self.repository.path()).await.map_err(failed)?;
        write().await
    }
}

/// A blob in memory, such as the configuration of an artifact.
#[derive(Clone, Debug)]
pub struct SmallBlob {
    digest: Digest,
    bytes: Bytes,
}

impl SmallBlob {
    /// With its digest.
    pub fn new(bytes: Bytes) -> Self {
        Self { digest: Digest::of(super::super::wire::digest::Algorithm::Sha256, &bytes), bytes }
    }
}

impl BlobSource for SmallBlob {
    fn digest(&self) -> &Digest {
        &self.digest
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn open(&self, offset: u64) -> BoxFuture<'_, Result<Pieces, RegistryError>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let rest = self.bytes.slice(from..);
        Box::pin(async move { Ok(stream::iter([Ok(rest)]).boxed()) })
    }
}
