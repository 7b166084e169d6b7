//! The archive: files by path, in a fixed order, in bounds, written whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

/// Bytes of all files: what fits into a ticket once it is compressed, and into memory.
const MAX_BYTES: usize = 64 << 20;
/// Length of a part of a path. tar allows 100 without extensions.
const MAX_PART: usize = 80;
/// The directory in the archive, so that it does not fill the current one.
const ROOT: &str = "hypermirror-dump";
/// Only its owner may read it: it is redacted, and still nobody else's business.
const MODE: u32 = 0o600;

/// The files of an archive.
#[derive(Debug, Default)]
pub struct Archive {
    files: BTreeMap<String, Vec<u8>>,
    bytes: usize,
}

impl Archive {
    /// Adds a file. Each part of the path may come from an untrusted name.
    ///
    /// # Errors
    /// Why it was left out.
    pub fn add(&mut self, path: &[&str], content: Vec<u8>) -> Result<(), String> {
        if self.bytes.saturating_add(content.len()) > MAX_BYTES {
            return Err(format!("left out: all files together may have {} MiB", MAX_BYTES >> 20));
        }
        let path = path.iter().map(|part| safe(part)).collect::<Vec<_>>().join("/");
        let mut name = path.clone();
        let mut count = 1;
        while self.files.contains_key(&name) {
            count += 1;
            name = format!("{path}~{count}");
        }
        self.bytes += content.len();
        self.files.insert(name, content);
        Ok(())
    }

    /// Paths and sizes.
    pub fn list(&self) -> impl Iterator<Item = (&str, usize)> {
        self.files.iter().map(|(path, content)| (path.as_str(), content.len()))
    }

    /// The archive as `.tar.gz`: the same bytes for the same files.
    ///
    /// # Errors
    /// None that can occur in memory.
    pub fn compressed(&self) -> io::Result<Vec<u8>> {
        let encoder: GzEncoder<Vec<u8>> = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
        let mut tar = tar::Builder::new(encoder);
        for (path, content) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_entry_type(tar::EntryType::Regular);
            tar.append_data(&mut header, Path::new(ROOT).join(path), content.as_slice())?;
        }
        tar.into_inner()?.finish()
    }

    /// Writes the archive to a file that does not exist yet. A failure leaves no file.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let content = self.compressed()?;
        let temporary = Temporary::beside(file)?;
        let mut open = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&temporary.0)?;
        open.write_all(&content)?;
        open.sync_all()?;
        // A link fails if the name is taken, where a rename would replace what is there. Some file systems have no links.
        match fs::hard_link(&temporary.0, file) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => fs::rename(&temporary.0, file),
            linked => linked,
        }
    }
}

/// A file that is removed at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(file: &Path) -> io::Result<Self> {
        let name = file.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let name = format!(".{}.{}.partial", name.to_string_lossy(), std::process::id());
        Ok(Self(file.with_file_name(name)))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // If it cannot be removed, the error that led here, or nothing, is what a person has to know.
        let _ = fs::remove_file(&self.0);
    }
}

/// A part of a path that leads nowhere else.
fn safe(part: &str) -> String {
    let is_safe = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    let kept: String = part.chars().take(MAX_PART).map(|letter| if is_safe(letter) { letter } else { '_' }).collect();
    match kept.trim_start_matches('.') {
        "" => "_".to_owned(),
        kept => kept.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
        let entries = tar.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (path, content)
        });
        entries.collect()
    }

    #[test]
    fn hostile_names_stay_inside_the_archive() {
        let mut archive = Archive::default();
        let long = "x".repeat(10_000);
        for name in ["../../etc/passwd", "..", "", "/abs", "a/b", ".hidden", "a\0b", "pod\u{202e}", &long] {
            archive.add(&["logs", name], b"x".to_vec()).unwrap();
        }
        for (path, _) in entries(&archive.compressed().unwrap()) {
            let parts: Vec<&str> = path.split('/').collect();
            assert_eq!((parts.len(), parts[0], parts[1]), (3, ROOT, "logs"), "{path}");
            assert!(!parts[2].is_empty() && parts[2] != ".." && path.len() < 120 && path.is_ascii(), "{path}");
        }
        assert_eq!(archive.list().count(), 9);
    }

    #[test]
    fn the_order_of_files_does_not_matter() {
        let add = |paths: &[&str]| {
            let mut archive = Archive::default();
            for path in paths {
                archive.add(&[path], path.as_bytes().to_vec()).unwrap();
            }
            archive.compressed().unwrap()
        };
        assert_eq!(add(&["a", "b"]), add(&["b", "a"]));
        assert_eq!(entries(&add(&["b", "a"]))[0], ("hypermirror-dump/a".to_owned(), b"a".to_vec()));
    }

    #[test]
    fn an_archive_has_a_limit_and_goes_on_behind_it() {
        let mut archive = Archive::default();
        archive.add(&["big"], vec![0; MAX_BYTES - 1]).unwrap();
        assert!(archive.add(&["more"], vec![0; 2]).unwrap_err().contains("64 MiB"));
        archive.add(&["small"], vec![0; 1]).unwrap();
        assert_eq!(archive.list().count(), 2);
    }

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("dump.tar.gz");
        let mut archive = Archive::default();
        archive.add(&["a"], b"x".to_vec()).unwrap();
        archive.write(&file).unwrap();
        let written = fs::read(&file).unwrap();
        assert_eq!(entries(&written).len(), 1);
        assert_eq!(archive.write(&file).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&file).unwrap(), written, "an existing file is left alone");
        assert!(archive.write(&directory.path().join("none/dump.tar.gz")).is_err());
        let left: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["dump.tar.gz"]);
    }
}
