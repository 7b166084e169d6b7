//! Merges files into one configuration (`tryUpdatingCache`, `dropInConfigs`, `updateWithConfigurationFrom`).

use std::collections::BTreeMap;

use super::{ConfigError, RegistriesFile, RegistryTable, Role};
use crate::mirrors::scope::best_match_in;

const SUFFIX: &str = ".conf";

/// A table in use, and its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedTable {
    /// The table.
    pub table: RegistryTable,
    /// The name of the file, as passed by the caller.
    pub file: String,
}

/// A table that is not used because a later file has a table with the same prefix. Tables are replaced as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replaced {
    /// The prefix of both.
    pub prefix: String,
    /// The file whose table is replaced.
    pub file: String,
    /// The file whose table is used.
    pub by: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct LoadedFile {
    name: String,
    role: Role,
    file: RegistriesFile,
}

/// The configuration of a node, loaded from its files.
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
    /// Names can include directories. Only drop-ins whose name ends in `.conf` are loaded, including hidden ones, in
    /// byte order within a directory. Directories are loaded in the order in which they first occur. (image/v5.40
    /// combines the directories and sorts only by the last part of the name.)
    ///
    /// # Errors
    /// [`ConfigError`] for the first file that nodes reject.
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

    /// The same configuration with one more drop-in, or with new content of an existing one.
    ///
    /// A name without directory belongs to the first directory with drop-ins.
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
            // In byte order within its directory. A new directory is loaded before the others.
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

    /// The tables in use, sorted by prefix.
    pub fn tables(&self) -> impl Iterator<Item = &LoadedTable> {
        self.tables.values()
    }

    /// The table with exactly this prefix.
    pub fn table(&self, prefix: &str) -> Option<&LoadedTable> {
        self.tables.get(prefix)
    }

    /// The table that matches a name (`FindRegistry`). The name must have a registry, and no tag or digest.
    pub fn find(&self, name: &str) -> Option<&LoadedTable> {
        if self.tables.is_empty() {
            return None; // Called for each source and mirror, mostly for nodes without files of their own.
        }
        let (prefix, _) = best_match_in(name, |prefix| self.tables.contains_key(prefix))?;
        self.tables.get(&prefix)
    }

    /// The tables that a later file replaces, sorted by prefix.
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
