//! Writes the agent's file atomically, with a mark that exists until CRI-O has loaded it.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, mkdirat, openat, renameat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::{CONTAINERS, Host, Legacy};
use crate::agent::desired::DROP_IN_DIRECTORY;
use crate::mirrors::registries::DROP_IN;

/// The temporary name of a new file. Only files whose name ends in `.conf` are loaded.
pub const TEMPORARY: &str = ".50-hypermirror.conf.tmp";
/// The mark of a pending reload. It is created before the change, so that a crash cannot lose the reload. It is in this
/// directory because the pod's own file system is read-only.
pub const PENDING: &str = ".50-hypermirror.pending";

/// The change of the agent's file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FileChange {
    /// None.
    #[default]
    Keep,
    /// Write this content.
    Write(String),
    /// Remove it.
    Remove,
}

/// The changes of one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The change of the agent's file.
    pub file: FileChange,
    /// Whether the agent's file exists.
    pub replaces: bool,
    /// Files of `hcp-idms-operator` to remove.
    pub legacy: Vec<Legacy>,
}

impl Change {
    /// Whether CRI-O must reload. It never loaded files from the directory in the README of `hcp-idms-operator`.
    pub fn is_for_runtime(&self) -> bool {
        self.file != FileChange::Keep || self.legacy.iter().any(|file| file.directory == DROP_IN_DIRECTORY)
    }
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {source}")]
pub struct WriteError {
    /// The operation.
    pub step: String,
    /// The error.
    #[source]
    pub source: io::Error,
}

/// The error of a step.
pub(in crate::agent) fn failed(step: impl Into<String>) -> impl FnOnce(Errno) -> WriteError {
    let step = step.into();
    move |error| WriteError { step, source: error.into() }
}

/// Syncs a directory to disk.
pub(in crate::agent) fn sync(directory: &OwnedFd) -> Result<(), WriteError> {
    rustix::fs::fsync(directory).map_err(failed("failed to sync the directory"))
}

/// Removes a file, if it exists.
pub(in crate::agent) fn remove(directory: &OwnedFd, name: &str) -> Result<(), WriteError> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(failed(format!("failed to remove {name}"))(error)),
    }
}

impl Host {
    /// Applies a change. With `mark`, a reload of CRI-O is pending afterwards.
    ///
    /// Each step is synced to disk before the next, so that a crash in between loses neither the reload nor a mirror: the mark,
    /// the new file under a temporary name, its rename, then the removal of the files that it replaces.
    ///
    /// # Errors
    /// [`WriteError`] for the failed step. All files are complete at any time.
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
                    rename(&directory, TEMPORARY, DROP_IN, change.replaces)?;
                    sync(&directory)?;
                }
                // Remove the file instead of renaming it: CRI-O's own watch does not notice a rename.
                FileChange::Remove => remove(&directory, DROP_IN)?,
                FileChange::Keep => {}
            }
            for file in change.legacy.iter().filter(|file| file.directory == DROP_IN_DIRECTORY) {
                remove(&directory, &file.name)?;
                tracing::info!(file = file.name, "replaced a file of hcp-idms-operator");
            }
            sync(&directory)?;
        }
        self.remove_strays(&change.legacy);
        Ok(())
    }

    /// Removes unused files, if the pod has write access to them.
    fn remove_strays(&self, files: &[Legacy]) {
        let mut strays = files.iter().filter(|file| file.directory != DROP_IN_DIRECTORY).peekable();
        let Some(directory) = strays.peek().and_then(|file| self.directory(file.directory).ok().flatten()) else {
            return;
        };
        for file in strays {
            match remove(&directory, &file.name) {
                Ok(()) => tracing::info!(file = file.name, "removed an unused file of hcp-idms-operator"),
                Err(error) => tracing::debug!(%error, "failed to remove an unused file of hcp-idms-operator"),
            }
        }
    }

    /// The drop-in directory. With `make`, it is created if its parent exists.
    fn directory_to_write(&self, make: bool) -> Result<Option<OwnedFd>, WriteError> {
        let open = || {
            let found = self.directory(DROP_IN_DIRECTORY);
            found.map_err(|source| WriteError { step: format!("failed to open {DROP_IN_DIRECTORY}"), source })
        };
        match open()? {
            None if make => {}
            found => return Ok(found),
        }
        let step = format!("failed to create {DROP_IN_DIRECTORY}");
        let parent = self.directory(CONTAINERS).map_err(|source| WriteError { step: step.clone(), source })?;
        let parent = parent.ok_or_else(|| failed(&step)(Errno::NOENT))?;
        match mkdirat(&parent, "registries.conf.d", Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(step)(error)),
        }
        sync(&parent)?;
        open()
    }

    /// Whether a reload is pending, including one from before a crash.
    pub fn is_pending(&self) -> bool {
        let directory = self.directory(DROP_IN_DIRECTORY).ok().flatten();
        directory.is_some_and(|directory| rustix::fs::statat(&directory, PENDING, AtFlags::SYMLINK_NOFOLLOW).is_ok())
    }

    /// Removes the mark after a successful reload.
    ///
    /// # Errors
    /// If the mark cannot be removed.
    pub fn clear_pending(&self) -> Result<(), WriteError> {
        match self.directory_to_write(false)? {
            Some(directory) => remove(&directory, PENDING).and_then(|()| sync(&directory)),
            None => Ok(()),
        }
    }

    /// Removes a temporary file that remained after a crash.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove_temporary(&self) -> Result<(), WriteError> {
        self.directory_to_write(false)?.map_or(Ok(()), |directory| remove(&directory, TEMPORARY))
    }
}

/// Creates a file with mode 0644 and syncs it.
pub(in crate::agent) fn put(directory: &OwnedFd, name: &str, content: &[u8]) -> Result<(), WriteError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, Mode::from_raw_mode(0o644))
        .map_err(failed(format!("failed to create {name}")))?;
    // Set the mode regardless of the umask, because podman of other users also reads the file.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))
        .map_err(failed(format!("failed to set the mode of {name}")))?;
    let mut file = File::from(file);
    let written = file.write_all(content).and_then(|()| file.sync_all());
    written.map_err(|source| WriteError { step: format!("failed to write {name}"), source })
}

/// Renames a new file or directory. Without `replaces`, what was created under its name meanwhile is not overwritten.
pub(in crate::agent) fn rename(directory: &OwnedFd, from: &str, to: &str, replaces: bool) -> Result<(), WriteError> {
    let renamed = if replaces {
        renameat(directory, from, directory, to)
    } else {
        match renameat_with(directory, from, directory, to, RenameFlags::NOREPLACE) {
            // Some file systems do not support the flag.
            Err(Errno::INVAL | Errno::NOSYS) => renameat(directory, from, directory, to),
            other => other,
        }
    };
    renamed.map_err(failed(format!("failed to rename the new file to {to}")))
}
