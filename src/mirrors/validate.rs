//! Which entries are used, and what there is to say about them.
//!
//! The rules and texts of `openshift/machine-config-operator` (`pkg/controller/container-runtime-config/helpers.go`,
//! `validateRegistriesConfScopes`), entry by entry instead of all or nothing, and beyond them the values that it accepts
//! and that break pulls on a node.

use super::MirrorEntry;
use super::finding::Finding;

mod entry_rules;
mod format;
mod set_rules;

/// Who reads the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consumer {
    /// HyperShift's operators: an override string. A tag or digest in an ImageContentSourcePolicy is fine; what fails on a
    /// node is a warning.
    ControlPlane,
    /// A node: registries.conf. A source or mirror with a tag or digest is left out with a warning.
    Node,
}

/// The entries that are used, and what there is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validated {
    /// Those that are used, in the order in which they came.
    pub entries: Vec<MirrorEntry>,
    /// By entry and place, without repetition; independent of the order in which entries came.
    pub findings: Vec<Finding>,
}

/// Checks the entries of one layer for one consumer. An entry with an error is left out as a whole; the others go on.
pub fn validate(entries: &[MirrorEntry], consumer: Consumer) -> Validated {
    let mut validated = Validated::default();
    for entry in entries {
        let verdict = entry_rules::check(entry, consumer);
        if !verdict.is_left_out {
            validated.entries.push(entry.clone());
        }
        validated.findings.extend(verdict.findings);
    }
    validated.findings.extend(set_rules::check(&validated.entries));
    validated.findings.sort_by(Finding::order);
    validated.findings.dedup();
    validated
}

/// What is wrong with a mirror that is not `host[:port][/path]`, wherever it stands.
pub fn invalid_mirror(mirror: &str) -> Option<String> {
    (!format::is_mirror(mirror)).then(|| entry_rules::invalid_format("mirror", mirror))
}

#[cfg(test)]
mod tests;
