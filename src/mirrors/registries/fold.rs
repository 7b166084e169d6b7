//! Creates the tables of hypermirror's file and merges the settings of other files for the same names.

use std::collections::HashMap;

use super::location::check_location;
use super::nested;
use super::note::{Note, NoteReason};
use super::own_table::{OwnTable, TablesByPrefix, is_known_insecure, moved, unmoved};
use super::{FileError, LoadedTable, MirrorTable, PullFromMirror, RegistriesConfig, RegistriesFile, RegistryTable};
use crate::mirrors::{Mirror, Policy, Resolved, ResolvedSource, Scope, is_valid_reference};

/// Creates the tables for a set of mirrors, with notes.
///
/// `boot` is the file of hypermirror with which the node booted. Its settings are not merged but reverted.
pub fn fold(
    set: &Resolved,
    foreign: &RegistriesConfig,
    boot: Option<(&str, &RegistriesFile)>,
) -> (TablesByPrefix, Vec<Note>) {
    let mut notes = Vec::new();
    let mut tables = TablesByPrefix::new();
    for (name, source) in &set.sources {
        let note = |what: &str, error: &str| Note {
            reason: NoteReason::LeftOut,
            prefix: name.clone(),
            subject: format!("{what:?}: {error}"),
        };
        if let Err(error) = check_prefix(name) {
            notes.push(note(name, &error));
            continue;
        }
        let mut table = own_table(name, source, foreign);
        table.mirrors.retain(|mirror| match check_location(&mirror.location) {
            Ok(_) => true,
            Err(error) => {
                notes.push(note(&mirror.location, &error.to_string()));
                false
            }
        });
        // An entry without mirrors has no effect, except that NeverContactSource applies.
        if !table.mirrors.is_empty() || source.policy == Policy::NeverContactSource {
            tables.insert(name.clone(), table);
        }
    }
    nested::add(&mut tables, set, foreign, &mut notes);
    if let Some((name, boot)) = boot {
        nested::revert_boot_file(&mut tables, foreign, name, boot);
    }
    unite_flags_of_one_location(&mut tables);
    (tables, notes)
}

/// Detects a source that would make the whole file invalid. Such a source is ignored and all others are written.
fn check_prefix(name: &str) -> Result<(), String> {
    let trimmed = check_location(name).map_err(|error| error.to_string())?;
    if trimmed != name {
        // A node removes the slash, and the table of that source may contradict this one.
        return Err("a source has no slash at its end".to_owned());
    }
    if name.starts_with("*.") && !Scope::new(name).is_valid() {
        return Err(FileError::Wildcard(name.to_owned()).to_string());
    }
    Ok(())
}

fn own_table(name: &str, source: &ResolvedSource, foreign: &RegistriesConfig) -> OwnTable {
    let digest = source.digest_mirrors.iter().map(|mirror| own_mirror(mirror, PullFromMirror::DigestOnly, foreign));
    let tag = source.tag_mirrors.iter().map(|mirror| own_mirror(mirror, PullFromMirror::TagOnly, foreign));
    let mut table = OwnTable {
        location: unmoved(name),
        blocked: source.policy == Policy::NeverContactSource,
        mirrors: digest.chain(tag).collect(),
        origins: source.origins.clone(),
        ..OwnTable::default()
    };
    let same = foreign.table(name);
    if let Some(found) = same.or_else(|| foreign.find(name)) {
        fold_flags(&mut table, name, found);
        if same.is_some() {
            fold_mirrors(&mut table, &found.table);
            table.folded.insert(found.file.clone());
        }
    }
    table
}

fn own_mirror(mirror: &Mirror, pull: PullFromMirror, foreign: &RegistriesConfig) -> MirrorTable {
    let insecure = mirror.insecure || is_known_insecure(&mirror.location, foreign);
    MirrorTable { location: mirror.location.clone(), insecure, pull }
}

/// Copies the flags and the location of another file's table to the table of hypermirror, which hides it.
///
/// There are two exceptions: a source with NeverContactSource is not redirected, and a location that results in an
/// invalid name, such as a wildcard, is corrected.
fn fold_flags(table: &mut OwnTable, prefix: &str, found: &LoadedTable) {
    let location = moved(&found.table, prefix);
    let moves = location != table.location && !table.blocked && is_valid_reference(&format!("{location}/a/b"));
    if moves || found.table.blocked || found.table.insecure {
        table.folded.insert(found.file.clone());
    }
    if moves {
        table.location = location;
    }
    table.blocked |= found.table.blocked;
    table.insecure |= found.table.insecure;
}

/// Appends the mirrors of another file that are not in the list yet for the same kind of pull.
fn fold_mirrors(table: &mut OwnTable, theirs: &RegistryTable) {
    let ours = table.mirrors.len();
    for mirror in &theirs.mirrors {
        for known in table.mirrors.iter_mut().take(ours).filter(|known| known.location == mirror.location) {
            known.insecure |= mirror.insecure;
        }
        let named = |by_digest: bool| {
            let ours = table.mirrors.iter().take(ours);
            ours.filter(|known| known.location == mirror.location).any(|known| known.pull.applies_to(by_digest))
        };
        let wanted = |by_digest: bool| mirror.pull.applies_to(by_digest) && !named(by_digest);
        let pull = match (wanted(true), wanted(false)) {
            (true, true) => PullFromMirror::All,
            (true, false) => PullFromMirror::DigestOnly,
            (false, true) => PullFromMirror::TagOnly,
            (false, false) => continue,
        };
        table.mirrors.push(MirrorTable { pull, ..mirror.clone() });
    }
}

/// Makes the flags of tables with the same location equal. Nodes reject a file in which they differ.
///
/// A table with a redirected location takes `blocked` from the table whose prefix is that location, because only that
/// table applies to names there. If there is none, one blocked table blocks all. A location is insecure if one of the
/// tables is.
fn unite_flags_of_one_location(tables: &mut TablesByPrefix) {
    let mut united: HashMap<String, (bool, bool)> = HashMap::new();
    for (prefix, table) in &*tables {
        if table.location != *prefix && !table.location.is_empty() {
            let owner = tables.get(&table.location).map(|owner| (owner.insecure, owner.blocked));
            let flags = united.entry(table.location.clone()).or_insert(owner.unwrap_or_default());
            flags.0 |= table.insecure;
            flags.1 |= table.blocked && owner.is_none();
        }
    }
    for table in tables.values_mut() {
        if let Some((insecure, blocked)) = united.get(&table.location) {
            (table.insecure, table.blocked) = (*insecure, *blocked);
        }
    }
}

#[cfg(test)]
mod tests;
