//! The endpoints that HyperShift's operators try for one image, for `explain`.

use serde::Serialize;

use super::{LookUp, Parts, look_up, look_up_release};
use crate::mirrors::registries::{Endpoint, EndpointOrigin};
use crate::mirrors::{Origin, Resolved, ResolvedSource};

/// A mirror that HyperShift's operators skip although its source matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The source.
    pub source: String,
    /// The mirror.
    pub mirror: String,
    /// Why it is skipped.
    pub reason: String,
    /// The entry that declares it.
    pub origin: Option<Origin>,
}

/// The endpoints for one image. HyperShift's operators always try the source last, whatever its policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ControlPlaneExplanation {
    /// The image, as passed by the caller.
    pub image: String,
    /// The source whose mirrors come first. Null if no source matches.
    pub prefix: Option<String>,
    /// In the order in which they are tried. The image itself is last.
    pub endpoints: Vec<Endpoint>,
    /// Why no endpoint is tried.
    pub error: Option<String>,
    /// The endpoints if it is a release image, for which other rules apply.
    pub release: Vec<String>,
    /// Mirrors of matching sources that are skipped.
    pub skipped: Vec<Skipped>,
    /// Whether several sources match. HyperShift tries these in random order.
    pub unordered: bool,
}

/// Resolves an image with all sources of a control plane's map.
pub fn explain(map: &Resolved, image: &str) -> ControlPlaneExplanation {
    let mut explanation = ControlPlaneExplanation { image: image.to_owned(), ..ControlPlaneExplanation::default() };
    let parts = match Parts::parse(image) {
        Ok(parts) => parts,
        Err(error) => return ControlPlaneExplanation { error: Some(error.to_string()), ..explanation },
    };
    let mut matching = 0;
    for (source, resolved) in &map.sources {
        let before = explanation.endpoints.len();
        explanation.try_source(&parts, source, resolved);
        if explanation.endpoints.len() > before {
            matching += 1;
            explanation.prefix.get_or_insert_with(|| source.clone());
        }
        let mirrors = resolved.all_mirrors();
        explanation.release.extend(mirrors.filter_map(|mirror| look_up_release(image, source, mirror)));
    }
    explanation.unordered = matching > 1;
    explanation.endpoints.push(Endpoint {
        reference: parts.to_string(),
        insecure: false,
        blocked: false,
        origin: None,
    });
    explanation.release.push(image.to_owned());
    explanation
}

impl ControlPlaneExplanation {
    fn try_source(&mut self, image: &Parts, source: &str, resolved: &ResolvedSource) {
        for mirror in resolved.all_mirrors() {
            let named =
                resolved.digest_mirrors.iter().chain(&resolved.tag_mirrors).find(|named| named.location == mirror);
            let origin = named.and_then(|named| named.origins.first()).cloned();
            match look_up(image, source, mirror) {
                LookUp::NoMatch => {}
                LookUp::At(reference, _) => {
                    let origin = origin.map(EndpointOrigin::Object);
                    self.endpoints.push(Endpoint { reference, insecure: false, blocked: false, origin });
                }
                LookUp::Skipped(error) => self.skipped.push(Skipped {
                    source: source.to_owned(),
                    mirror: mirror.to_owned(),
                    reason: error.to_string(),
                    origin,
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirrors::fixtures::{digest, never};
    use crate::mirrors::merge::merge_layer;

    fn references(explanation: &ControlPlaneExplanation) -> Vec<&str> {
        explanation.endpoints.iter().map(|endpoint| endpoint.reference.as_str()).collect()
    }

    #[test]
    fn an_image_resolves_by_hypershifts_rules_and_a_release_image_by_its_text() {
        let map =
            merge_layer(&[never(digest("quay.io/openshift-release-dev", "m.example:5000/ocp4/openshift-release-dev"))]);
        let explanation = explain(&map, "quay.io/openshift-release-dev/ocp-release:4.20");
        assert_eq!(explanation.prefix.as_deref(), Some("quay.io/openshift-release-dev"));
        assert_eq!(
            references(&explanation),
            ["m.example:5000/openshift-release-dev/ocp-release:4.20", "quay.io/openshift-release-dev/ocp-release:4.20",]
        );
        assert_eq!(
            explanation.release,
            [
                "m.example:5000/ocp4/openshift-release-dev/ocp-release:4.20",
                "quay.io/openshift-release-dev/ocp-release:4.20",
            ]
        );
        assert!(!explanation.unordered && explanation.skipped.is_empty());
    }

    #[test]
    fn skipped_mirrors_and_competing_sources_are_reported() {
        let map = merge_layer(&[digest("quay.io/a", "m.example n.example/x"), digest("docker.io/a", "o.example/y")]);
        let explanation = explain(&map, "quay.io/a/b:t");
        assert_eq!(references(&explanation), ["o.example/y/b:t", "n.example/x/b:t", "quay.io/a/b:t"]);
        assert!(explanation.unordered);
        assert_eq!(explanation.skipped[0].mirror, "m.example");
        assert_eq!(
            explain(&map, "Quay.io/A").error.as_deref(),
            Some("repository name must be lowercase \"Quay.io/A\"")
        );
    }
}
