//! Scans a repository: its tags, their digests, images and sizes.
//!
//! One request for each page of the tag list, a HEAD for each tag, and manifests only of digests that were not seen before
//! with this credential. A tag that cannot be read has a reason, and the others are as complete as without it.

mod cache;
mod config;
mod details;
pub mod filter;
pub mod inventory;
pub mod order;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt as _, stream};

use super::client::Client;
use super::distribution::{Head, Target};
use super::error::RegistryError;
use super::name::Reference;
use super::wire::digest::Digest;
use super::wire::media_type::ManifestType;
pub use cache::ContentCache;
use details::{Details, Reader};
use filter::TagFilter;
use inventory::{Blobs, Inventory, PlatformImage, ScanError, ScannedTag, bytes, revision};
use order::{by_version, oldest_first};

/// Requests that wait for their turn. How many are under way is the pace's business.
const WAITING: usize = 128;

/// The order of tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Newest version first, then other tags by name.
    #[default]
    Version,
    /// Oldest version first, then other tags by name.
    Oldest,
    /// By name.
    Name,
    /// Newest build first; reads configs.
    Created,
}

/// What a scan does.
#[derive(Clone, Debug, Default)]
pub struct ScanOptions {
    /// Which tags.
    pub filter: TagFilter,
    /// In which order.
    pub sort: Sort,
    /// Only the first of them.
    pub limit: Option<usize>,
    /// Whether configs are read to learn the platform of images without an index.
    pub has_platforms: bool,
}

/// How far a scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many tags are listed.
    Listed(usize),
    /// So many tags of all have their digest.
    Resolved(usize, usize),
    /// So many manifests of all are read.
    Read(usize, usize),
}

type Heads = Vec<(String, Result<Head, RegistryError>)>;
type AllDetails = BTreeMap<Digest, Result<Details, RegistryError>>;

/// Scans a repository.
///
/// # Errors
/// Its tags cannot be listed.
pub async fn scan(
    client: &Client,
    target: Target<'_>,
    cache: &ContentCache,
    options: &ScanOptions,
    on_progress: impl Fn(Progress),
) -> Result<Inventory, RegistryError> {
    let list = client.tags(target, |count| on_progress(Progress::Listed(count))).await?;
    let tag_count = list.tags.len();
    let mut tags: Vec<String> = list.tags.into_iter().filter(|tag| options.filter.takes(tag)).collect();
    let excluded = tag_count - tags.len();
    match options.sort {
        Sort::Version | Sort::Created => tags.sort_unstable_by(|one, other| by_version(one, other)),
        Sort::Oldest => tags.sort_unstable_by(|one, other| oldest_first(one, other)),
        Sort::Name => tags.sort_unstable(),
    }
    if options.sort != Sort::Created {
        // Those that are cut off are not even asked for.
        tags.truncate(options.limit.unwrap_or(usize::MAX));
    }
    let heads = resolve(client, target, tags, &on_progress).await;
    let has_configs = options.has_platforms || options.sort == Sort::Created;
    let reader = Reader { client, target, cache, has_configs };
    let details = read(reader, &heads, &on_progress).await;
    let mut tags: Vec<ScannedTag> = heads.into_iter().map(|(tag, head)| scanned(tag, head, &details)).collect();
    if options.sort == Sort::Created {
        // Stable: equal times stay in the order of versions.
        tags.sort_by_key(|tag| std::cmp::Reverse(tag.created));
        tags.truncate(options.limit.unwrap_or(usize::MAX));
    }
    let mut all = Blobs::new();
    for images in shown(&tags, &details) {
        all.extend(images);
    }
    Ok(Inventory {
        repository: target.repository.to_string(),
        revision: revision(&tags),
        tag_count,
        excluded,
        skipped: list.skipped,
        unique_bytes: bytes(&all),
        tags,
    })
}

async fn resolve(client: &Client, target: Target<'_>, tags: Vec<String>, on_progress: &impl Fn(Progress)) -> Heads {
    let (total, done) = (tags.len(), AtomicUsize::new(0));
    let done = &done;
    let head = |tag: String| async move {
        let head = client.head_manifest(target, &Reference::Tag(tag.clone())).await;
        on_progress(Progress::Resolved(done.fetch_add(1, Ordering::Relaxed) + 1, total));
        (tag, head)
    };
    stream::iter(tags).map(head).buffered(WAITING).collect().await
}

/// The details of each digest once, however many tags have it.
async fn read(reader: Reader<'_>, heads: &Heads, on_progress: &impl Fn(Progress)) -> AllDetails {
    let digests: BTreeSet<&Digest> = heads.iter().filter_map(|(_, head)| Some(&head.as_ref().ok()?.digest)).collect();
    let (total, done) = (digests.len(), AtomicUsize::new(0));
    let done = &done;
    let one = |digest: &Digest| {
        let digest = digest.clone();
        async move {
            let details = reader.details(&digest).await;
            on_progress(Progress::Read(done.fetch_add(1, Ordering::Relaxed) + 1, total));
            (digest, details)
        }
    };
    stream::iter(digests).map(one).buffer_unordered(WAITING).collect().await
}

fn scanned(tag: String, head: Result<Head, RegistryError>, details: &AllDetails) -> ScannedTag {
    let mut scanned = ScannedTag {
        tag,
        digest: None,
        media_type: None,
        artifact_type: None,
        size: None,
        created: None,
        platforms: Vec::new(),
        attestations: 0,
        error: None,
    };
    let head = match head {
        Ok(head) => head,
        Err(error) => {
            scanned.error = Some(ScanError::from(&error));
            return scanned;
        }
    };
    scanned.digest = Some(head.digest.to_string());
    scanned.media_type = head.kind.map(ManifestType::name);
    match details.get(&head.digest) {
        Some(Ok(details)) => describe(&mut scanned, details),
        Some(Err(error)) => scanned.error = Some(ScanError::from(error)),
        None => {}
    }
    scanned
}

fn describe(scanned: &mut ScannedTag, details: &Details) {
    scanned.media_type = Some(details.kind.name());
    scanned.artifact_type.clone_from(&details.artifact_type);
    scanned.created = details.created;
    scanned.attestations = details.attestations;
    let blobs: Option<Vec<Blobs>> = details.images.iter().map(details::Image::blobs).collect();
    // A size that lacks an image would be taken for the whole; of schema 1 there is none.
    scanned.size = blobs.filter(|blobs| !blobs.is_empty()).map(|blobs| bytes(&blobs.into_iter().flatten().collect()));
    scanned.platforms = details.images.iter().map(platform).collect();
}

fn platform(image: &details::Image) -> PlatformImage {
    PlatformImage {
        platform: image.platform.clone(),
        digest: image.digest.to_string(),
        size: image.blobs().map(|blobs| bytes(&blobs)),
        error: image.content.as_ref().err().cloned(),
    }
}

/// The blobs of the images of tags that are shown.
fn shown<'a>(tags: &[ScannedTag], details: &'a AllDetails) -> impl Iterator<Item = Blobs> + use<'a> {
    let digests: BTreeSet<String> = tags.iter().filter_map(|tag| tag.digest.clone()).collect();
    let found = details.iter().filter(move |(digest, _)| digests.contains(&digest.to_string()));
    let images = found.filter_map(|(_, details)| details.as_ref().ok()).flat_map(|details| &details.images);
    images.filter_map(details::Image::blobs)
}

#[cfg(test)]
mod tests;
