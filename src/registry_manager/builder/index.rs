//! The index of the images that were built, with exactly the architectures that were asked for. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use hypermirror_api::ImageBuilderReason;
use hypermirror_api::image_builder::ArchitectureStatus;
use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::BuildFailure;
use super::settings::Architecture;
use crate::registry::distribution::Fetched;
use crate::registry::wire::digest::{Algorithm, Digest};
use crate::registry::wire::manifest::Manifest;
use crate::registry::wire::media_type::OCI_INDEX;

/// Annotations with which Buildah names the image that the last stage starts from.
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// The longest name of a base image that is reported.
const MAX_NAME: usize = 512;

/// The platform in the configuration of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct BuiltPlatform {
    /// Its architecture.
    #[serde(default)]
    pub architecture: String,
    /// Its operating system.
    #[serde(default)]
    pub os: String,
    /// Its variant.
    #[serde(default)]
    pub variant: Option<String>,
}

/// An image that a Job pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltImage {
    /// What it was built for.
    pub architecture: Architecture,
    /// Its manifest.
    pub manifest: Fetched,
    /// What it says itself.
    pub platform: BuiltPlatform,
}

impl BuiltImage {
    /// Whether it is an image of the architecture that it was built for. The digest comes from a pod: it may be any.
    ///
    /// # Errors
    /// It is not.
    pub fn judge(&self) -> Result<(), BuildFailure> {
        let (wanted, platform) = (self.architecture.as_str(), &self.platform);
        let kind = self.manifest.manifest.kind;
        let problem = if kind.is_index() || self.manifest.manifest.config.is_none() {
            format!("it is no image, but {}", kind.name())
        } else if platform.architecture != wanted || platform.os != "linux" {
            format!("it is an image for {}/{}", platform.os, platform.architecture)
        } else {
            return Ok(());
        };
        let message = format!("{} was pushed for linux/{wanted}, but {problem}", self.manifest.digest);
        Err(BuildFailure::new(ImageBuilderReason::WrongImage, message))
    }

    /// For the status.
    pub fn status(&self) -> ArchitectureStatus {
        let annotation =
            |name: &str| self.manifest.manifest.annotations.get(name).filter(|text| text.len() <= MAX_NAME);
        let base_digest = annotation(BASE_DIGEST).filter(|text| Digest::parse(text).is_ok());
        ArchitectureStatus {
            architecture: self.architecture.as_str().to_owned(),
            digest: Some(self.manifest.digest.to_string()),
            base_image: annotation(BASE_NAME).cloned(),
            base_digest: base_digest.cloned(),
        }
    }
}

/// What the tag names: the index of several images, or the only image itself.
///
/// # Errors
/// It cannot be made.
pub fn tagged(images: &[BuiltImage]) -> Result<Fetched, BuildFailure> {
    if let [only] = images {
        return Ok(only.manifest.clone());
    }
    let bytes = Bytes::from(
        json!({
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": images.iter().map(descriptor).collect::<Vec<Value>>(),
        })
        .to_string(),
    );
    let manifest = Manifest::parse(&bytes, Some(OCI_INDEX))
        .map_err(|error| BuildFailure::new(ImageBuilderReason::Invalid, error.to_string()))?;
    Ok(Fetched { digest: Digest::of(Algorithm::Sha256, &bytes), bytes, manifest })
}

fn descriptor(image: &BuiltImage) -> Value {
    let variant = image.platform.variant.as_ref().filter(|variant| !variant.is_empty());
    let platform = [
        ("architecture", Some(image.architecture.as_str())),
        ("os", Some("linux")),
        ("variant", variant.map(String::as_str)),
    ];
    let platform: BTreeMap<&str, &str> =
        platform.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    json!({
        "mediaType": image.manifest.manifest.kind.name(),
        "digest": image.manifest.digest.to_string(),
        "size": image.manifest.bytes.len(),
        "platform": platform,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(architecture: Architecture, own: &str, annotations: &Value) -> BuiltImage {
        let bytes = Bytes::from(json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "annotations": annotations,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": Digest::of(Algorithm::Sha256, own.as_bytes()).to_string()},
            "layers": [],
        }).to_string());
        let manifest = Manifest::parse(&bytes, None).unwrap();
        let manifest = Fetched { digest: Digest::of(Algorithm::Sha256, &bytes), bytes, manifest };
        let variant = (own == "arm64").then(|| "v8".to_owned());
        let platform = BuiltPlatform { architecture: own.to_owned(), os: "linux".to_owned(), variant };
        BuiltImage { architecture, manifest, platform }
    }

    #[test]
    fn the_index_has_exactly_the_architectures_that_were_built() {
        let images = [image(Architecture::Amd64, "amd64", &json!({})), image(Architecture::Arm64, "arm64", &json!({}))];
        let index = tagged(&images).unwrap();
        let platforms: Vec<String> =
            index.manifest.children.iter().map(|child| child.platform.as_ref().unwrap().name()).collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm64/v8"]);
        for (child, image) in index.manifest.children.iter().zip(&images) {
            assert_eq!(child.digest, image.manifest.digest);
            assert_eq!(child.size, image.manifest.bytes.len() as u64);
        }
        assert_eq!(tagged(&images).unwrap().digest, index.digest, "the same images are the same index");
    }

    #[test]
    fn one_architecture_needs_no_index() {
        let images = [image(Architecture::Arm64, "arm64", &json!({}))];
        assert_eq!(tagged(&images).unwrap(), images[0].manifest);
    }

    #[test]
    fn what_is_no_image_of_its_architecture_is_refused() {
        let good = image(Architecture::Amd64, "amd64", &json!({}));
        assert_eq!(good.judge(), Ok(()));
        let other = image(Architecture::Arm64, "amd64", &json!({})).judge().unwrap_err();
        assert!(other.reason == ImageBuilderReason::WrongImage && other.message.contains("linux/amd64"), "{other:?}");
        let images = [good.clone(), image(Architecture::Arm64, "arm64", &json!({}))];
        let index = BuiltImage { manifest: tagged(&images).unwrap(), ..good };
        assert_eq!(index.judge().unwrap_err().reason, ImageBuilderReason::WrongImage);
    }

    #[test]
    fn the_base_image_that_was_used_is_reported() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let of = |digest: &str| {
            let annotations = json!({BASE_NAME: "quay.io/a/b:1", BASE_DIGEST: digest});
            image(Architecture::Amd64, "amd64", &annotations).status()
        };
        let known = of(&digest);
        assert_eq!(
            (known.base_image.as_deref(), known.base_digest.as_deref()),
            (Some("quay.io/a/b:1"), Some(&*digest))
        );
        assert_eq!(of("no digest").base_digest, None);
        assert_eq!(of("").base_digest, None);
    }
}
