//! Which images of a mirror nobody needs, by what is known of its repositories. Pure.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::super::wire::digest::Digest;

/// Tags of what is attached to an image, after its digest: signatures, attestations, SBOMs, lists of referrers.
const ATTACHED: [&str; 4] = ["", ".sig", ".att", ".sbom"];

/// A manifest that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestLinks {
    /// The manifests of an index.
    pub children: Vec<Digest>,
    /// What it is attached to.
    pub subject: Option<Digest>,
}

/// What is known of one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryFacts {
    /// What each tag names.
    pub tags: BTreeMap<String, Digest>,
    /// Manifests that were read: those that are needed, and those that tags name.
    pub manifests: BTreeMap<Digest, ManifestLinks>,
    /// Digests that somebody needs, by tag or by digest.
    pub roots: BTreeSet<Digest>,
}

/// A manifest that nobody needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct UnneededImage {
    /// Its digest.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// The tags that name it.
    pub tags: Vec<String>,
}

impl RepositoryFacts {
    /// Everything that belongs to what is needed: children of indexes, and what is attached to any of these, by tag or by
    /// subject, and to that in turn.
    pub fn needed(&self) -> BTreeSet<&Digest> {
        let mut needed: BTreeSet<&Digest> = self.roots.iter().collect();
        loop {
            let children = needed.iter().filter_map(|digest| self.manifests.get(*digest));
            let mut found: BTreeSet<&Digest> = children.flat_map(|manifest| &manifest.children).collect();
            let stems: BTreeSet<String> = needed.iter().map(|digest| digest.referrers_tag()).collect();
            let attached = self.tags.iter().filter(|(tag, _)| stem(tag).is_some_and(|stem| stems.contains(stem)));
            found.extend(attached.map(|(_, digest)| digest));
            let is_about =
                |manifest: &&ManifestLinks| manifest.subject.as_ref().is_some_and(|subject| needed.contains(subject));
            found.extend(self.manifests.iter().filter(|(_, manifest)| is_about(manifest)).map(|(digest, _)| digest));
            let before = needed.len();
            needed.extend(found);
            if needed.len() == before {
                return needed;
            }
        }
    }

    /// Manifests that have tags, and that nobody needs. Those without a tag cannot be listed.
    pub fn unneeded(&self) -> Vec<UnneededImage> {
        let needed = self.needed();
        let mut images: BTreeMap<&Digest, Vec<String>> = BTreeMap::new();
        for (tag, digest) in self.tags.iter().filter(|(_, digest)| !needed.contains(digest)) {
            images.entry(digest).or_default().push(tag.clone());
        }
        images.into_iter().map(|(digest, tags)| UnneededImage { digest: digest.clone(), tags }).collect()
    }
}

/// The digest in the tag of an attachment, as `sha256-HEX`.
fn stem(tag: &str) -> Option<&str> {
    let end = tag.find('.').unwrap_or(tag.len());
    let (stem, suffix) = tag.split_at(end);
    (stem.contains('-') && ATTACHED.contains(&suffix)).then_some(stem)
}

/// Everything that is not needed, and what was looked at to say so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "hypermirror coverage --unneeded")]
pub struct UnneededReport {
    /// What counts as needed.
    pub looked_at: LookedAt,
    /// What is never looked at, and may need images.
    pub never_looked_at: Vec<String>,
    /// What should have been looked at and could not be. As long as there is one, nothing is named as unneeded.
    pub gaps: Vec<String>,
    /// The registries of the mirrors.
    pub registries: Vec<RegistryLook>,
}

/// What counts as needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LookedAt {
    /// `live cluster`, or `manifests`.
    pub input: String,
    /// The hosted clusters.
    pub hosted_clusters: Vec<String>,
    /// The NodePools.
    pub node_pools: Vec<String>,
    /// The releases, with their payloads.
    pub releases: Vec<String>,
    /// How many images these, and lists, name.
    pub images: usize,
}

/// The mirrors of one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryLook {
    /// `host[:port]`.
    pub registry: String,
    /// The mirrors: only repositories at or below these are looked at.
    pub mirrors: Vec<String>,
    /// Why the registry does not list its repositories: then only those of needed images are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog_error: Option<String>,
    /// The repositories.
    pub repositories: Vec<RepositoryLook>,
}

