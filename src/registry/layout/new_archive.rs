//! A tar archive that is being written: one blob after another, and the index at the end. Blocking: called on threads that may
//! wait.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, OFlags};
use tar::{EntryType, Header};

use super::super::wire::digest::{Digest, Hasher};
use super::archive::{BLOCK, Contents, Ending, Member};
use super::content::Content;
use super::directory::{BLOBS, INDEX_FILE, LAYOUT, LAYOUT_FILE, algorithm};
use super::error::Trouble;

/// The end of the file's name as long as it is not whole.
const PARTIAL: &str = ".hypermirror-partial";
/// The longest path that fits in a header.
const MAX_PATH: usize = 100;
/// The name of a member that has the path of the next one.
const LONG_NAME: &str = "././@LongLink";

/// An archive to write.
#[derive(Debug)]
pub(super) struct NewArchive {
    path: PathBuf,
    partial: PathBuf,
    file: Arc<File>,
    contents: Mutex<Contents>,
}

impl NewArchive {
    /// Begins an archive, or goes on with what an interrupted run left.
    pub(super) fn create(path: &Path) -> Result<Self, Trouble> {
        if path.symlink_metadata().is_ok() {
            return Err(Trouble::Exists);
        }
        let mut partial = OsString::from(path);
        partial.push(PARTIAL);
        let partial = PathBuf::from(partial);
        let named = |error: &io::Error| Trouble::io(&partial.display().to_string(), error);
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).custom_flags(flags).open(&partial);
        let file = file.map_err(|error| named(&error))?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(rustix::io::Errno::WOULDBLOCK) {
            return Err(Trouble::Busy);
        }
        let metadata = file.metadata().map_err(|error| named(&error))?;
        if !metadata.is_file() {
            return Err(Trouble::invalid(format!("{} is no regular file", partial.display())));
        }
        // What does not read as an archive is begun anew.
        let contents = Contents::read(&file, metadata.len(), Ending::Cut).unwrap_or_default();
        let archive = Self { path: path.to_owned(), partial, file: Arc::new(file), contents: Mutex::new(contents) };
        archive.check_last()?;
        Ok(archive)
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only the last member may be wrong: a member is begun when the one before was checked.
    fn check_last(&self) -> Result<(), Trouble> {
        let mut contents = self.contents();
        let last = contents.last.clone().and_then(|last| Some((contents.get(&last)?, last)));
        let is_right = match &last {
            Some(((offset, size), Member::Blob(digest))) => {
                self.hash(digest, *offset, *size).map_err(|error| Trouble::io("a blob", &error))? == *digest
            }
            // The index comes with the images of this run.
            Some(_) => false,
            None => true,
        };
        if let Some(((offset, _), _)) = last.filter(|_| !is_right) {
            contents.drop_last(offset - BLOCK);
        }
        Ok(())
    }

    fn hash(&self, digest: &Digest, offset: u64, size: u64) -> io::Result<Digest> {
        let mut hasher = Hasher::new(digest.algorithm());
        let mut piece = vec![0; super::content::PIECE_BYTES];
        let mut at = 0;
        while at < size {
            let length = usize::try_from(size - at).unwrap_or(usize::MAX).min(piece.len());
            let piece = piece.get_mut(..length).unwrap_or_default();
            self.file.read_exact_at(piece, offset + at)?;
            hasher.update(piece);
            at += length as u64;
        }
        Ok(hasher.finish())
    }

    /// A blob that was written; nothing if it is not there.
    pub(super) fn blob(&self, digest: &Digest) -> Option<Content> {
        let (offset, size) = self.contents().get(&Member::Blob(digest.clone()))?;
        Some(Content::new(self.file.clone(), offset, size))
    }

    /// Writes the header of a blob: where its bytes go. Until [`Self::commit`] they are in the file and not in the archive.
    pub(super) fn begin(&self, digest: &Digest, size: u64) -> Result<(Arc<File>, u64), Trouble> {
        let path = format!("{BLOBS}/{}/{}", algorithm(digest), digest.hex());
        let start = self.contents().end;
        let begin = || -> io::Result<u64> {
            // What is behind it is left of something that failed.
            self.file.set_len(start)?;
            write_header(&self.file, start, &path, size)
        };
        Ok((self.file.clone(), begin().map_err(|error| Trouble::io("the archive", &error))?))
    }

    /// Takes a blob into the archive whose bytes are written and right.
    pub(super) fn commit(&self, digest: &Digest, offset: u64, size: u64) -> Result<(), Trouble> {
        let mut contents = self.contents();
        contents.add(Member::Blob(digest.clone()), offset, size);
        // The last block is filled with zeros.
        self.file.set_len(contents.end).map_err(|error| Trouble::io("the archive", &error))
    }

    /// Writes the index and gives the archive its name.
    pub(super) fn finish(&self, index: &[u8]) -> Result<(), Trouble> {
        let end = self.contents().end;
        let finish = || -> io::Result<()> {
            let mut at = end;
            for (path, bytes) in [(LAYOUT_FILE, LAYOUT), (INDEX_FILE, index)] {
                let data = write_header(&self.file, at, path, bytes.len() as u64)?;
                self.file.write_all_at(bytes, data)?;
                at = data + (bytes.len() as u64).next_multiple_of(BLOCK);
            }
            // Two blocks of zeros are the end of an archive.
            self.file.set_len(at)?;
            self.file.set_len(at + 2 * BLOCK)?;
            self.file.sync_all()?;
            // Nobody's file is replaced, even if it came while this one was written.
            std::fs::hard_link(&self.partial, &self.path)?;
            std::fs::remove_file(&self.partial)
        };
        finish().map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Trouble::Exists,
            _ => Trouble::io("the archive", &error),
        })
    }
}

/// Writes the header of a file: where its bytes begin. The same files give the same bytes: there is no time in it, and no user.
fn write_header(file: &File, at: u64, path: &str, size: u64) -> io::Result<u64> {
    let mut at = at;
    let mut name = path;
    if path.len() > MAX_PATH {
        let mut header = blank(path.len() as u64 + 1);
        header.set_entry_type(EntryType::GNULongName);
        header.set_path(LONG_NAME)?;
        header.set_cksum();
        file.write_all_at(header.as_bytes(), at)?;
        let mut long = path.as_bytes().to_vec();
        long.resize(path.len() + 1, 0);
        let padded = long.len().next_multiple_of(usize::try_from(BLOCK).unwrap_or(512));
        long.resize(padded, 0);
        file.write_all_at(&long, at + BLOCK)?;
        at += BLOCK + padded as u64;
        name = path.get(..MAX_PATH).unwrap_or(path);
    }
    let mut header = blank(size);
    header.set_path(name)?;
    header.set_cksum();
    file.write_all_at(header.as_bytes(), at)?;
    Ok(at + BLOCK)
}

fn blank(size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}
