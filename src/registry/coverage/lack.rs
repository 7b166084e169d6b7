//! What a place lacks of an image, for people and for programs. Pure.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::super::wire::digest::Digest;
use super::super::wire::manifest::{Descriptor, Platform};

/// Which part of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub enum Part {
    /// A manifest or an index.
    Manifest,
    /// A config or a layer.
    Blob,
    /// A signature that a policy demands.
    Signature,
    /// No part: the place is never asked, or the pull fails before.
    Pull,
}

/// What the text of a signature that is missing begins with.
const SIGNATURE_OF: &str = "signature of ";

/// Whether a text, as [`Lack`] shows it, is about a signature.
pub fn is_about_signature(text: &str) -> bool {
    text.starts_with(SIGNATURE_OF)
}

/// One thing that a place lacks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Lack {
    /// Which part.
    pub part: Part,
    /// Its digest; of a signature, the digest of the manifest that it signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub digest: Option<Digest>,
    /// `os/architecture` of the image that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What is wrong with it: `is missing`.
    pub message: String,
}

impl Lack {
    /// The manifest that was asked for.
    pub fn manifest() -> Self {
        Self { part: Part::Manifest, digest: None, platform: None, message: "is missing".to_owned() }
    }

    /// A part of an image.
    pub fn of(part: Part, owner: &Owner, digest: &Digest, message: impl Into<String>) -> Self {
        Self { part, digest: Some(digest.clone()), platform: owner.platform.clone(), message: message.into() }
    }

    /// A place that is never asked, or a pull that fails before it is.
    pub fn pull(message: impl Into<String>) -> Self {
        Self { part: Part::Pull, digest: None, platform: None, message: message.into() }
    }
}

impl fmt::Display for Lack {
    /// `blob sha256:… (linux/arm64) is missing`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Part::Manifest => f.write_str("manifest ")?,
            Part::Blob => f.write_str("blob ")?,
            Part::Signature => f.write_str(SIGNATURE_OF)?,
            Part::Pull => {}
        }
        if let Some(digest) = &self.digest {
            write!(f, "{digest} ")?;
        }
        if let Some(platform) = &self.platform {
            write!(f, "({platform}) ")?;
        }
        f.write_str(&self.message)
    }
}

/// The image of an index that a part belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    platform: Option<String>,
}

impl Owner {
    /// The child of an index.
    pub fn child(child: &Descriptor) -> Self {
        let platform = child.platform.as_ref().filter(|platform| !platform.os.is_empty()).map(Platform::name);
        Self { platform }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_names_part_digest_platform_and_trouble() {
        let digest = Digest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap();
        let owner = Owner { platform: Some("linux/arm64".to_owned()) };
        let shown = Lack::of(Part::Blob, &owner, &digest, "is missing").to_string();
        assert_eq!(shown, format!("blob {digest} (linux/arm64) is missing"));
        let shown = Lack::of(Part::Signature, &Owner::default(), &digest, "is missing").to_string();
        assert_eq!(shown, format!("signature of {digest} is missing"));
        assert!(is_about_signature(&shown) && !is_about_signature(&Lack::manifest().to_string()));
        assert_eq!(Lack::manifest().to_string(), "manifest is missing");
        assert_eq!(Lack::pull("blocked by IDMS a").to_string(), "blocked by IDMS a");
    }
}
