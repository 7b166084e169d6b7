//! Reads the node's files, with size limits and below a root that symbolic links cannot leave. Distinguishes files of
//! hypermirror from other files.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, statat};
use rustix::io::Errno;

use super::desired::{DROP_IN_DIRECTORY, ForeignFiles, LARGEST};
use crate::hosted::boot::BOOT_FILE;
use crate::mirrors::registries::{DROP_IN, HEADER};

mod signatures;
mod write;

pub use signatures::ATTACHMENTS_DIRECTORY;
pub use write::{Change, FileChange, WriteError};
pub(super) use write::{failed, put, remove, rename, sync};

/// The directory in the README of `hcp-idms-operator`. No program reads files there.
pub const MISSPELT_DIRECTORY: &str = "/etc/containers/registry.conf.d";
/// The parent directory.
pub const CONTAINERS: &str = "/etc/containers";
const MAIN: &str = "/etc/containers/registries.conf";
/// Root's own configuration, which CRI-O reads last if its home is root's.
pub const USER_DIRECTORY: &str = "/root/.config/containers/registries.conf.d";
const USER_MAIN: &str = "/root/.config/containers/registries.conf";

/// The node's file system, below a root directory.
#[derive(Debug)]
pub struct Host {
    root: OwnedFd,
    path: PathBuf,
}

/// The file with the name of the agent's file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Own {
    /// It does not exist.
    #[default]
    Absent,
    /// The agent's file and its content. A file larger than [`LARGEST`] is truncated, but differs from any valid content.
    Ours(Vec<u8>),
    /// A file that the agent did not write, and how it was recognised.
    Foreign(String),
}

/// A file for one object that `hcp-idms-operator` wrote. The agent removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Legacy {
    /// Its directory.
    pub directory: &'static str,
    /// Its name.
    pub name: String,
    /// Its first lines.
    pub head: String,
}

/// All relevant files at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The other files, and the boot file.
    pub foreign: ForeignFiles,
    /// The file with the name of the agent's file.
    pub own: Own,
    /// Files to replace.
    pub legacy: Vec<Legacy>,
    /// The file with the name of the agent's file in registries.d.
    pub attachments: Own,
}

impl Seen {
    /// Whether a file of hypermirror has mirrors of objects of a kind, according to its comments.
    pub fn names_kind(&self, kind: &str) -> bool {
        let own = match &self.own {
            // The truncated rest may name it.
            Own::Ours(content) if content.len() > LARGEST => return true,
            Own::Ours(content) => String::from_utf8_lossy(content),
            _ => String::new().into(),
        };
        comments_name(&own, kind)
            || self
                .legacy
                .iter()
                .flat_map(|legacy| legacy.head.lines())
                .any(|line| line.strip_prefix("# Source: ").is_some_and(|rest| is_of(rest, kind, ' ')))
    }
}

/// Whether the comments of a file of hypermirror name an object of a kind.
pub fn comments_name(text: &str, kind: &str) -> bool {
    text.lines().any(|line| line.strip_prefix("# ").is_some_and(|rest| is_of(rest, kind, '/')))
}

fn is_of(text: &str, kind: &str, end: char) -> bool {
    text.strip_prefix(kind).is_some_and(|rest| rest.starts_with(end))
}

/// One file that was read.
pub(super) enum Found {
    Content(Vec<u8>),
    /// The first bytes of a file that has more than [`LARGEST`].
    Large(Vec<u8>),
    Directory,
    Gone,
    Unusable(String),
}

