//! How our file gets there: whole or not at all, and with a mark as long as CRI-O has not read it.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, mkdirat, openat, renameat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::{CONTAINERS, Host, Legacy};
use crate::agent::desired::DROP_IN_DIRECTORY;
use crate::mirrors::registries::DROP_IN;

/// The next file while it is written: no reader of the directory looks at a name without `.conf` at its end.
pub const TEMPORARY: &str = ".50-hypermirror.conf.tmp";
/// There as long as CRI-O has to read a change: made before the change, so that a crash cannot lose the reload. (The
/// root file system of the pod is read-only, so this directory is the only place that outlives it.)
pub const PENDING: &str = ".50-hypermirror.pending";

/// What is to be done with our file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FileChange {
    /// It stays.
    #[default]
    Keep,
    /// This is the whole of it.
    Write(String),
    /// It goes.
    Remove,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// With our file.
    pub file: FileChange,
    /// Whether there is a file of ours now.
    pub replaces: bool,
    /// Files that are taken over.
    pub legacy: Vec<Legacy>,
}

impl Change {
    /// Whether CRI-O has to read afterwards: what lies in the misspelt directory it never knew.
    pub fn is_for_runtime(&self) -> bool {
        self.file != FileChange::Keep || self.legacy.iter().any(|file| file.directory == DROP_IN_DIRECTORY)
    }
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {source}")]
pub struct WriteError {
    /// What was tried.
    pub step: String,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

fn failed(step: impl Into<String>) -> impl FnOnce(Errno) -> WriteError {
    let step = step.into();
    move |error| WriteError { step, source: error.into() }
}

fn sync(directory: &OwnedFd) -> Result<(), WriteError> {
    rustix::fs::fsync(directory).map_err(failed("cannot sync the directory"))
}

fn remove(directory: &OwnedFd, name: &str) -> Result<(), WriteError> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(failed(format!("cannot remove {name}"))(error)),
    }
}

impl Host {
    /// Makes a change, each step on disk before the next: the mark, the new file under another name, its name, then the
    /// files that it stands for. `mark`: whether CRI-O is to be told afterwards.
    ///
    /// # Errors
    /// [`WriteError`] names the step. Whatever was done until then, every file is whole.
    pub fn apply(&self, change: &Change, mark: bool) -> Result<(), WriteError> {
        let directory = self.directory_to_write(matches!(change.file, FileChange::Write(_)))?;
        if let Some(directory) = directory.filter(|_| change.is_for_runtime()) {
            if mark {
                put(&directory, PENDING, b"")?;
                sync(&directory)?;
            }
            match &change.file {
                FileChange::Write(text) => {
                    remove(&directory, TEMPORARY)?;
                    put(&directory, TEMPORARY, text.as_bytes())?;
                    take_name(&directory, change.replaces)?;
                    sync(&directory)?;
                }
                // Removed, not renamed away: CRI-O's own watch sees the former only.
                FileChange::Remove => remove(&directory, DROP_IN)?,
                FileChange::Keep => {}
            }
            for file in change.legacy.iter().filter(|file| file.directory == DROP_IN_DIRECTORY) {
                remove(&directory, &file.name)?;
                tracing::info!(file = file.name, "a file of hcp-idms-operator was taken over");
            }
            sync(&directory)?;
        }
        self.remove_strays(&change.legacy);
        Ok(())
    }

    /// Nobody reads these: where the pod sees them read-only, they stay.
    fn remove_strays(&self, files: &[Legacy]) {
        let mut strays = files.iter().filter(|file| file.directory != DROP_IN_DIRECTORY).peekable();
        let Some(directory) = strays.peek().and_then(|file| self.directory(file.directory).ok().flatten()) else {
            return;
        };
        for file in strays {
            match remove(&directory, &file.name) {
                Ok(()) => tracing::info!(file = file.name, "a file of hcp-idms-operator that nobody reads was removed"),
                Err(error) => tracing::debug!(%error, "a file of hcp-idms-operator that nobody reads stays"),
            }
        }
    }

    /// The drop-in directory; made if something is to be written and only the last part of its path is missing.
    fn directory_to_write(&self, make: bool) -> Result<Option<OwnedFd>, WriteError> {
        let open = || {
            let found = self.directory(DROP_IN_DIRECTORY);
            found.map_err(|source| WriteError { step: format!("cannot open {DROP_IN_DIRECTORY}"), source })
        };
        match open()? {
            None if make => {}
            found => return Ok(found),
        }
        let step = format!("cannot make {DROP_IN_DIRECTORY}");
        let parent = self.directory(CONTAINERS).map_err(|source| WriteError { step: step.clone(), source })?;
        let parent = parent.ok_or_else(|| failed(&step)(Errno::NOENT))?;
        match mkdirat(&parent, "registries.conf.d", Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(step)(error)),
        }
        sync(&parent)?;
        open()
    }

    /// Whether CRI-O has to read a change yet, also one that a crashed agent made.
    pub fn is_pending(&self) -> bool {
        let directory = self.directory(DROP_IN_DIRECTORY).ok().flatten();
        directory.is_some_and(|directory| rustix::fs::statat(&directory, PENDING, AtFlags::SYMLINK_NOFOLLOW).is_ok())
    }

    /// CRI-O has read the change.
    ///
    /// # Errors
    /// If the mark cannot be removed.
    pub fn clear_pending(&self) -> Result<(), WriteError> {
        match self.directory_to_write(false)? {
            Some(directory) => remove(&directory, PENDING).and_then(|()| sync(&directory)),
            None => Ok(()),
        }
    }

    /// Removes what a crash may have left.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove_temporary(&self) -> Result<(), WriteError> {
        self.directory_to_write(false)?.map_or(Ok(()), |directory| remove(&directory, TEMPORARY))
    }
}

/// Makes a file, readable for everybody, with its content on disk.
fn put(directory: &OwnedFd, name: &str, content: &[u8]) -> Result<(), WriteError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file =
        openat(directory, name, flags, Mode::from_raw_mode(0o644)).map_err(failed(format!("cannot make {name}")))?;
    // Whatever the umask is: podman of a user reads it too.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644)).map_err(failed(format!("cannot set the mode of {name}")))?;
    let mut file = File::from(file);
    let written = file.write_all(content).and_then(|()| file.sync_all());
    written.map_err(|source| WriteError { step: format!("cannot write {name}"), source })
}

/// Gives the new file its name. Where none of ours was, a file of somebody else that came meanwhile is not replaced.
fn take_name(directory: &OwnedFd, replaces: bool) -> Result<(), WriteError> {
    let renamed = if replaces {
        renameat(directory, TEMPORARY, directory, DROP_IN)
    } else {
        match renameat_with(directory, TEMPORARY, directory, DROP_IN, RenameFlags::NOREPLACE) {
            // Not every file system knows the flag.
            Err(Errno::INVAL | Errno::NOSYS) => renameat(directory, TEMPORARY, directory, DROP_IN),
            other => other,
        }
    };
    renamed.map_err(failed(format!("cannot name the new file {DROP_IN}")))
}
