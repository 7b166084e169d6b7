//! Where an image is pulled from, through the objects alone.
//!
//! What a node with exactly these mirrors in its registries.conf does (`containers/image`,
//! `pkg/sysregistriesv2/system_registries_v2.go`, `PullSourcesFromReference`, and `docker/docker_client.go` for what is
//! blocked).

use super::scope::best_match_in;
use super::{ImageReference, Mirror, Origin, Policy, ReferenceError, Resolved};

/// Why a node cannot even begin to pull an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// One mirror that makes an invalid name fails the whole pull, before any other mirror is tried.
    #[error("mirror {mirror:?} of source {prefix:?} makes an invalid name: {error}")]
    Rewrite {
        /// The source that the image matches.
        prefix: String,
        /// The mirror.
        mirror: String,
        /// What is wrong with the name, which it quotes.
        error: ReferenceError,
        /// The entries that name the mirror.
        origins: Vec<Origin>,
    },
}

/// One place that a node tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The full name that is asked for, tag or digest included.
    pub reference: String,
    /// Whether it is contacted without verified TLS.
    pub insecure: bool,
    /// Whether it is skipped, because it lies in a source with NeverContactSource.
    pub blocked: bool,
    /// The entries that say so: those that name the mirror; for the source all of its entries.
    pub origins: Vec<Origin>,
}

/// Where an image is pulled from, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The source that the image matches.
    pub prefix: Option<String>,
    /// Mirrors in order, then the source itself.
    pub endpoints: Vec<Endpoint>,
}

/// Looks an image up: the best match among the sources by the one matcher ([`super::scope`]); its digest mirrors for an
/// image with a digest (whose tag is dropped), its tag mirrors for any other (without a tag: `latest`); the source last.
///
/// # Errors
/// [`LookupError::Rewrite`], for the first mirror that makes an invalid name.
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

/// A node asks this of each endpoint when it contacts it: so a mirror inside a blocked source is skipped too.
fn is_blocked(resolved: &Resolved, name: &str) -> bool {
    let selected = best_match_in(name, |scope| resolved.sources.contains_key(scope));
    let source = selected.and_then(|(prefix, _)| resolved.sources.get(&prefix));
    source.is_some_and(|source| source.policy == Policy::NeverContactSource)
}

#[cfg(test)]
mod tests;
