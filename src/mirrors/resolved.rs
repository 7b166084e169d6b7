//! What the layers come to: for each source its mirrors, its policy and the entries that say so.

use std::collections::BTreeMap;

use serde::Serialize;

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

/// One source of a [`Resolved`] map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedSource {
    /// Mirrors for pulls by digest, in order, without repetition; never the source unless an entry lists it.
    pub digest_mirrors: Vec<String>,
    /// Mirrors for pulls by tag, likewise.
    pub tag_mirrors: Vec<String>,
    /// NeverContactSource as soon as one entry says so, in either pool and in any layer.
    pub policy: Policy,
    /// Mirrors of either pool that are contacted without verified TLS (`insecureSkipTLSVerify`), ascending.
    #[serde(skip)]
    pub insecure_mirrors: Vec<String>,
    /// Every entry that took part, ascending.
    pub origins: Vec<Origin>,
}

impl ResolvedSource {
    /// All mirrors as one list: digest mirrors, then those tag mirrors that are not among them (DESIGN §3, override map).
    pub fn all_mirrors(&self) -> impl Iterator<Item = &str> {
        let tags = self.tag_mirrors.iter().filter(|mirror| !self.digest_mirrors.contains(mirror));
        self.digest_mirrors.iter().chain(tags).map(String::as_str)
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
