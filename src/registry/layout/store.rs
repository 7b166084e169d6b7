//! Where the files of a layout are. Blocking: called on threads that may wait.

use std::fs::File;
use std::sync::Arc;

use super::super::wire::digest::Digest;
use super::archive::{Archive, Member};
use super::content::Content;
use super::directory::{Directory, check_version};
use super::error::Trouble;
use super::index::MAX_INDEX_BYTES;
use super::new_archive::NewArchive;
use super::path::{Form, LayoutPath};

#[derive(Debug)]
pub(super) enum Store {
    Directory(Directory),
    Archive(Archive),
    NewArchive(NewArchive),
    /// Nothing is there yet, and nothing is written.
    Empty,
}

/// Where the bytes of a blob go.
#[derive(Clone, Debug)]
pub(super) struct Growing {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    /// How many of them an interrupted run left there.
    pub(super) held: u64,
}

impl Store {
    pub(super) fn open(path: &LayoutPath) -> Result<Self, Trouble> {
        match path.form {
            Form::Directory => Directory::open(&path.path).map(Self::Directory),
            Form::Archive => {
                let archive = Archive::open(&path.path)?;
                let version =
                    archive.member(&Member::Layout).ok_or_else(|| Trouble::Missing("oci-layout".to_owned()))?;
                check_version(&version.whole(super::directory::MAX_LAYOUT_FILE_BYTES)?)?;
                Ok(Self::Archive(archive))
            }
        }
    }

    pub(super) fn create(path: &LayoutPath) -> Result<Self, Trouble> {
        match path.form {
            Form::Directory => Directory::create(&path.path).map(Self::Directory),
            Form::Archive => NewArchive::create(&path.path).map(Self::NewArchive),
        }
    }

    pub(super) fn preview(path: &LayoutPath) -> Result<Self, Trouble> {
        match (path.form, path.path.symlink_metadata()) {
            (Form::Archive, Ok(_)) => Err(Trouble::Exists),
            (Form::Directory, Ok(_)) => match Directory::open(&path.path) {
                Err(Trouble::Missing(_)) => Ok(Self::Empty),
                opened => opened.map(Self::Directory),
            },
            (_, Err(_)) => Ok(Self::Empty),
        }
    }

    pub(super) fn index(&self) -> Result<Option<Vec<u8>>, Trouble> {
        match self {
            Self::Directory(directory) => directory.index(),
            Self::Archive(archive) => {
                let index = archive.member(&Member::Index).ok_or_else(|| Trouble::Missing("index.json".to_owned()))?;
                index.whole(MAX_INDEX_BYTES).map(Some)
            }
            Self::NewArchive(_) | Self::Empty => Ok(None),
        }
    }

    /// Writes the index; that of an archive comes last.
    pub(super) fn write_index(&self, bytes: &[u8]) -> Result<(), Trouble> {
        match self {
            Self::Directory(directory) => directory.write_index(bytes),
            Self::Archive(_) | Self::Empty => Err(read_only()),
            Self::NewArchive(_) => Ok(()),
        }
    }

    pub(super) fn blob(&self, digest: &Digest) -> Result<Option<Content>, Trouble> {
        match self {
            Self::Directory(directory) => directory.blob(digest),
            Self::Archive(archive) => Ok(archive.member(&Member::Blob(digest.clone()))),
            Self::NewArchive(archive) => Ok(archive.blob(digest)),
            Self::Empty => Ok(None),
        }
    }

    pub(super) fn begin(&self, digest: &Digest, size: u64) -> Result<Growing, Trouble> {
        match self {
            Self::Directory(directory) => {
                let (file, held) = directory.partial(digest)?;
                Ok(Growing { file: Arc::new(file), offset: 0, held })
            }
            Self::Archive(_) | Self::Empty => Err(read_only()),
            Self::NewArchive(archive) => {
                let (file, offset) = archive.begin(digest, size)?;
                Ok(Growing { file, offset, held: 0 })
            }
        }
    }

    pub(super) fn commit(&self, digest: &Digest, growing: &Growing, size: u64) -> Result<(), Trouble> {
        match self {
            Self::Directory(directory) => {
                growing.file.set_len(size).map_err(|error| Trouble::io("the blob", &error))?;
                directory.commit(digest)
            }
            Self::Archive(_) | Self::Empty => Err(read_only()),
            Self::NewArchive(archive) => archive.commit(digest, growing.offset, size),
        }
    }

    /// Forgets bytes that are wrong.
    pub(super) fn discard(&self, digest: &Digest) {
        if let Self::Directory(directory) = self {
            directory.discard(digest);
        }
    }

    pub(super) fn finish(&self, index: &[u8]) -> Result<(), Trouble> {
        match self {
            Self::Directory(directory) => {
                directory.finish();
                Ok(())
            }
            Self::Archive(_) | Self::Empty => Ok(()),
            Self::NewArchive(archive) => archive.finish(index),
        }
    }

    /// Whether blobs are written one after another.
    pub(super) const fn is_sequential(&self) -> bool {
        matches!(self, Self::NewArchive(_))
    }
}

fn read_only() -> Trouble {
    Trouble::invalid("it is only read")
}
