//! What the mock holds: repositories with blobs, manifests and tags, in memory.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::Value;

use super::digest::{Digest, Synthetic, sha256};

/// The content of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blob {
    /// Held as it is.
    Held(Bytes),
    /// Made while it is read.
    Synthetic(Synthetic),
    /// Pushed, found to match its digest, and too large to be held: it is there, and cannot be read.
    Dropped {
        /// Its length in bytes.
        size: u64,
    },
}

impl Blob {
    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Held(bytes) => bytes.len() as u64,
            Self::Synthetic(content) => content.size,
            Self::Dropped { size } => *size,
        }
    }
}

/// A manifest as it was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The type that it was pushed with.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// One repository.
#[derive(Clone, Debug, Default)]
pub struct Repository {
    /// Blobs by digest.
    pub blobs: BTreeMap<Digest, Blob>,
    /// Manifests by digest.
    pub manifests: BTreeMap<Digest, Manifest>,
    /// Digests by tag.
    pub tags: BTreeMap<String, Digest>,
}

/// All repositories.
#[derive(Clone, Debug, Default)]
pub struct Store {
    /// Repositories by name.
    pub repositories: BTreeMap<String, Repository>,
    /// Synthetic content that is recognised when it is pushed, so that it can be read again.
    pub(super) known: BTreeMap<Digest, Synthetic>,
}

impl Store {
    /// A repository, made if it is not there.
    pub fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    /// Adds a blob.
    pub fn add_blob(&mut self, repository: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = sha256(&bytes);
        self.repository(repository).blobs.insert(digest.clone(), Blob::Held(bytes));
        digest
    }

    /// Adds a blob of any length that takes no memory.
    pub fn add_synthetic(&mut self, repository: &str, content: Synthetic) -> Digest {
        let digest = self.recognise(content);
        self.repository(repository).blobs.insert(digest.clone(), Blob::Synthetic(content));
        digest
    }

    /// Recognises this content when it is pushed, and can give it back afterwards. Returns its digest.
    pub fn recognise(&mut self, content: Synthetic) -> Digest {
        let digest = content.digest();
        self.known.insert(digest.clone(), content);
        digest
    }

    /// Adds a manifest; nothing about it is checked.
    pub fn add_manifest(&mut self, repository: &str, media_type: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = sha256(&bytes);
        let manifest = Manifest { media_type: media_type.to_owned(), bytes };
        self.repository(repository).manifests.insert(digest.clone(), manifest);
        digest
    }

    /// Points a tag to a digest, whether there is such a manifest or not.
    pub fn tag(&mut self, repository: &str, tag: &str, digest: &Digest) {
        self.repository(repository).tags.insert(tag.to_owned(), digest.clone());
    }

    /// The manifest that a tag or digest stands for, with its digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<(Digest, &Manifest)> {
        let repository = self.repositories.get(repository)?;
        let digest = repository.tags.get(reference).map_or(reference, |digest| digest);
        repository.manifests.get_key_value(digest).map(|(digest, manifest)| (digest.clone(), manifest))
    }

    /// A blob of one repository.
    pub fn blob(&self, repository: &str, digest: &str) -> Option<&Blob> {
        self.repositories.get(repository)?.blobs.get(digest)
    }

    /// A repository that holds this blob.
    pub(super) fn holder(&self, digest: &str) -> Option<&str> {
        let holds = |(_, repository): &(&String, &Repository)| repository.blobs.contains_key(digest);
        self.repositories.iter().find(holds).map(|(name, _)| name.as_str())
    }

    /// The digests that a manifest names and its repository lacks: (children, blobs). What has `urls` is somebody else's.
    pub(super) fn missing(&self, repository: &str, manifest: &Value) -> (Vec<String>, Vec<String>) {
        let none = Repository::default();
        let repository = self.repositories.get(repository).unwrap_or(&none);
        let digests = |list: &Value| -> Vec<String> {
            let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
            let own = list.iter().filter(|entry| entry["urls"].is_null());
            own.filter_map(|entry| entry["digest"].as_str()).map(str::to_owned).collect()
        };
        let mut children = digests(&manifest["manifests"]);
        children.retain(|digest| !repository.manifests.contains_key(digest.as_str()));
        let mut blobs = digests(&manifest["layers"]);
        blobs.extend(manifest["config"]["digest"].as_str().map(str::to_owned));
        blobs.retain(|digest| !repository.blobs.contains_key(digest.as_str()));
        (children, blobs)
    }

    /// The descriptors of manifests whose subject is `digest`.
    pub(super) fn referrers(&self, repository: &str, digest: &str) -> Vec<Value> {
        let Some(repository) = self.repositories.get(repository) else { return Vec::new() };
        let all = repository.manifests.iter();
        all.filter_map(|(own, manifest)| referrer(own, manifest, digest)).collect()
    }

    /// The digests of manifests that no tag stands for: what garbage collection sweeps.
    pub fn untagged(&self, repository: &str) -> BTreeSet<Digest> {
        let Some(repository) = self.repositories.get(repository) else { return BTreeSet::new() };
        let tagged: BTreeSet<&Digest> = repository.tags.values().collect();
        repository.manifests.keys().filter(|digest| !tagged.contains(digest)).cloned().collect()
    }
}

/// The descriptor of a manifest, if its subject is `digest`.
fn referrer(own: &Digest, manifest: &Manifest, digest: &str) -> Option<Value> {
    let value: Value = serde_json::from_slice(&manifest.bytes).ok()?;
    if value["subject"]["digest"] != digest {
        return None;
    }
    let mut descriptor = serde_json::json!({
        "mediaType": manifest.media_type, "digest": &**own, "size": manifest.bytes.len(),
    });
    // An image without a type of its own has that of its configuration.
    let kind = value["artifactType"].as_str().or_else(|| value["config"]["mediaType"].as_str());
    if let Some(kind) = kind.filter(|kind| !kind.is_empty()) {
        descriptor["artifactType"] = kind.into();
    }
    if value["annotations"].is_object() {
        descriptor["annotations"] = value["annotations"].clone();
    }
    Some(descriptor)
}
