//! Whether mirrors have the signatures that policies demand: nodes look for them where they pull, and refuse images without them.

use std::collections::{BTreeMap, BTreeSet};

use hypermirror_api::mirror_coverage::MissingImage;
use hypermirror_api::{ClusterKey, MirrorCoverageStatus};

use super::{Diagnosis, DiagnosisCode, listed};
use crate::mirrors::finding::Severity;
use crate::mirrors::scope::Scope;
use crate::mirrors::signature_policy::SignaturePolicy;
use crate::registry::coverage::lack::is_about_signature;

/// Diagnoses registries that lack signatures, by the last check of the registry-manager.
pub fn missing(cluster: &ClusterKey, coverage: &MirrorCoverageStatus) -> Vec<Diagnosis> {
    let mut by_registry: BTreeMap<&str, Lacking<'_>> = BTreeMap::new();
    for image in coverage.missing.iter().filter(|image| is_about_signature(&image.message)) {
        by_registry.entry(Scope::new(&image.mirror).registry()).or_default().add(image);
    }
    by_registry.into_iter().map(|(registry, lacking)| lacking.diagnosis(cluster, registry)).collect()
}

/// What one registry lacks.
#[derive(Default)]
struct Lacking<'a> {
    images: BTreeSet<&'a str>,
    consumers: BTreeSet<&'a str>,
}

impl<'a> Lacking<'a> {
    fn add(&mut self, image: &'a MissingImage) {
        self.images.insert(&image.image);
        self.consumers.extend(image.consumer.split(',').map(str::trim));
    }

    fn diagnosis(self, cluster: &ClusterKey, registry: &str) -> Diagnosis {
        let images: Vec<&str> = self.images.into_iter().collect();
        let consumers: Vec<&str> = self.consumers.into_iter().collect();
        let message = format!(
            "{registry} lacks signatures that policies demand, so that pulls from there are refused: of {} for {}",
            listed(&images),
            listed(&consumers)
        );
        let cure = format!(
            "copy the images with their signatures: hypermirror coverage --hosted-cluster {cluster} --fill, or hypermirror copy"
        );
        let object = format!("MirrorCoverage/{cluster}");
        let found = Diagnosis::new(DiagnosisCode::SignatureMissing, Severity::Error, object, message, cure);
        found.at("status.missing", registry).of(cluster)
    }
}

/// Diagnoses that nobody has looked for the signatures that policies demand of images of mirrored sources.
pub fn unchecked<'s>(
    cluster: &ClusterKey,
    policies: &[SignaturePolicy],
    sources: impl IntoIterator<Item = &'s str>,
) -> Option<Diagnosis> {
    let is_signed = |source: &&str| policies.iter().any(|policy| policy.concerns(source));
    let sources: BTreeSet<&str> = sources.into_iter().filter(is_signed).collect();
    let sources: Vec<&str> = sources.into_iter().collect();
    if sources.is_empty() {
        return None;
    }
    let message = format!(
        "policies demand signatures of images of {}, which have mirrors, and it is not known whether the mirrors hold the signatures",
        listed(&sources)
    );
    let cure = format!(
        "run hypermirror coverage --hosted-cluster {cluster}, or install the registry-manager, which checks continuously"
    );
    Some(Diagnosis::not_checked(format!("HostedCluster/{cluster}"), message, cure).at("", listed(&sources)).of(cluster))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn coverage(missing: &[(&str, &str, &str, &str)]) -> MirrorCoverageStatus {
        let missing: Vec<_> = missing
            .iter()
            .map(|(image, mirror, consumer, message)| {
                json!({"image": image, "mirror": mirror, "consumer": consumer, "message": message})
            })
            .collect();
        serde_json::from_value(json!({"missing": missing})).unwrap()
    }

    #[test]
    fn each_registry_that_lacks_signatures_is_one_finding() {
        let key: ClusterKey = "clusters/west".parse().unwrap();
        let found = missing(
            &key,
            &coverage(&[
                ("q.example/a", "m.example/x/a", "workers", "signature of sha256:0a is missing"),
                ("q.example/a", "m.example/x/a", "workers, control-plane pods", "signature of sha256:0b is missing"),
                ("q.example/b", "n.example:5000/b", "workers", "signature of sha256:0c is incomplete: tag x"),
                ("q.example/c", "m.example/x/c", "workers", "manifest is missing"),
            ]),
        );
        let values: Vec<&str> = found.iter().map(|found| found.value.as_str()).collect();
        assert_eq!(values, ["m.example", "n.example:5000"]);
        assert!(
            found
                .iter()
                .all(|found| found.code == DiagnosisCode::SignatureMissing && found.object.ends_with("clusters/west"))
        );
        assert!(found[0].message.ends_with("of q.example/a for control-plane pods, workers"), "{found:?}");
        assert!(found[0].cure.contains("--fill"), "{found:?}");
        assert_eq!(missing(&key, &MirrorCoverageStatus::default()), []);
    }

    #[test]
    fn only_mirrored_sources_of_which_policies_demand_signatures_are_unchecked() {
        let key: ClusterKey = "clusters/west".parse().unwrap();
        let policies = [SignaturePolicy { namespace: None, scopes: vec!["q.example/ocp".into()] }];
        let found = unchecked(&key, &policies, ["q.example/ocp/release", "r.example"]).unwrap();
        assert_eq!((found.code, found.value.as_str()), (DiagnosisCode::NotChecked, "q.example/ocp/release"));
        assert_eq!(unchecked(&key, &policies, ["r.example"]), None);
        assert_eq!(unchecked(&key, &[], ["q.example/ocp"]), None);
    }
}
