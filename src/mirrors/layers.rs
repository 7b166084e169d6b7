//! Merges all layers of a node into one map.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::merge::{merge_layer, overlay};
use super::validate::{Consumer, validate};
use super::{Layer, MirrorEntry, Resolved};

/// Validates and merges the layers for a node. The mirrors of the more specific layer come first.
pub fn resolve<'e>(entries: impl IntoIterator<Item = &'e MirrorEntry>) -> (Resolved, Vec<Finding>) {
    let mut layers: BTreeMap<Layer, Vec<&MirrorEntry>> = BTreeMap::new();
    for entry in entries {
        layers.entry(entry.origin.layer).or_default().push(entry);
    }
    let mut set = Resolved::default();
    let mut findings = Vec::new();
    for entries in layers.values() {
        let validated = validate(entries.iter().copied(), Consumer::Node);
        set = overlay(&set, &merge_layer(&validated.entries));
        findings.extend(validated.findings);
    }
    (set, findings)
}
