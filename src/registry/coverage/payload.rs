//! The images of a release: `release-manifests/image-references` in a layer of the release image. Pure.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use super::super::wire::is_object;
use crate::mirrors::ImageReference;

/// The file, and what removes it in a later layer.
const FILE: &str = "release-manifests/image-references";
const WHITEOUT: &str = "release-manifests/.wh.image-references";
const OPAQUE: &str = "release-manifests/.wh..wh..opq";
/// Releases have about 190 images in 100 KiB.
pub const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;
const MAX_IMAGES: usize = 2_000;
/// What is unpacked of one layer. The largest of a release have some hundred MiB.
pub const MAX_UNPACKED_BYTES: u64 = 1024 * 1024 * 1024;
const MAX_ENTRIES: usize = 500_000;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Why a layer or a payload is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// `oc adm release new` writes gzip.
    #[error("the layer is compressed with zstd, which is not supported: releases have layers with gzip")]
    Zstd,
    /// Damaged, or no archive at all.
    #[error("the layer is no tar archive: {0}")]
    Tar(String),
    /// More than any release has.
    #[error("the layer has more than {0}")]
    TooLarge(&'static str),
    /// Not an image stream. Contains the reader's message.
    #[error("{FILE} is not an ImageStream: {0}")]
    Json(String),
    /// An image of it has no valid reference.
    #[error("{FILE}: image {name:?}: {message}")]
    Image {
        /// As the release names it.
        name: String,
        /// What is wrong.
        message: String,
    },
}

/// What a layer says of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InLayer {
    /// Its content.
    Found(Vec<u8>),
    /// It is removed here: layers below do not count.
    Removed,
    /// Nothing.
    Absent,
}

/// One image of a release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PayloadImage {
    /// As the release names it: `etcd`.
    pub name: String,
    /// Where it was built: what mirrors are declared for.
    pub image: ImageReference,
}

/// Looks for the file in a layer as it is stored.
///
/// # Errors
/// [`PayloadError`], if the layer is damaged before the file, or too large.
pub fn find(layer: &[u8]) -> Result<InLayer, PayloadError> {
    if layer.starts_with(&ZSTD) {
        return Err(PayloadError::Zstd);
    }
    if layer.starts_with(&GZIP) {
        return find_in(MultiGzDecoder::new(layer));
    }
    find_in(layer)
}

fn find_in(archive: impl Read) -> Result<InLayer, PayloadError> {
    let damaged = |error: std::io::Error| PayloadError::Tar(error.to_string());
    let mut limited = archive.take(MAX_UNPACKED_BYTES);
    let mut found = InLayer::Absent;
    {
        let mut archive = tar::Archive::new(&mut limited);
        // Raw: extended headers, which give long names and can be as large as they like, are entries that are passed over.
        let entries = archive.entries().map_err(damaged)?.raw(true);
        for (number, entry) in entries.enumerate() {
            let mut entry = entry.map_err(damaged)?;
            if number >= MAX_ENTRIES {
                return Err(PayloadError::TooLarge("500000 entries"));
            }
            let path = entry.path_bytes().into_owned();
            let path = path.strip_prefix(b"./").unwrap_or(&path);
            if path == WHITEOUT.as_bytes() || path == OPAQUE.as_bytes() {
                found = InLayer::Removed;
            }
            if path == FILE.as_bytes() && entry.header().entry_type().is_file() {
                return content(&mut entry).map(InLayer::Found);
            }
        }
    }
    if limited.limit() == 0 { Err(PayloadError::TooLarge("1 GiB")) } else { Ok(found) }
}

fn content(entry: &mut impl Read) -> Result<Vec<u8>, PayloadError> {
    let mut content = Vec::new();
    let mut limited = entry.take(MAX_FILE_BYTES as u64 + 1);
    limited.read_to_end(&mut content).map_err(|error| PayloadError::Tar(error.to_string()))?;
    if content.len() > MAX_FILE_BYTES { Err(PayloadError::TooLarge("4 MiB in that file")) } else { Ok(content) }
}

#[derive(Deserialize)]
struct Stream {
    kind: String,
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    #[serde(default)]
    from: Option<From>,
}

#[derive(Deserialize)]
struct From {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
}

/// Reads the file.
///
/// # Errors
/// [`PayloadError`]; one image without a valid reference refuses the whole: a need that is left out would count as proven.
pub fn images(content: &[u8]) -> Result<Vec<PayloadImage>, PayloadError> {
    let wrong = |message: &str| PayloadError::Json(message.to_owned());
    if !is_object(content) {
        return Err(wrong("it is no object"));
    }
    let stream: Stream = serde_json::from_slice(content).map_err(|error| PayloadError::Json(error.to_string()))?;
    if stream.kind != "ImageStream" {
        return Err(wrong("its kind is another one"));
    }
    if stream.spec.tags.is_empty() {
        return Err(wrong("it has no images"));
    }
    if stream.spec.tags.len() > MAX_IMAGES {
        return Err(wrong("it has more than 2000 images"));
    }
    stream.spec.tags.into_iter().map(image).collect()
}

fn image(tag: Tag) -> Result<PayloadImage, PayloadError> {
    let Tag { name, from } = tag;
    let name: String = name.chars().take(200).collect();
    let wrong = |message: String| PayloadError::Image { name: name.clone(), message };
    let from = from.filter(|from| from.kind == "DockerImage");
    let from = from.ok_or_else(|| wrong("it comes from no image".to_owned()))?;
    let image = ImageReference::parse(&from.name).map_err(|error| wrong(error.to_string()))?;
    Ok(PayloadImage { name, image })
}

#[cfg(test)]
mod tests;
