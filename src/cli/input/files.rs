//! What `-f` names: files, directories (not what lies deeper), and `-` for stdin.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::super::Usage;

/// The endings that a manifest in a directory has.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// One text, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The file as messages name it.
    pub file: String,
    /// Its content.
    pub content: String,
}

/// What one `-f` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// As it was given.
    pub name: String,
    /// Its texts, a directory's by name.
    pub texts: Vec<Text>,
}

/// Reads everything that is named.
pub fn read(names: &[PathBuf]) -> Result<Vec<Named>> {
    if names.iter().filter(|name| name.as_os_str() == "-").count() > 1 {
        return Err(Usage::error("-f - was given twice; stdin can be read once"));
    }
    names.iter().map(|name| read_one(name)).collect()
}

fn read_one(path: &Path) -> Result<Named> {
    let name = path.display().to_string();
    if name == "-" {
        let mut content = String::new();
        std::io::stdin().read_to_string(&mut content).context("cannot read stdin; it has to be UTF-8 text")?;
        return Ok(Named { name, texts: vec![Text { file: "stdin".to_owned(), content }] });
    }
    let metadata =
        std::fs::metadata(path).with_context(|| format!("cannot read {name}; check the path given with -f"))?;
    if !metadata.is_dir() {
        return Ok(Named { name, texts: vec![read_text(path)?] });
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot read the directory {name}"))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()
        .with_context(|| format!("cannot read the directory {name}"))?;
    files.retain(|file| has_ending(file) && file.is_file());
    files.sort_unstable();
    if files.is_empty() {
        bail!("the directory {name} has no *.yaml, *.yml or *.json; directories inside it are not read");
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
    let content = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {file}; it has to be a readable UTF-8 file"))?;
    Ok(Text { file, content })
}
