//! Parses one file: its tables and top-level keys, or the error for which nodes reject the whole configuration.
//!
//! `containers/image`, `pkg/sysregistriesv2/system_registries_v2.go`: `loadConfigFile`, `postProcessRegistries`,
//! `parseLocation`, and `shortnames.go` for the aliases.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::FileError;
use super::document::{Section, with_document};
use super::location::parse_location;
use super::old_format::OldFormat;
use super::table::{MirrorTable, PullFromMirror, RegistryTable};
use crate::mirrors::ImageReference;
use crate::mirrors::reference::is_host_and_port;

/// The role of a file. The format before `[[registry]]` is supported only in the main file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// registries.conf itself.
    Main,
    /// A file in registries.conf.d.
    DropIn,
}

/// A valid file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistriesFile {
    /// Its tables in order. Of several tables with the same prefix, only the first.
    pub tables: Vec<RegistryTable>,
    /// The prefixes of tables that are hidden by an earlier table of the same prefix.
    pub hidden: Vec<String>,
    /// `unqualified-search-registries`, if present.
    pub unqualified_search_registries: Option<Vec<String>>,
    /// `credential-helpers`, if present.
    pub credential_helpers: Option<Vec<String>>,
    /// `short-name-mode`, if present and not empty.
    pub short_name_mode: Option<String>,
    /// `[aliases]`. An empty value removes an alias of an earlier file.
    pub aliases: BTreeMap<String, String>,
}

impl RegistriesFile {
    /// Parses a file. As upstream, unknown keys are ignored.
    ///
    /// # Errors
    /// [`FileError`] if nodes reject a configuration with this file.
    pub fn parse(content: &[u8], role: Role) -> Result<Self, FileError> {
        with_document(content, |document| {
            let mut file = Self::read(&document)?;
            let mut tables = read_tables(&document)?;
            if let Some(old) = OldFormat::read(&document)? {
                if role == Role::DropIn {
                    return Err(FileError::V1Format);
                }
                if document.sections("registry")?.is_some() || file.has_top_level_key() {
                    return Err(FileError::MixedFormats);
                }
                tables = old.tables()?;
                file.unqualified_search_registries = old.search;
            }
            check_conflicts(&tables)?;
            file.check_top_level_keys()?;
            file.keep_first_of_each_prefix(tables)?;
            Ok(file)
        })
    }

    fn read(document: &Section<'_>) -> Result<Self, FileError> {
        // Upstream knows this key as well and rejects a value of another type.
        document.string("additional-layer-store-auth-helper")?;
        let aliases = document.section("aliases")?.map(|section| section.all_strings()).transpose()?;
        Ok(Self {
            unqualified_search_registries: document.strings("unqualified-search-registries")?,
            credential_helpers: document.strings("credential-helpers")?,
            short_name_mode: Some(document.string("short-name-mode")?).filter(|mode| !mode.is_empty()),
            aliases: aliases.unwrap_or_default().into_iter().collect(),
            ..Self::default()
        })
    }

    fn has_top_level_key(&self) -> bool {
        self.unqualified_search_registries.is_some()
            || self.credential_helpers.is_some()
            || self.short_name_mode.is_some()
            || !self.aliases.is_empty()
    }

    fn check_top_level_keys(&mut self) -> Result<(), FileError> {
        for registry in self.unqualified_search_registries.iter_mut().flatten() {
            *registry = parse_location(registry)?;
            if !is_host_and_port(registry) {
                return Err(FileError::SearchRegistry(registry.clone()));
            }
        }
        match self.short_name_mode.as_deref() {
            None | Some("disabled" | "enforcing" | "permissive") => {}
            Some(mode) => return Err(FileError::ShortNameMode(mode.to_owned())),
        }
        match self.aliases.iter().find(|(name, value)| !is_alias(name, value)) {
            Some((name, value)) => Err(FileError::Alias(format!("{name} = {value}"))),
            None => Ok(()),
        }
    }

