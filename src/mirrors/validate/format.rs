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

/// How to correct an invalid text, if the error is recognised.
pub fn hint(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("it is empty")
    } else if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        Some("white space and control characters are not allowed")
    } else if text.contains([',', '=']) {
        Some("',' and '=' separate overrides")
    } else if text.contains("://") {
        Some("write it without a scheme")
    } else if text.contains('*') {
        Some("a wildcard is a whole source, '*.host'")
    } else if text.ends_with('/') {
        Some("write it without a slash at the end")
    } else if is_tagged_or_digested(text) {
        Some("write it without tag and digest")
    } else if text.split_once('/').is_some_and(|(_, path)| path.contains(char::is_uppercase)) {
        Some("the path must be in lower case")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
