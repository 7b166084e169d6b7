//! Reads and writes the directory with one directory for each registry.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, unlinkat};
use rustix::io::Errno;

use crate::agent::files::{self, Found, Host, WriteError, failed, names, open_itself, put, read_open, rename, sync};
use crate::mirrors::containerd::{HEADER, HOSTS_FILE, HostDirectory, HostFile, HostsDirectory};

/// The name of a new directory until it is complete. It is not the name of a registry.
const NEW_DIRECTORY: &str = ".hypermirror.tmp";
/// The name of a new file until it is complete.
const NEW_FILE: &str = ".hosts.toml.hypermirror.tmp";

/// Whether a name is that of an incomplete file or directory.
pub fn is_temporary(name: &[u8]) -> bool {
    name == NEW_DIRECTORY.as_bytes() || name == NEW_FILE.as_bytes()
}

/// Reads the directory. It is empty if it does not exist.
///
/// # Errors
/// If it cannot be read.
pub fn read(host: &Host, path: &str) -> io::Result<HostsDirectory> {
    let mut found = HostsDirectory { path: path.to_owned(), ..HostsDirectory::default() };
    let Some(root) = host.directory(path)? else { return Ok(found) };
    for name in host.names(path)? {
        if !is_temporary(name.as_bytes()) {
            let registry = read_registry(host, &root, path, &name)?;
            found.hosts.insert(name, registry);
        }
    }
    Ok(found)
}

fn read_registry(host: &Host, root: &OwnedFd, path: &str, name: &str) -> io::Result<HostDirectory> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (directory, link) = match openat(root, name, flags, Mode::empty()) {
        Ok(directory) => (directory, None),
        // A link is read for its certificates, but never written through.
        Err(Errno::LOOP | Errno::NOTDIR) => match host.directory(&format!("{path}/{name}")) {
            Ok(Some(directory)) => (directory, Some("its directory is a symbolic link")),
            _ => return Ok(foreign("it is not a directory")),
        },
        Err(error) => return Ok(foreign(&io::Error::from(error).to_string())),
    };
    let mut found = HostDirectory { file: file(&directory)?, ..HostDirectory::default() };
    if let Some(why) = link {
        found.file = HostFile::Foreign(why.to_owned());
    }
    let names = names(&directory)?;
    for name in &names {
        if name.as_bytes().ends_with(b".crt") {
            found.authorities.push(name.clone());
        } else if let Some(stem) = name.strip_suffix(".cert") {
            let key = format!("{stem}.key");
            if names.contains(&key) {
                found.clients.push((name.clone(), key));
            }
        }
    }
    Ok(found)
}

fn foreign(why: &str) -> HostDirectory {
    HostDirectory { file: HostFile::Foreign(why.to_owned()), ..HostDirectory::default() }
}

fn file(directory: &OwnedFd) -> io::Result<HostFile> {
    let file = match open_itself(directory, HOSTS_FILE) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(HostFile::Absent),
        Err(Errno::LOOP) => return Ok(HostFile::Foreign("it is a symbolic link".to_owned())),
        Err(Errno::NXIO) => return Ok(HostFile::Foreign("it is not a regular file".to_owned())),
        Err(error) => return Err(error.into()),
    };
    Ok(match read_open(file) {
        Found::Content(content) | Found::Large(content) if is_ours(&content) => HostFile::Ours(content),
        Found::Content(_) | Found::Large(_) => HostFile::Foreign("it was not written by hypermirror".to_owned()),
        Found::Directory => HostFile::Foreign("it is a directory".to_owned()),
        Found::Unusable(why) => HostFile::Foreign(why),
        Found::Gone => HostFile::Absent,
    })
}

/// Whether the first line is exactly that of hypermirror.
fn is_ours(content: &[u8]) -> bool {
    content.strip_prefix(HEADER.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'\n'))
}

impl Host {
    /// A directory that is created if it does not exist. Its parent must exist.
    fn made(&self, path: &str) -> Result<OwnedFd, WriteError> {
        let open = |path: &str| {
            self.directory(path).map_err(|source| WriteError { step: format!("failed to open {path}"), source })
        };
        if let Some(directory) = open(path)? {
            return Ok(directory);
        }
        let step = format!("failed to create {path}");
        let (parent, name) = path.rsplit_once('/').unwrap_or(("/", path));
        let parent = open(if parent.is_empty() { "/" } else { parent })?.ok_or_else(|| failed(&step)(Errno::NOENT))?;
        match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(&step)(error)),
        }
        sync(&parent)?;
        open(path)?.ok_or_else(|| failed(&step)(Errno::NOENT))
    }
}

fn open_registry(root: &OwnedFd, name: &str) -> Result<OwnedFd, WriteError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(root, name, flags, Mode::empty()).map_err(failed(format!("failed to open {name}")))
}

/// Writes the file of a registry atomically. For a new registry, the directory is created with its file: containerd does not use
/// `_default` for a registry with a directory, even an empty one, and contacts the source.
///
/// # Errors
/// [`WriteError`] for the failed step. The file is complete at any time.
pub fn write(
    host: &Host,
    path: &str,
    (name, text): (&str, &str),
    is_new: bool,
    replaces: bool,
) -> Result<(), WriteError> {
    let root = host.made(path)?;
    if is_new {
        remove_new_directory(&root)?;
        mkdirat(&root, NEW_DIRECTORY, Mode::from_raw_mode(0o755)).map_err(failed("failed to create a directory"))?;
        let directory = open_registry(&root, NEW_DIRECTORY)?;
        put(&directory, HOSTS_FILE, text.as_bytes())?;
        sync(&directory)?;
        rename(&root, NEW_DIRECTORY, name, false)?;
        return sync(&root);
    }
    let directory = open_registry(&root, name)?;
    files::remove(&directory, NEW_FILE)?;
    put(&directory, NEW_FILE, text.as_bytes())?;
    rename(&directory, NEW_FILE, HOSTS_FILE, replaces)?;
    sync(&directory)
}

/// Removes the file of a registry, and its directory if nothing else is in it.
///
/// # Errors
/// If the file cannot be removed.
pub fn remove(host: &Host, path: &str, name: &str) -> Result<(), WriteError> {
    let root = host.made(path)?;
    let directory = open_registry(&root, name)?;
    files::remove(&directory, NEW_FILE)?;
    files::remove(&directory, HOSTS_FILE)?;
    sync(&directory)?;
    match unlinkat(&root, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => sync(&root),
        Err(error) => Err(failed(format!("failed to remove {name}"))(error)),
    }
}

/// Removes a directory that remained after a crash.
///
/// # Errors
/// If it cannot be removed.
pub fn remove_temporary(host: &Host, path: &str) -> Result<(), WriteError> {
    let open = host.directory(path).map_err(|source| WriteError { step: format!("failed to open {path}"), source })?;
    open.map_or(Ok(()), |root| remove_new_directory(&root))
}

fn remove_new_directory(root: &OwnedFd) -> Result<(), WriteError> {
    let Ok(directory) = open_registry(root, NEW_DIRECTORY) else { return Ok(()) };
    files::remove(&directory, HOSTS_FILE)?;
    match unlinkat(root, NEW_DIRECTORY, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(failed("failed to remove a temporary directory")(error)),
    }
}
