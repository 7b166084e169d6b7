//! Converts ICSPs to IDMSs, and optionally ITMSs, that resolve images identically.
//!
//! Entries are converted one by one and not merged, because nodes and control planes merge them. The set of mirror
//! lists, which is the only input of [`merge_layer`], therefore stays the same. [`differences`] verifies this with
//! sample images.

use std::collections::{BTreeMap, BTreeSet};

use hypermirror_api::mirror_sets::{
    ImageDigestMirrorSet, ImageDigestMirrorSetSpec, ImageTagMirrorSet, ImageTagMirrorSetSpec, SourceMirrors,
};

use super::entry::MirrorSpec;
use super::finding::{Finding, Severity};
use super::lookup::resolve;
use super::merge::merge_layer;
use super::validate::{Consumer, validate};
use super::{ImageReference, MirrorEntry, PullBy, Resolved};

/// A digest that belongs to no image.
const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
/// The name of a sample repository below a source.
const SAMPLE: &str = "sample";

/// An object that declares mirrors. Objects of the same kind and name are combined.
#[derive(Clone, Copy, Debug)]
pub struct SourceObject<'a> {
    /// Its kind: ImageContentSourcePolicy, ImageDigestMirrorSet, ImageTagMirrorSet, or that of a list of sources.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its labels, which are copied to the new object.
    pub labels: &'a BTreeMap<String, String>,
    /// Its entries.
    pub entries: &'a [MirrorEntry],
}

/// A new ImageDigestMirrorSet or ImageTagMirrorSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigratedSet {
    /// `Digest` for an ImageDigestMirrorSet, `Tag` for an ImageTagMirrorSet.
    pub pull_by: PullBy,
    /// Its name, the same as that of the original object.
    pub name: String,
    /// The labels of all original objects.
    pub labels: BTreeMap<String, String>,
    /// The kinds of the original objects.
    pub kinds: BTreeSet<String>,
    /// Its entries in their original order, without duplicates.
    pub entries: Vec<SourceMirrors>,
}

impl MigratedSet {
    /// Whether one of the original objects is not a set, such as an ImageContentSourcePolicy.
    pub fn is_converted(&self) -> bool {
        let sets = [ImageDigestMirrorSetSpec::KIND, ImageTagMirrorSetSpec::KIND];
        self.kinds.iter().any(|kind| !sets.contains(&kind.as_str()))
    }

    /// The kind of the new object.
    pub const fn kind(&self) -> &'static str {
        match self.pull_by {
            PullBy::Digest => ImageDigestMirrorSetSpec::KIND,
            PullBy::Tag => ImageTagMirrorSetSpec::KIND,
        }
    }

    /// The new object.
    ///
    /// # Errors
    /// Serialization errors, which valid labels and entries do not cause.
    pub fn to_value(&self) -> serde_json::Result<serde_json::Value> {
        let labels = (!self.labels.is_empty()).then(|| self.labels.clone());
        match self.pull_by {
            PullBy::Digest => {
                let spec = ImageDigestMirrorSetSpec { image_digest_mirrors: self.entries.clone() };
                let mut object = ImageDigestMirrorSet::new(&self.name, spec);
                object.metadata.labels = labels;
                serde_json::to_value(object)
            }
            PullBy::Tag => {
                let spec = ImageTagMirrorSetSpec { image_tag_mirrors: self.entries.clone() };
                let mut object = ImageTagMirrorSet::new(&self.name, spec);
                object.metadata.labels = labels;
                serde_json::to_value(object)
            }
        }
    }
}

/// The result of converting a set of objects.
#[derive(Clone, Debug, Default)]
pub struct Migration {
    /// The new objects: digest sets, then tag sets, sorted by name.
    pub sets: Vec<MigratedSet>,
    /// The entries that the new objects must represent: those of the old objects that can be converted, and with `tags`
    /// also copies of the ICSP entries for tags.
    pub wanted: Vec<MirrorEntry>,
    /// Errors for entries that an ImageDigestMirrorSet does not allow. These are not in the new objects.
    pub findings: Vec<Finding>,
}

