//! Our tables, with what the node's other files say about the same names folded in.

use std::collections::{BTreeMap, BTreeSet};

use super::write::{Note, NoteReason};
use super::{LoadedTable, MirrorTable, PullFromMirror, RegistriesConfig, RegistryTable};
use crate::mirrors::scope::Scope;
use crate::mirrors::{Mirror, Origin, Policy, Resolved, ResolvedSource};

/// One table of our file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnTable {
    /// What the prefix is replaced by; empty for a wildcard.
    pub location: String,
    /// As in a registry table.
    pub insecure: bool,
    /// As in a registry table.
    pub blocked: bool,
    /// In the order in which they are tried.
    pub mirrors: Vec<MirrorTable>,
    /// The entries that it comes from.
    pub origins: Vec<Origin>,
    /// The other files that it repeats something of.
    pub folded: BTreeSet<String>,
}

/// Our tables by prefix.
pub type TablesByPrefix = BTreeMap<String, OwnTable>;

/// Makes tables.
pub struct Tables;

impl Tables {
    /// Our tables for a set, ascending by prefix, and what there is to note.
    pub fn fold(set: &Resolved, foreign: &RegistriesConfig) -> (TablesByPrefix, Vec<Note>) {
        let sources = set.sources.iter().filter(|(_, source)| source.all_mirrors().next().is_some());
        let mut tables: TablesByPrefix =
            sources.map(|(name, source)| (name.clone(), own_table(name, source, foreign))).collect();
        let mut notes = Vec::new();
        let nested: Vec<_> = foreign.tables().filter(|loaded| loaded.table.mirrors.is_empty()).collect();
        for loaded in nested {
            let prefix = &loaded.table.prefix;
            match enclosing(&tables, prefix) {
                Some(source) if Scope::new(&source).is_wildcard() => notes.push(Note {
                    reason: NoteReason::NestedInWildcard,
                    prefix: prefix.clone(),
                    file: loaded.file.clone(),
                }),
                Some(source) => {
                    let inherited = tables.get(&source).map(|outer| nested_table(loaded, &source, outer));
                    tables.extend(inherited.map(|table| (prefix.clone(), table)));
                }
                None => {}
            }
        }
        (tables, notes)
    }
}

/// The most specific source of ours around a table that is not ours.
///
/// Upstream lets the least specific one win (`EditRegistriesConfig` visits sources in byte order), against the rule that
/// only the most specific match counts.
fn enclosing(tables: &TablesByPrefix, prefix: &str) -> Option<String> {
    if tables.contains_key(prefix) {
        return None;
    }
    let sources = tables.iter().filter(|(_, table)| !table.origins.is_empty()).map(|(source, _)| source);
    sources
        .filter(|source| Scope::new(prefix).is_nested_inside(Scope::new(source)))
        .max_by_key(|source| source.len())
        .cloned()
}

/// Another file's table without mirrors gets those of the source around it, each with the rest of the name appended
/// (`mirrorsAdjustedForNestedScope`).
fn nested_table(loaded: &LoadedTable, source: &str, outer: &OwnTable) -> OwnTable {
    let rest = loaded.table.prefix.strip_prefix(source).unwrap_or_default();
    let adjusted = outer
        .mirrors
        .iter()
        .map(|mirror| MirrorTable { location: format!("{}{rest}", mirror.location), ..mirror.clone() });
    OwnTable {
        location: loaded.table.location.clone(),
        insecure: loaded.table.insecure,
        blocked: loaded.table.blocked,
        mirrors: adjusted.collect(),
        origins: Vec::new(),
        folded: [loaded.file.clone()].into(),
    }
}

fn own_table(name: &str, source: &ResolvedSource, foreign: &RegistriesConfig) -> OwnTable {
    let digest = source.digest_mirrors.iter().map(|mirror| own_mirror(mirror, PullFromMirror::DigestOnly, foreign));
    let tag = source.tag_mirrors.iter().map(|mirror| own_mirror(mirror, PullFromMirror::TagOnly, foreign));
    let wildcard = Scope::new(name).is_wildcard();
    let mut table = OwnTable {
        location: if wildcard { String::new() } else { name.to_owned() },
        blocked: source.policy == Policy::NeverContactSource,
        mirrors: digest.chain(tag).collect(),
        origins: source.origins.clone(),
        ..OwnTable::default()
    };
    if let Some(same) = foreign.table(name) {
        fold_table(&mut table, &same.table);
        table.folded.insert(same.file.clone());
    } else if let Some(broader) = foreign.find(name).filter(|found| found.table.blocked || found.table.insecure) {
        table.blocked |= broader.table.blocked;
        table.insecure |= broader.table.insecure;
        table.folded.insert(broader.file.clone());
    }
    table
}

fn own_mirror(mirror: &Mirror, pull: PullFromMirror, foreign: &RegistriesConfig) -> MirrorTable {
    // A mirror's own flag decides, whatever the table of its host says: so that is repeated here.
    let known_insecure = foreign.find(&mirror.location).is_some_and(|found| found.table.insecure);
    MirrorTable { location: mirror.location.clone(), insecure: mirror.insecure || known_insecure, pull }
}

/// Their flags are kept, and their mirrors follow ours as far as ours do not name them for the same pulls.
fn fold_table(table: &mut OwnTable, theirs: &RegistryTable) {
    table.blocked |= theirs.blocked;
    table.insecure |= theirs.insecure;
    table.location.clone_from(&theirs.location);
    let ours = table.mirrors.len();
    for mirror in &theirs.mirrors {
        for known in table.mirrors.iter_mut().take(ours).filter(|known| known.location == mirror.location) {
            known.insecure |= mirror.insecure;
        }
        let named = |by_digest: bool| {
            let ours = table.mirrors.iter().take(ours);
            ours.filter(|known| known.location == mirror.location).any(|known| known.pull.admits(by_digest))
        };
        let wanted = |by_digest: bool| mirror.pull.admits(by_digest) && !named(by_digest);
        let pull = match (wanted(true), wanted(false)) {
            (true, true) => PullFromMirror::All,
            (true, false) => PullFromMirror::DigestOnly,
            (false, true) => PullFromMirror::TagOnly,
            (false, false) => continue,
        };
        table.mirrors.push(MirrorTable { pull, ..mirror.clone() });
    }
}
