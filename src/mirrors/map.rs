//! The result of merging: for each source its mirrors, its policy and the entries that declare them.

use std::collections::{BTreeMap, HashSet};

use serde::{Serialize, Serializer};

use super::Origin;

/// Whether the source itself may be contacted when no mirror has the image. The stricter one is the greater one.
pub use hypermirror_api::node_mirror_set::SourcePolicy as Policy;

/// What an entry declares about contacting its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeclaredPolicy {
    /// A policy of the API.
    Known(Policy),
    /// Any other text: it is reported, and the source may be contacted.
    Unknown(String),
}

impl DeclaredPolicy {
    /// Reads `mirrorSourcePolicy`. As in the machine-config-operator, an empty text means unset.
    pub fn parse(text: &str) -> Option<Self> {
        let known = [Policy::AllowContactingSource, Policy::NeverContactSource];
        match known.into_iter().find(|policy| policy.as_str() == text) {
            Some(policy) => Some(Self::Known(policy)),
            None if text.is_empty() => None,
            None => Some(Self::Unknown(text.to_owned())),
        }
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(policy) => policy.as_str(),
            Self::Unknown(text) => text,
        }
    }
}

/// A mirror of a source for pulls by digest or by tag. Serializes as its location.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mirror {
    /// `host[:port][/path]`.
    pub location: String,
    /// Whether an entry disables the verification of TLS certificates (`insecureSkipTLSVerify`).
    pub insecure: bool,
    /// The entries that declare it, sorted.
    pub origins: Vec<Origin>,
}

impl Serialize for Mirror {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.location)
    }
}

/// One source of a [`Resolved`] map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedSource {
    /// Mirrors for pulls by digest, in order, without duplicates. It contains the source only if an entry lists it.
    pub digest_mirrors: Vec<Mirror>,
    /// Mirrors for pulls by tag, likewise.
    pub tag_mirrors: Vec<Mirror>,
    /// NeverContactSource if one entry has this policy, for any pulls, in any layer.
    pub policy: Policy,
    /// All entries for this source, sorted.
    pub origins: Vec<Origin>,
}

impl ResolvedSource {
    /// All mirrors as one list: the digest mirrors, followed by the tag mirrors that are not in the list yet. This is
    /// the order in an override value, which does not distinguish pulls by digest from pulls by tag.
    pub fn all_mirrors(&self) -> impl Iterator<Item = &str> {
        let digests: HashSet<&str> = self.digest_mirrors.iter().map(|mirror| mirror.location.as_str()).collect();
        let tags = self.tag_mirrors.iter().map(|mirror| mirror.location.as_str());
        let tags = tags.filter(move |location| !digests.contains(location));
        self.digest_mirrors.iter().map(|mirror| mirror.location.as_str()).chain(tags)
    }
}

/// Sources and their mirrors, sorted by source. The order of the inputs does not affect the value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// By source, as spelled in its entry.
    pub sources: BTreeMap<String, ResolvedSource>,
}

impl Resolved {
    /// Whether no source has a mirror.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }
}
