//! The tables of registries.conf, normalised.

/// The kind of pulls for which a mirror is used: `pull-from-mirror`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PullFromMirror {
    /// Absent or `all`.
    #[default]
    All,
    /// `digest-only`.
    DigestOnly,
    /// `tag-only`.
    TagOnly,
}

impl PullFromMirror {
    /// The value in the file. `None` if it is equivalent to an absent key.
    pub const fn as_value(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::DigestOnly => Some("digest-only"),
            Self::TagOnly => Some("tag-only"),
        }
    }

    /// Whether a pull by digest, or by tag, uses the mirror.
    pub const fn applies_to(self, by_digest: bool) -> bool {
        match self {
            Self::All => true,
            Self::DigestOnly => by_digest,
            Self::TagOnly => !by_digest,
        }
    }
}

/// A `[[registry.mirror]]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorTable {
    /// `host[:port][/path]`, without trailing slashes.
    pub location: String,
    /// Contacted without verified TLS, or without TLS.
    pub insecure: bool,
    /// The kind of pulls. If the table has `mirror-by-digest-only`, this is [`PullFromMirror::DigestOnly`].
    pub pull: PullFromMirror,
}

/// A `[[registry]]` table, normalised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryTable {
    /// The matched names: `host[:port][/path]` or `*.host`. The default is the location.
    pub prefix: String,
    /// The replacement of the prefix when the registry itself is contacted. Empty (only for wildcards) for no change.
    pub location: String,
    /// Contacted without verified TLS, or without TLS.
    pub insecure: bool,
    /// Whether names below the prefix are never contacted.
    pub blocked: bool,
    /// The mirrors, in the order in which they are tried.
    pub mirrors: Vec<MirrorTable>,
}
