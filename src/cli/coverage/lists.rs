//! What is asked about beside the objects of the input: releases, images, lists of them, results of oc-mirror.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::super::{Usage, list_file};
use crate::documents;
use crate::mirrors::ImageReference;
use crate::registry::coverage::list;

/// The file in which oc-mirror lists what it mirrors; version 2 writes it with `--dry-run`.
const MAPPING: &str = "mapping.txt";
/// The folder with the objects that oc-mirror makes.
const RESOURCES: &str = "cluster-resources";
/// Folders in folders: `working-dir/dry-run`, `oc-mirror-workspace/results-123`.
const MAX_DEPTH: usize = 4;
const MAX_FOLDERS: usize = 2_000;
const SHOWN: usize = 5;

/// What is asked about.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Release image, with its payload; may be repeated
    #[arg(long, value_name = "IMAGE")]
    release: Vec<String>,
    /// Image that nodes pull; may be repeated
    #[arg(long, value_name = "IMAGE")]
    image: Vec<String>,
    /// File with images that nodes pull, one on each line; may be repeated
    #[arg(long, value_name = "FILE")]
    images: Vec<PathBuf>,
    /// Folder with results of oc-mirror; may be repeated
    #[arg(long, value_name = "DIR")]
    oc_mirror: Vec<PathBuf>,
}

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Release images.
    pub releases: Vec<String>,
    /// Images, each once.
    pub images: BTreeSet<String>,
}

impl Listed {
    /// Whether nothing was asked about.
    pub fn is_empty(&self) -> bool {
        self.releases.is_empty() && self.images.is_empty()
    }
}

impl ListArgs {
    /// Reads the files. What names no image is an error: a need that is left out would count as proven.
    pub fn read(&self) -> Result<Listed> {
        let mut listed = Listed::default();
        for release in &self.release {
            listed.releases.push(reference(release)?);
        }
        for image in &self.image {
            listed.images.insert(reference(image)?);
        }
        for file in &self.images {
            listed.add(file)?;
        }
        for folder in &self.oc_mirror {
            listed.add_folder(folder)?;
        }
        let asks = !(self.images.is_empty() && self.oc_mirror.is_empty());
        if asks && listed.is_empty() {
            return Err(Usage::error("the files of --images and --oc-mirror have no image"));
        }
        Ok(listed)
    }
}

impl Listed {
    fn add(&mut self, file: &Path) -> Result<()> {
        let images = list::parse(&list_file::read(file)?).map_err(|errors| {
            let more = errors.len().saturating_sub(SHOWN);
            let more = (more > 0).then(|| format!("and {more} more"));
            let shown = errors.iter().take(SHOWN).map(ToString::to_string).chain(more);
            Usage::error(format!("{}: {}", file.display(), shown.collect::<Vec<_>>().join("; ")))
        })?;
        self.images.extend(images.iter().map(ToString::to_string));
        Ok(())
    }

    /// The mapping of each run in the folder, and the images of catalogs in its objects.
    fn add_folder(&mut self, folder: &Path) -> Result<()> {
        let found = find(folder)?;
        if found.mappings.is_empty() {
            return Err(Usage::error(format!(
                "{} has no {MAPPING}; run oc-mirror with --dry-run, which writes it",
                folder.display()
            )));
        }
        for mapping in &found.mappings {
            self.add(mapping)?;
        }
        for file in &found.resources {
            let documents = documents::read(&file.display().to_string(), &list_file::read(file)?);
            for document in documents.map_err(|error| anyhow::anyhow!("failed to read {error}"))? {
                let image = match document.text_at("/kind") {
                    Some("CatalogSource") => document.text_at("/spec/image"),
                    Some("ClusterCatalog") => document.text_at("/spec/source/image/ref"),
                    _ => None,
                };
                if let Some(image) = image {
                    self.images.insert(reference(image)?);
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Found {
    mappings: Vec<PathBuf>,
    resources: Vec<PathBuf>,
}

/// Files in a folder, without following links out of it.
fn find(folder: &Path) -> Result<Found> {
    let mut found = Found::default();
    let mut folders = vec![(folder.to_owned(), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = folders.pop() {
        seen += 1;
        if seen > MAX_FOLDERS {
            return Err(Usage::error(format!("{} has more than {MAX_FOLDERS} folders", folder.display())));
        }
        let failed = |error: std::io::Error| Usage::error(format!("failed to read {}: {error}", folder.display()));
        let is_resources = folder.file_name().is_some_and(|name| name == RESOURCES);
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (kind, path) = (entry.file_type().map_err(failed)?, entry.path());
            let extension = path.extension().and_then(|extension| extension.to_str());
            if kind.is_dir() && depth < MAX_DEPTH {
                folders.push((path, depth + 1));
            } else if kind.is_file() && path.file_name().is_some_and(|name| name == MAPPING) {
                found.mappings.push(path);
            } else if kind.is_file() && is_resources && matches!(extension, Some("yaml" | "yml" | "json")) {
                found.resources.push(path);
            }
        }
    }
    found.mappings.sort();
    found.resources.sort();
    Ok(found)
}

/// A reference as somebody passed it, also with the transport of skopeo.
fn reference(text: &str) -> Result<String> {
    let text = text.trim();
    let text = text.strip_prefix("docker://").unwrap_or(text);
    match ImageReference::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Usage::error(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(oc_mirror: &Path) -> ListArgs {
        ListArgs { release: vec![], image: vec![], images: vec![], oc_mirror: vec![oc_mirror.to_owned()] }
    }

    #[test]
    fn results_of_both_versions_of_oc_mirror_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert!(args(folder.path()).read().unwrap_err().to_string().contains("--dry-run"));
        write("working-dir/dry-run/mapping.txt", "docker://quay.io/a:1=docker://m.example/a:1\n");
        write("oc-mirror-workspace/results-1/mapping.txt", "quay.io/b:1=m.example/b:1\n");
        let catalog = "kind: CatalogSource\nspec:\n  image: m.example/catalog:v4\n---\nkind: ImageDigestMirrorSet\n";
        write("working-dir/cluster-resources/cs-redhat.yaml", catalog);
        write("working-dir/other/x.yaml", "not read: [");
        std::os::unix::fs::symlink("/", folder.path().join("loop")).unwrap();
        let listed = args(folder.path()).read().unwrap();
        assert_eq!(
            listed.images.into_iter().collect::<Vec<_>>(),
            ["m.example/catalog:v4", "quay.io/a:1", "quay.io/b:1"]
        );
    }

    #[test]
    fn a_line_that_names_no_image_is_an_error_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MAPPING), "quay.io/a\nquay.io/A\n").unwrap();
        let error = args(folder.path()).read().unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("mapping.txt: line 2: "), "{error}");
        std::fs::write(folder.path().join(MAPPING), "").unwrap();
        assert!(args(folder.path()).read().unwrap_err().to_string().contains("have no image"));
    }
}
