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
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt as _, stream};

use super::client::Client;
use super::distribution::Target;
use super::error::RegistryError;
use super::name::Reference;
use super::wire::digest::Digest;
use super::wire::media_type::ManifestType;
pub use cache::ContentCache;
use details::{Reader, Summary};
use filter::TagFilter;
use inventory::{Inventory, ScanError, ScannedTag, TagContent, revision, total};
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

/// A tag with its digest and what the registry says of its type. One of many: errors are small here.
type Resolved = (String, Result<(Digest, Option<ManifestType>), Box<ScanError>>);
type Contents = BTreeMap<Digest, Result<Summary, ScanError>>;

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
    let (resolved, digests) = resolve(client, target, tags, &on_progress).await;
    let has_configs = options.has_platforms || options.sort == Sort::Created;
    let contents = read(Reader { client, target, cache, has_configs }, digests, &on_progress).await;
    let mut tags: Vec<ScannedTag> = resolved.into_iter().map(|resolved| scanned(resolved, &contents)).collect();
    if options.sort == Sort::Created {
        // Stable: equal times stay in the order of versions.
        tags.sort_by_key(|tag| std::cmp::Reverse(tag.content.created));
        tags.truncate(options.limit.unwrap_or(usize::MAX));
    }
    Ok(Inventory {
        repository: target.repository.to_string(),
        revision: revision(&tags),
        tag_count,
        excluded,
        skipped: list.skipped,
        unique_bytes: unique_bytes(&tags, &contents),
        tags,
    })
}

/// The tags in their order, and each digest once.
async fn resolve(
    client: &Client,
    target: Target<'_>,
    tags: Vec<String>,
    on_progress: &impl Fn(Progress),
) -> (Vec<Resolved>, BTreeSet<Digest>) {
    let (total, done) = (tags.len(), AtomicUsize::new(0));
    let done = &done;
    let head = |tag: String| async move {
        let head = client.head_manifest(target, &Reference::Tag(tag.clone())).await;
        on_progress(Progress::Resolved(done.fetch_add(1, Ordering::Relaxed) + 1, total));
        (tag, head)
    };
    let mut heads = pin!(stream::iter(tags).map(head).buffered(WAITING));
    let (mut resolved, mut digests) = (Vec::with_capacity(total), BTreeSet::new());
    while let Some((tag, head)) = heads.next().await {
        let head = head.map(|head| (shared(&mut digests, head.digest), head.kind));
        resolved.push((tag, head.map_err(|error| Box::new(ScanError::from(&error)))));
    }
    (resolved, digests)
}

/// The digest as it is known already: equal digests share their text.
fn shared(known: &mut BTreeSet<Digest>, digest: Digest) -> Digest {
    if let Some(known) = known.get(&digest) {
        return known.clone();
    }
    known.insert(digest.clone());
    digest
}

/// The content of each digest once, however many tags have it.
async fn read(reader: Reader<'_>, digests: BTreeSet<Digest>, on_progress: &impl Fn(Progress)) -> Contents {
    let (total, done) = (digests.len(), AtomicUsize::new(0));
    let done = &done;
    let one = |digest: Digest| async move {
        let details = reader.details(&digest).await;
        on_progress(Progress::Read(done.fetch_add(1, Ordering::Relaxed) + 1, total));
        (digest, details.map(Summary::from).map_err(|error| ScanError::from(&error)))
    };
    stream::iter(digests).map(one).buffer_unordered(WAITING).collect().await
}

fn scanned((tag, resolved): Resolved, contents: &Contents) -> ScannedTag {
    let failed = |media_type: Option<&'static str>, error: ScanError| {
        Arc::new(TagContent { media_type, error: Some(error), ..TagContent::default() })
    };
    let (digest, kind) = match resolved {
        Ok(found) => found,
        Err(error) => return ScannedTag { content: failed(None, *error), ..ScannedTag::new(tag) },
    };
    let media_type = kind.map(ManifestType::name);
    let content = match contents.get(&digest) {
        Some(Ok(summary)) => summary.content.clone(),
        Some(Err(error)) => failed(media_type, error.clone()),
        None => Arc::new(TagContent { media_type, ..TagContent::default() }),
    };
    ScannedTag { tag, digest: Some(digest), content }
}

/// The blobs of all tags together, each once.
fn unique_bytes(tags: &[ScannedTag], contents: &Contents) -> u64 {
    let digests: BTreeSet<&Digest> = tags.iter().filter_map(|tag| tag.digest.as_ref()).collect();
    let shown = digests.into_iter().filter_map(|digest| contents.get(digest)?.as_ref().ok());
    let blobs: BTreeMap<&Digest, u64> =
        shown.flat_map(|summary| &summary.blobs).map(|(digest, size)| (digest, *size)).collect();
    total(blobs.into_values())
}

#[cfg(test)]
mod tests;
