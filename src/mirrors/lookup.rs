//! Resolves images from the declared objects alone.
//!
//! The result is the same as on a node with exactly these mirrors in its registries.conf (`containers/image`,
//! `pkg/sysregistriesv2/system_registries_v2.go`, `PullSourcesFromReference`, and `docker/docker_client.go` for blocked
//! registries).

use super::scope::best_match_in;
use super::{ImageReference, Mirror, Origin, Policy, ReferenceError, Resolved};

/// Why a node cannot start to pull an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The mirror results in an invalid name, which fails the whole pull before any mirror is tried.
    #[error("mirror {mirror:?} of source {prefix:?} results in an invalid name: {error}")]
    Rewrite {
        /// The source that the image matches.
        prefix: String,
        /// The mirror.
        mirror: String,
        /// The error, which contains the invalid name.
        error: ReferenceError,
        /// The entries that name the mirror.
        origins: Vec<Origin>,
    },
}

/// An endpoint that a node tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The full reference at this endpoint, including tag or digest.
    pub reference: String,
    /// Whether TLS certificates are not verified.
    pub insecure: bool,
    /// Whether it is skipped, because it is below a source with NeverContactSource.
    pub blocked: bool,
    /// The entries that declare this mirror. For the source itself, all its entries.
    pub origins: Vec<Origin>,
}

/// The endpoints for an image, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The source that the image matches.
    pub prefix: Option<String>,
    /// The mirrors in order, followed by the source itself.
    pub endpoints: Vec<Endpoint>,
}

/// Resolves an image. The best match among the sources ([`super::scope`]) determines the endpoints: its digest mirrors
/// for an image with a digest (the tag is dropped), otherwise its tag mirrors (the default tag is `latest`), followed
/// by the source.
///
/// # Errors
/// [`LookupError::Rewrite`] for the first mirror that results in an invalid name.
pub fn resolve(resolved: &Resolved, image: &ImageReference) -> Result<Lookup, LookupError> {
    let image = image.as_pulled();
    let name = image.name();
    let Some((prefix, covered)) = best_match_in(&name, |scope| resolved.sources.contains_key(scope)) else {
        let itself = Endpoint { reference: image.to_string(), insecure: false, blocked: false, origins: Vec::new() };
        return Ok(Lookup { prefix: None, endpoints: vec![itself] });
    };
    let source = resolved.sources.get(&prefix);
    let mirrors: &[Mirror] = match source {
        Some(source) if image.digest.is_some() => &source.digest_mirrors,
        Some(source) => &source.tag_mirrors,
        None => &[],
    };
    let full = image.to_string();
    let rest = full.get(covered..).unwrap_or_default();
    let mut endpoints = Vec::with_capacity(mirrors.len() + 1);
    for mirror in mirrors {
        let rewritten = format!("{}{rest}", mirror.location);
        let rewritten = ImageReference::parse_canonical(&rewritten).map_err(|error| LookupError::Rewrite {
            prefix: prefix.clone(),
            mirror: mirror.location.clone(),
            error,
            origins: mirror.origins.clone(),
        })?;
        endpoints.push(Endpoint {
            reference: rewritten.to_string(),
            insecure: mirror.insecure,
            blocked: is_blocked(resolved, &rewritten.name()),
            origins: mirror.origins.clone(),
        });
    }
    let origins = source.map(|source| source.origins.clone()).unwrap_or_default();
    endpoints.push(Endpoint { reference: full, insecure: false, blocked: is_blocked(resolved, &name), origins });
    Ok(Lookup { prefix: Some(prefix), endpoints })
}

/// A node checks this for each endpoint that it contacts. A mirror below a blocked source is therefore skipped too.
fn is_blocked(resolved: &Resolved, name: &str) -> bool {
    let selected = best_match_in(name, |scope| resolved.sources.contains_key(scope));
    let source = selected.and_then(|(prefix, _)| resolved.sources.get(&prefix));
    source.is_some_and(|source| source.policy == Policy::NeverContactSource)
}

#[cfg(test)]
mod tests;
