//! A set of files becomes one configuration (`tryUpdatingCache`, `dropInConfigs`, `updateWithConfigurationFrom`).

use std::collections::BTreeMap;

use super::{ConfigError, RegistriesFile, RegistryTable, Role};
use crate::mirrors::scope::best_match_in;

const SUFFIX: &str = ".conf";

/// A table that counts, and the file that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedTable {
    /// The table.
    pub table: RegistryTable,
    /// The file's name, as the caller gave it.
    pub file: String,
}

/// A table that counts for nothing because a later file has one of the same prefix: tables are replaced whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replaced {
    /// The prefix of both.
    pub prefix: String,
    /// The file whose table is lost.
    pub file: String,
    /// The file whose table counts.
    pub by: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct LoadedFile {
    name: String,
    role: Role,
    file: RegistriesFile,
}

/// What a node makes of its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistriesConfig {
    /// In load order.
    files: Vec<LoadedFile>,
    tables: BTreeMap<String, LoadedTable>,
    replaced: Vec<Replaced>,
}

impl RegistriesConfig {
    /// Loads files: the main file, if there is one, then the drop-ins in a node's order.
    ///
    /// Names may have directories before them. Of the drop-ins only names that end in `.conf` count, also hidden ones, in
    /// byte order within a directory; directories count in the order in which they are first named. (image/v5.40 pools
    /// the directories and sorts by the last part of the name alone.)
    ///
    /// # Errors
    /// [`ConfigError`] for the first file that a node refuses.
    pub fn load<'f>(
        main: Option<(&'f str, &'f [u8])>,
        drop_ins: impl IntoIterator<Item = (&'f str, &'f [u8])>,
    ) -> Result<Self, ConfigError> {
        let mut drop_ins: Vec<_> = drop_ins.into_iter().filter(|(name, _)| name.ends_with(SUFFIX)).collect();
        let mut directories: Vec<&str> = Vec::new();
        for (name, _) in &drop_ins {
            let directory = split(name).0;
            if !directories.contains(&directory) {
                directories.push(directory);
            }
        }
        drop_ins.sort_by_key(|(name, _)| {
            let (directory, base) = split(name);
            (directories.iter().position(|known| *known == directory), base)
        });
        let main = main.map(|(name, content)| (name, content, Role::Main));
        let drop_ins = drop_ins.into_iter().map(|(name, content)| (name, content, Role::DropIn));
        let files = main.into_iter().chain(drop_ins).map(|(name, content, role)| {
            let file = RegistriesFile::parse(content, role).map_err(|error| ConfigError {
                file: name.to_owned(),
                is_drop_in: role == Role::DropIn,
                error,
            })?;
            Ok(LoadedFile { name: name.to_owned(), role, file })
        });
        Ok(Self::merge(files.collect::<Result<_, _>>()?))
    }

    /// The same node with one drop-in more, or with another content of that drop-in.
    ///
    /// A name without directory is taken to be in the first directory that has drop-ins.
    #[must_use]
    pub fn with_drop_in(&self, name: &str, file: RegistriesFile) -> Self {
        let mut files = self.files.clone();
        files.retain(|loaded| loaded.name != name);
        let first = files.iter().find(|loaded| loaded.role == Role::DropIn).map(|loaded| split(&loaded.name).0);
        let (directory, base) = split(name);
        let directory = if directory.is_empty() { first.unwrap_or_default() } else { directory };
        let is_known = files.iter().any(|loaded| loaded.role == Role::DropIn && split(&loaded.name).0 == directory);
        let place = files.iter().position(|loaded| {
            let (other, other_base) = split(&loaded.name);
            // After its neighbours in its directory; a directory of its own comes before the others.
            loaded.role == Role::DropIn && (!is_known || other == directory && other_base > base)
        });
        let end = files.iter().rposition(|loaded| loaded.role == Role::Main || split(&loaded.name).0 == directory);
        let place = place.unwrap_or_else(|| end.map_or(0, |last| last + 1));
        files.insert(place, LoadedFile { name: name.to_owned(), role: Role::DropIn, file });
        Self::merge(files)
    }

    fn merge(files: Vec<LoadedFile>) -> Self {
        let mut tables: BTreeMap<String, LoadedTable> = BTreeMap::new();
        let mut replaced = Vec::new();
        for LoadedFile { name, file, .. } in &files {
            for table in &file.tables {
                let loaded = LoadedTable { table: table.clone(), file: name.clone() };
                if let Some(lost) = tables.insert(table.prefix.clone(), loaded) {
                    replaced.push(Replaced { prefix: table.prefix.clone(), file: lost.file, by: name.clone() });
                }
            }
        }
        replaced.sort();
        Self { files, tables, replaced }
    }

    /// The tables that count, ascending by prefix.
    pub fn tables(&self) -> impl Iterator<Item = &LoadedTable> {
        self.tables.values()
    }

    /// The table of exactly this prefix.
    pub fn table(&self, prefix: &str) -> Option<&LoadedTable> {
        self.tables.get(prefix)
    }

    /// The table that a name selects (`FindRegistry`): names come without tag and digest, and with their registry.
    pub fn find(&self, name: &str) -> Option<&LoadedTable> {
        if self.tables.is_empty() {
            return None; // a node without files of its own is asked for each source and mirror
        }
        let (prefix, _) = best_match_in(name, |prefix| self.tables.contains_key(prefix))?;
        self.tables.get(&prefix)
    }

    /// The tables that a later file replaces, ascending by prefix.
    pub fn replaced(&self) -> &[Replaced] {
        &self.replaced
    }

    /// The files with their names, in load order.
    pub fn files(&self) -> impl Iterator<Item = (&str, &RegistriesFile)> {
        self.files.iter().map(|loaded| (loaded.name.as_str(), &loaded.file))
    }

    /// `unqualified-search-registries` of the last file that has the key.
    pub fn unqualified_search_registries(&self) -> Option<&[String]> {
        self.files.iter().rev().find_map(|loaded| loaded.file.unqualified_search_registries.as_deref())
    }

    /// `credential-helpers` of the last file that has the key.
    pub fn credential_helpers(&self) -> Option<&[String]> {
        self.files.iter().rev().find_map(|loaded| loaded.file.credential_helpers.as_deref())
    }

    /// `short-name-mode` of the last file that has a value for it.
    pub fn short_name_mode(&self) -> Option<&str> {
        self.files.iter().rev().find_map(|loaded| loaded.file.short_name_mode.as_deref())
    }

    /// The full name of a short one, by the last file that has the alias.
    pub fn alias(&self, name: &str) -> Option<&str> {
        let value = self.files.iter().rev().find_map(|loaded| loaded.file.aliases.get(name))?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Directory and last part of a name.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

#[cfg(test)]
mod tests;
