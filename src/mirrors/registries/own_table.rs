//! The tables of hypermirror's file.

use std::collections::{BTreeMap, BTreeSet};

use super::{MirrorTable, RegistriesConfig, RegistryTable};
use crate::mirrors::scope::match_len;
use crate::mirrors::{Origin, Scope};

/// A table of hypermirror's file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnTable {
    /// The replacement of the prefix. Empty for a wildcard.
    pub location: String,
    /// Same as in a registry table.
    pub insecure: bool,
    /// Same as in a registry table.
    pub blocked: bool,
    /// The mirrors, in the order in which they are tried.
    pub mirrors: Vec<MirrorTable>,
    /// The entries that declare it.
    pub origins: Vec<Origin>,
    /// The other files whose settings are merged into it.
    pub folded: BTreeSet<String>,
}

/// hypermirror's tables by prefix.
pub type TablesByPrefix = BTreeMap<String, OwnTable>;

/// Only a mirror's own flag applies, not the flag in the table of its host. The flag of that table is therefore copied
/// to the mirror.
pub(super) fn is_known_insecure(location: &str, foreign: &RegistriesConfig) -> bool {
    foreign.find(location).is_some_and(|found| found.table.insecure)
}

/// The location that does not change the name.
pub(super) fn unmoved(prefix: &str) -> String {
    if Scope::new(prefix).is_wildcard() { String::new() } else { prefix.to_owned() }
}

/// The location to which a table of another file redirects the names below `prefix`.
pub(super) fn moved(table: &RegistryTable, prefix: &str) -> String {
    let covered = match_len(&table.prefix, prefix).unwrap_or(prefix.len());
    match prefix.get(covered..) {
        Some(rest) if !table.location.is_empty() => format!("{}{rest}", table.location),
        _ => unmoved(prefix),
    }
}
