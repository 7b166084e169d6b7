use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use serde_json::json;

use super::super::client::BlobSource;
use super::super::error::{Cause, Failure, Place};
use super::super::name::Reference;
use super::super::transport::Pieces;
use super::super::wire::digest::Algorithm;
use super::*;

/// A blob that breaks off after so many bytes, once, and notes from where it is read.
struct Blob {
    bytes: Bytes,
    digest: Digest,
    cut: Mutex<Option<usize>>,
    opened: Mutex<Vec<u64>>,
}

impl Blob {
    fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let digest = Digest::of(Algorithm::Sha256, &bytes);
        Self { bytes, digest, cut: Mutex::default(), opened: Mutex::default() }
    }

    fn cut_at(self, at: usize) -> Self {
        *self.cut.lock().unwrap() = Some(at);
        self
    }

    fn opened(&self) -> Vec<u64> {
        self.opened.lock().unwrap().clone()
    }
}

fn interrupted() -> RegistryError {
    let place = Place { registry: "r.example".to_owned(), repository: String::new(), reference: None };
    let failure = Failure::Interrupted;
    let cause = Cause::Unreachable { host: "r.example".to_owned(), failure, message: "cut".to_owned() };
    RegistryError { operation: "read the blob", place, cause }
}

impl BlobSource for Blob {
    fn digest(&self) -> &Digest {
        &self.digest
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn open(&self, offset: u64) -> BoxFuture<'_, Result<Pieces, RegistryError>> {
        self.opened.lock().unwrap().push(offset);
        let from = usize::try_from(offset).unwrap();
        let pieces = match self.cut.lock().unwrap().take() {
            Some(cut) => vec![Ok(self.bytes.slice(from..cut)), Err(interrupted())],
            None => vec![Ok(self.bytes.slice(from..))],
        };
        Box::pin(async move { Ok(stream::iter(pieces).boxed()) })
    }
}

fn fetched(manifest: &serde_json::Value) -> Fetched {
    let bytes = Bytes::from(manifest.to_string());
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    Fetched { digest, manifest: Manifest::parse(&bytes, None).unwrap(), bytes }
}

/// An image of one blob; with a subject it is attached to that.
fn image(blob: &Blob, subject: Option<&Fetched>) -> Fetched {
    let descriptor =
        |media_type: &str, digest: &Digest, size: u64| json!({"mediaType": media_type, "digest": digest, "size": size});
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let config = descriptor("application/vnd.oci.image.config.v1+json", &blob.digest, blob.size());
    let mut manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []});
    if let Some(subject) = subject {
        manifest["subject"] = descriptor(kind, &subject.digest, subject.bytes.len() as u64);
    }
    fetched(&manifest)
}

fn path(text: &str, at: &Path) -> LayoutPath {
    LayoutPath::parse(&text.replace('@', at.to_str().unwrap())).unwrap().unwrap()
}

