//! The key of everything that is remembered about contents.

use super::credentials::CredentialId;
use super::distribution::Target;
use super::wire::digest::Digest;

/// A content of one repository as one credential sees it. A repository may lack what another one holds, and nobody may learn from
/// the credential of somebody else what a repository holds.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct ContentKey {
    registry: String,
    repository: String,
    credential: CredentialId,
    digest: Digest,
}

impl ContentKey {
    /// The key of a content.
    pub(super) fn new(target: Target<'_>, digest: &Digest) -> Self {
        Self {
            registry: target.repository.registry.base().to_string(),
            repository: target.repository.path().to_owned(),
            credential: target.credential.id(),
            digest: digest.clone(),
        }
    }
}
