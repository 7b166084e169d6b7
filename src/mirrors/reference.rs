//! Image references, parsed as on a node.
//!
//! The grammar and the normalisation are those of `docker/reference` of `containers/image` (`regexp.go`,
//! `normalize.go`) with the digests of `github.com/opencontainers/go-digest`, which CRI-O, podman and skopeo use. It
//! differs from `github.com/distribution/reference` v0.6 only for IPv6 addresses, which it rejects.

use std::fmt;

#[cfg(test)]
mod tests;

pub(crate) const DOCKER_HUB: &str = "docker.io";
pub(crate) const LEGACY_DOCKER_HUB: &str = "index.docker.io";
const LOCALHOST: &str = "localhost";
/// `RepositoryNameTotalLengthMax` of `reference.go`. The limit applies to the path without the registry.
const MAX_PATH_BYTES: usize = 255;
const MAX_TAG_BYTES: usize = 128;
/// The tag of a reference without tag and digest (`TagNameOnly` of `normalize.go`).
const DEFAULT_TAG: &str = "latest";

/// Why a text is not an image reference. Each variant contains the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The text is empty.
    #[error("empty image reference {0:?}")]
    Empty(String),
    /// 64 hexadecimal digits are an image ID.
    #[error("invalid image reference {0:?}: 64 hexadecimal digits are an image ID")]
    Identifier(String),
    /// The path has upper-case letters.
    #[error("invalid image reference {0:?}: repository name must be lowercase")]
    Uppercase(String),
    /// The path is longer than 255 bytes.
    #[error("invalid image reference {0:?}: repository name must not be more than 255 characters")]
    TooLong(String),
    /// The registry or the path does not match the grammar.
    #[error("invalid image reference {0:?}: invalid repository name")]
    Name(String),
    /// The tag is not `[\w][\w.-]{0,127}`.
    #[error("invalid image reference {0:?}: invalid tag")]
    Tag(String),
    /// The digest is not one of sha256, sha384 or sha512 with all its lower-case hexadecimal digits.
    #[error("invalid image reference {0:?}: invalid digest")]
    Digest(String),
    /// The text is not normalised, for example `nginx` or `mirror/app`.
    #[error("invalid image reference {0:?}: repository name must be canonical")]
    NotCanonical(String),
}

/// An image reference with its registry: `registry/path[:tag][@digest]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageReference {
    /// `host[:port]`, as written.
    pub registry: String,
    /// The repository in the registry: lower-case components, separated by `/`.
    pub path: String,
    /// The tag, without its colon.
    pub tag: Option<String>,
    /// `algorithm:hex`, without its `@`.
    pub digest: Option<String>,
}

impl ImageReference {
    /// Parses a reference and normalises it as a node does (`ParseNormalizedNamed`): `nginx` is
    /// `docker.io/library/nginx`, `index.docker.io` is `docker.io`. The first component is a registry if it has a `.`,
    /// a `:` or an upper-case letter, or is `localhost`.
    ///
    /// # Errors
    /// [`ReferenceError`] for the invalid part.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty(text.to_owned()));
        }
        if text.len() == 64 && is_lower_hex(text) {
            return Err(ReferenceError::Identifier(text.to_owned()));
        }
        let (registry, remainder) = split_registry(text);
        let (rest, digest) = split_off(&remainder, '@');
        let (path, tag) = split_off(rest, ':');
        if remainder.split(':').next().is_some_and(|name| name.chars().any(char::is_uppercase)) {
            return Err(ReferenceError::Uppercase(text.to_owned()));
        }
        // A registry such as `a_b.example` is not a valid host, but a valid path component, which the grammar accepts.
        if !is_host_and_port(registry) && !is_path_component(registry) || !path.split('/').all(is_path_component) {
            return Err(ReferenceError::Name(text.to_owned()));
        }
        if path.len() > MAX_PATH_BYTES {
            return Err(ReferenceError::TooLong(text.to_owned()));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag(text.to_owned()));
        }
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(ReferenceError::Digest(text.to_owned()));
        }
        Ok(Self {
            registry: registry.to_owned(),
            path: path.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// Parses a normalised reference (`ParseNamed`). A node requires this form for a name after the source is replaced.
    ///
    /// # Errors
    /// Those of [`Self::parse`], and [`ReferenceError::NotCanonical`].
    pub fn parse_canonical(text: &str) -> Result<Self, ReferenceError> {
        let reference = Self::parse(text)?;
        if reference.to_string() == text { Ok(reference) } else { Err(ReferenceError::NotCanonical(text.to_owned())) }
    }

    /// `registry/path`, without tag and digest. Tables of registries.conf are matched against this name.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.path)
    }

    /// The reference that a node requests: the digest without a tag if there is one, otherwise the tag or `latest`
    /// (CRI-O `internal/storage/references/registry_reference.go`).
    #[must_use]
    pub fn as_pulled(&self) -> Self {
        let mut pulled = self.clone();
        if pulled.digest.is_some() {
            pulled.tag = None;
        } else if pulled.tag.is_none() {
            pulled.tag = Some(DEFAULT_TAG.to_owned());
        }
        pulled
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Whether a text is a reference in canonical form; see [`ImageReference::parse_canonical`].
pub fn is_valid_reference(text: &str) -> bool {
    ImageReference::parse_canonical(text).is_ok()
}

/// `splitDockerDomain`: the registry and the remainder, with the names of Docker Hub completed.
fn split_registry(text: &str) -> (&str, String) {
    let Some((first, rest)) = text.split_once('/') else {
        return (DOCKER_HUB, format!("library/{text}"));
    };
    let (registry, remainder) = if first == LEGACY_DOCKER_HUB {
        (DOCKER_HUB, rest)
    } else if is_registry(first) {
        (first, rest)
    } else {
        (DOCKER_HUB, text)
    };
    if registry == DOCKER_HUB && !remainder.contains('/') {
        (registry, format!("library/{remainder}"))
    } else {
        (registry, remainder.to_owned())
    }
}

/// Whether the first component of a name is a registry and not a namespace of Docker Hub.
pub(super) fn is_registry(first: &str) -> bool {
    first == LOCALHOST || first.contains(['.', ':']) || first.contains(char::is_uppercase)
}

fn split_off(text: &str, separator: char) -> (&str, Option<&str>) {
    text.split_once(separator).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `domain`: a DNS name in upper or lower case or an IPv4 address, with an optional port. IPv6 addresses are not
/// supported.
pub(crate) fn is_host_and_port(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    host.split('.').all(is_host_component)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

pub(super) fn is_host_component(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// `pathComponent`: runs of lower-case letters and digits with `.`, `_`, `__` or any number of `-` between them.
pub(crate) fn is_path_component(text: &str) -> bool {
    let is_alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(is_alphanumeric)
        && bytes.last().is_some_and(is_alphanumeric)
        && text
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
}

/// Whether a text is a tag: `[\w][\w.-]{0,127}`.
pub fn is_tag(text: &str) -> bool {
    text.len() <= MAX_TAG_BYTES
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// go-digest's `Digest.Validate`: a registered algorithm and exactly its number of lower-case hexadecimal digits.
fn is_digest(text: &str) -> bool {
    let Some((algorithm, encoded)) = text.split_once(':') else { return false };
    let digits = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    encoded.len() == digits && is_lower_hex(encoded)
}
