//! `oci:DIR[:NAME]` and `oci-archive:FILE[:NAME]`, as skopeo and podman write them. Pure.

use std::fmt;
use std::path::PathBuf;

/// Longer names are names of nothing: a repository has at most 255 characters, a tag 128.
const MAX_NAME_BYTES: usize = 512;

/// Why a text names no layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There is only a transport.
    #[error("{0}: give a path, as in {0}PATH or {0}PATH:NAME")]
    NoPath(&'static str),
    /// Skopeo would not read it back.
    #[error(
        "invalid image name {0:?} in an OCI layout: letters and digits, '.', '_', '-', ':', '@', '+', '/' between them"
    )]
    Name(String),
}

/// How a layout lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// A directory.
    Directory,
    /// A tar archive of such a directory.
    Archive,
}

impl Form {
    const fn transport(self) -> &'static str {
        match self {
            Self::Directory => "oci:",
            Self::Archive => "oci-archive:",
        }
    }
}

/// A layout, or one image of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayoutPath {
    /// A directory or an archive.
    pub form: Form,
    /// Where it is.
    pub path: PathBuf,
    /// The image, by the name that it has in the layout (`org.opencontainers.image.ref.name`).
    pub name: Option<String>,
}

impl LayoutPath {
    /// Reads an argument; nothing if it has another transport, or none. The path ends at its first colon, as for skopeo.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn parse(text: &str) -> Option<Result<Self, PathError>> {
        let (form, rest) = [Form::Archive, Form::Directory]
            .into_iter()
            .find_map(|form| Some((form, text.strip_prefix(form.transport())?)))?;
        let (path, name) = match rest.split_once(':') {
            Some((path, name)) => (path, Some(name)),
            None => (rest, None),
        };
        if path.is_empty() {
            return Some(Err(PathError::NoPath(form.transport())));
        }
        if let Some(name) = name.filter(|name| !is_name(name)) {
            return Some(Err(PathError::Name(name.chars().take(MAX_NAME_BYTES).collect())));
        }
        Some(Ok(Self { form, path: path.into(), name: name.map(str::to_owned) }))
    }

    /// The layout without the name of an image.
    #[must_use]
    pub fn whole(&self) -> Self {
        Self { name: None, ..self.clone() }
    }
}

impl fmt::Display for LayoutPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.form.transport(), self.path.display())?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, ":{name}"))
    }
}

/// Whether the image specification, and skopeo, take this name: words of letters and digits, one separator between two of them.
pub fn is_name(text: &str) -> bool {
    let is_component = |component: &str| {
        // The only separator of two characters.
        let component = component.replace("--", "-");
        let is_separator = |letter: char| matches!(letter, '-' | '.' | '_' | ':' | '@' | '+');
        component
            .split(is_separator)
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    };
    text.len() <= MAX_NAME_BYTES && text.split('/').all(is_component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_named_as_for_skopeo() {
        let parsed = |text: &str| LayoutPath::parse(text).unwrap().unwrap();
        let path = parsed("oci:/media/bundle:quay.io:443/a/b@sha256:00");
        assert_eq!((path.form, path.path.to_str()), (Form::Directory, Some("/media/bundle")));
        assert_eq!(path.name.as_deref(), Some("quay.io:443/a/b@sha256:00"));
        let path = parsed("oci-archive:bundle.tar");
        assert_eq!((path.form, path.name.as_deref()), (Form::Archive, None));
        for text in ["oci:a", "oci-archive:a.tar:v1", "oci:a:b/c:d"] {
            assert_eq!(parsed(text).to_string(), text);
        }
        assert_eq!(parsed("oci:a:v1").whole().to_string(), "oci:a");
    }

    #[test]
    fn other_transports_are_left_to_others_and_bad_names_are_refused() {
        assert!(LayoutPath::parse("quay.io/a:1").is_none() && LayoutPath::parse("docker://a").is_none());
        assert_eq!(LayoutPath::parse("oci:").unwrap(), Err(PathError::NoPath("oci:")));
        assert_eq!(LayoutPath::parse("oci-archive::v1").unwrap(), Err(PathError::NoPath("oci-archive:")));
        for name in ["", "a b", "a/", "/a", "a::b", "-a", "a-", "é", &"a".repeat(513)] {
            assert!(LayoutPath::parse(&format!("oci:x:{name}")).unwrap().is_err(), "{name}");
        }
        assert!(is_name("a--b") && !is_name("a---b"));
    }
}
