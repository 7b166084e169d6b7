//! The valid formats of sources and mirrors.
//!
//! The patterns `sourceRegex` and `mirrorRegex` of `openshift/machine-config-operator`
//! (`pkg/controller/container-runtime-config/helpers.go`), which the CRDs of IDMS and ITMS have too.

use super::super::reference::{is_host_component, is_path_component, is_tag};

/// `*.host` or `host[:port][/path]`.
pub fn is_source(text: &str) -> bool {
    match text.strip_prefix("*.") {
        Some(domain) => domain.split('.').all(is_host_component),
        None => is_mirror(text),
    }
}

/// `host[:port][/path]`: no scheme, no IPv6 address, no tag, no digest, no slash at the end, no upper case in the path.
pub fn is_mirror(text: &str) -> bool {
    let (registry, path) = text.split_once('/').map_or((text, None), |(registry, path)| (registry, Some(path)));
    let (host, port) = registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port)));
    host.split('.').all(is_host_component)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
        && path.is_none_or(|path| path.split('/').all(is_path_component))
}

/// A mirror with a tag or a digest, which an ImageContentSourcePolicy can have: `name@sha256:…`. Only the format of the
/// digest is checked, because it is passed on as text.
pub fn is_tagged_or_digested(text: &str) -> bool {
    let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
    let (name, tag) = match name.rsplit_once(':') {
        // Before the first slash, it is a port.
        Some((name, tag)) if name.contains('/') => (name, Some(tag)),
        _ => (name, None),
    };
    (tag.is_some() || digest.is_some())
        && is_mirror(name)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(|digest| {
            digest.split_once(':').is_some_and(|(algorithm, encoded)| {
                let is_word = |text: &str| {
                    !text.is_empty()
                        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b'_' | b'-'))
                };
                is_word(algorithm) && is_word(encoded)
            })
        })
}

/// How to fix an invalid text, if the mistake is recognised.
pub fn hint(text: &str) -> Option<&'static str> {
    let (registry, path) = text.split_once('/').map_or((text, None), |(registry, path)| (registry, Some(path)));
    if text.is_empty() {
        Some("it is empty")
    } else if has_placeholder(text) {
        Some("it contains a placeholder that was not replaced")
    } else if text.trim() != text {
        Some("remove leading and trailing white space")
    } else if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        Some("white space and control characters are not allowed")
    } else if text.contains([',', '=']) {
        Some("',' and '=' are not allowed, because they separate overrides")
    } else if text.contains("://") {
        Some("remove the scheme")
    } else if registry.contains(['[', ']']) || registry.matches(':').count() > 1 {
        Some("IPv6 addresses are not allowed; use a host name")
    } else if text.contains('*') {
        Some("a wildcard must be the whole source: '*.host'")
    } else if text.ends_with('/') {
        Some("remove the slash at the end")
    } else if text.starts_with('/') || text.contains("//") {
        Some("a component between slashes is empty")
    } else if is_tagged_or_digested(text) {
        Some("remove the tag and the digest")
    } else if path.is_some_and(|path| path.contains(char::is_uppercase)) {
        Some("the path must be in lower case")
    } else {
        part_hint(registry, path)
    }
}

/// What is wrong with the host, the port or the path.
fn part_hint(registry: &str, path: Option<&str>) -> Option<&'static str> {
    let (host, port) = registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port)));
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit())) {
        Some("the text after ':' is not a port number")
    } else if !host.split('.').all(is_host_component) {
        Some("a host has letters, digits, '-' and '.' only")
    } else if path.is_some_and(|path| !path.split('/').all(is_path_component)) {
        Some("a path has lower-case letters, digits and single '.', '_', '-' between them")
    } else {
        None
    }
}

/// Whether a text has a placeholder: `<registry>`, `${REGISTRY}`, `$REGISTRY`, `{{ .registry }}`, `%REGISTRY%`.
pub fn has_placeholder(text: &str) -> bool {
    let is_between = |open: &str, close: &str| {
        text.find(open).is_some_and(|at| text.get(at + open.len()..).is_some_and(|rest| rest.contains(close)))
    };
    text.contains('$') || is_between("<", ">") || is_between("{{", "}}") || is_between("%", "%")
}

/// How to fix an invalid image reference, if the mistake is recognised. Unlike a source, it may have a tag or a digest.
pub fn image_hint(image: &str) -> Option<&'static str> {
    let is_of_archive = ["oci:", "oci-archive:", "docker-archive:", "dir:", "containers-storage:", "docker-daemon:"];
    if has_placeholder(image) {
        Some("it contains a placeholder that was not replaced")
    } else if image.contains("://") {
        Some("remove the scheme")
    } else if is_of_archive.iter().any(|transport| image.starts_with(transport)) {
        Some("use an image with a registry, as in a pod")
    } else if image.starts_with('[')
        || image.split('/').next().is_some_and(|registry| registry.matches(':').count() > 1)
    {
        Some("IPv6 addresses are not allowed; use a host name")
    } else if image.contains(char::is_whitespace) {
        Some("white space is not allowed")
    } else if image.ends_with('/') || image.contains("//") {
        Some("a component between slashes is empty")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
