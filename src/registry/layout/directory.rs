//! A layout as a directory. Blocking: called on threads that may wait.
//!
//! Every file is opened below the directory's own descriptor, and no link in it is followed: a layout that comes over an air
//! gap leads nowhere else.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags};

use super::super::wire::digest::{Algorithm, Digest};
use super::content::Content;
use super::error::Trouble;
use super::index::MAX_INDEX_BYTES;

pub(super) const LAYOUT_FILE: &str = "oci-layout";
pub(super) const INDEX_FILE: &str = "index.json";
pub(super) const BLOBS: &str = "blobs";
/// Where blobs are until they are whole. Below the layout, because a file is renamed within one file system only.
const PARTIAL: &str = "hypermirror-partial";
/// A few bytes in every layout.
pub(super) const MAX_LAYOUT_FILE_BYTES: usize = 4 * 1024;
pub(super) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

const FILES: Mode = Mode::from_raw_mode(0o644);
const DIRECTORIES: Mode = Mode::from_raw_mode(0o755);
/// No link, and no pipe that waits for somebody.
const SAFE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// An open directory.
#[derive(Debug)]
pub(super) struct Directory {
    root: OwnedFd,
}

impl Directory {
    /// Opens a layout to read it.
    pub(super) fn open(path: &Path) -> Result<Self, Trouble> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|error| named(path, error))?;
        let directory = Self { root };
        directory.check()?;
        Ok(directory)
    }

    /// Opens or creates a layout to write to it. It is locked until it is closed, because two processes that write one index lose
    /// each other's images.
    pub(super) fn create(path: &Path) -> Result<Self, Trouble> {
        std::fs::create_dir_all(path).map_err(|error| Trouble::io(&path.display().to_string(), &error))?;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|error| named(path, error))?;
        // Another error: a file system without locks.
        if rustix::fs::flock(&root, FlockOperation::NonBlockingLockExclusive) == Err(rustix::io::Errno::WOULDBLOCK) {
            return Err(Trouble::Busy);
        }
        let directory = Self { root };
        match directory.check() {
            Err(Trouble::Missing(_)) => {
                if std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
                    return Err(Trouble::invalid(format!("it is not empty and has no {LAYOUT_FILE}")));
                }
                directory.replace(LAYOUT_FILE, LAYOUT)?;
            }
            checked => checked?,
        }
        Ok(directory)
    }

    fn check(&self) -> Result<(), Trouble> {
        check_version(&self.read(LAYOUT_FILE, MAX_LAYOUT_FILE_BYTES)?)
    }

    /// The bytes of `index.json`; nothing if there is none yet.
    pub(super) fn index(&self) -> Result<Option<Vec<u8>>, Trouble> {
        match self.read(INDEX_FILE, MAX_INDEX_BYTES) {
            Err(Trouble::Missing(_)) => Ok(None),
            read => read.map(Some),
        }
    }

    /// Writes `index.json` as a whole, or not at all.
    pub(super) fn write_index(&self, bytes: &[u8]) -> Result<(), Trouble> {
        self.replace(INDEX_FILE, bytes)
    }

    fn read(&self, name: &str, limit: usize) -> Result<Vec<u8>, Trouble> {
        let file = regular(&self.root, name, OFlags::RDONLY).map_err(|error| Trouble::io(name, &error))?;
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| Trouble::io(name, &error))?;
        if bytes.len() > limit {
            return Err(Trouble::invalid(format!("{name} has more than {limit} bytes")));
        }
        Ok(bytes)
    }

    /// Synchronised before it is renamed: the old file is there until the new one is whole, also when the power fails.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Trouble> {
        let new = format!(".{name}.new");
        let write = || -> io::Result<()> {
            let _ = rustix::fs::unlinkat(&self.root, &*new, AtFlags::empty());
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | SAFE;
            let mut file = File::from(rustix::fs::openat(&self.root, &*new, flags, FILES)?);
            file.write_all(bytes)?;
            file.sync_all()?;
            Ok(rustix::fs::renameat(&self.root, &*new, &self.root, name)?)
        };
        write().map_err(|error| Trouble::io(name, &error))
    }

    /// A blob; nothing if it is not there.
    pub(super) fn blob(&self, digest: &Digest) -> Result<Option<Content>, Trouble> {
        let open = || -> io::Result<Content> {
            let blobs = folder(&self.root, BLOBS, false)?;
            let folder = folder(&blobs, algorithm(digest), false)?;
            let file = regular(&folder, digest.hex(), OFlags::RDONLY)?;
            let size = file.metadata()?.len();
            Ok(Content::new(file, 0, size))
        };
        match open() {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Trouble::io("the blob", &error)),
        }
    }

    /// The file in which a blob grows, with what an interrupted run left of it.
    pub(super) fn partial(&self, digest: &Digest) -> Result<(File, u64), Trouble> {
        let open = || -> io::Result<(File, u64)> {
            let folder = folder(&self.root, PARTIAL, true)?;
            let file = regular(&folder, &partial(digest), OFlags::RDWR | OFlags::CREATE)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        open().map_err(|error| Trouble::io("the partial blob", &error))
    }

    /// Puts a blob that is whole and right in its place. It is not synchronised: a file that a power failure cut has another size
    /// than its descriptor, and is copied again.
    pub(super) fn commit(&self, digest: &Digest) -> Result<(), Trouble> {
        let commit = || -> io::Result<()> {
            let from = folder(&self.root, PARTIAL, false)?;
            let to = folder(&folder(&self.root, BLOBS, true)?, algorithm(digest), true)?;
            Ok(rustix::fs::renameat(&from, &*partial(digest), &to, digest.hex())?)
        };
        commit().map_err(|error| Trouble::io("the blob", &error))
    }

    /// Removes what was written of a blob.
    pub(super) fn discard(&self, digest: &Digest) {
        if let Ok(folder) = folder(&self.root, PARTIAL, false) {
            let _ = rustix::fs::unlinkat(&folder, &*partial(digest), AtFlags::empty());
        }
    }

    /// Removes what is empty and not part of a layout.
    pub(super) fn finish(&self) {
        let _ = rustix::fs::unlinkat(&self.root, PARTIAL, AtFlags::REMOVEDIR);
    }
}

