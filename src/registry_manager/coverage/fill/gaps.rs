//! Which copies fill the gaps of a hosted cluster's mirrors. Pure.

use std::collections::{BTreeMap, BTreeSet};

use hypermirror_api::mirror_coverage::UnfilledImage;

use super::super::super::image::allow::{Allowed, allows};
use crate::mirrors::ImageReference;
use crate::registry::coverage::lack::{Lack, Part};
use crate::registry::coverage::matrix::{Demand, Lacking, Verdict};
use crate::registry::coverage::report::ImageVerdict;
use crate::registry::{Digest, Reference, Repository};

/// An image that a mirror lacks, and where it may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The image as it is declared.
    pub image: String,
    /// Which image. Only what is named by its digest is copied: a tag at the source may be another image by now.
    pub digest: Digest,
    /// Where it is declared, and then the other places from which somebody pulls it.
    pub sources: Vec<Repository>,
    /// The mirror that lacks it.
    pub destination: Repository,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// What is copied, by the place that lacks it.
    pub fillable: BTreeMap<String, Gap>,
    /// What is not.
    pub refused: Vec<UnfilledImage>,
}

/// What is missing for a hosted cluster in this namespace. `images` are the verdicts on `demands`, in the same order.
pub fn gaps(namespace: &str, demands: &[Demand], images: &[ImageVerdict], allowed: &[Allowed]) -> Gaps {
    let missing = || {
        images.iter().filter_map(|image| match &image.verdict {
            Verdict::Missing { lacking } => Some((image, lacking)),
            Verdict::Held { .. } | Verdict::Unknown { .. } => None,
        })
    };
    let absent: BTreeSet<&str> =
        missing().flat_map(|(_, lacking)| lacking).filter(|place| is_absent(place)).map(|it| &*it.reference).collect();
    let mut places: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for demand in demands {
        let open = demand.endpoints.iter().filter(|endpoint| !endpoint.is_blocked);
        let open = open.map(|endpoint| endpoint.question.reference.as_str()).filter(|place| !absent.contains(place));
        places.entry(&demand.image).or_default().extend(open);
    }
    let mut found = Gaps::default();
    for (image, lacking) in missing() {
        let others = places.get(image.image.as_str()).into_iter().flatten().copied();
        for place in lacking.iter().filter(|place| place.parts.iter().any(|part| part.part != Part::Pull)) {
            found.add(namespace, allowed, image, &place.reference, others.clone());
        }
    }
    found
}

fn is_absent(place: &Lacking) -> bool {
    place.parts.contains(&Lack::manifest())
}

impl Gaps {
    fn add<'a>(
        &mut self,
        namespace: &str,
        allowed: &[Allowed],
        image: &ImageVerdict,
        mirror: &str,
        others: impl Iterator<Item = &'a str>,
    ) {
        let is_known = self.fillable.contains_key(mirror) || self.refused.iter().any(|known| known.mirror == mirror);
        let Some((destination, Some(source))) =
            repository(mirror).map(|(destination, _)| (destination, repository(&image.image)))
        else {
            return;
        };
        // Nothing can come from the source that lacks it itself.
        if is_known || source.0 == destination {
            return;
        }
        let mut refuse = |reason: &str, message: String| {
            let (image, mirror) = (image.image.clone(), mirror.to_owned());
            self.refused.push(UnfilledImage { image, mirror, reason: reason.to_owned(), message });
        };
        if !allows(allowed, namespace, &destination) {
            let message = format!("--destination-allow does not name {destination} for namespace {namespace}");
            return refuse("DestinationNotAllowed", message);
        }
        let (source, Reference::Digest(digest)) = source else {
            let message = "only images that are declared by digest are copied: a tag may be another image by now";
            return refuse("NotByDigest", message.to_owned());
        };
        let mut sources = vec![source];
        for (other, reference) in others.filter_map(repository) {
            if reference == Reference::Digest(digest.clone()) && other != destination && !sources.contains(&other) {
                sources.push(other);
            }
        }
        let gap = Gap { image: image.image.clone(), digest, sources, destination };
        self.fillable.insert(mirror.to_owned(), gap);
    }
}

