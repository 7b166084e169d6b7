//! `coverage --fill`: copies what is missing to the places that lack it.

use std::collections::BTreeSet;

use anyhow::Result;

use super::super::console;
use super::super::copy::{Engine, of_want};
use super::super::registry::ReachArgs;
use crate::registry::transfer::CopyOptions;

/// Copies what lines of `SOURCE=DESTINATION` name, with the credentials of the user: those of a hosted cluster are for reading.
pub async fn fill(reach: &ReachArgs, lines: &BTreeSet<String>) -> Result<()> {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let items = of_want(&lines.join("\n"), None)?;
    // The tag of an image that has lost a blob is still there.
    let options = CopyOptions { is_thorough: true, ..CopyOptions::default() };
    let report = Engine::new(reach, options)?.copy(&items).await?;
    report.warnings.iter().for_each(console::warning);
    console::note(report.text().trim_end());
    Ok(())
}
