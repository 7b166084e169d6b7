//! A layout as a tar archive, read in place: nothing is unpacked. Blocking: called on threads that may wait.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use tar::{EntryType, Header, PaxExtensions};

use super::super::wire::digest::Digest;
use super::content::Content;
use super::directory::{BLOBS, INDEX_FILE, LAYOUT_FILE};
use super::error::Trouble;

/// The unit in which archives are written.
pub(super) const BLOCK: u64 = 512;
/// More members than any bundle has: each costs memory.
const MAX_MEMBERS: usize = 2_000_000;
/// A path that is too long for a header, or attributes; archives of layouts have neither.
const MAX_EXTENSION_BYTES: u64 = 64 * 1024;
/// How compressed files begin, and what unpacks them.
const COMPRESSED: [(&[u8], &str); 4] =
    [(&[0x1f, 0x8b], "gzip -d"), (&[0x28, 0xb5, 0x2f, 0xfd], "zstd -d"), (b"BZh", "bzip2 -d"), (b"\xfd7zXZ", "xz -d")];

/// A file of a layout.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Member {
    Layout,
    Index,
    Blob(Digest),
}

/// Where the files of a layout are in an archive.
#[derive(Debug, Default)]
pub(super) struct Contents {
    members: HashMap<Member, (u64, u64)>,
    /// Where the last whole member ends.
    pub(super) end: u64,
    /// The member that ends there.
    pub(super) last: Option<Member>,
}

/// An archive to read.
#[derive(Debug)]
pub(super) struct Archive {
    file: Arc<File>,
    contents: Contents,
}

impl Archive {
    /// Reads the headers of all members.
    pub(super) fn open(path: &Path) -> Result<Self, Trouble> {
        let named = |error: &io::Error| Trouble::io(&path.display().to_string(), error);
        let file = File::open(path).map_err(|error| named(&error))?;
        let metadata = file.metadata().map_err(|error| named(&error))?;
        if !metadata.is_file() {
            return Err(Trouble::invalid("it is no regular file"));
        }
        let contents = Contents::read(&file, metadata.len(), Ending::Whole)?;
        Ok(Self { file: Arc::new(file), contents })
    }

    /// A member; nothing if it is not there.
    pub(super) fn member(&self, member: &Member) -> Option<Content> {
        let (offset, size) = self.contents.get(member)?;
        Some(Content::new(self.file.clone(), offset, size))
    }
}

/// How an archive may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With its last member, or with the blocks that end an archive.
    Whole,
    /// Anywhere: it was being written when its writer ended.
    Cut,
}

impl Contents {
    /// Where a member is, and its size.
    pub(super) fn get(&self, member: &Member) -> Option<(u64, u64)> {
        self.members.get(member).copied()
    }

    /// Adds a member that was written. Its end is rounded up to a block.
    pub(super) fn add(&mut self, member: Member, offset: u64, size: u64) {
        self.end = offset + size.div_ceil(BLOCK) * BLOCK;
        self.last = Some(member.clone());
        self.members.insert(member, (offset, size));
    }

    /// Forgets the last member.
    pub(super) fn drop_last(&mut self, end: u64) {
        if let Some(last) = self.last.take() {
            self.members.remove(&last);
        }
        self.end = end;
    }

    /// Reads the headers of a file of this length. Members with other names are left out; what could mislead a reader that unpacks
    /// is refused, because two readers must not see two layouts.
    pub(super) fn read(file: &File, length: u64, ending: Ending) -> Result<Self, Trouble> {
        let mut contents = Self::default();
        let mut extended = Extended::default();
        let mut at = 0;
        let mut count = 0_usize;
        while at + BLOCK <= length {
            let Some(header) = header(file, at)? else { return Ok(contents) };
            count += 1;
            if count > MAX_MEMBERS {
                return Err(Trouble::invalid(format!("it has more than {MAX_MEMBERS} members")));
            }
            let size = extended.size.map_or_else(|| header.entry_size(), Ok).map_err(Trouble::invalid)?;
            let data = at + BLOCK;
            let next = size.checked_next_multiple_of(BLOCK).and_then(|padded| data.checked_add(padded));
            let is_whole = data.checked_add(size).is_some_and(|end| end <= length);
            let Some(next) = next.filter(|_| is_whole) else {
                if ending == Ending::Cut {
                    return Ok(contents);
                }
                return Err(Trouble::invalid("it ends in the middle of a member"));
            };
            if extended.read(file, &header, (data, size))? {
                at = next;
                continue;
            }
            let path = std::mem::take(&mut extended).path.unwrap_or_else(|| header.path_bytes().into_owned());
            if let Some(member) = member(&path, header.entry_type())? {
                if contents.members.contains_key(&member) {
                    return Err(Trouble::invalid(format!("it has {} twice", shown(&path))));
                }
                contents.add(member, data, size);
            }
            at = next;
        }
        if ending == Ending::Whole && at < length {
            return Err(Trouble::invalid("it ends in the middle of a header"));
        }
        Ok(contents)
    }
}

