//! Prefixes of repositories, on whole parts of their paths. Pure.

use std::fmt;

use crate::mirrors::ImageReference;
use crate::registry::{NameError, Repository};

/// A registry, and the first parts of a path in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    registry: String,
    /// Empty: the whole registry.
    path: String,
}

impl Prefix {
    /// Reads `HOST[:PORT][/PATH]`.
    ///
    /// # Errors
    /// It is something else, such as a name without a registry.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is not HOST[:PORT][/PATH], for example quay.io/acme");
        let host = text.split('/').next().unwrap_or_default();
        let is_host = host.contains(['.', ':']) || host == "localhost";
        // Two parts more: of a name with one, Docker Hub would make another one.
        let image = ImageReference::parse(&format!("{text}/a/a")).map_err(|_| refused())?;
        let path = image.path.strip_suffix("a/a").ok_or_else(refused)?.trim_end_matches('/').to_owned();
        let written = text.get(host.len()..).unwrap_or_default();
        if !is_host || written != if path.is_empty() { String::new() } else { format!("/{path}") } {
            return Err(refused());
        }
        Ok(Self { registry: image.registry, path })
    }

    /// What follows the prefix in the name of an image, if it covers that.
    pub fn rest<'a>(&self, image: &'a ImageReference) -> Option<&'a str> {
        if image.registry != self.registry {
            return None;
        }
        if self.path.is_empty() {
            return Some(&image.path);
        }
        let rest = image.path.strip_prefix(&self.path)?;
        if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
    }

    /// The repository of this rest.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn repository(&self, rest: &str) -> Result<Repository, NameError> {
        let path = [self.path.as_str(), rest].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        let name = format!("{}/{path}", self.registry);
        let image = ImageReference::parse(&name).unwrap_or(ImageReference {
            registry: self.registry.clone(),
            path,
            tag: None,
            digest: None,
        });
        Repository::of(&image)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.registry)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, "/{}", self.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(from: &str, to: &str, image: &str) -> Option<String> {
        let (from, to) = (Prefix::parse(from).unwrap(), Prefix::parse(to).unwrap());
        let image = ImageReference::parse(image).unwrap();
        from.rest(&image).map(|rest| to.repository(rest).unwrap().to_string())
    }

    #[test]
    fn a_name_keeps_what_follows_its_prefix() {
        for (from, to, image, expected) in [
            ("registry.corp/acme", "quay.io/acme", "registry.corp/acme/app:1", "quay.io/acme/app"),
            ("registry.corp/acme", "quay.io/other", "registry.corp/acme/a/b:1", "quay.io/other/a/b"),
            ("registry.corp/acme/app", "quay.io/x", "registry.corp/acme/app:1", "quay.io/x"),
            ("registry.corp:5000", "docker.io", "registry.corp:5000/nginx", "docker.io/library/nginx"),
            ("registry.corp", "docker.io/library", "registry.corp/nginx", "docker.io/library/nginx"),
        ] {
            assert_eq!(moved(from, to, image).as_deref(), Some(expected), "{image}");
        }
    }

    #[test]
    fn a_prefix_covers_whole_parts_of_its_own_registry_alone() {
        for image in [
            "registry.corp/acmes/app",
            "registry.corp/foo/bar:1",
            "registry.corp:5000/acme/app",
            "acme/app",
            "quay.io/acme/app",
        ] {
            assert_eq!(moved("registry.corp/acme", "docker.io/acme", image), None, "{image}");
        }
    }

    #[test]
    fn what_is_no_registry_with_a_path_is_refused() {
        for text in [
            "",
            "acme",
            "acme/app",
            "quay.io/",
            "quay.io/a:1",
            "https://quay.io",
            "quay.io/A",
            "quay.io//a",
            "a.example/b@c",
            "index.docker.io",
        ] {
            assert_eq!(Prefix::parse(text).ok().filter(|prefix| prefix.to_string() == text), None, "{text}");
        }
        for text in ["quay.io", "quay.io/a/b", "registry.corp:5000", "localhost", "docker.io", "docker.io/library"] {
            assert_eq!(Prefix::parse(text).unwrap().to_string(), text);
        }
    }
}