/// A repository of a mirror.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryLook {
    /// `host[:port]/path`.
    pub repository: String,
    /// Why it could not be judged: then nothing of it is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether somebody needs an image of it.
    pub is_needed: bool,
    /// Its tags.
    pub tags: usize,
    /// What nobody needs.
    pub unneeded: Vec<UnneededImage>,
}

impl UnneededReport {
    /// All repositories.
    pub fn repositories(&self) -> impl Iterator<Item = &RepositoryLook> {
        self.registries.iter().flat_map(|registry| &registry.repositories)
    }

    /// Exit codes: 0 everything is needed, 1 something is not, 3 something could not be judged and nothing is unneeded.
    pub fn exit_code(&self) -> u8 {
        if self.repositories().any(|repository| !repository.unneeded.is_empty()) {
            return 1;
        }
        let is_open = !self.gaps.is_empty() || self.repositories().any(|repository| repository.error.is_some());
        if is_open { 3 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::wire::digest::Algorithm;

    fn digest(name: &str) -> Digest {
        Digest::of(Algorithm::Sha256, name.as_bytes())
    }

    fn tagged(facts: &RepositoryFacts) -> Vec<String> {
        facts.unneeded().into_iter().flat_map(|image| image.tags).collect::<BTreeSet<_>>().into_iter().collect()
    }

    #[test]
    fn what_belongs_to_a_needed_image_is_needed() {
        let stem = |name: &str| digest(name).referrers_tag();
        let tags = [
            ("v1".to_owned(), digest("index")),
            ("v1-amd64".to_owned(), digest("child")),
            ("hypermirror-0123456789ab".to_owned(), digest("index")),
            (format!("{}.sig", stem("child")), digest("signature")),
            (format!("{}.sbom", stem("signature")), digest("of-signature")),
            (stem("index"), digest("referrers")),
            ("attestation".to_owned(), digest("attestation")),
            ("v0".to_owned(), digest("old")),
            ("old".to_owned(), digest("old")),
            (format!("{}.sig", stem("old")), digest("old-signature")),
            (format!("{}.other", stem("index")), digest("other")),
        ];
        let links = |children: &[&str], subject: Option<&str>| ManifestLinks {
            children: children.iter().map(|name| digest(name)).collect(),
            subject: subject.map(digest),
        };
        let manifests = [
            (digest("index"), links(&["child", "arm"], None)),
            (digest("referrers"), links(&["untagged"], None)),
            (digest("attestation"), links(&[], Some("arm"))),
            (digest("old"), links(&["child"], None)),
        ];
        let mut facts = RepositoryFacts {
            tags: tags.into(),
            manifests: manifests.into(),
            roots: BTreeSet::from([digest("index")]),
        };
        let old = [format!("{}.other", stem("index")), format!("{}.sig", stem("old"))];
        let mut expected: Vec<String> = old.into_iter().chain(["old".to_owned(), "v0".to_owned()]).collect();
        expected.sort();
        assert_eq!(tagged(&facts), expected);
        assert!(facts.needed().contains(&digest("untagged")));
        facts.roots.insert(digest("old"));
        assert_eq!(tagged(&facts), [format!("{}.other", stem("index"))]);
        facts.roots.clear();
        assert_eq!(tagged(&facts).len(), facts.tags.len());
    }

    #[test]
    fn an_incomplete_look_is_no_verdict() {
        let image = UnneededImage { digest: digest("a"), tags: vec!["v1".to_owned()] };
        let report = |unneeded: Vec<UnneededImage>, error: Option<&str>, gaps: &[&str]| UnneededReport {
            gaps: gaps.iter().map(|gap| (*gap).to_owned()).collect(),
            registries: vec![RegistryLook {
                repositories: vec![RepositoryLook {
                    error: error.map(str::to_owned),
                    unneeded,
                    ..RepositoryLook::default()
                }],
                ..RegistryLook::default()
            }],
            ..UnneededReport::default()
        };
        assert_eq!(report(vec![image], None, &[]).exit_code(), 1);
        assert_eq!(report(vec![], None, &[]).exit_code(), 0);
        assert_eq!(report(vec![], Some("throttled"), &[]).exit_code(), 3);
        assert_eq!(report(vec![], None, &["release x is not known"]).exit_code(), 3);
    }
}
