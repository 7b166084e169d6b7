//! The format of 2018, which nodes still support in the main file (`ConvertToV2`). image/v5.40 no longer does.

use super::document::Section;
use super::location::parse_location;
use super::{FileError, RegistryTable};

/// `[registries.search]`, `[registries.insecure]` and `[registries.block]`: the format of 2018.
pub(super) struct OldFormat {
    /// The equivalent of `unqualified-search-registries`.
    pub search: Option<Vec<String>>,
    insecure: Option<Vec<String>>,
    block: Option<Vec<String>>,
}

impl OldFormat {
    /// `None` if the file has none of these lists (`hasSetField`). Empty tables alone do not select this format.
    pub fn read(document: &Section<'_>) -> Result<Option<Self>, FileError> {
        let Some(top) = document.section("registries")? else { return Ok(None) };
        let list = |name| match top.section(name)? {
            Some(section) => section.strings("registries"),
            None => Ok(None),
        };
        let old = Self { search: list("search")?, insecure: list("insecure")?, block: list("block")? };
        let is_set = old.search.is_some() || old.insecure.is_some() || old.block.is_some();
        Ok(is_set.then_some(old))
    }

    /// `ConvertToV2`: blocked registries first, then insecure ones.
    pub fn tables(&self) -> Result<Vec<RegistryTable>, FileError> {
        let blocked = self.block.iter().flatten().map(|location| (location, true));
        let insecure = self.insecure.iter().flatten().map(|location| (location, false));
        let mut tables: Vec<RegistryTable> = Vec::new();
        for (location, is_blocked) in blocked.chain(insecure) {
            let location = parse_location(location)?;
            let place = tables.iter().position(|table| table.location == location).unwrap_or_else(|| {
                tables.push(RegistryTable { prefix: location.clone(), location, ..RegistryTable::default() });
                tables.len() - 1
            });
            if let Some(table) = tables.get_mut(place) {
                table.blocked |= is_blocked;
                table.insecure |= !is_blocked;
            }
        }
        if tables.iter().any(|table| table.location.is_empty()) {
            return Err(FileError::NoPrefixNoLocation);
        }
        Ok(tables)
    }
}