fn repository(reference: &str) -> Option<(Repository, Reference)> {
    let image = ImageReference::parse(reference).ok()?;
    Some((Repository::of(&image).ok()?, Reference::of(&image).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Credential;
    use crate::registry::coverage::matrix::{Endpoint, Finding, Findings, Level, Question, TrustId};
    use crate::registry::coverage::report::Report;

    fn digest() -> String {
        format!("sha256:{}", "a".repeat(64))
    }

    fn endpoint(reference: String) -> Endpoint {
        let (credential, trust) = (Credential::Anonymous.id(), TrustId::default());
        let question = Question { reference, credential, trust, level: Level::L1, is_insecure: false };
        Endpoint { question, is_blocked: false, origin: String::new() }
    }

    fn demand(image: String, places: &[&str]) -> Demand {
        let suffix = image.find('@').map_or(":v1", |at| &image[at..]);
        Demand {
            endpoints: places.iter().map(|place| endpoint(format!("{place}{suffix}"))).collect(),
            group: "g".into(),
            name: "n".into(),
            cluster: String::new(),
            consumer: "c".into(),
            error: None,
            is_unordered: false,
            is_signed: false,
            image,
        }
    }

    /// The gaps if these places hold what they are asked for, and the others lack it.
    fn found(demands: &[Demand], holding: &[&str]) -> Gaps {
        let endpoints = demands.iter().flat_map(|demand| &demand.endpoints);
        let findings: Findings = endpoints
            .map(|endpoint| {
                let is_held = holding.iter().any(|place| endpoint.question.reference.starts_with(place));
                (endpoint.question.clone(), if is_held { Finding::Held } else { Finding::Absent })
            })
            .collect();
        let report = Report::new(Level::L1, "", demands, &findings);
        gaps("clusters", demands, &report.images, &["mirror.example".parse().unwrap()])
    }

    #[test]
    fn what_is_missing_is_copied_once_from_its_source_or_another_place_that_has_it() {
        let image = format!("quay.io/release@{}", digest());
        let demands = [
            demand(image.clone(), &["mirror.example/release"]),
            demand(image.clone(), &["mirror.example/release", "also-empty.example/release"]),
            demand(image.clone(), &["full.example/release"]),
        ];
        let found = found(&demands, &["full.example"]);
        let shown: Vec<String> = found
            .fillable
            .values()
            .map(|gap| {
                let sources: Vec<String> = gap.sources.iter().map(ToString::to_string).collect();
                format!("{} -> {}", sources.join(","), gap.destination)
            })
            .collect();
        assert_eq!(shown, ["quay.io/release,full.example/release -> mirror.example/release"]);
        let [refused] = found.refused.as_slice() else { panic!("{found:?}") };
        assert_eq!((&*refused.reason, &refused.image), ("DestinationNotAllowed", &image));
        assert!(refused.mirror.starts_with("also-empty.example/release@"), "{refused:?}");
    }

    #[test]
    fn what_has_no_digest_or_is_missing_at_its_source_is_not_copied() {
        let by_tag = demand("quay.io/release:v1".into(), &["mirror.example/release"]);
        let refused = found(&[by_tag], &[]);
        assert!(refused.fillable.is_empty());
        assert_eq!(refused.refused.iter().map(|it| &*it.reason).collect::<Vec<_>>(), ["NotByDigest"]);
        let at_source = demand(format!("mirror.example/release@{}", digest()), &["mirror.example/release"]);
        assert_eq!(found(&[at_source], &[]), Gaps::default());
        let held = demand(format!("quay.io/release@{}", digest()), &["mirror.example/release"]);
        assert_eq!(found(&[held], &["mirror.example"]), Gaps::default());
    }

    #[test]
    fn a_pull_that_fails_before_any_place_is_asked_is_no_gap() {
        let mut blocked = demand(format!("quay.io/release@{}", digest()), &["mirror.example/release"]);
        blocked.endpoints[0].is_blocked = true;
        assert_eq!(found(&[blocked], &[]), Gaps::default());
    }
}