impl Host {
    /// The file system below `root`.
    ///
    /// # Errors
    /// If the directory does not exist.
    pub fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::open(root, flags, Mode::empty())?, path: root.to_owned() })
    }

    /// The path of a node's file for this process.
    pub fn path(&self, of_node: &str) -> PathBuf {
        self.path.join(of_node.trim_start_matches('/'))
    }

    /// Opens a path of the node. Symbolic links are resolved as on the node and cannot leave the root.
    fn open_at(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = path.trim_start_matches('/');
        openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    /// A directory of the node, or `None` if it does not exist.
    ///
    /// # Errors
    /// If it exists and cannot be opened.
    pub fn directory(&self, path: &str) -> io::Result<Option<OwnedFd>> {
        match self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(directory) => Ok(Some(directory)),
            // A dangling link is not the same as an absent directory: its target may appear later.
            Err(Errno::NOENT) if self.is_dangling(path) => {
                Err(io::Error::new(io::ErrorKind::NotFound, format!("{path} is a dangling symbolic link")))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a path of the node exists.
    pub fn exists(&self, path: &str) -> bool {
        self.open_at(path, OFlags::PATH).is_ok()
    }

    /// The content of a file of the node, or `None` if it does not exist.
    ///
    /// # Errors
    /// If it cannot be read, is not a regular file or larger than [`LARGEST`].
    pub fn content(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match self.read(path) {
            Found::Content(content) => Ok(Some(content)),
            Found::Gone => Ok(None),
            Found::Large(_) => Err(io::Error::other(too_large())),
            Found::Directory => Err(io::ErrorKind::IsADirectory.into()),
            Found::Unusable(why) => Err(io::Error::other(why)),
        }
    }

    /// The names in a directory of the node, sorted. Empty if it does not exist.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn names(&self, path: &str) -> io::Result<Vec<String>> {
        self.directory(path)?.map_or_else(|| Ok(Vec::new()), |directory| names(&directory))
    }

    fn is_dangling(&self, path: &str) -> bool {
        let link = self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW).and_then(|link| fstat(&link));
        link.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
    }

    /// Reads all files.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn read_all(&self) -> io::Result<Seen> {
        let mut seen = Seen::default();
        match self.read(MAIN) {
            Found::Content(content) => seen.foreign.main = Some((MAIN.to_owned(), content)),
            Found::Large(_) => seen.foreign.unusable.push((MAIN.to_owned(), too_large())),
            Found::Gone => {}
            Found::Directory => seen.foreign.unusable.push((MAIN.to_owned(), "it is a directory".to_owned())),
            Found::Unusable(why) => seen.foreign.unusable.push((MAIN.to_owned(), why)),
        }
        if let Some(directory) = self.directory(DROP_IN_DIRECTORY)? {
            seen.own = own(&directory)?;
            for name in drop_ins(&directory)?.into_iter().filter(|name| name != DROP_IN) {
                self.read_drop_in(&directory, &name, &mut seen)?;
            }
        }
        // No program reads files in it.
        if let Some(directory) = self.directory(MISSPELT_DIRECTORY).ok().flatten() {
            for name in drop_ins(&directory)? {
                seen.legacy.extend(legacy(&directory, MISSPELT_DIRECTORY, &name)?);
            }
        }
        self.read_users_files(&mut seen.foreign);
        (seen.foreign.signatures, seen.attachments) = self.read_signatures();
        Ok(seen)
    }

    fn read_drop_in(&self, directory: &OwnedFd, name: &str, seen: &mut Seen) -> io::Result<()> {
        let path = format!("{DROP_IN_DIRECTORY}/{name}");
        if name == BOOT_FILE {
            if let Some(content) = ours(directory, name)? {
                seen.foreign.boot = Some((path, content));
                return Ok(());
            }
        } else if let Some(legacy) = legacy(directory, DROP_IN_DIRECTORY, name)? {
            seen.legacy.push(legacy);
            return Ok(());
        }
        match self.read(&path) {
            Found::Content(content) => seen.foreign.drop_ins.push((path, content)),
            Found::Large(_) => seen.foreign.unusable.push((path, too_large())),
            Found::Directory if is_link(directory, name) => {
                seen.foreign.unusable.push((path, "it is a symbolic link to a directory".to_owned()));
            }
            // CRI-O ignores a dangling link, but the target may exist only for CRI-O.
            Found::Gone if is_link(directory, name) => {
                seen.foreign.doubtful.push((path, "a symbolic link whose target the agent cannot access".to_owned()));
            }
            Found::Directory | Found::Gone => {}
            Found::Unusable(why) => seen.foreign.unusable.push((path, why)),
        }
        Ok(())
    }

    /// Adds root's own configuration, if the agent can read it.
    fn read_users_files(&self, foreign: &mut ForeignFiles) {
        if matches!(self.read(USER_MAIN), Found::Content(_)) {
            let what =
                "if CRI-O runs with this home directory, this file replaces all files in /etc/containers".to_owned();
            foreign.doubtful.push((USER_MAIN.to_owned(), what));
        }
        let names = self.directory(USER_DIRECTORY).ok().flatten().and_then(|directory| drop_ins(&directory).ok());
        for name in names.into_iter().flatten() {
            let path = format!("{USER_DIRECTORY}/{name}");
            match self.read(&path) {
                Found::Content(content) => foreign.drop_ins.push((path, content)),
                Found::Large(_) => foreign.unusable.push((path, too_large())),
                Found::Unusable(why) => foreign.unusable.push((path, why)),
                Found::Directory | Found::Gone => {}
            }
        }
    }

    fn read(&self, path: &str) -> Found {
        // Non-blocking, because opening a FIFO would block the agent.
        match self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(file) => read_open(file),
            Err(Errno::NOENT | Errno::NOTDIR) => Found::Gone,
            Err(error) => Found::Unusable(format!("failed to open it: {}", io::Error::from(error))),
        }
    }
}

