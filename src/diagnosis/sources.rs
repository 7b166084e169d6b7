//! Whether declared mirrors are used for what is pulled, and whether they are proven.

use hypermirror_api::ClusterKey;

use super::{Diagnosis, DiagnosisCode, listed};
use crate::mirrors::finding::Severity;
use crate::mirrors::{ImageReference, Policy, Resolved, lookup};

/// Diagnoses release images whose source has only tag mirrors. `object` is whose nodes pull them.
pub fn tag_mirrors_only<'i>(
    object: &str,
    resolved: &Resolved,
    images: impl IntoIterator<Item = &'i str>,
) -> Vec<Diagnosis> {
    images.into_iter().filter_map(|image| tag_only(object, resolved, image)).collect()
}

fn tag_only(object: &str, resolved: &Resolved, image: &str) -> Option<Diagnosis> {
    let parsed = ImageReference::parse(image).ok()?;
    parsed.digest.as_ref()?;
    let prefix = lookup::resolve(resolved, &parsed).ok()?.prefix?;
    let source = resolved.sources.get(&prefix)?;
    if !source.digest_mirrors.is_empty() || source.tag_mirrors.is_empty() {
        return None;
    }
    let (severity, effect) = match source.policy {
        Policy::NeverContactSource => (Severity::Error, "and the source may not be contacted, so the pull fails"),
        Policy::AllowContactingSource => (Severity::Warning, "so the source itself is contacted"),
    };
    let message =
        format!("the release image {image} is pulled by digest, and source {prefix} has only tag mirrors, {effect}");
    let cure = format!("declare the mirrors of {prefix} in an ImageDigestMirrorSet, too");
    let origin = source.origins.first().map(ToString::to_string).unwrap_or_default();
    Some(Diagnosis::new(DiagnosisCode::TagMirrorsOnly, severity, object, message, cure).at(origin, prefix))
}

/// Diagnoses sources without a fallback. `unproven` is why nothing is proven.
pub fn unproven(cluster: &ClusterKey, sources: &[String], unproven: Option<&str>) -> Option<Diagnosis> {
    let why = unproven.filter(|_| !sources.is_empty())?;
    let noun = if sources.len() == 1 { "a source" } else { "sources" };
    let message = format!(
        "{noun} with NeverContactSource ({}) cannot be pulled from anywhere else, and it is not proven that the mirrors hold what \
         the hosted cluster needs: {why}",
        listed(sources)
    );
    let cure = format!(
        "run hypermirror coverage --hosted-cluster {cluster}, or install the registry-manager, which checks continuously"
    );
    let object = format!("HostedCluster/{cluster}");
    let found = Diagnosis::new(DiagnosisCode::SourceUnproven, Severity::Warning, object, message, cure);
    Some(found.at("", listed(sources)).of(cluster))
}

/// The sources of a map without a fallback.
pub fn without_fallback(resolved: &Resolved) -> impl Iterator<Item = &String> {
    let sources = resolved.sources.iter();
    sources.filter(|(_, source)| source.policy == Policy::NeverContactSource).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirrors::{Mirror, ResolvedSource};

    const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";

    fn resolved(digest: &[&str], tag: &[&str], policy: Policy) -> Resolved {
        let mirrors = |list: &[&str]| {
            list.iter().map(|location| Mirror { location: (*location).into(), ..Mirror::default() }).collect()
        };
        let source = ResolvedSource {
            digest_mirrors: mirrors(digest),
            tag_mirrors: mirrors(tag),
            policy,
            ..ResolvedSource::default()
        };
        Resolved { sources: [("q.example/ocp".to_owned(), source)].into() }
    }

    #[test]
    fn only_an_image_by_digest_of_a_source_with_only_tag_mirrors_is_found() {
        let by_digest = format!("q.example/ocp/release@{DIGEST}");
        let other = format!("r.example/ocp/release@{DIGEST}");
        let (allow, never) = (Policy::AllowContactingSource, Policy::NeverContactSource);
        for (map, image, expected) in [
            (resolved(&[], &["m.example/ocp"], allow), &*by_digest, Some(Severity::Warning)),
            (resolved(&[], &["m.example/ocp"], never), &by_digest, Some(Severity::Error)),
            (resolved(&["m.example/ocp"], &["m.example/ocp"], never), &by_digest, None),
            (resolved(&["m.example/ocp"], &[], never), &by_digest, None),
            (resolved(&[], &[], never), &by_digest, None),
            (resolved(&[], &["m.example/ocp"], never), "q.example/ocp/release:4.20.1", None),
            (resolved(&[], &["m.example/ocp"], never), &other, None),
            (resolved(&[], &["m.example/ocp"], never), "", None),
        ] {
            let found = tag_mirrors_only("NodePool/clusters/a", &map, [image]);
            assert_eq!(found.first().map(|found| found.severity), expected, "{image} {map:?}");
            assert!(found.iter().all(|found| found.value == "q.example/ocp" && found.message.contains(image)));
        }
    }

    #[test]
    fn sources_without_a_fallback_are_one_finding_unless_they_are_proven() {
        let key: ClusterKey = "clusters/west".parse().unwrap();
        let sources: Vec<String> =
            without_fallback(&resolved(&["m.example"], &[], Policy::NeverContactSource)).cloned().collect();
        assert_eq!(sources, ["q.example/ocp"]);
        assert_eq!(without_fallback(&resolved(&["m.example"], &[], Policy::AllowContactingSource)).count(), 0);
        assert_eq!(unproven(&key, &sources, None), None);
        assert_eq!(unproven(&key, &[], Some("no coverage")), None);
        let found = unproven(&key, &sources, Some("no coverage")).unwrap();
        assert_eq!((found.code, &*found.value), (DiagnosisCode::SourceUnproven, "q.example/ocp"));
        assert!(found.message.ends_with("no coverage"), "{found:?}");
    }
}
