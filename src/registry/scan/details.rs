//! What a manifest holds: its images and their sizes, down through nested indexes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;

use super::super::client::Client;
use super::super::distribution::Target;
use super::super::error::{Cause, Place, RegistryError};
use super::super::name::Reference;
use super::super::wire::digest::Digest;
use super::super::wire::manifest::{Descriptor, MAX_DEPTH, Manifest, Platform};
use super::super::wire::media_type::ManifestType;
use super::cache::ContentCache;
use super::config::ImageConfig;
use super::inventory::{PlatformImage, ScanError, TagContent, total};

/// Configs have some kilobytes; those of long build histories some hundred.
const MAX_CONFIG_BYTES: usize = 4 * 1024 * 1024;
/// Images of one tag; more are a hostile index.
const MAX_IMAGES: usize = 1_000;
/// Children of one index that are asked for at once, beside those of other tags.
const AT_ONCE: usize = 8;
const CREATED: &str = "org.opencontainers.image.created";

/// One image.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub platform: Option<String>,
    pub digest: Digest,
    pub content: Result<Arc<Manifest>, ScanError>,
}

/// Blobs by their digests: what is shared counts once.
type Blobs = BTreeMap<Digest, u64>;

impl Image {
    /// Its blobs, if it could be read.
    fn blobs(&self) -> Option<Blobs> {
        let manifest = self.content.as_ref().ok()?;
        Some(manifest.blobs().map(|blob| (blob.digest.clone(), blob.size)).collect())
    }

    fn described(&self) -> PlatformImage {
        PlatformImage {
            platform: self.platform.clone(),
            digest: self.digest.clone(),
            size: self.blobs().map(|blobs| total(blobs.into_values())),
            error: self.content.as_ref().err().cloned(),
        }
    }
}

/// What a manifest holds.
#[derive(Clone, Debug)]
pub(super) struct Details {
    pub kind: ManifestType,
    pub artifact_type: Option<String>,
    pub images: Vec<Image>,
    pub attestations: usize,
    pub created: Option<Timestamp>,
}

/// What is kept of a manifest until the scan ends: manifests themselves are held by the cache alone, which has a limit.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    pub content: Arc<TagContent>,
    /// Of all its images that could be read, each once.
    pub blobs: Vec<(Digest, u64)>,
}

impl From<Details> for Summary {
    fn from(details: Details) -> Self {
        let images: Vec<Option<Blobs>> = details.images.iter().map(Image::blobs).collect();
        // A size that lacks an image would be taken for the whole; of schema 1 there is none.
        let is_whole = !images.is_empty() && images.iter().all(Option::is_some);
        let blobs: Blobs = images.into_iter().flatten().flatten().collect();
        let content = TagContent {
            media_type: Some(details.kind.name()),
            size: is_whole.then(|| total(blobs.values().copied())),
            created: details.created,
            platforms: details.images.iter().map(Image::described).collect(),
            attestations: details.attestations,
            artifact_type: details.artifact_type,
            error: None,
        };
        Self { content: Arc::new(content), blobs: blobs.into_iter().collect() }
    }
}

/// Reads details with one credential.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub client: &'a Client,
    pub target: Target<'a>,
    pub cache: &'a ContentCache,
    /// Whether configs are read, for platforms and the time of the build.
    pub has_configs: bool,
}

impl Reader<'_> {
    pub(super) async fn details(&self, digest: &Digest) -> Result<Details, RegistryError> {
        let top = self.manifest(digest).await?;
        let mut details = Details {
            kind: top.kind,
            artifact_type: top.artifact_type.clone(),
            images: Vec::new(),
            attestations: 0,
            created: top.annotations.get(CREATED).and_then(|text| text.parse().ok()),
        };
        if top.kind.is_index() {
            self.descend(digest, &top, &mut details).await?;
        } else if top.kind != ManifestType::Schema1 {
            details.images.push(Image { platform: None, digest: digest.clone(), content: Ok(top) });
        }
        if self.has_configs {
            self.add_configs(&mut details).await;
        }
        Ok(details)
    }

    /// Level by level: an index in an index, and so on to the depth that is allowed.
    async fn descend(&self, digest: &Digest, top: &Manifest, details: &mut Details) -> Result<(), RegistryError> {
        let mut seen = BTreeSet::from([digest.clone()]);
        let mut level = top.children.clone();
        for _ in 1..MAX_DEPTH {
            let is_image = |child: &Descriptor| !child.is_attestation;
            details.attestations += level.iter().filter(|child| !is_image(child)).count();
            let wanted: Vec<Descriptor> =
                level.into_iter().filter(|child| is_image(child) && seen.insert(child.digest.clone())).collect();
            if wanted.is_empty() {
                return Ok(());
            }
            if seen.len() > MAX_IMAGES {
                return Err(self.refused(digest, format!("it has more than {MAX_IMAGES} images")));
            }
            let read = |child: Descriptor| async move {
                let content = self.manifest(&child.digest).await;
                (child, content)
            };
            let found: Vec<_> = stream::iter(wanted).map(read).buffered(AT_ONCE).collect().await;
            level = Vec::new();
            for (child, content) in found {
                match content {
                    Ok(manifest) if manifest.kind.is_index() => level.extend(manifest.children.iter().cloned()),
                    content => details.images.push(Image {
                        platform: child.platform.as_ref().filter(|it| !it.os.is_empty()).map(Platform::name),
                        digest: child.digest,
                        content: content.map_err(|error| ScanError::from(&error)),
                    }),
                }
            }
        }
        if level.is_empty() {
            return Ok(());
        }
        Err(self.refused(digest, format!("its indexes are nested deeper than {MAX_DEPTH}")))
    }

    async fn manifest(&self, digest: &Digest) -> Result<Arc<Manifest>, RegistryError> {
        let read = async || {
            let fetched = self.client.manifest(self.target, &Reference::Digest(digest.clone())).await?;
            Ok(fetched.manifest)
        };
        self.cache.manifest(self.target, digest, read).await
    }

    /// A config that cannot be read costs its image what it would say, and nothing else.
    async fn add_configs(&self, details: &mut Details) {
        for image in &mut details.images {
            let Ok(manifest) = &image.content else { continue };
            let is_wanted = image.platform.is_none() || details.created.is_none();
            let Some(config) = manifest.config.as_ref().filter(|_| is_wanted && is_image_config(manifest)) else {
                continue;
            };
            let Ok(config) = self.config(&config.digest).await else { continue };
            image.platform = image.platform.take().or_else(|| config.platform());
            details.created = details.created.or_else(|| config.created());
        }
    }

    async fn config(&self, digest: &Digest) -> Result<Arc<ImageConfig>, RegistryError> {
        let read = async || {
            let bytes = self.client.small_blob(self.target, digest, MAX_CONFIG_BYTES).await?;
            // What is no config says nothing.
            Ok(serde_json::from_slice(&bytes).unwrap_or_default())
        };
        self.cache.config(self.target, digest, read).await
    }

    fn refused(&self, digest: &Digest, message: String) -> RegistryError {
        RegistryError {
            operation: "read the manifest",
            place: Place::of(self.target.repository, Some(digest.to_string())),
            cause: Cause::Invalid { what: "an index of images", message },
        }
    }
}

/// Whether its config is that of an image, and not of an artifact.
fn is_image_config(manifest: &Manifest) -> bool {
    let media_type = manifest.config.as_ref().map(|config| config.media_type.as_str()).unwrap_or_default();
    matches!(media_type, "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json")
}
