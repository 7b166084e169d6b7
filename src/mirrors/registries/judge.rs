//! Predicts the effect of a set of files on a node before they are written.

use super::resolve::pull_sources;
use super::{ConfigError, LoadedTable, RegistriesConfig, Replaced};
use crate::mirrors::ImageReference;
use crate::mirrors::scope::Scope;

/// The result for files that a node accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The resulting configuration.
    pub config: RegistriesConfig,
    /// Tables whose pulls fail independently of the content of registries, sorted by prefix.
    pub broken: Vec<BrokenTable>,
    /// Tables that a later file replaces, sorted by prefix.
    pub replaced: Vec<Replaced>,
}

/// A table for which all pulls, or all pulls of some names, fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenTable {
    /// Its prefix.
    pub prefix: String,
    /// Its file.
    pub file: String,
    /// A name whose pull fails.
    pub example: String,
    /// The error: the reference at an endpoint is invalid.
    pub error: String,
}

/// Validates files. Names and their order are as in [`RegistriesConfig::load`].
///
/// # Errors
/// [`ConfigError`] if all pulls of all images fail with these files, and CRI-O does not start.
pub fn judge<'f>(
    main: Option<(&'f str, &'f [u8])>,
    drop_ins: impl IntoIterator<Item = (&'f str, &'f [u8])>,
) -> Result<Judgement, ConfigError> {
    let config = RegistriesConfig::load(main, drop_ins)?;
    let broken = config.tables().filter_map(broken_table).collect();
    let replaced = config.replaced().to_vec();
    Ok(Judgement { config, broken, replaced })
}

/// Resolves names that match the table, by tag and by digest. An invalid reference at one endpoint fails the whole pull
/// before any endpoint is tried.
fn broken_table(loaded: &LoadedTable) -> Option<BrokenTable> {
    let failure = probes(&loaded.table.prefix).into_iter().find_map(|name| {
        let by_digest = format!("{name}@sha256:{}", "0".repeat(64));
        [format!("{name}:tag"), by_digest].into_iter().find_map(|image| {
            let reference = ImageReference::parse_canonical(&image).ok()?;
            let error = pull_sources(&loaded.table, &reference).err()?;
            Some((image, error.to_string()))
        })
    });
    let (example, error) = failure?;
    Some(BrokenTable { prefix: loaded.table.prefix.clone(), file: loaded.file.clone(), example, error })
}

/// Names that a prefix matches: the prefix itself if it is a repository, and names below it.
fn probes(prefix: &str) -> Vec<String> {
    let scope = Scope::new(prefix);
    let base = prefix.strip_prefix("*.").map_or_else(|| prefix.to_owned(), |domain| format!("probe.{domain}"));
    let below = [format!("{base}/probe"), format!("{base}/probe/probe")];
    scope.path().map(|_| base).into_iter().chain(below).collect()
}

#[cfg(test)]
mod tests;