/// Converts objects to sets. With `tags`, each ImageContentSourcePolicy (and `imageContentSources`) also becomes an
/// ImageTagMirrorSet of the same name.
pub fn migrate(objects: &[SourceObject<'_>], tags: bool) -> Migration {
    let mut sets: BTreeMap<(PullBy, String), MigratedSet> = BTreeMap::new();
    let mut migration = Migration::default();
    for object in objects {
        let (entries, findings) = expressible(object.entries);
        migration.findings.extend(findings);
        for entry in entries {
            let copies_for_tags = tags && entry.allows_tags_and_digests();
            add(&mut sets, object, entry.pull_by, entry);
            migration.wanted.push(entry.clone());
            if copies_for_tags {
                add(&mut sets, object, PullBy::Tag, entry);
                migration.wanted.push(MirrorEntry { pull_by: PullBy::Tag, ..entry.clone() });
            }
        }
    }
    migration.sets = sets.into_values().collect();
    migration
}

fn add(
    sets: &mut BTreeMap<(PullBy, String), MigratedSet>,
    object: &SourceObject<'_>,
    pull_by: PullBy,
    entry: &MirrorEntry,
) {
    let set = sets.entry((pull_by, object.name.to_owned())).or_insert_with(|| MigratedSet {
        pull_by,
        name: object.name.to_owned(),
        labels: BTreeMap::new(),
        kinds: BTreeSet::new(),
        entries: Vec::new(),
    });
    set.labels.extend(object.labels.iter().map(|(key, value)| (key.clone(), value.clone())));
    set.kinds.insert(object.kind.to_owned());
    let entry = source_mirrors(entry);
    if !set.entries.contains(&entry) {
        set.entries.push(entry);
    }
}

/// The entry in the format of an IDMS or ITMS. The API server does not allow duplicate mirrors, so the first one is
/// kept.
fn source_mirrors(entry: &MirrorEntry) -> SourceMirrors {
    let mut seen = BTreeSet::new();
    SourceMirrors {
        source: entry.source.clone(),
        mirrors: entry.mirrors.iter().filter(|mirror| seen.insert(mirror.as_str())).cloned().collect(),
        mirror_source_policy: entry.policy.as_ref().map(|policy| policy.as_str().to_owned()),
        insecure_skip_tls_verify: false,
    }
}

/// Separates entries that match the patterns of the IDMS and ITMS CRDs from those that do not, and reports an error for
/// each of the latter.
fn expressible(entries: &[MirrorEntry]) -> (Vec<&MirrorEntry>, Vec<Finding>) {
    let (mut fitting, mut errors) = (Vec::new(), Vec::new());
    for entry in entries {
        // Validate the entry as part of the new object, and report errors with its path in the old one.
        let list = match entry.pull_by {
            PullBy::Digest => "spec.imageDigestMirrors",
            PullBy::Tag => "spec.imageTagMirrors",
        };
        let there = MirrorEntry { list, ..entry.clone() };
        let findings = validate(&[there], Consumer::ControlPlane).findings;
        let mut of_entry: Vec<Finding> =
            findings.into_iter().filter(|finding| finding.severity == Severity::Error).collect();
        for finding in &mut of_entry {
            finding.field = finding.field.replacen(list, entry.list, 1);
        }
        if of_entry.is_empty() {
            fitting.push(entry);
        }
        errors.extend(of_entry);
    }
    (fitting, errors)
}

/// An image that resolves differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The image.
    pub image: String,
    /// The endpoints before, in order, or the error.
    pub before: String,
    /// The endpoints after.
    pub after: String,
}

/// Resolves sample images of each source, by digest and by tag, with both sets of entries: the source itself if it has
/// a path, and repositories below it. The second value is the number of images.
pub fn differences(before: &[MirrorEntry], after: &[MirrorEntry]) -> (Vec<Difference>, usize) {
    let (before, after) = (merge_layer(before), merge_layer(after));
    let sources: BTreeSet<&String> = before.sources.keys().chain(after.sources.keys()).collect();
    let images: BTreeSet<String> = sources.into_iter().flat_map(|source| samples(source)).collect();
    let images: Vec<ImageReference> = images.iter().filter_map(|image| ImageReference::parse(image).ok()).collect();
    let compare = |image: &ImageReference| {
        let (before, after) = (endpoints(&before, image), endpoints(&after, image));
        (before != after).then(|| Difference { image: image.to_string(), before, after })
    };
    (images.iter().filter_map(compare).collect(), images.len())
}

fn samples(source: &str) -> Vec<String> {
    let source = source.strip_prefix('*').map_or_else(|| source.to_owned(), |domain| format!("{SAMPLE}{domain}"));
    let mut names = vec![format!("{source}/{SAMPLE}"), format!("{source}/{SAMPLE}/{SAMPLE}")];
    if source.contains('/') {
        names.push(source);
    }
    names.iter().flat_map(|name| [format!("{name}@{DIGEST}"), format!("{name}:{SAMPLE}")]).collect()
}

fn endpoints(resolved: &Resolved, image: &ImageReference) -> String {
    let lookup = match resolve(resolved, image) {
        Ok(lookup) => lookup,
        Err(error) => return format!("nowhere: {error}"),
    };
    let endpoint = |endpoint: &super::lookup::Endpoint| {
        let notes = [(endpoint.blocked, " (blocked)"), (endpoint.insecure, " (insecure)")];
        let notes: String = notes.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note).collect();
        format!("{}{notes}", endpoint.reference)
    };
    lookup.endpoints.iter().map(endpoint).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
