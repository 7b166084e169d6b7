//! Where a registry is, a repository in it, and a content in that.

use std::fmt;

use url::Url;

use super::wire::digest::{Digest, DigestError};
use crate::mirrors::reference::{DOCKER_HUB, LEGACY_DOCKER_HUB, is_path_component};
use crate::mirrors::{ImageReference, ReferenceError, is_tag};

/// Where Docker Hub answers; its name in references has no API.
const DOCKER_HUB_API: &str = "registry-1.docker.io";
/// The name of Docker Hub in old files of credentials.
pub(super) const DOCKER_HUB_NAMES: [&str; 3] = [DOCKER_HUB, LEGACY_DOCKER_HUB, DOCKER_HUB_API];
/// The part of a name that the distribution specification limits together with the host.
const MAX_NAME_BYTES: usize = 255;

/// Why a text names no registry, repository or content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Of a registry.
    #[error("invalid registry address {0:?}: give a host, or https://HOST[:PORT][/PATH]")]
    Registry(String),
    /// A user or password in an address would be printed with it.
    #[error("the registry address has a user or password; give credentials apart from it")]
    UserInfo,
    /// Of a repository.
    #[error("invalid repository name {0:?}: lower-case letters, digits, '.', '_', '-' between them, separated by '/'")]
    Repository(String),
    /// Of a reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Of a content.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// A registry: its name in references, and where its API is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryAddress {
    name: String,
    base: Url,
}

impl RegistryAddress {
    /// A registry by an address as people write it: `quay.io`, `https://r.example:5000`, `https://r.example/artifactory`,
    /// `https://[fd00::1]:5000`. Without a scheme it is `https`; `http` only where somebody writes it: the scheme is binding.
    ///
    /// # Errors
    /// [`NameError::Registry`], [`NameError::UserInfo`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let refused = || NameError::Registry(text.to_owned());
        let text = text.trim();
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let mut base = Url::parse(&with_scheme).map_err(|_| refused())?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(NameError::UserInfo);
        }
        let is_plain = base.query().is_none() && base.fragment().is_none();
        if !matches!(base.scheme(), "http" | "https") || !is_plain || base.host().is_none() {
            return Err(refused());
        }
        let path = base.path().trim_end_matches('/').to_owned();
        // `https://index.docker.io/v1/` and `https://r.example/v2/` name the registry, not a path in it.
        let path = path.strip_suffix("/v1").or_else(|| path.strip_suffix("/v2")).unwrap_or(&path).to_owned();
        base.set_path(&format!("{path}/"));
        let host = base.host_str().unwrap_or_default().to_owned();
        if DOCKER_HUB_NAMES.contains(&host.as_str()) && base.port().is_none() {
            base.set_host(Some(DOCKER_HUB_API)).map_err(|_| refused())?;
            return Ok(Self { name: DOCKER_HUB.to_owned(), base });
        }
        let port = base.port().map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self { name: format!("{host}{port}"), base })
    }

    /// The same registry over plain HTTP, because somebody asked for that.
    #[must_use]
    pub fn over_http(mut self) -> Self {
        // Cannot fail from https to http.
        let _ = self.base.set_scheme("http");
        self
    }

    /// `host[:port]` as references and files of credentials have it; `docker.io` for Docker Hub.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address below which `v2/` is; ends in `/`.
    pub const fn base(&self) -> &Url {
        &self.base
    }

    /// Whether it is Docker Hub, the only registry that completes names with `library/`.
    pub fn is_docker_hub(&self) -> bool {
        self.name == DOCKER_HUB
    }
}

impl fmt::Display for RegistryAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A repository in a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    /// The registry.
    pub registry: RegistryAddress,
    path: String,
}

impl Repository {
    /// A repository; on Docker Hub, and nowhere else, `nginx` is `library/nginx`.
    ///
    /// # Errors
    /// [`NameError::Repository`].
    pub fn new(registry: RegistryAddress, path: &str) -> Result<Self, NameError> {
        let path = path.trim_matches('/');
        let is_valid = path.len() <= MAX_NAME_BYTES && path.split('/').all(is_path_component);
        if !is_valid {
            return Err(NameError::Repository(path.to_owned()));
        }
        let is_official = registry.is_docker_hub() && !path.contains('/');
        let path = if is_official { format!("library/{path}") } else { path.to_owned() };
        Ok(Self { registry, path })
    }