async fn read(layout: &Layout, digest: &Digest, offset: u64) -> Result<Vec<u8>, RegistryError> {
    let mut pieces = layout.blob(digest, offset).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

#[tokio::test]
async fn what_is_written_is_read_back_from_a_directory_and_from_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
    let (blob, large) = (Blob::new("{}"), Blob::new(large));
    for text in ["oci:@/directory", "oci-archive:@/archive.tar"] {
        let path = path(text, folder.path());
        let layout = Layout::create(&path).await.unwrap();
        let subject = image(&blob, None);
        let attached = image(&blob, Some(&subject));
        assert!(layout.write_blob(&blob).await.unwrap() && layout.write_blob(&large).await.unwrap());
        assert!(!layout.write_blob(&large).await.unwrap(), "it is there");
        let repository = LayoutRepository::new(layout.clone(), "quay.io/a");
        repository.put(&Reference::Tag("v1".to_owned()), &subject).await.unwrap();
        repository.put(&Reference::Digest(attached.digest.clone()), &attached).await.unwrap();
        let anchored = repository.clone().naming("quay.io/b@sha256:00", ["m.example/b".to_owned()].into());
        anchored.put(&Reference::Tag("hypermirror-000".to_owned()), &subject).await.unwrap();
        layout.finish().await.unwrap();
        drop((layout, repository, anchored));

        let layout = Layout::open(&path).await.unwrap();
        assert_eq!(read(&layout, &large.digest, 0).await.unwrap(), large.bytes, "{text}");
        assert_eq!(read(&layout, &large.digest, 2_000_000).await.unwrap(), large.bytes[2_000_000..], "{text}");
        let repository = LayoutRepository::new(layout.clone(), "quay.io/a");
        let found = repository.manifest(&Reference::Tag("v1".to_owned())).await.unwrap();
        assert_eq!((&found, repository.tags()), (&subject, vec!["v1".to_owned()]), "{text}");
        let names: Vec<Option<String>> = layout.entries().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, [None, Some("quay.io/a:v1".to_owned()), Some("quay.io/b@sha256:00".to_owned())], "{text}");
        let referrers = layout.referrers(&subject.digest).await.unwrap();
        assert_eq!(referrers.iter().map(|one| &one.digest).collect::<Vec<_>>(), [&attached.digest], "{text}");
        let missing = repository.manifest(&Reference::Tag("v2".to_owned())).await.unwrap_err();
        assert!(matches!(missing.trouble, Trouble::Missing(_)), "{missing}");
    }
    let exists = Layout::create(&path("oci-archive:@/archive.tar", folder.path())).await.unwrap_err();
    assert_eq!(exists.trouble, Trouble::Exists);
    assert!(!folder.path().join("directory/hypermirror-partial").exists());
}

#[tokio::test]
async fn a_blob_goes_on_where_it_broke_off_and_is_begun_anew_if_what_is_left_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let place = path("oci:@", folder.path());
    let layout = Layout::create(&place).await.unwrap();
    let blob = Blob::new("0123456789").cut_at(4);
    assert!(layout.write_blob(&blob).await.unwrap());
    assert_eq!(blob.opened(), [0, 4]);

    let partial = |blob: &Blob| folder.path().join(format!("hypermirror-partial/sha256-{}", blob.digest.hex()));
    for (left, opened) in [("abc", vec![3]), ("xyz", vec![3, 0]), ("longer than the blob is", vec![0])] {
        let blob = Blob::new(format!("abc {}", left.len()));
        std::fs::create_dir_all(partial(&blob).parent().unwrap()).unwrap();
        std::fs::write(partial(&blob), left).unwrap();
        assert!(layout.write_blob(&blob).await.unwrap(), "{left}");
        assert_eq!(blob.opened(), opened, "{left}");
        assert_eq!(read(&layout, &blob.digest, 0).await.unwrap(), blob.bytes, "{left}");
        std::fs::remove_file(folder.path().join("blobs/sha256").join(blob.digest.hex())).unwrap();
    }

    let mut wrong = Blob::new("right");
    wrong.bytes = Bytes::from_static(b"wrong");
    let error = layout.write_blob(&wrong).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Digest { .. }), "{error}");
    assert!(!partial(&wrong).exists() && !layout.has_blob(&wrong.digest, 5).await.unwrap());

    let busy = Layout::create(&place).await.unwrap_err();
    assert_eq!(busy.trouble, Trouble::Busy);
}

#[tokio::test]
async fn an_archive_that_was_interrupted_keeps_its_whole_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let place = path("oci-archive:@/a.tar", folder.path());
    let (one, two) = (Blob::new("one"), Blob::new(vec![2; 5_000]));
    let layout = Layout::create(&place).await.unwrap();
    assert!(layout.write_blob(&one).await.unwrap() && layout.write_blob(&two).await.unwrap());
    drop(layout);
    let partial = folder.path().join("a.tar.hypermirror-partial");
    let length = std::fs::metadata(&partial).unwrap().len();
    std::fs::File::options().write(true).open(&partial).unwrap().set_len(length - 1_000).unwrap();
    let layout = Layout::create(&place).await.unwrap();
    assert!(!layout.write_blob(&one).await.unwrap() && layout.write_blob(&two).await.unwrap());
    layout.finish().await.unwrap();
    let layout = Layout::open(&place).await.unwrap();
    assert_eq!(read(&layout, &two.digest, 0).await.unwrap(), two.bytes);
    assert!(!partial.exists());
}

