//! Creates tables for settings of other files below hypermirror's sources, and tables that revert an earlier file of
//! hypermirror.

use super::note::{Note, NoteReason};
use super::own_table::{OwnTable, TablesByPrefix, is_known_insecure, moved, unmoved};
use super::{LoadedTable, MirrorTable, RegistriesConfig, RegistriesFile, RegistryTable};
use crate::mirrors::scope::{best_match_in, match_len};
use crate::mirrors::{Policy, Resolved, Scope};

/// Adds the mirrors of a source to tables of other files that are below that source and have no mirrors.
///
/// A node uses only the most specific table, so a table that has only `blocked` or `insecure` would hide the mirrors
/// for the names below it (`EditRegistriesConfig` of `openshift/runtime-utils` does the same).
pub fn add(tables: &mut TablesByPrefix, set: &Resolved, foreign: &RegistriesConfig, notes: &mut Vec<Note>) {
    let theirs: Vec<_> = foreign.tables().filter(|loaded| !tables.contains_key(&loaded.table.prefix)).collect();
    let with_mirrors: Vec<_> =
        theirs.iter().map(|loaded| &loaded.table).filter(|table| !table.mirrors.is_empty()).collect();
    let mut added = Vec::new();
    for loaded in theirs.iter().filter(|loaded| loaded.table.mirrors.is_empty()) {
        let prefix = &loaded.table.prefix;
        let Some((source, outer)) = enclosing(tables, prefix) else { continue };
        if with_mirrors.iter().any(|table| is_between(&table.prefix, source, prefix)) {
            continue;
        }
        if Scope::new(source).is_wildcard() {
            let (prefix, subject) = (prefix.clone(), loaded.file.clone());
            notes.push(Note { reason: NoteReason::NestedInWildcard, prefix, subject });
        } else {
            let never = set.sources.get(source).is_some_and(|source| source.policy == Policy::NeverContactSource);
            added.push((prefix.clone(), nested_table(loaded, source, outer, never, foreign)));
        }
    }
    tables.extend(added);
}

/// The most specific source of hypermirror that contains a table.
///
/// Upstream uses the least specific one, because it visits sources in byte order. This contradicts the rule that only
/// the most specific match applies.
fn enclosing<'t>(tables: &'t TablesByPrefix, prefix: &str) -> Option<(&'t str, &'t OwnTable)> {
    let around = tables.iter().filter(|(source, _)| Scope::new(prefix).is_nested_inside(Scope::new(source)));
    let around = around.map(|(source, table)| (source.as_str(), table));
    around.max_by_key(|(source, _)| (!Scope::new(source).is_wildcard(), source.len()))
}

/// Whether another table with mirrors is more specific than the source. Its mirrors then intentionally hide those of
/// the source.
fn is_between(other: &str, source: &str, prefix: &str) -> bool {
    Scope::new(prefix).is_nested_inside(Scope::new(other)) && Scope::new(other).is_nested_inside(Scope::new(source))
}

/// The mirrors of the source, each with the remainder of the name appended (`mirrorsAdjustedForNestedScope`). A table
/// that has only `insecure` is not an exception from NeverContactSource.
fn nested_table(
    loaded: &LoadedTable,
    source: &str,
    outer: &OwnTable,
    never: bool,
    foreign: &RegistriesConfig,
) -> OwnTable {
    let theirs = &loaded.table;
    let rest = theirs.prefix.strip_prefix(source).unwrap_or_default();
    let mut mirrors = below(&outer.mirrors, rest);
    for mirror in &mut mirrors {
        mirror.insecure |= is_known_insecure(&mirror.location, foreign);
    }
    OwnTable {
        location: if never { unmoved(&theirs.prefix) } else { moved(theirs, &theirs.prefix) },
        insecure: theirs.insecure,
        blocked: theirs.blocked || never,
        mirrors,
        origins: outer.origins.clone(),
        folded: [loaded.file.clone()].into(),
    }
}

/// Reverts settings of an earlier file of hypermirror that are no longer declared, with a table that restores the
/// node's behaviour without that file.
pub fn revert_boot_file(tables: &mut TablesByPrefix, foreign: &RegistriesConfig, name: &str, boot: &RegistriesFile) {
    let prefixes = boot.tables.iter().map(|table| &table.prefix).filter(|prefix| !tables.contains_key(*prefix));
    let back: Vec<_> = prefixes.map(|prefix| (prefix.clone(), without(tables, foreign, name, prefix))).collect();
    tables.extend(back);
}

fn without(tables: &TablesByPrefix, foreign: &RegistriesConfig, name: &str, prefix: &str) -> OwnTable {
    let is_there = |scope: &str| tables.contains_key(scope) || foreign.table(scope).is_some();
    let outer =
        if is_there(prefix) { Some(prefix.to_owned()) } else { best_match_in(prefix, is_there).map(|(s, _)| s) };
    let folded = [name.to_owned()].into();
    let unknown = OwnTable { location: unmoved(prefix), folded, ..OwnTable::default() };
    let Some(outer) = outer else { return unknown };
    let found = match (tables.get(&outer), foreign.table(&outer)) {
        (Some(ours), _) => RegistryTable {
            prefix: outer,
            location: ours.location.clone(),
            insecure: ours.insecure,
            blocked: ours.blocked,
            mirrors: ours.mirrors.clone(),
        },
        (None, Some(theirs)) => theirs.table.clone(),
        (None, None) => return unknown,
    };
    let rest = match_len(&found.prefix, prefix).and_then(|covered| prefix.get(covered..)).unwrap_or_default();
    OwnTable {
        location: moved(&found, prefix),
        insecure: found.insecure,
        blocked: found.blocked,
        mirrors: below(&found.mirrors, rest),
        ..unknown
    }
}

fn below(mirrors: &[MirrorTable], rest: &str) -> Vec<MirrorTable> {
    let below =
        mirrors.iter().map(|mirror| MirrorTable { location: format!("{}{rest}", mirror.location), ..mirror.clone() });
    below.collect()
}