    /// The repository of an image reference.
    ///
    /// # Errors
    /// As [`RegistryAddress::parse`].
    pub fn of(image: &ImageReference) -> Result<Self, NameError> {
        Self::new(RegistryAddress::parse(&image.registry)?, &image.path)
    }

    /// Its path in the registry.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

/// Which manifest of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// By a name that can be given to another one.
    Tag(String),
    /// By its content.
    Digest(Digest),
}

impl Reference {
    /// What a node asks for: the digest where there is one, else the tag or `latest`.
    ///
    /// # Errors
    /// A digest that cannot be checked (sha384).
    pub fn of(image: &ImageReference) -> Result<Self, NameError> {
        let pulled = image.as_pulled();
        match (pulled.digest, pulled.tag) {
            (Some(digest), _) => Ok(Self::Digest(Digest::parse(&digest)?)),
            (None, tag) => Ok(Self::Tag(tag.unwrap_or_default())),
        }
    }

    /// A tag.
    pub fn tag(text: &str) -> Option<Self> {
        is_tag(text).then(|| Self::Tag(text.to_owned()))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b27_registries_below_a_path_and_at_ipv6_addresses_are_understood() {
        let cases = [
            ("quay.io", "quay.io", "https://quay.io/"),
            ("https://r.example:5000/", "r.example:5000", "https://r.example:5000/"),
            ("https://r.example:443", "r.example", "https://r.example/"),
            ("http://r.example:5000", "r.example:5000", "http://r.example:5000/"),
            (
                "https://r.example/artifactory/api/docker/repo",
                "r.example",
                "https://r.example/artifactory/api/docker/repo/",
            ),
            ("https://[fd00::1]:5000", "[fd00::1]:5000", "https://[fd00::1]:5000/"),
            ("https://r.example/v2/", "r.example", "https://r.example/"),
        ];
        for (text, name, base) in cases {
            let registry = RegistryAddress::parse(text).unwrap();
            assert_eq!((registry.name(), registry.base().as_str()), (name, base), "{text}");
        }
        for text in ["", "https://", "ftp://r.example", "https://r.example?x", "https://r.example/#x", "a b"] {
            assert!(matches!(RegistryAddress::parse(text), Err(NameError::Registry(_))), "{text}");
        }
        let with_password = RegistryAddress::parse("https://u:canary@r.example").unwrap_err();
        assert!(!with_password.to_string().contains("canary"));
        assert!(ImageReference::parse("[fd00::1]:5000/a:v1").is_err(), "CRI-O refuses such a reference");
    }

    #[test]
    fn b24_library_is_added_on_the_hub_and_nowhere_else() {
        for name in ["docker.io", "index.docker.io", "https://index.docker.io/v1/", "registry-1.docker.io"] {
            let hub = RegistryAddress::parse(name).unwrap();
            assert_eq!(hub.base().as_str(), "https://registry-1.docker.io/", "{name}");
            assert_eq!(Repository::new(hub, "nginx").unwrap().to_string(), "docker.io/library/nginx");
        }
        let other = RegistryAddress::parse("registry.corp").unwrap();
        assert_eq!(Repository::new(other.clone(), "x").unwrap().path(), "x");
        assert_eq!(Repository::new(other, "library/x").unwrap().path(), "library/x");
        let image = ImageReference::parse("nginx").unwrap();
        assert_eq!(Repository::of(&image).unwrap().to_string(), "docker.io/library/nginx");
        assert_eq!(Reference::of(&image).unwrap(), Reference::Tag("latest".to_owned()));
    }

    #[test]
    fn names_that_no_registry_has_are_refused() {
        let registry = RegistryAddress::parse("r.example").unwrap();
        for path in ["", "a//b", "../a", "a/..", "A", "a b", "a?x", "a%2f", &"a".repeat(256)] {
            assert!(Repository::new(registry.clone(), path).is_err(), "{path}");
        }
        assert!(Repository::new(registry, "a").is_ok());
        assert!(Reference::tag("a/b").is_none());
    }
}