/// What members before a member say of it.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Extended {
    /// Reads a member that is about the next one; whether it is one.
    fn read(&mut self, file: &File, header: &Header, (data, size): (u64, u64)) -> Result<bool, Trouble> {
        let kind = header.entry_type();
        let is_about_next = kind.is_gnu_longname() || kind.is_pax_local_extensions() || kind.is_gnu_longlink();
        if !is_about_next {
            // Of all members; no writer of layouts says anything there that counts.
            return Ok(kind.is_pax_global_extensions());
        }
        if size > MAX_EXTENSION_BYTES {
            return Err(Trouble::invalid(format!("a header has more than {MAX_EXTENSION_BYTES} bytes")));
        }
        let bytes = Content::new(file.try_clone().map_err(|error| Trouble::io("it", &error))?, data, size);
        let bytes = bytes.whole(usize::try_from(size).unwrap_or_default())?;
        if kind.is_gnu_longname() {
            self.path = Some(bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec());
        } else if kind.is_pax_local_extensions() {
            for extension in PaxExtensions::new(&bytes) {
                let extension = extension.map_err(Trouble::invalid)?;
                match extension.key_bytes() {
                    b"path" => self.path = Some(extension.value_bytes().to_vec()),
                    b"size" => {
                        let size = extension.value().ok().and_then(|value| value.parse().ok());
                        self.size = Some(size.ok_or_else(|| Trouble::invalid("a header has an invalid size"))?);
                    }
                    _ => {}
                }
            }
        }
        Ok(true)
    }
}

/// A header; nothing at the end of the archive.
fn header(file: &File, at: u64) -> Result<Option<Header>, Trouble> {
    let mut header = Header::new_old();
    file.read_exact_at(header.as_mut_bytes(), at).map_err(|error| Trouble::io("a header", &error))?;
    let bytes = header.as_bytes();
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    // The sum of all bytes, with blanks in place of the sum itself.
    let (before, rest) = bytes.split_at(148);
    let sum: u32 = before.iter().chain(rest.iter().skip(8)).map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
    if header.cksum().is_ok_and(|expected| expected == sum) {
        return Ok(Some(header));
    }
    let compressed = COMPRESSED.iter().find(|(magic, _)| at == 0 && bytes.starts_with(magic));
    Err(match compressed {
        Some((_, program)) => Trouble::invalid(format!("it is compressed; decompress it first ({program})")),
        None => Trouble::invalid(format!("it is no tar archive: invalid header at byte {at}")),
    })
}

/// The file of a layout that a member is; nothing if it is something else.
fn member(path: &[u8], kind: EntryType) -> Result<Option<Member>, Trouble> {
    let text = String::from_utf8_lossy(path);
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if text.starts_with('/') || parts.contains(&"..") {
        return Err(Trouble::invalid(format!("member {} lies outside of it", shown(path))));
    }
    if kind.is_dir() {
        return Ok(None);
    }
    let member = match parts.as_slice() {
        [name] if *name == LAYOUT_FILE => Member::Layout,
        [name] if *name == INDEX_FILE => Member::Index,
        [folder, algorithm, hex] if *folder == BLOBS => match Digest::parse(&format!("{algorithm}:{hex}")) {
            Ok(digest) => Member::Blob(digest),
            Err(_) => return Ok(None),
        },
        // Somebody who unpacks it would write through the link.
        _ if matches!(kind, EntryType::Symlink | EntryType::Link) && parts.first() == Some(&BLOBS) => {
            return Err(Trouble::invalid(format!("member {} is a link", shown(path))));
        }
        _ => return Ok(None),
    };
    if matches!(kind, EntryType::Regular | EntryType::Continuous) {
        return Ok(Some(member));
    }
    Err(Trouble::invalid(format!("member {} is no regular file", shown(path))))
}

fn shown(path: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(path.get(..100).unwrap_or(path)))
}
