//! Errors for which nodes reject a configuration.

/// Why nodes reject a file. One such file makes all pulls of all images fail, including unrelated ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The text is not TOML, or not UTF-8.
    #[error("toml: line {line}: {message}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The error at that line.
        message: String,
    },
    /// A known key has a value of another type.
    #[error(
        "toml: line {line} (last key \"{key}\"): incompatible types: TOML value has type {found}; \
         destination has type {expected}"
    )]
    Type {
        /// The line, from 1.
        line: usize,
        /// The key with the tables around it, e.g. `registry.blocked`.
        key: String,
        /// The type of the value.
        found: &'static str,
        /// The type that the key has.
        expected: &'static str,
    },
    /// A key exists in two spellings. Nodes select one of them at random.
    #[error("toml: line {line}: key \"{key}\" is set twice, in upper and lower case")]
    AmbiguousKey {
        /// The line of one of them, from 1.
        line: usize,
        /// The key with the tables around it.
        key: String,
    },
    /// A drop-in in the format before `[[registry]]`, or a file that has this format together with other tables.
    #[error("registry must be in v2 format but is in v1")]
    V1Format,
    /// The main file mixes both formats.
    #[error("mixing sysregistry v1/v2 is not supported")]
    MixedFormats,
    /// `http://` or `https://` before a registry.
    #[error("invalid location '{0}': URI schemes are not supported")]
    Scheme(String),
    /// A table without prefix and location.
    #[error("invalid condition: both location and prefix are unset")]
    NoPrefixNoLocation,
    /// A table without location whose prefix is not a wildcard.
    #[error("invalid condition: location is unset and prefix is not in the format: *.example.com")]
    NoLocation,
    /// A mirror without location.
    #[error("invalid condition: mirror location is unset")]
    NoMirrorLocation,
    /// `pull-from-mirror` in the table instead of its mirrors. The field is the prefix of the table.
    #[error("pull-from-mirror must not be set for a non-mirror registry {0:?}")]
    PullFromMirrorOnRegistry(String),
    /// `mirror-by-digest-only` and `pull-from-mirror` together.
    #[error(
        "cannot set mirror usage mirror-by-digest-only for the registry ({prefix:?}) and pull-from-mirror for \
         per-mirror ({mirror:?}) at the same time"
    )]
    TwoMirrorUsages {
        /// The table's prefix.
        prefix: String,
        /// The mirror.
        mirror: String,
    },
    /// `pull-from-mirror` has another value than `all`, `digest-only` or `tag-only`.
    #[error("unsupported pull-from-mirror value {value:?} for mirror {mirror:?}")]
    PullFromMirror {
        /// The value.
        value: String,
        /// The mirror.
        mirror: String,
    },
    /// Two tables with the same location (not prefix) have different flags.
    #[error("registry '{location}' is defined multiple times with conflicting '{setting}' setting")]
    Conflict {
        /// Their location.
        location: String,
        /// `insecure` or `blocked`.
        setting: &'static str,
    },
    /// A wildcard with a path, port or digest.
    #[error("Wildcarded prefix should be in the format: *.example.com. Current prefix {0:?} is incorrectly formatted")]
    Wildcard(String),
    /// An entry of unqualified-search-registries that is not `host[:port]`.
    #[error("Invalid unqualified-search-registries entry {0:?}")]
    SearchRegistry(String),
    /// An unknown short-name-mode.
    #[error("invalid short-name mode: {0:?}")]
    ShortNameMode(String),
    /// An alias whose name has a registry, or whose value has none.
    #[error("validating short-name aliases: invalid alias {0:?}")]
    Alias(String),
}

/// A file that makes the whole configuration invalid. The message is similar to the one on a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("loading {}registries configuration {file:?}: {error}", if *is_drop_in { "drop-in " } else { "" })]
pub struct ConfigError {
    /// The name of the file, as passed by the caller.
    pub file: String,
    /// Whether it is a file in registries.conf.d.
    pub is_drop_in: bool,
    /// The error in this file.
    pub error: FileError,
}

/// The line of a byte, starting at 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    line_of_byte(text.as_bytes(), at)
}

/// The same in a text that is not UTF-8.
pub(super) fn line_of_byte(content: &[u8], at: usize) -> usize {
    1 + content.iter().take(at).filter(|byte| **byte == b'\n').count()
}
