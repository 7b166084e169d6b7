//! Manifests: OCI and Docker images and indexes, artifacts. Read tolerantly; their bytes are never re-serialised.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::digest::Digest;
use super::is_object;
use super::media_type::{ManifestType, is_foreign_layer};

/// The largest manifest that is read: what the distribution specification requires registries to take.
pub const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;
/// How deep indexes may be nested; images in use have one level, nested indexes of build tools two.
pub const MAX_DEPTH: usize = 8;
/// The annotation with which build tools mark the attestations of an index.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// Why bytes are not a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Over [`MAX_MANIFEST_BYTES`].
    #[error("the manifest has more than 4 MiB")]
    TooLarge,
    /// No JSON object of a manifest's shape. Contains the reader's message.
    #[error("the manifest does not parse: {0}")]
    Json(String),
    /// A digest in it cannot be checked.
    #[error("the manifest has an {0}")]
    Digest(#[from] super::digest::DigestError),
    /// The header and the body, or two parts of the body, say different types.
    #[error("the manifest contradicts itself: it is {0} and {1}")]
    Contradiction(&'static str, &'static str),
    /// Nothing says what it is.
    #[error("the manifest has no known media type")]
    UnknownType,
}

/// Which machines a manifest of an index is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`; `unknown` for attestations.
    #[serde(default)]
    pub architecture: String,
    /// `linux`, `windows`; `unknown` for attestations.
    #[serde(default)]
    pub os: String,
    /// `v7`, `v8`.
    #[serde(default)]
    pub variant: Option<String>,
    /// The version of Windows.
    #[serde(default, rename = "os.version")]
    pub os_version: Option<String>,
}

impl Platform {
    /// `os/architecture[/variant]`, as `podman` and `docker` print it.
    pub fn name(&self) -> String {
        let variant = self.variant.as_deref().filter(|variant| !variant.is_empty());
        format!("{}/{}{}", self.os, self.architecture, variant.map(|variant| format!("/{variant}")).unwrap_or_default())
    }

    fn is_unknown(&self) -> bool {
        self.architecture == "unknown" && self.os == "unknown"
    }
}

/// A reference from one content to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Of what it refers to.
    pub media_type: String,
    /// Of what it refers to.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// Whether the content lies elsewhere and no registry has to hold it.
    pub is_foreign: bool,
    /// For manifests of an index.
    pub platform: Option<Platform>,
    /// Whether it is an attestation about another manifest of the index, not an image.
    pub is_attestation: bool,
    /// Of an artifact.
    pub artifact_type: Option<String>,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What it is.
    pub kind: ManifestType,
    /// Of an image.
    pub config: Option<Descriptor>,
    /// The layers of an image, the blobs of an artifact.
    pub layers: Vec<Descriptor>,
    /// The manifests of an index.
    pub children: Vec<Descriptor>,
    /// What it is about: it is a referrer of that.
    pub subject: Option<Descriptor>,
    /// Of an artifact.
    pub artifact_type: Option<String>,
    /// Of an index of referrers, and of images of some build tools.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: Option<String>,
    digest: String,
    // Schema 2 lists of old tools have none for some entries.
    #[serde(default)]
    size: u64,
    #[serde(default)]
    urls: Option<Vec<String>>,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    artifact_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    config: Option<RawDescriptor>,
    #[serde(default)]
    layers: Option<Vec<RawDescriptor>>,
    #[serde(default)]
    blobs: Option<Vec<RawDescriptor>>,
    #[serde(default)]
    manifests: Option<Vec<RawDescriptor>>,
    #[serde(default)]
    subject: Option<RawDescriptor>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Manifest {
    /// Reads a manifest. `content_type` is that of the answer; a general one (`application/json`) counts as none.
    ///
    /// # Errors
    /// [`ManifestError`]. Of a manifest of schema 1 only its kind is read.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge);
        }
        if !is_object(bytes) {
            return Err(ManifestError::Json("it is no object".to_owned()));
        }
        let by_header = content_type.and_then(ManifestType::named);
        let raw: RawManifest = serde_json::from_slice(bytes).map_err(|error| ManifestError::Json(error.to_string()))?;
        let kind = kind(&raw, by_header)?;
        if kind == ManifestType::Schema1 {
            return Ok(Self::of_schema_1());
        }
        let descriptors = |raw: Option<Vec<RawDescriptor>>| -> Result<Vec<Descriptor>, ManifestError> {
            raw.unwrap_or_default().into_iter().map(descriptor).collect()
        };
        Ok(Self {
            kind,
            config: raw.config.map(descriptor).transpose()?,
            layers: descriptors(if kind == ManifestType::OciArtifact { raw.blobs } else { raw.layers })?,
            children: descriptors(raw.manifests)?,
            subject: raw.subject.map(descriptor).transpose()?,
            artifact_type: raw.artifact_type,
            annotations: raw.annotations.unwrap_or_default(),
        })
    }

    const fn of_schema_1() -> Self {
        Self {
            kind: ManifestType::Schema1,
            config: None,
            layers: Vec::new(),
            children: Vec::new(),
            subject: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The blobs that a registry that holds this manifest must hold, too.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers).filter(|blob| !blob.is_foreign)
    }
}

/// What it is: by its header, its `mediaType` and its fields, which must agree. Otherwise one reader could take it for an
/// image and the next for an index with other content (CVE-2021-41190).
fn kind(raw: &RawManifest, by_header: Option<ManifestType>) -> Result<ManifestType, ManifestError> {
    let by_body = raw.media_type.as_deref().and_then(ManifestType::named);
    let by_fields = match raw {
        RawManifest { schema_version: Some(1), .. } => Some(ManifestType::Schema1),
        RawManifest { manifests: Some(_), .. } => Some(ManifestType::OciIndex),
        RawManifest { config: Some(_), .. } | RawManifest { layers: Some(_), .. } => Some(ManifestType::OciImage),
        RawManifest { blobs: Some(_), .. } => Some(ManifestType::OciArtifact),
        _ => None,
    };
    if raw.manifests.is_some() && (raw.config.is_some() || raw.layers.is_some()) {
        return Err(ManifestError::Contradiction("an index", "an image"));
    }
    if let (Some(header), Some(body)) = (by_header, by_body)
        && header != body
    {
        return Err(ManifestError::Contradiction(header.name(), body.name()));
    }
    let kind = by_body.or(by_header).or(by_fields).ok_or(ManifestError::UnknownType)?;
    match by_fields {
        Some(fields) if fields.is_index() != kind.is_index() => {
            Err(ManifestError::Contradiction(kind.name(), fields.name()))
        }
        _ => Ok(kind),
    }
}

fn descriptor(raw: RawDescriptor) -> Result<Descriptor, ManifestError> {
    let media_type = raw.media_type.unwrap_or_default();
    let is_marked = raw.annotations.as_ref().is_some_and(|all| all.contains_key(REFERENCE_TYPE));
    Ok(Descriptor {
        digest: Digest::parse(&raw.digest)?,
        size: raw.size,
        is_foreign: is_foreign_layer(&media_type) || raw.urls.is_some_and(|urls| !urls.is_empty()),
        is_attestation: is_marked || raw.platform.as_ref().is_some_and(Platform::is_unknown),
        platform: raw.platform,
        artifact_type: raw.artifact_type,
        media_type,
    })
}

#[cfg(test)]
mod tests;
