//! Reads text files that are named on the command line.

use std::io::Read as _;
use std::path::Path;

use anyhow::Result;

use super::Usage;

/// A list of 100,000 images has some 40 MiB.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The text of a file. One that cannot be read is bad usage: somebody named it.
pub fn read(file: &Path) -> Result<String> {
    let failed = |error: std::io::Error| Usage::error(format!("failed to read {}: {error}", file.display()));
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Usage::error(format!("{} has more than 64 MiB", file.display())));
    }
    Ok(text)
}