#[tokio::test]
async fn links_and_wrong_bytes_in_a_directory_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let place = path("oci:@/layout", folder.path());
    let layout = Layout::create(&place).await.unwrap();
    let blob = Blob::new("secret");
    layout.write_blob(&blob).await.unwrap();
    let blobs = folder.path().join("layout/blobs");
    let file = blobs.join("sha256").join(blob.digest.hex());
    std::fs::write(&file, "forged").unwrap();
    let error = read(&layout, &blob.digest, 3).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Digest { .. }), "{error}");
    // The same content through a link is refused.
    let outside = folder.path().join("outside");
    std::fs::write(&outside, "secret").unwrap();
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&outside, &file).unwrap();
    assert!(layout.blob(&blob.digest, 0).await.is_err());
    std::fs::rename(&blobs, folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &blobs).unwrap();
    assert!(layout.write_blob(&Blob::new("new")).await.is_err(), "it would be written elsewhere");
    assert_eq!(std::fs::read_dir(folder.path().join("elsewhere/sha256")).unwrap().count(), 1);

    let other = path("oci:@/other", folder.path());
    std::fs::create_dir(folder.path().join("other")).unwrap();
    std::fs::write(folder.path().join("other/file"), "").unwrap();
    assert!(Layout::create(&other).await.is_err(), "a directory with something else in it");
    std::fs::write(folder.path().join("other/oci-layout"), r#"{"imageLayoutVersion": "2.0.0"}"#).unwrap();
    assert!(Layout::open(&other).await.unwrap_err().to_string().contains("version"));
    let missing = Layout::open(&path("oci:@/none", folder.path())).await.unwrap_err();
    assert!(matches!(missing.trouble, Trouble::Missing(_)), "{missing}");
}

/// Members of an archive: path, content, type.
fn archive(at: &Path, members: &[(&str, &str, tar::EntryType)]) {
    let mut builder = tar::Builder::new(std::fs::File::create(at).unwrap());
    for (path, content, kind) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_entry_type(*kind);
        // Past the checks of the writer.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.finish().unwrap();
}

#[tokio::test]
async fn hostile_archives_are_refused() {
    use tar::EntryType::{Directory, GNUSparse, Link, Regular, Symlink};
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("a.tar");
    let place = path("oci-archive:@/a.tar", folder.path());
    let version = ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#, Regular);
    let index = ("./index.json", r#"{"schemaVersion":2,"manifests":[]}"#, Regular);
    archive(&at, &[("blobs/", "", Directory), version, index, ("README", "x", Regular)]);
    assert!(Layout::open(&place).await.unwrap().entries().is_empty());
    let hex = "0".repeat(64);
    let blob = format!("blobs/sha256/{hex}");
    let cases = [
        (("/etc/passwd", "", Regular), "outside"),
        (("../x", "", Regular), "outside"),
        (("blobs/../../x", "", Regular), "outside"),
        ((&*blob, "", Symlink), "no regular file"),
        ((&*blob, "", Link), "no regular file"),
        ((&*blob, "", GNUSparse), "no regular file"),
        (("blobs", "", Symlink), "is a link"),
        (("index.json", "{}", Regular), "twice"),
    ];
    for (member, expected) in cases {
        archive(&at, &[version, index, member]);
        let error = Layout::open(&place).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{member:?}: {error}");
    }
    archive(&at, &[version, index]);
    let whole = std::fs::read(&at).unwrap();
    let files = [
        (whole[..530].to_vec(), "middle of a member"),
        (whole[..1_024].to_vec(), "index.json is not there"),
        (vec![b'x'; 1_024], "no tar archive"),
        ([&[0x1f, 0x8b][..], &[1; 1_022]].concat(), "gzip -d"),
    ];
    for (bytes, expected) in files {
        std::fs::write(&at, bytes).unwrap();
        let error = Layout::open(&place).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    // A size that no file has.
    let mut huge = whole;
    huge[124..136].copy_from_slice(b"77777777777\0");
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&huge[..512]);
    header.set_cksum();
    huge[..512].copy_from_slice(header.as_bytes());
    std::fs::write(&at, huge).unwrap();
    assert!(Layout::open(&place).await.unwrap_err().to_string().contains("middle of a member"));
}
