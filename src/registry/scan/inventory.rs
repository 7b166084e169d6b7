//! What a scan found, as it is printed and kept.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::super::error::{Reason, RegistryError};
use super::super::wire::digest::{Algorithm, Digest, Hasher};

/// The tags of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "hypermirror scan")]
pub struct Inventory {
    /// The repository with its registry, as in an image reference.
    pub repository: String,
    /// Changes whenever a tag appears, goes or gets another digest: a digest of all tags with theirs, sorted.
    pub revision: String,
    /// How many tags the registry lists.
    pub tag_count: usize,
    /// How many of them the filter leaves out.
    pub excluded: usize,
    /// How many entries of the registry's list are no tags.
    pub skipped: usize,
    /// Compressed bytes of configs and layers of all tags together, each blob once.
    pub unique_bytes: u64,
    /// In the order that was asked for.
    pub tags: Vec<ScannedTag>,
}

/// One tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScannedTag {
    /// The tag.
    pub tag: String,
    /// Of its manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub digest: Option<Digest>,
    /// Held once for all tags of a digest: a repository may have a hundred thousand tags.
    #[serde(flatten, serialize_with = "content")]
    #[schemars(with = "TagContent")]
    pub content: Arc<TagContent>,
}

impl ScannedTag {
    /// A tag of which nothing else is known.
    pub fn new(tag: impl Into<String>) -> Self {
        Self { tag: tag.into(), digest: None, content: Arc::default() }
    }

    /// Why something of it could not be read.
    pub fn error(&self) -> Option<&ScanError> {
        self.content.error.as_ref()
    }
}

fn content<S: Serializer>(content: &Arc<TagContent>, serializer: S) -> Result<S::Ok, S::Error> {
    content.as_ref().serialize(serializer)
}

/// What a tag leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TagContent {
    /// Of its manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<&'static str>,
    /// Of an artifact that is no image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Compressed bytes of its configs and layers, each blob once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When its first image was built, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub created: Option<Timestamp>,
    /// Its images.
    pub platforms: Vec<PlatformImage>,
    /// How many attestations its index has.
    pub attestations: usize,
    /// Why something of it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ScanError>,
}

/// One image of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlatformImage {
    /// `os/architecture[/variant]`, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Of its manifest.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Compressed bytes of its config and layers, each blob once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ScanError>,
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScanError {
    /// One of a closed set: `NotFound`, `Unauthorized`, `Forbidden`, `Throttled`, `ServerError`, `Unreachable`, `Timeout`,
    /// `Unsupported`, `Refused`, `Invalid`, `CredentialsUnavailable`.
    pub reason: String,
    /// For people.
    pub message: String,
}

impl From<&RegistryError> for ScanError {
    fn from(error: &RegistryError) -> Self {
        Self { reason: reason(error.reason()), message: error.to_string() }
    }
}

fn reason(reason: Reason) -> String {
    format!("{reason:?}")
}

/// The sum of sizes; one that no registry has does not overflow.
pub(super) fn total(sizes: impl IntoIterator<Item = u64>) -> u64 {
    sizes.into_iter().fold(0, u64::saturating_add)
}

/// The revision of tags, whatever their order. A tag that could not be read counts without a digest.
pub(super) fn revision(tags: &[ScannedTag]) -> String {
    let mut sorted: Vec<&ScannedTag> = tags.iter().collect();
    sorted.sort_unstable_by(|one, other| one.tag.cmp(&other.tag));
    let mut hasher = Hasher::new(Algorithm::Sha256);
    for tag in sorted {
        let digest = tag.digest.as_ref().map(Digest::to_string).unwrap_or_default();
        // Neither has a blank or a line feed in it.
        hasher.update(format!("{} {digest}\n", tag.tag).as_bytes());
    }
    hasher.finish().to_string()
}
