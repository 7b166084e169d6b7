//! What a set of files would do to a node before anybody writes one of them.

use super::resolve::pull_sources;
use super::{ConfigError, LoadedTable, RegistriesConfig, Replaced};
use crate::mirrors::ImageReference;
use crate::mirrors::scope::Scope;

/// The verdict about files that a node accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What a node makes of them.
    pub config: RegistriesConfig,
    /// Tables whose pulls fail whatever their registries hold, ascending by prefix.
    pub broken: Vec<BrokenTable>,
    /// Tables that a later file replaces, ascending by prefix.
    pub replaced: Vec<Replaced>,
}

/// A table that every pull, or every pull of some names, fails with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenTable {
    /// Its prefix.
    pub prefix: String,
    /// Its file.
    pub file: String,
    /// A name whose pull fails.
    pub example: String,
    /// Why: an endpoint of it is no valid reference.
    pub error: String,
}

/// Judges files; the names and their order are those of [`RegistriesConfig::load`].
///
/// # Errors
/// [`ConfigError`]: no pull of any image works with these files, and CRI-O does not start with them.
pub fn judge<'f>(
    main: Option<(&'f str, &'f [u8])>,
    drop_ins: impl IntoIterator<Item = (&'f str, &'f [u8])>,
) -> Result<Verdict, ConfigError> {
    let config = RegistriesConfig::load(main, drop_ins)?;
    let broken = config.tables().filter_map(broken_table).collect();
    let replaced = config.replaced().to_vec();
    Ok(Verdict { config, broken, replaced })
}

/// Tries names that select the table, by tag and by digest: an endpoint that does not make a valid reference fails the
/// whole pull before anything is asked.
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

/// Names that a prefix covers: itself if it is a repository, and names below it.
fn probes(prefix: &str) -> Vec<String> {
    let scope = Scope::new(prefix);
    let base = prefix.strip_prefix("*.").map_or_else(|| prefix.to_owned(), |domain| format!("probe.{domain}"));
    let below = [format!("{base}/probe"), format!("{base}/probe/probe")];
    scope.path().map(|_| base).into_iter().chain(below).collect()
}

#[cfg(test)]
mod tests;