/// Refuses layouts of other versions.
pub(super) fn check_version(bytes: &[u8]) -> Result<(), Trouble> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        image_layout_version: String,
    }
    let version: Version =
        serde_json::from_slice(bytes).map_err(|error| Trouble::invalid(format!("{LAYOUT_FILE}: {error}")))?;
    if version.image_layout_version.starts_with("1.") {
        return Ok(());
    }
    Err(Trouble::invalid(format!("{LAYOUT_FILE} has the version {:?}, not 1", version.image_layout_version)))
}

/// The folder of blobs with digests of this algorithm.
pub(super) const fn algorithm(digest: &Digest) -> &'static str {
    match digest.algorithm() {
        Algorithm::Sha256 => "sha256",
        Algorithm::Sha512 => "sha512",
    }
}

fn partial(digest: &Digest) -> String {
    format!("{}-{}", algorithm(digest), digest.hex())
}

fn folder(parent: &OwnedFd, name: &str, is_created: bool) -> io::Result<OwnedFd> {
    if is_created {
        match rustix::fs::mkdirat(parent, name, DIRECTORIES) {
            Err(error) if error != rustix::io::Errno::EXIST => return Err(error.into()),
            _ => {}
        }
    }
    Ok(rustix::fs::openat(parent, name, OFlags::DIRECTORY | SAFE, Mode::empty())?)
}

/// Opens a file that is nothing else.
fn regular(parent: &OwnedFd, name: &str, flags: OFlags) -> io::Result<File> {
    let file = rustix::fs::openat(parent, name, flags | SAFE, FILES)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    if kind != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    Ok(file.into())
}

fn named(path: &Path, error: rustix::io::Errno) -> Trouble {
    Trouble::io(&path.display().to_string(), &error.into())
}
