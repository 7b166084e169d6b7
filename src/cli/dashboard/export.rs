//! `--export`: the same pages as files, written beside their place and put there at once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, stream};
use hypermirror_api::ClusterKey;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::super::Usage;
use super::assets::ASSETS;
use super::fleet::rows;
use super::layout::{Frame, Page, document};
use super::links::{Links, Tab, cluster_file};
use super::pages::Context;
use super::query::Query;
use super::site::{cluster_page, tab_page};
use super::source::{Known, Snapshot, Source};

/// Lists the files of an export. Only a directory with nothing else is replaced.
const LIST: &str = ".hypermirror-dashboard";

/// Control planes that are read at the same time.
const READS: usize = 16;

/// Writes all pages below a directory, and returns their number.
///
/// # Errors
/// A directory with files of others, data that cannot be read, or a disk that is full. The directory stays as it was.
pub async fn export(source: &Source, directory: &Path) -> Result<usize> {
    // What a link names is replaced, and not the link. Where there is nothing yet, the name is good as it is.
    let directory = &fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    refuse_foreign(directory)?;
    let Known { snapshot, trouble } = source.known().await.map_err(anyhow::Error::msg)?;
    if let Some(trouble) = trouble {
        bail!("{trouble}");
    }
    let (parent, name) = (directory.parent(), directory.file_name());
    let name = name.with_context(|| format!("{} is not the name of a directory", directory.display()))?;
    let parent = parent.filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(|| format!("failed to create {}", parent.display()))?;
    let draft = parent.join(format!(".{}.{}.partial", name.to_string_lossy(), std::process::id()));
    fs::create_dir(&draft).with_context(|| format!("failed to create {}", draft.display()))?;
    let written = write(source, &snapshot, &draft).await;
    let placed = written.and_then(|pages| place(&draft, directory).map(|()| pages));
    // The draft, or what was there before.
    let removed = fs::remove_dir_all(&draft);
    let pages = placed?;
    if draft.exists() {
        removed.with_context(|| format!("failed to remove {}", draft.display()))?;
    }
    Ok(pages)
}

async fn write(source: &Source, snapshot: &Snapshot, draft: &Path) -> Result<usize> {
    let mut files = Files { root: draft, names: BTreeSet::new() };
    let keys = rows(&snapshot.input).into_iter().map(|row| row.key).collect();
    let pages = render(source, snapshot, keys, |name, content| files.add(name, &content)).await?;
    let list: String = files.names.iter().flat_map(|name| [name.as_str(), "\n"]).collect();
    files.add(LIST, &list)?;
    Ok(pages)
}

/// Renders the pages as files: those that the navigation names, and those of some hosted clusters. Passes on what each file
/// contains, with the files that pages need, and returns the number of pages.
pub async fn render(
    source: &Source,
    snapshot: &Snapshot,
    clusters: Vec<ClusterKey>,
    mut add: impl FnMut(&str, String) -> Result<()>,
) -> Result<usize> {
    for asset in ASSETS.iter().filter(|asset| asset.is_exported) {
        add(&format!("assets/{}", asset.name), asset.content.to_owned())?;
    }
    let mut count = 0;
    let frame = |links| Frame { links, origin: &source.name, read: snapshot.read, trouble: None, address: "" };
    let text = |page: &Page, links| document(page, &frame(links));
    let top = Context { links: Links::Files(0), now: snapshot.read };
    for tab in Tab::ALL.into_iter().filter(|tab| *tab != Tab::Explain) {
        add(tab.file(), text(&tab_page(source, snapshot, tab, &Query::default(), top), top.links))?;
        count += 1;
    }
    let below = Context { links: Links::Files(2), now: snapshot.read };
    let pages =
        stream::iter(clusters).map(|key| async move { (cluster_page(source, snapshot, &key, below).await, key) });
    let mut pages = std::pin::pin!(pages.buffered(READS));
    while let Some((page, key)) = pages.next().await {
        if let Some(page) = page {
            add(&cluster_file(&key), text(&page, below.links))?;
            count += 1;
        }
    }
    Ok(count)
}

struct Files<'a> {
    root: &'a Path,
    names: BTreeSet<String>,
}

impl Files<'_> {
    fn add(&mut self, name: &str, content: &str) -> Result<()> {
        let path = self.root.join(name);
        let folder = path.parent().unwrap_or(self.root);
        fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
        fs::write(&path, content).with_context(|| format!("failed to write {}", path.display()))?;
        self.names.insert(name.to_owned());
        Ok(())
    }
}

/// Puts the draft in its place. What was there is in the draft's place afterwards.
fn place(draft: &Path, directory: &Path) -> Result<()> {
    // Files may have appeared while pages were written.
    refuse_foreign(directory)?;
    let flags = if directory.exists() { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
    let placed = renameat_with(CWD, draft, CWD, directory, flags);
    placed.with_context(|| format!("failed to move the pages to {}", directory.display()))
}

/// Refuses a directory with anything but an earlier export.
fn refuse_foreign(directory: &Path) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    let failed = || format!("failed to read {}", directory.display());
    let found = listed(directory, Path::new("")).with_context(failed)?;
    let list = fs::read_to_string(directory.join(LIST)).unwrap_or_default();
    let own: BTreeSet<PathBuf> = list.lines().map(PathBuf::from).chain([PathBuf::from(LIST)]).collect();
    match found.iter().find(|file| !own.contains(*file)) {
        Some(file) => Err(Usage::error(format!(
            "{} has files that are not of an earlier export, such as {}; pass another directory",
            directory.display(),
            file.display()
        ))),
        None => Ok(()),
    }
}

/// All that is no folder, relative to the root. Links are not followed.
fn listed(root: &Path, below: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            found.extend(listed(root, &name)?);
        } else {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}
