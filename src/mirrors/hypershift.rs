//! Resolves images as HyperShift's operators do, whose rules differ from those of a node.
//!
//! `support/util/imagemetadata.go` (`GetRegistryOverrides` and the three functions that it tries in turn),
//! `support/thirdparty/library-go/pkg/image/reference` (parsing), and
//! `support/releaseinfo/registry_image_content_policies.go` (release images) of `openshift/hypershift`. The quirks are
//! intentional: the registry of an image is compared only if the source is a whole registry, a mirror for a namespace
//! loses the first component of its path, and a mirror that results in an invalid name is skipped.

use std::fmt;

use super::reference::{is_host_and_port, is_path_component, is_tag};

mod explain;
mod findings;

pub use explain::{ControlPlaneExplanation, Skipped, explain};
pub use findings::{findings, validate};

/// `NameTotalLengthMax` of `reference.go`.
const MAX_NAME_BYTES: usize = 255;

/// A reference, split into the parts that HyperShift compares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// `host[:port]`, if there is one before a path.
    pub registry: String,
    /// The first component of the path, if it has more than one.
    pub namespace: String,
    /// The rest of the path; a whole registry, if there is no path.
    pub name: String,
    tag: String,
    digest: String,
}

/// Why HyperShift's operators reject a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartsError {
    /// The text is not a reference.
    #[error("invalid reference format {0:?}")]
    Format(String),
    /// The path has upper-case letters.
    #[error("repository name must be lowercase {0:?}")]
    Uppercase(String),
}

impl Parts {
    /// Parses a reference (`reference.Parse`).
    ///
    /// # Errors
    /// [`PartsError`].
    pub fn parse(text: &str) -> Result<Self, PartsError> {
        let invalid = || PartsError::Format(text.to_owned());
        let (rest, digest) = text.split_once('@').map_or((text, ""), |(rest, digest)| (rest, digest));
        let path_begins = rest.rfind('/').map_or(0, |slash| slash + 1);
        let colon = rest.get(path_begins..).and_then(|last| last.find(':')).map(|colon| path_begins + colon);
        let (name, tag) = match colon {
            Some(colon) => (rest.get(..colon).unwrap_or_default(), rest.get(colon + 1..)),
            None => (rest, None),
        };
        let is_digest = !text.contains('@') || is_digest(digest);
        if !is_digest || tag.is_some_and(|tag| !is_tag(tag)) || name.len() > MAX_NAME_BYTES {
            return Err(invalid());
        }
        if !is_name(name) {
            let is_spelt = is_name(&name.to_lowercase());
            return Err(if is_spelt { PartsError::Uppercase(text.to_owned()) } else { invalid() });
        }
        let (registry, path) = match name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (first, path),
            _ => ("", name),
        };
        let (namespace, path) = path.split_once('/').unwrap_or(("", path));
        Ok(Self {
            registry: registry.to_owned(),
            namespace: namespace.to_owned(),
            name: path.to_owned(),
            tag: tag.unwrap_or_default().to_owned(),
            digest: digest.to_owned(),
        })
    }

    /// Whether a source with these parts is a whole registry.
    fn is_registry(&self) -> bool {
        self.registry.is_empty() && self.namespace.is_empty() && !self.name.is_empty()
    }

    /// The last part with its digest, or with its tag if there is no digest.
    fn name_string(&self) -> String {
        match (self.digest.as_str(), self.tag.as_str()) {
            ("", "") => self.name.clone(),
            ("", tag) => format!("{}:{tag}", self.name),
            (digest, _) => format!("{}@{digest}", self.name),
        }
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_hub = matches!(self.registry.as_str(), "docker.io" | "index.docker.io");
        let namespace = if is_hub && self.namespace.is_empty() { "library" } else { &self.namespace };
        for part in [self.registry.as_str(), namespace].into_iter().filter(|part| !part.is_empty()) {
            write!(f, "{part}/")?;
        }
        f.write_str(&self.name_string())
    }
}

/// A valid registry, if there is one, and lower-case components.
fn is_name(name: &str) -> bool {
    let are_components = |path: &str| path.split('/').all(is_path_component);
    are_components(name)
        || name.split_once('/').is_some_and(|(first, path)| is_host_and_port(first) && are_components(path))
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        let is_word = |word: &str| {
            word.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        algorithm.split(['-', '_', '+', '.']).all(is_word)
            && hex.len() >= 32
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// The rule by which a source matches an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The source is the image's registry: the whole path is kept.
    Registry,
    /// The last part of the source is the image's namespace, in whatever registry.
    Namespace,
    /// The source's namespace and name are those of the image, in whatever registry.
    Exact,
}

/// The result for one image, one source and one mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookUp {
    /// The source does not match the image.
    NoMatch,
    /// The mirror, or the source, is skipped.
    Skipped(PartsError),
    /// The operators request this reference before the image itself.
    At(String, Rule),
}

/// The reference that one source and one mirror result in (`GetRegistryOverrides`). The operators use it to read labels,
/// architectures and digests of images; ignition-server also extracts files from them.
pub fn look_up(image: &Parts, source: &str, mirror: &str) -> LookUp {
    match try_look_up(image, source, mirror) {
        Ok(Some((reference, rule))) => LookUp::At(reference, rule),
        Ok(None) => LookUp::NoMatch,
        Err(error) => LookUp::Skipped(error),
    }
}

fn try_look_up(image: &Parts, source: &str, mirror: &str) -> Result<Option<(String, Rule)>, PartsError> {
    let source = Parts::parse(source)?;
    let parts = Parts::parse(mirror)?;
    let composed = |first: &str, second: &str, third: &str| Parts::parse(&format!("{first}/{second}/{third}"));
    let found = if source.is_registry() && image.registry == source.name {
        (composed(mirror, &image.namespace, &image.name_string())?, Rule::Registry)
    } else if source.namespace.is_empty() && source.name == image.namespace {
        (composed(&parts.registry, &parts.name, &image.name_string())?, Rule::Namespace)
    } else if image.namespace == source.namespace && image.name == source.name {
        let name = Parts { tag: image.tag.clone(), digest: image.digest.clone(), ..parts.clone() }.name_string();
        (composed(&parts.registry, &parts.namespace, &name)?, Rule::Exact)
    } else {
        return Ok(None);
    };
    Ok(Some((found.0.to_string(), found.1)))
}

/// The reference of a release image (`ProviderWithOpenShiftImageRegistryOverridesDecorator.Lookup`): the first occurrence
/// of the source in its text is replaced, wherever it is.
pub fn look_up_release(image: &str, source: &str, mirror: &str) -> Option<String> {
    (!source.is_empty() && image.contains(source)).then(|| image.replacen(source, mirror, 1))
}

/// The result of `--registry-overrides` for an image (`registryoverride.Replace`): the longest source that covers it up to
/// a boundary is replaced. There is no fallback to the source.
pub fn replace<'a>(image: &str, overrides: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let covers = |source: &str| {
        let rest = image.strip_prefix(source)?;
        let is_boundary =
            rest.is_empty() || rest.starts_with(['/', '@']) || rest.starts_with(':') && source.contains('/');
        is_boundary.then_some(rest)
    };
    let covering = overrides.into_iter().filter(|(source, _)| !source.is_empty());
    let covering = covering.filter_map(|(source, mirror)| Some((source.len(), mirror, covers(source)?)));
    let (_, mirror, rest) = covering.max_by_key(|(length, ..)| *length)?;
    Some(format!("{mirror}{rest}"))
}

#[cfg(test)]
mod tests;
