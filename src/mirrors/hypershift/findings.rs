//! Findings about entries that HyperShift's operators interpret differently from a node.

use std::collections::{BTreeMap, BTreeSet};

use super::{LookUp, Parts, look_up};
use crate::mirrors::finding::{Finding, FindingReason, Place, Severity};
use crate::mirrors::merge::has_real_mirror;
use crate::mirrors::validate::{self, Consumer, Validated};
use crate::mirrors::{MirrorEntry, Scope};

/// Registries whose images HyperShift's operators do not request themselves, except catalogs: only nodes pull from them.
const OF_OPERATORS: [&str; 3] = ["registry.redhat.io", "registry.connect.redhat.com", "registry.access.redhat.com"];
/// The namespace of the catalogs.
const CATALOGS: &str = "redhat";
/// A sample image below a source.
const SAMPLE: &str = "image:tag";

/// Validates the entries of one layer for control planes, also by the rules of HyperShift's operators.
pub fn validate<'e>(entries: impl IntoIterator<Item = &'e MirrorEntry>) -> Validated {
    let mut validated = validate::validate(entries, Consumer::ControlPlane);
    validated.findings.extend(findings(&validated.entries));
    validated.findings.sort_by(Finding::order);
    validated.findings.dedup();
    validated
}

/// Warnings about valid entries.
pub fn findings(entries: &[MirrorEntry]) -> Vec<Finding> {
    let contributing = || entries.iter().filter(|entry| has_real_mirror(entry));
    let mut found: Vec<Finding> = contributing().flat_map(of_entry).collect();
    found.extend(of_other_registries(contributing()));
    found
}

fn warn(entry: &MirrorEntry, reason: FindingReason, place: Place, message: String) -> Finding {
    Finding::new(Severity::Warning, reason, entry, place, message)
}

fn of_entry(entry: &MirrorEntry) -> Vec<Finding> {
    let source = entry.source.as_str();
    // A wildcard has its own finding.
    if Scope::new(source).is_wildcard() || !is_looked_up(source) {
        return Vec::new();
    }
    let Ok(parts) = Parts::parse(source) else {
        let message = format!("HyperShift's operators cannot parse source {source:?} and skip it");
        return vec![warn(entry, FindingReason::SourceNotLookedUp, Place::Source, message)];
    };
    if parts.is_registry() && !parts.tag.is_empty() {
        let message = format!(
            "HyperShift's operators never use the mirrors of {source:?}: they parse the port of a registry as a tag; add an \
             entry for each namespace"
        );
        return vec![warn(entry, FindingReason::SourceNotLookedUp, Place::Source, message)];
    }
    let mirrors = entry.mirrors.iter().enumerate().filter(|(_, mirror)| !mirror.is_empty() && *mirror != source);
    mirrors.filter_map(|(index, mirror)| of_mirror(entry, &parts, index, mirror)).collect()
}

/// Whether HyperShift's operators themselves request images below the source.
fn is_looked_up(source: &str) -> bool {
    let scope = Scope::new(source);
    let namespace = scope.path().map(|path| path.split('/').next().unwrap_or_default());
    !OF_OPERATORS.contains(&scope.registry()) || namespace.is_none_or(|namespace| namespace == CATALOGS)
}

fn of_mirror(entry: &MirrorEntry, source: &Parts, index: usize, mirror: &str) -> Option<Finding> {
    let place = Place::Mirror(index);
    let name = entry.source.split(['@']).next().unwrap_or_default();
    let (sample, rest) = if source.is_registry() {
        (format!("{name}/namespace/{SAMPLE}"), format!("/namespace/{SAMPLE}"))
    } else if source.namespace.is_empty() {
        (format!("{name}/{SAMPLE}"), format!("/{SAMPLE}"))
    } else {
        // HyperShift ignores the tag of a source and of a mirror here.
        return skipped(entry, &Parts { tag: String::new(), digest: String::new(), ..source.clone() }, index, mirror);
    };
    let image = Parts::parse(&sample).ok()?;
    match look_up(&image, &entry.source, mirror) {
        LookUp::NoMatch => None,
        LookUp::Skipped(error) => {
            let message = format!(
                "HyperShift's operators skip mirror {mirror:?} of {:?}: {error}; give the mirror a path",
                entry.source
            );
            Some(warn(entry, FindingReason::MirrorNotLookedUp, place, message))
        }
        LookUp::At(found, _) if found == format!("{mirror}{rest}") => None,
        LookUp::At(found, _) => {
            let found = found.strip_suffix(&rest).unwrap_or(&found);
            let message = format!(
                "HyperShift's operators look for the images of {:?} at {found:?}, not at {mirror:?} (except release images); \
                 add an entry for each repository, or use a mirror whose path has one component",
                entry.source
            );
            Some(warn(entry, FindingReason::MirrorPathDropped, place, message))
        }
    }
}

