//! What the layers come to: for each source its mirrors, its policy and the entries that say so.

use std::collections::{BTreeMap, HashSet};

use serde::{Serialize, Serializer};

use super::Origin;

/// Whether the source itself may be contacted when no mirror has the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Policy {
    /// The source is tried last.
    #[default]
    AllowContactingSource,
    /// The source is never tried.
    NeverContactSource,
}

impl Policy {
    /// The name as the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowContactingSource => "AllowContactingSource",
            Self::NeverContactSource => "NeverContactSource",
        }
    }
}

/// One mirror of a source, in one pool; as JSON its location alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mirror {
    /// `host[:port][/path]`.
    pub location: String,
    /// Whether an entry wants it contacted without verified TLS (`insecureSkipTLSVerify`).
    pub insecure: bool,
    /// The entries that name it, ascending.
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
    /// Mirrors for pulls by digest, in order, without repetition; never the source unless an entry lists it.
    pub digest_mirrors: Vec<Mirror>,
    /// Mirrors for pulls by tag, likewise.
    pub tag_mirrors: Vec<Mirror>,
    /// NeverContactSource as soon as one entry says so, in either pool and in any layer.
    pub policy: Policy,
    /// Every entry that took part, ascending.
    pub origins: Vec<Origin>,
}

impl ResolvedSource {
    /// All mirrors as one list: digest mirrors, then those tag mirrors that are not among them; the order of an override
    /// string, which does not know the two pools.
    pub fn all_mirrors(&self) -> impl Iterator<Item = &str> {
        let digests: HashSet<&str> = self.digest_mirrors.iter().map(|mirror| mirror.location.as_str()).collect();
        let tags = self.tag_mirrors.iter().map(|mirror| mirror.location.as_str());
        let tags = tags.filter(move |location| !digests.contains(location));
        self.digest_mirrors.iter().map(|mirror| mirror.location.as_str()).chain(tags)
    }
}

/// Sources with their mirrors, ascending by the source's bytes: equal inputs in any order give an equal value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// By source, as its entry spells it.
    pub sources: BTreeMap<String, ResolvedSource>,
}

impl Resolved {
    /// Whether no source has a mirror.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }
}
