//! Reads the payload of a release out of its image: all platforms, each layer once, from the last layer down.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::super::client::Client;
use super::super::distribution::Target;
use super::super::error::{Place, RegistryError};
use super::super::name::Reference;
use super::super::wire::digest::Digest;
use super::super::wire::manifest::Manifest;
use super::payload::{InLayer, PayloadError, PayloadImage, find, images};

/// The layer with the payload has some MiB. Larger ones are passed over as long as another one has it.
const MAX_LAYER_BYTES: usize = 64 * 1024 * 1024;
/// Architectures of a release; more are a hostile index.
const MAX_PLATFORMS: usize = 32;

/// Why the payload of a release is not known.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The registry did not give it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A layer or the file in it is not what it should be.
    #[error("release {release}: {error}")]
    Payload {
        /// As it was asked for.
        release: String,
        /// What is wrong.
        error: PayloadError,
    },
    /// It is another image.
    #[error("{0} is no release image: it has no release-manifests/image-references")]
    NoRelease(String),
}

/// The images of a release, each once, by name: those of all platforms that its index has.
///
/// # Errors
/// [`ReleaseError`]. A part of a payload is never taken for the whole.
pub async fn payload(
    client: &Client,
    target: Target<'_>,
    reference: &Reference,
) -> Result<Vec<PayloadImage>, ReleaseError> {
    let release = Place::of(target.repository, Some(reference.to_string())).to_string();
    let top = client.manifest(target, reference).await?.manifest;
    let mut found = BTreeSet::new();
    // The same layer in several platforms is read once.
    let mut known = BTreeMap::new();
    if top.kind.is_index() {
        let children = top.children.iter().filter(|child| !child.is_attestation).take(MAX_PLATFORMS);
        for child in children {
            let image = client.manifest(target, &Reference::Digest(child.digest.clone())).await?.manifest;
            found.extend(of_image(client, target, &release, &image, &mut known).await?);
        }
    } else {
        found.extend(of_image(client, target, &release, &top, &mut known).await?);
    }
    if found.is_empty() { Err(ReleaseError::NoRelease(release)) } else { Ok(found.into_iter().collect()) }
}

async fn of_image(
    client: &Client,
    target: Target<'_>,
    release: &str,
    image: &Manifest,
    known: &mut BTreeMap<Digest, InLayer>,
) -> Result<Vec<PayloadImage>, ReleaseError> {
    let refused = |error| ReleaseError::Payload { release: release.to_owned(), error };
    let mut passed_over = false;
    for layer in image.layers.iter().rev().filter(|layer| !layer.is_foreign) {
        let in_layer = match known.get(&layer.digest) {
            Some(in_layer) => in_layer.clone(),
            None if layer.size > MAX_LAYER_BYTES as u64 => {
                passed_over = true;
                continue;
            }
            None => {
                let bytes = client.small_blob(target, &layer.digest, MAX_LAYER_BYTES).await?;
                let in_layer = look(bytes).await.map_err(refused)?;
                known.insert(layer.digest.clone(), in_layer.clone());
                in_layer
            }
        };
        match in_layer {
            InLayer::Found(content) => return images(&content).map_err(refused),
            InLayer::Removed => break,
            InLayer::Absent => {}
        }
    }
    if passed_over {
        return Err(refused(PayloadError::TooLarge(
            "64 MiB, and no smaller one has release-manifests/image-references",
        )));
    }
    Err(ReleaseError::NoRelease(release.to_owned()))
}

/// Unpacking takes time: not on a thread that others wait for.
async fn look(bytes: Bytes) -> Result<InLayer, PayloadError> {
    let looked = spawn_blocking(move || find(&bytes)).await;
    looked.unwrap_or_else(|error| Err(PayloadError::Tar(error.to_string())))
}

#[cfg(test)]
mod tests;
