//! Where containerd pulls an image from.

use std::collections::BTreeMap;

use super::plan::RegistryHosts;
use crate::mirrors::registries::{Endpoint, EndpointOrigin, Explanation};
use crate::mirrors::{ImageReference, Origin};

/// Resolves the endpoints of an image. With a tag, only those that resolve it are listed: containerd then pulls the content by
/// digest, also from mirrors for digests only.
pub fn explain(registries: &BTreeMap<String, RegistryHosts>, image: &str) -> Explanation {
    let mut explanation = Explanation { image: image.to_owned(), prefix: None, endpoints: Vec::new(), error: None };
    let reference = match ImageReference::parse(image) {
        Ok(reference) => reference.as_pulled(),
        Err(error) => {
            explanation.error = Some(error.to_string());
            return explanation;
        }
    };
    let registry = registries.get(&reference.registry);
    let by_tag = reference.digest.is_none();
    let rest = reference.to_string().split_off(reference.registry.len());
    let mirrors = registry.into_iter().flat_map(|registry| &registry.mirrors);
    let mirrors = mirrors.filter(|mirror| mirror.by_tag || !by_tag);
    explanation.endpoints.extend(mirrors.map(|mirror| Endpoint {
        reference: format!("{}{rest}", mirror.location),
        insecure: mirror.insecure,
        blocked: false,
        origin: object(&mirror.origins),
    }));
    explanation.prefix = registry.map(|_| reference.registry.clone());
    explanation.endpoints.push(Endpoint {
        reference: reference.to_string(),
        insecure: false,
        blocked: registry.is_some_and(|registry| registry.is_blocked),
        origin: registry.and_then(|registry| object(&registry.origins)),
    });
    explanation
}

fn object(origins: &[Origin]) -> Option<EndpointOrigin> {
    origins.first().cloned().map(EndpointOrigin::Object)
}