    fn keep_first_of_each_prefix(&mut self, tables: Vec<RegistryTable>) -> Result<(), FileError> {
        let mut seen = HashSet::new();
        for table in tables {
            if seen.insert(table.prefix.clone()) {
                if table.prefix.starts_with("*.") && table.prefix.contains(['/', '@', ':']) {
                    return Err(FileError::Wildcard(table.prefix));
                }
                self.tables.push(table);
            } else {
                self.hidden.push(table.prefix);
            }
        }
        Ok(())
    }
}

fn read_tables(document: &Section<'_>) -> Result<Vec<RegistryTable>, FileError> {
    document.sections("registry")?.unwrap_or_default().iter().map(read_table).collect()
}

fn read_table(section: &Section<'_>) -> Result<RegistryTable, FileError> {
    let location = parse_location(&section.string("location")?)?;
    let prefix = match section.string("prefix")? {
        prefix if prefix.is_empty() && location.is_empty() => return Err(FileError::NoPrefixNoLocation),
        prefix if prefix.is_empty() => location.clone(),
        prefix => parse_location(&prefix)?,
    };
    if location.is_empty() && !prefix.starts_with("*.") {
        return Err(FileError::NoLocation);
    }
    if !section.string("pull-from-mirror")?.is_empty() {
        return Err(FileError::PullFromMirrorOnRegistry(prefix));
    }
    let by_digest_only = section.boolean("mirror-by-digest-only")?;
    let mirrors = section.sections("mirror")?.unwrap_or_default();
    let mirrors = mirrors.iter().map(|mirror| read_mirror(mirror, &prefix, by_digest_only));
    Ok(RegistryTable {
        mirrors: mirrors.collect::<Result<_, _>>()?,
        insecure: section.boolean("insecure")?,
        blocked: section.boolean("blocked")?,
        prefix,
        location,
    })
}

fn read_mirror(section: &Section<'_>, prefix: &str, by_digest_only: bool) -> Result<MirrorTable, FileError> {
    let location = parse_location(&section.string("location")?)?;
    if location.is_empty() {
        return Err(FileError::NoMirrorLocation);
    }
    let value = section.string("pull-from-mirror")?;
    if by_digest_only && !value.is_empty() {
        return Err(FileError::TwoMirrorUsages { prefix: prefix.to_owned(), mirror: location });
    }
    let pull = match value.as_str() {
        "digest-only" => PullFromMirror::DigestOnly,
        "tag-only" => PullFromMirror::TagOnly,
        "" if by_digest_only => PullFromMirror::DigestOnly,
        "" | "all" => PullFromMirror::All,
        _ => return Err(FileError::PullFromMirror { value, mirror: location }),
    };
    Ok(MirrorTable { location, insecure: section.boolean("insecure")?, pull })
}

/// Tables with the same location must have equal flags, including tables that are hidden by another one of the same
/// prefix.
fn check_conflicts(tables: &[RegistryTable]) -> Result<(), FileError> {
    let mut first: HashMap<&str, &RegistryTable> = HashMap::new();
    for table in tables {
        let key = if table.location.is_empty() { &table.prefix } else { &table.location };
        let other = *first.entry(key).or_insert(table);
        let setting = match (other.insecure == table.insecure, other.blocked == table.blocked) {
            (false, _) => "insecure",
            (_, false) => "blocked",
            _ => continue,
        };
        return Err(FileError::Conflict { location: table.location.clone(), setting });
    }
    Ok(())
}

/// `validateShortName` and `parseShortNameValue`: the alias has no registry, tag or digest, and its value has a
/// registry.
fn is_alias(name: &str, value: &str) -> bool {
    let is_plain = |text: &str| {
        ImageReference::parse(text).is_ok_and(|reference| reference.tag.is_none() && reference.digest.is_none())
    };
    let names_registry =
        |text: &str| text.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost");
    is_plain(name) && !names_registry(name) && (value.is_empty() || is_plain(value) && names_registry(value))
}

#[cfg(test)]
mod tests;
