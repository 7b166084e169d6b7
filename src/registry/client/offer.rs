//! Blobs that need no upload: the repository has them, can mount them, or takes them with the first request.

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};

use super::super::distribution::{Begun, Posted, Session, Target};
use super::super::error::{Reason, RegistryError};
use super::super::transport::Pieces;
use super::super::wire::digest::Digest;
use super::learned::Mounts;
use super::{BlobSource, Client, Written};

/// Blobs up to this length go with the first request: configurations, most of them. What is sent in vain, because the
/// repository has it or the registry wants an upload, is no more than a few packets.
pub const SMALL: u64 = 16 * 1024;
/// From this length on a question costs less than bytes that are sent in vain.
const WORTH_ASKING: u64 = 1024 * 1024;

/// What is known of a blob in the repository that it is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The registry said that it is not there.
    Absent,
    /// The registry was not asked.
    Unknown,
}

/// What a registry answers to the offer of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The repository holds it.
    Held,
    /// Its bytes are wanted: in this session, if the registry began one instead of a mount.
    Wanted(Option<Session>),
}

impl Client {
    /// Gets a blob into a repository without its bytes, if that is possible. `from` are repositories of the same registry that hold
    /// it. Whether an unknown one is there is asked by a mount from the repository itself: if it is not, the answer is the upload
    /// that is needed then.
    ///
    /// # Errors
    /// The registry limits requests.
    pub async fn offer_blob(
        &self,
        target: Target<'_>,
        blob: (&Digest, u64),
        from: &[String],
        presence: Presence,
    ) -> Result<Offer, RegistryError> {
        let own = target.repository.path();
        for other in from.iter().filter(|other| *other != own) {
            match self.mount(target, blob.0, other).await? {
                Some(Begun::Mounted) => return Ok(Offer::Held),
                Some(Begun::Session(session)) => return Ok(self.ignored(target, blob, session, presence).await),
                None => {}
            }
        }
        if presence == Presence::Absent || blob.1 <= SMALL {
            return Ok(Offer::Wanted(None));
        }
        let may_mount = !matches!(self.learned.mounts(target), Some(Mounts::Shared | Mounts::Ignored));
        let begun = if may_mount { self.mount(target, blob.0, own).await? } else { None };
        let session = match begun {
            Some(Begun::Mounted) => return Ok(Offer::Held),
            Some(Begun::Session(session)) => Some(session),
            None => None,
        };
        let is_answer = session.is_some() && self.learned.mounts(target) == Some(Mounts::Honoured);
        let is_asked = !is_answer && (session.is_none() || blob.1 >= WORTH_ASKING);
        let is_there = is_asked && self.head_blob(target, blob.0, blob.1).await.is_ok();
        Ok(if is_there { Offer::Held } else { Offer::Wanted(session) })
    }

    /// Whether mounts were found to lead nowhere at this registry.
    pub fn ignores_mounts(&self, target: Target<'_>) -> bool {
        self.learned.mounts(target) == Some(Mounts::Ignored)
    }

    /// Writes a blob. `from` are repositories of the same registry that hold it: a mount costs no bytes.
    ///
    /// # Errors
    /// The registry refuses, or the source ended.
    pub async fn write_blob(
        &self,
        target: Target<'_>,
        source: &dyn BlobSource,
        from: &[String],
    ) -> Result<Written, RegistryError> {
        match self.offer_blob(target, (source.digest(), source.size()), from, Presence::Absent).await? {
            Offer::Held => Ok(Written::Mounted),
            Offer::Wanted(session) => self.upload_blob(target, source, session).await.map(|()| Written::Uploaded),
        }
    }

    /// Sends a blob, with the first request if it is small and the registry takes that; else by an upload, in the session if there is
    /// one.
    ///
    /// # Errors
    /// The registry refuses, or the source ended.
    pub async fn send_blob(
        &self,
        target: Target<'_>,
        source: &dyn BlobSource,
        begun: Option<Session>,
    ) -> Result<(), RegistryError> {
        let is_small = (1..=SMALL).contains(&source.size());
        if begun.is_some() || !is_small || !self.learned.may_take_posts(target) {
            return self.upload_blob(target, source, begun).await;
        }
        let read = Read { digest: source.digest(), bytes: read(source).await? };
        match self.post(target, &read).await? {
            Posted::Finished => Ok(()),
            Posted::Begun(session) => self.upload_blob(target, &read, session).await,
        }
    }

    /// Sends a blob with the first request. A registry that does anything else than take it is not sent another one so.
    async fn post(&self, target: Target<'_>, blob: &Read<'_>) -> Result<Posted, RegistryError> {
        let posted = self.run(target, || self.api.post_blob(target, blob.digest, blob.bytes.clone())).await;
        match posted {
            Ok(posted) => {
                self.learned.takes_posts(target, posted == Posted::Finished);
                Ok(posted)
            }
            // It would answer an upload in the same way.
            Err(error) if error.cause.is_throttling() || is_about_access(&error) => Err(error),
            Err(_) => {
                self.learned.takes_posts(target, false);
                Ok(Posted::Begun(None))
            }
        }
    }

    /// Asks for a mount; nothing without the right to read there, or with a mount that is broken.
    async fn mount(&self, target: Target<'_>, digest: &Digest, from: &str) -> Result<Option<Begun>, RegistryError> {
        match self.begin_upload(target, digest, Some(from)).await {
            Ok(Begun::Mounted) => {
                self.learned.answers_mounts(target, Mounts::Honoured);
                Ok(Some(Begun::Mounted))
            }
            Ok(begun) => Ok(Some(begun)),
            Err(error) if error.cause.is_throttling() => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// A repository that holds the blob was named, and an upload was begun. Some registries ignore mounts and share all blobs: then it
    /// is there.
    async fn ignored(&self, target: Target<'_>, blob: (&Digest, u64), session: Session, presence: Presence) -> Offer {
        let known = self.learned.mounts(target);
        if presence == Presence::Absent && matches!(known, Some(Mounts::Honoured | Mounts::Ignored)) {
            return Offer::Wanted(Some(session));
        }
        match self.head_blob(target, blob.0, blob.1).await {
            Ok(()) => {
                self.learned.answers_mounts(target, Mounts::Shared);
                Offer::Held
            }
            Err(error) => {
                if error.reason() == Reason::NotFound {
                    self.learned.answers_mounts(target, Mounts::Ignored);
                }
                Offer::Wanted(Some(session))
            }
        }
    }
}

/// A small blob that was read: its source is not read again if it is sent in another way.
struct Read<'a> {
    digest: &'a Digest,
    bytes: Bytes,
}

impl BlobSource for Read<'_> {
    fn digest(&self) -> &Digest {
        self.digest
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

async fn read(source: &dyn BlobSource) -> Result<Bytes, RegistryError> {
    let mut pieces = source.open(0).await?;
    let mut bytes = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes.freeze())
}

/// Whether the repository is not there, or closed.
fn is_about_access(error: &RegistryError) -> bool {
    matches!(error.reason(), Reason::NotFound | Reason::Unauthorized | Reason::Forbidden)
}
