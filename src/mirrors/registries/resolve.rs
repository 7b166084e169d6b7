//! Resolves the endpoints from which a node pulls an image, in order (`PullSourcesFromReference`, `rewriteReference`;
//! `newImageSource` in `docker/docker_image_src.go`, `newDockerClient` in `docker/docker_client.go`).

use serde::Serialize;

use super::{PullFromMirror, RegistriesConfig, RegistryTable};
use crate::mirrors::scope::{best_match_in, match_len};
use crate::mirrors::{ImageReference, Mirror, Origin, ReferenceError, Resolved};

/// The origin of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum EndpointOrigin {
    /// A table of this file.
    File {
        /// The name of the file, as passed by the caller.
        file: String,
    },
    /// An entry of this object.
    Object(Origin),
}

/// An endpoint from which an image is pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// The full reference at this endpoint, with tag or digest.
    pub reference: String,
    /// Whether TLS certificates are not verified. Only the mirror's own flag applies, not the table of its host.
    pub insecure: bool,
    /// Whether the table that matches the endpoint's name blocks it.
    pub blocked: bool,
    /// Null if no table matches.
    pub origin: Option<EndpointOrigin>,
}

/// The endpoints for one image, in the order in which they are tried. The first one that has the image serves all of
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The image, as passed by the caller.
    pub image: String,
    /// The prefix of the matching table. Null if no table matches.
    pub prefix: Option<String>,
    /// The endpoints. The registry itself is last, even if it is blocked.
    pub endpoints: Vec<Endpoint>,
    /// Why the pull fails before any endpoint is tried.
    pub error: Option<String>,
}

/// Resolves the endpoints of an image.
///
/// The image is normalised as on a node: `nginx` is `docker.io/library/nginx:latest`, and the tag of `name:tag@digest`
/// is ignored. If the reference at one endpoint is invalid, the whole pull fails before the first attempt.
pub fn explain(config: &RegistriesConfig, image: &str) -> Explanation {
    let mut explanation = Explanation { image: image.to_owned(), prefix: None, endpoints: Vec::new(), error: None };
    match ImageReference::parse(image) {
        Ok(reference) => resolve(config, &reference.as_pulled(), &mut explanation),
        Err(error) => explanation.error = Some(error.to_string()),
    }
    explanation
}

fn resolve(config: &RegistriesConfig, reference: &ImageReference, explanation: &mut Explanation) {
    let Some(found) = config.find(&reference.name()) else {
        explanation.endpoints.push(endpoint(config, reference, false, None));
        return;
    };
    explanation.prefix = Some(found.table.prefix.clone());
    let origin = EndpointOrigin::File { file: found.file.clone() };
    match pull_sources(&found.table, reference) {
        Ok(sources) => {
            let endpoints = sources
                .into_iter()
                .map(|source| endpoint(config, &source.reference, source.insecure, Some(origin.clone())));
            explanation.endpoints.extend(endpoints);
        }
        Err(error) => explanation.error = Some(format!("rewriting reference: {error}")),
    }
}

fn endpoint(
    config: &RegistriesConfig,
    reference: &ImageReference,
    insecure: bool,
    origin: Option<EndpointOrigin>,
) -> Endpoint {
    let blocked = config.find(&reference.name()).is_some_and(|found| found.table.blocked);
    Endpoint { reference: reference.to_string(), insecure, blocked, origin }
}

/// An endpoint of a table, rewritten for one reference.
pub(super) struct PullSource {
    pub reference: ImageReference,
    pub insecure: bool,
}

/// The endpoints of a table that matches the reference: its mirrors for this kind of pull, followed by its own
/// location.
pub(super) fn pull_sources(
    table: &RegistryTable,
    reference: &ImageReference,
) -> Result<Vec<PullSource>, ReferenceError> {
    let by_digest = reference.digest.is_some();
    let mirrors = table.mirrors.iter().map(|mirror| (&mirror.location, mirror.insecure, mirror.pull));
    let own = (&table.location, table.insecure, PullFromMirror::All);
    let endpoints = mirrors.chain([own]).filter(|(_, _, pull)| pull.applies_to(by_digest));
    endpoints
        .map(|(location, insecure, _)| {
            let reference = rewrite(reference, &table.prefix, location)?;
            Ok(PullSource { reference, insecure })
        })
        .collect()
}

/// Replaces the prefix with a location. An empty location, which wildcard tables have, does not change the name.
pub(super) fn rewrite(
    reference: &ImageReference,
    prefix: &str,
    location: &str,
) -> Result<ImageReference, ReferenceError> {
    let text = reference.to_string();
    let covered = match_len(prefix, &reference.name()).unwrap_or_default();
    match text.get(covered..) {
        Some(rest) if !location.is_empty() => ImageReference::parse_canonical(&format!("{location}{rest}")),
        _ => Ok(reference.clone()),
    }
}

/// Sets the origins of endpoints in a file that was written from a set: the object that declares the mirror, or the
/// other file whose settings were merged. A table below a source has the mirrors of that source.
pub fn attribute(explanation: &mut Explanation, own_file: &str, set: &Resolved, foreign: &RegistriesConfig) {
    let Some(prefix) = explanation.prefix.clone() else { return };
    let Ok(reference) = ImageReference::parse(&explanation.image) else { return };
    let reference = reference.as_pulled();
    let around = || best_match_in(&prefix, |scope| set.sources.contains_key(scope)).map(|(scope, _)| scope);
    let name = if set.sources.contains_key(&prefix) { Some(prefix.clone()) } else { around() }.unwrap_or_default();
    let source = set.sources.get(&name);
    let theirs = foreign.table(&prefix).map(|loaded| EndpointOrigin::File { file: loaded.file.clone() });
    let last = explanation.endpoints.len().saturating_sub(1);
    for (place, endpoint) in explanation.endpoints.iter_mut().enumerate() {
        if !matches!(&endpoint.origin, Some(EndpointOrigin::File { file }) if file == own_file) {
            continue;
        }
        let names_it = |mirror: &&Mirror| {
            rewrite(&reference, &name, &mirror.location).is_ok_and(|name| name.to_string() == endpoint.reference)
        };
        let by_digest = reference.digest.is_some();
        let mirrors = source.map(|source| if by_digest { &source.digest_mirrors } else { &source.tag_mirrors });
        let named_by = match (place == last, source) {
            (true, Some(source)) if name == prefix => source.origins.first(),
            (true, _) => None,
            _ => mirrors.into_iter().flatten().find(names_it).and_then(|mirror| mirror.origins.first()),
        };
        match named_by {
            Some(origin) => endpoint.origin = Some(EndpointOrigin::Object(origin.clone())),
            None => endpoint.origin = theirs.clone().or(endpoint.origin.take()),
        }
    }
}

#[cfg(test)]
mod tests;
