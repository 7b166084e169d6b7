//! How images are copied.

use super::super::wire::digest::Digest;
use super::super::wire::manifest::{Descriptor, Platform};
use crate::mirrors::is_tag;

/// What stands for the digest in an anchor's template.
const PLACEHOLDER: &str = "{digest}";
/// As many digits as tell images apart, as Docker's short identifiers.
const DIGITS: usize = 12;

/// How images are copied.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    /// How many blobs, and how many images, are under way at once. Registries may allow fewer.
    pub concurrency: usize,
    /// Which children of an index are copied.
    pub platforms: PlatformFilter,
    /// Whether signatures and whatever else refers to an image are copied with it.
    pub has_attachments: bool,
    /// Whether blobs are looked for although the tag names the right image: finds what a registry has lost.
    pub is_thorough: bool,
    /// The tag of images that are copied by digest.
    pub anchor: AnchorTemplate,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            concurrency: 32,
            platforms: PlatformFilter::default(),
            has_attachments: true,
            is_thorough: false,
            anchor: AnchorTemplate::default(),
        }
    }
}

/// Why a text is no template or platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Of an anchor.
    #[error(
        "invalid template {0:?} of anchor tags: it must contain {{digest}} once and otherwise what a tag may contain"
    )]
    Anchor(String),
    /// Of a platform.
    #[error("invalid platform {0:?}: give OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT")]
    Platform(String),
}

/// The tag that keeps an image which was copied by digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorTemplate {
    before: String,
    after: String,
}

impl Default for AnchorTemplate {
    fn default() -> Self {
        Self { before: "hypermirror-".to_owned(), after: String::new() }
    }
}

impl AnchorTemplate {
    /// A template such as `hypermirror-{digest}`.
    ///
    /// # Errors
    /// [`OptionError::Anchor`].
    pub fn parse(text: &str) -> Result<Self, OptionError> {
        let refused = || OptionError::Anchor(text.to_owned());
        let (before, after) = text.split_once(PLACEHOLDER).ok_or_else(refused)?;
        let example = format!("{before}{}{after}", "0".repeat(DIGITS));
        if !is_tag(&example) {
            return Err(refused());
        }
        Ok(Self { before: before.to_owned(), after: after.to_owned() })
    }

    /// The tag of an image.
    pub fn tag(&self, digest: &Digest) -> String {
        let hex = digest.hex().get(..DIGITS).unwrap_or_else(|| digest.hex());
        format!("{}{hex}{}", self.before, self.after)
    }

    /// Whether a tag is one of these.
    pub fn matches(&self, tag: &str) -> bool {
        let hex = tag.strip_prefix(&self.before).and_then(|rest| rest.strip_suffix(&self.after));
        hex.is_some_and(|hex| hex.len() == DIGITS && hex.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f')))
    }
}

/// Which children of an index are copied; all, if none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlatformFilter(Vec<(String, String, Option<String>)>);

impl PlatformFilter {
    /// Of platforms such as `linux/amd64` and `linux/arm/v7`.
    ///
    /// # Errors
    /// [`OptionError::Platform`].
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, OptionError> {
        let parse = |text: &str| {
            let refused = || OptionError::Platform(text.to_owned());
            let parts: Vec<&str> = text.split('/').collect();
            if parts.iter().any(|part| part.is_empty()) {
                return Err(refused());
            }
            match parts.as_slice() {
                [os, architecture] => Ok(((*os).to_owned(), (*architecture).to_owned(), None)),
                [os, architecture, variant] => {
                    Ok(((*os).to_owned(), (*architecture).to_owned(), Some((*variant).to_owned())))
                }
                _ => Err(refused()),
            }
        };
        texts.into_iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a child of an index is copied. Attestations are small and belong to the index: they always are, and so is what has
    /// no platform.
    pub fn takes(&self, child: &Descriptor) -> bool {
        let Some(platform) = child.platform.as_ref().filter(|_| !child.is_attestation && !self.0.is_empty()) else {
            return true;
        };
        self.0.iter().any(|wanted| is_wanted(wanted, platform))
    }
}

fn is_wanted((os, architecture, variant): &(String, String, Option<String>), platform: &Platform) -> bool {
    *os == platform.os
        && *architecture == platform.architecture
        && variant.as_ref().is_none_or(|variant| Some(variant) == platform.variant.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::wire::digest::Algorithm;

    #[test]
    fn an_anchor_is_a_tag_that_is_recognised_again() {
        let digest = Digest::of(Algorithm::Sha256, b"");
        let anchor = AnchorTemplate::default();
        assert_eq!(anchor.tag(&digest), "hypermirror-e3b0c44298fc");
        assert!(anchor.matches("hypermirror-e3b0c44298fc"));
        for other in ["hypermirror-", "hypermirror-e3b0c44298fg", "hypermirror-e3b0c44298fc0", "e3b0c44298fc", "v1"] {
            assert!(!anchor.matches(other), "{other}");
        }
        assert_eq!(AnchorTemplate::parse("keep.{digest}.x").unwrap().tag(&digest), "keep.e3b0c44298fc.x");
        for wrong in
            ["", "keep", "{digest}/x", "-{digest}", "{digest}{digest}", &format!("{}{{digest}}", "x".repeat(120))]
        {
            assert!(AnchorTemplate::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn platforms_choose_children_and_leave_attestations() {
        let child = |os: &str, architecture: &str, variant: Option<&str>, is_attestation| Descriptor {
            media_type: String::new(),
            digest: Digest::of(Algorithm::Sha256, b""),
            size: 0,
            is_foreign: false,
            platform: Some(Platform {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
                variant: variant.map(str::to_owned),
                os_version: None,
            }),
            is_attestation,
            artifact_type: None,
        };
        let filter = PlatformFilter::parse(["linux/amd64", "linux/arm/v7"]).unwrap();
        let taken = [
            (child("linux", "amd64", None, false), true),
            (child("linux", "amd64", Some("v3"), false), true),
            (child("linux", "arm", Some("v7"), false), true),
            (child("linux", "arm", Some("v6"), false), false),
            (child("windows", "amd64", None, false), false),
            (child("unknown", "unknown", None, true), true),
        ];
        for (child, expected) in taken {
            assert_eq!(filter.takes(&child), expected, "{child:?}");
            assert!(PlatformFilter::default().takes(&child));
        }
        for wrong in ["", "linux", "linux/", "a/b/c/d"] {
            assert!(PlatformFilter::parse([wrong]).is_err(), "{wrong}");
        }
    }
}