pub(super) fn read_open(file: OwnedFd) -> Found {
    match fstat(&file).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::RegularFile) => {}
        Ok(FileType::Directory) => return Found::Directory,
        Ok(_) => return Found::Unusable("it is not a regular file".to_owned()),
        Err(error) => return Found::Unusable(io::Error::from(error).to_string()),
    }
    let mut content = Vec::new();
    match File::from(file).take(LARGEST as u64 + 1).read_to_end(&mut content) {
        Ok(_) if content.len() > LARGEST => Found::Large(content),
        Ok(_) => Found::Content(content),
        Err(error) => Found::Unusable(format!("failed to read it: {error}")),
    }
}

fn too_large() -> String {
    format!("it is larger than {LARGEST} bytes")
}

/// The names in a directory, in load order. A name that is not UTF-8 is converted lossily, so reading the file fails and is
/// reported.
pub(super) fn names(directory: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The names of the drop-ins in a directory, in load order.
fn drop_ins(directory: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = names(directory)?;
    // Unlike `Path::extension`: the hidden file `.conf` is loaded, and `x.CONF` is not.
    names.retain(|name| name.as_bytes().ends_with(b".conf"));
    Ok(names)
}

fn is_link(directory: &OwnedFd, name: &str) -> bool {
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// Opens a regular file. Symbolic links are rejected.
pub(super) fn open_itself(directory: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    openat(directory, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
}

fn own(directory: &OwnedFd) -> io::Result<Own> {
    let file = match open_itself(directory, DROP_IN) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(Own::Absent),
        Err(Errno::LOOP) => return Ok(Own::Foreign("it is a symbolic link".to_owned())),
        Err(Errno::NXIO) => return Ok(Own::Foreign("it is not a regular file".to_owned())),
        Err(error) => return Err(error.into()),
    };
    Ok(match read_open(file) {
        // An empty file has no content to lose. `hcp-idms-operator` also treats it as its own.
        Found::Content(content) if content.is_empty() => Own::Ours(content),
        // The first line is sufficient for any size, so that an oversized file of an older agent can be replaced.
        Found::Content(content) | Found::Large(content) if has_header(&content) => Own::Ours(content),
        Found::Content(content) | Found::Large(content) => {
            let first: Vec<u8> = content.into_iter().take_while(|byte| *byte != b'\n').take(80).collect();
            Own::Foreign(format!("its first line is {:?}", String::from_utf8_lossy(&first)))
        }
        Found::Directory => Own::Foreign("it is a directory".to_owned()),
        Found::Unusable(why) => Own::Foreign(why),
        Found::Gone => Own::Absent,
    })
}

/// The content of a file that starts with hypermirror's first line, or `None`.
fn ours(directory: &OwnedFd, name: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match open_itself(directory, name) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::ACCESS) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match read_open(file) {
        Found::Content(content) if has_header(&content) => Ok(Some(content)),
        _ => Ok(None),
    }
}

fn legacy(directory: &OwnedFd, of: &'static str, name: &str) -> io::Result<Option<Legacy>> {
    let content = ours(directory, name)?;
    Ok(content.map(|content| {
        let head: Vec<_> = content.split(|byte| *byte == b'\n').take(4).collect();
        Legacy { directory: of, name: name.to_owned(), head: String::from_utf8_lossy(&head.join(&b'\n')).into_owned() }
    }))
}

/// Whether the first line is exactly that of hypermirror, without a carriage return.
pub fn has_header(content: &[u8]) -> bool {
    content.strip_prefix(HEADER.as_bytes()).is_some_and(|rest| matches!(rest.first(), None | Some(b'\n')))
}

#[cfg(test)]
mod tests;
