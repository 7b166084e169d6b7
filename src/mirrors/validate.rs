//! Validates entries: decides which are used, and reports errors and warnings.
//!
//! The rules and texts of `openshift/machine-config-operator` (`pkg/controller/container-runtime-config/helpers.go`,
//! `validateRegistriesConfScopes`), applied to single entries instead of all or nothing. Additional rules concern
//! values that it accepts and that break pulls on a node.

use super::MirrorEntry;
use super::finding::Finding;
use super::merge::has_real_mirror;

mod entry_rules;
mod format;
mod set_rules;

pub use format::image_hint;

/// The consumer of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consumer {
    /// HyperShift's operators, which read an override value. A tag or digest in an ImageContentSourcePolicy is valid.
    /// Values that fail on a node are warnings.
    ControlPlane,
    /// A node, which reads registries.conf. A source or mirror with a tag or digest is ignored with a warning.
    Node,
}

/// The valid entries and the findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validated {
    /// The valid entries in their original order.
    pub entries: Vec<MirrorEntry>,
    /// Sorted by entry and field, without duplicates, independent of the order of entries.
    pub findings: Vec<Finding>,
}

/// Validates the entries of one layer for one consumer. An entry with an error is ignored as a whole; all others are
/// used.
pub fn validate<'e>(entries: impl IntoIterator<Item = &'e MirrorEntry>, consumer: Consumer) -> Validated {
    let mut validated = Validated::default();
    for entry in entries {
        let verdict = entry_rules::check(entry, consumer);
        if !verdict.is_ignored {
            validated.entries.push(entry.clone());
        }
        validated.findings.extend(verdict.findings);
    }
    validated.findings.extend(set_rules::check(&validated.entries));
    validated.findings.sort_by(Finding::order);
    validated.findings.dedup();
    validated
}

/// Whether a map of these entries has any source.
pub fn contributes<'e>(entries: impl IntoIterator<Item = &'e MirrorEntry>, consumer: Consumer) -> bool {
    entries.into_iter().any(|entry| has_real_mirror(entry) && !entry_rules::check(entry, consumer).is_ignored)
}

/// The error for a mirror that is not `host[:port][/path]`.
pub fn invalid_mirror(mirror: &str) -> Option<String> {
    (!format::is_mirror(mirror)).then(|| entry_rules::invalid_format("mirror", mirror))
}

#[cfg(test)]
mod tests;
