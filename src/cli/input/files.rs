//! Reads the arguments of `-f`: files, directories without their subdirectories, and `-` for stdin.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::super::Usage;

/// Extensions of the files in a directory that are read.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// The content of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The name of the file in messages.
    pub file: String,
    /// Its content.
    pub content: String,
}

/// The files of one `-f`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The argument.
    pub name: String,
    /// The files, sorted by name.
    pub texts: Vec<Text>,
}

/// Reads the files of all arguments.
pub fn read(names: &[PathBuf]) -> Result<Vec<Named>> {
    if names.iter().filter(|name| name.as_os_str() == "-").count() > 1 {
        return Err(Usage::error("-f - can be used only once, because stdin can be read only once"));
    }
    names.iter().map(|name| read_one(name)).collect()
}

fn read_one(path: &Path) -> Result<Named> {
    let name = path.display().to_string();
    if name == "-" {
        let mut content = String::new();
        std::io::stdin().read_to_string(&mut content).context("failed to read stdin, which must be UTF-8 text")?;
        return Ok(Named { name, texts: vec![Text { file: "stdin".to_owned(), content }] });
    }
    let metadata =
        std::fs::metadata(path).with_context(|| format!("failed to read {name} (check the path passed with -f)"))?;
    if !metadata.is_dir() {
        return Ok(Named { name, texts: vec![read_text(path)?] });
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("failed to read directory {name}"))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()
        .with_context(|| format!("failed to read directory {name}"))?;
    files.retain(|file| has_ending(file) && file.is_file());
    files.sort_unstable();
    if files.is_empty() {
        bail!("directory {name} has no *.yaml, *.yml or *.json files; subdirectories are not read");
    }
    let texts = files.iter().map(|file| read_text(file)).collect::<Result<_>>()?;
    Ok(Named { name, texts })
}

fn has_ending(file: &Path) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.contains(&ending)
}

fn read_text(path: &Path) -> Result<Text> {
    let file = path.display().to_string();
    let content =
        std::fs::read_to_string(path).with_context(|| format!("failed to read {file}, which must be UTF-8 text"))?;
    Ok(Text { file, content })
}
