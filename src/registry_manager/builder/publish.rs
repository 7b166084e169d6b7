//! Tags what the Jobs pushed: one write, after each image was looked at, and read back.

use hypermirror_api::ImageBuilderReason;
use hypermirror_api::image_builder::ArchitectureStatus;

use super::super::image::sides::OpenEnd;
use super::failure::BuildFailure;
use super::index::{BuiltImage, BuiltPlatform, tagged};
use super::settings::{Architecture, Build};
use crate::registry::{Digest, Reference, RegistryError, Target};

/// The largest configuration that is read.
const MAX_CONFIG_BYTES: usize = 1024 * 1024;

/// Tags the images of a build. Returns the digest of the tag, and what is known of each image.
///
/// # Errors
/// One is not there or not what it should be, or the tag cannot be written.
pub async fn publish(
    build: &Build,
    end: &OpenEnd,
    pushed: Vec<(Architecture, Digest)>,
) -> Result<(String, Vec<ArchitectureStatus>), BuildFailure> {
    let mut images = Vec::new();
    for (architecture, digest) in pushed {
        let image = Box::pin(read(build, end, architecture, digest)).await?;
        image.judge()?;
        images.push(image);
    }
    let wanted = tagged(&images)?;
    let failed = |error: RegistryError| BuildFailure::from(&error);
    Box::pin(end.side.tag(&build.tag, &wanted)).await.map_err(failed)?;
    let held = Box::pin(end.side.digest(&Reference::Tag(build.tag.clone()))).await.map_err(failed)?;
    if held.as_ref() != Some(&wanted.digest) {
        let held = held.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
        let message = format!("{} names {held} after {} was written", build.image(), wanted.digest);
        return Err(BuildFailure::new(ImageBuilderReason::Invalid, message));
    }
    Ok((wanted.digest.to_string(), images.iter().map(BuiltImage::status).collect()))
}

async fn read(
    build: &Build,
    end: &OpenEnd,
    architecture: Architecture,
    digest: Digest,
) -> Result<BuiltImage, BuildFailure> {
    let failed = |error: RegistryError| BuildFailure::from(&error);
    let manifest = Box::pin(end.side.manifest(&Reference::Digest(digest))).await.map_err(failed)?;
    let mut platform = BuiltPlatform::default();
    if let Some(config) = &manifest.manifest.config {
        let target = Target { repository: &build.end.repository, credential: &end.credential };
        let read = end.reader.client.small_blob(target, &config.digest, MAX_CONFIG_BYTES);
        let bytes = Box::pin(read).await.map_err(failed)?;
        // One that does not parse has no architecture, and is refused for that.
        platform = serde_json::from_slice(&bytes).unwrap_or_default();
    }
    Ok(BuiltImage { architecture, manifest, platform })
}