/// Findings about a source that is one repository.
fn skipped(entry: &MirrorEntry, image: &Parts, index: usize, mirror: &str) -> Option<Finding> {
    let LookUp::Skipped(error) = look_up(image, &entry.source, mirror) else { return None };
    let message = format!(
        "HyperShift's operators skip mirror {mirror:?} of repository {:?}: {error}; give the mirror a path of two components \
         or more",
        entry.source
    );
    Some(warn(entry, FindingReason::MirrorNotLookedUp, Place::Mirror(index), message))
}

/// Entries whose sources HyperShift does not distinguish.
#[derive(Default)]
struct SamePath<'e> {
    sources: BTreeSet<&'e str>,
    entries: Vec<&'e MirrorEntry>,
}

/// HyperShift does not distinguish sources that differ only in their registry, and tries their mirrors in random order.
fn of_other_registries<'e>(entries: impl Iterator<Item = &'e MirrorEntry>) -> Vec<Finding> {
    let mut by_path: BTreeMap<(String, String), SamePath<'_>> = BTreeMap::new();
    for entry in entries.filter(|entry| is_looked_up(&entry.source)) {
        if let Ok(parts) = Parts::parse(&entry.source)
            && !parts.registry.is_empty()
        {
            let same = by_path.entry((parts.namespace, parts.name)).or_default();
            same.sources.insert(&entry.source);
            same.entries.push(entry);
        }
    }
    let mut found = Vec::new();
    for SamePath { sources, entries } in by_path.values() {
        for entry in entries {
            // Of a set: the second one at the latest.
            let Some(other) = sources.iter().find(|other| **other != entry.source) else { continue };
            let message = format!(
                "HyperShift's operators do not compare registries: they look for images of {:?} at the mirrors of {other:?} \
                 too, in no particular order",
                entry.source
            );
            found.push(warn(entry, FindingReason::RegistryNotCompared, Place::Source, message));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirrors::fixtures::digest;

    fn reasons(source: &str, mirrors: &str) -> Vec<(&'static str, String)> {
        let found = findings(&[digest(source, mirrors)]);
        found.iter().map(|finding| (finding.reason.as_str(), finding.message.clone())).collect()
    }

    #[test]
    fn a_mirror_that_is_requested_elsewhere_or_not_at_all_is_reported_with_the_fix() {
        let found = reasons("quay.io/openshift-release-dev", "m.example:5000/ocp4/openshift-release-dev");
        assert_eq!(found[0].0, "MirrorPathDropped");
        assert!(found[0].1.contains("at \"m.example:5000/openshift-release-dev\", not at"), "{found:?}");
        let found = reasons("registry.private.example:5000", "m.example");
        assert!(
            found[0].0 == "SourceNotLookedUp" && found[0].1.contains("add an entry for each namespace"),
            "{found:?}"
        );
        let found = reasons("quay.io/hypershift", "virthost.example:6001");
        assert!(found[0].0 == "MirrorNotLookedUp" && found[0].1.contains("invalid reference format"), "{found:?}");
        let found = reasons("quay.io/hypershift/operator", "m.example/operator");
        assert!(found[0].0 == "MirrorNotLookedUp" && found[0].1.contains("two components"), "{found:?}");
    }

    #[test]
    fn entries_that_hypershift_reads_as_a_node_does_are_not_mentioned() {
        for (source, mirror) in [
            ("quay.io", "m.example"),
            ("quay.io", "m.example:5000/a/b"),
            ("quay.io/openshift-release-dev", "m.example:5000/openshift"),
            ("quay.io/openshift-release-dev/ocp-release", "m.example:5000/openshift/release-images"),
            ("quay.io/a/b/c", "m.example/x/y/z"),
            // No operator of HyperShift requests these.
            ("registry.redhat.io/rhel8", "m.example/ocp4/rhel8"),
            ("registry.connect.redhat.com/vendor", "m.example/a/vendor"),
            ("*.example.com", "m.example"),
        ] {
            assert!(reasons(source, mirror).is_empty(), "{source} -> {mirror}: {:?}", reasons(source, mirror));
        }
        assert_eq!(reasons("registry.redhat.io/redhat", "m.example/ocp4/redhat")[0].0, "MirrorPathDropped");
    }

    #[test]
    fn sources_of_two_registries_with_the_same_path_are_reported() {
        let both = [digest("quay.io/a", "m.example/x"), digest("docker.io/a", "m.example/y")];
        let found = findings(&both);
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|finding| finding.reason == FindingReason::RegistryNotCompared), "{found:?}");
        assert!(findings(&[both[0].clone(), digest("docker.io/b", "m.example/y")]).is_empty());
    }
}
