//! Container images of one layer with one program, as an OCI layout, and pushed by skopeo.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
// Not compressed, because compressing tens of megabytes takes longer than sending them over the loopback address.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const SIGNATURE_PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The label that distinguishes images with the same program.
pub const MARKER: &str = "marker";

/// The content of an image.
#[derive(Debug, Clone)]
#[must_use]
pub struct ImageSource {
    path: String,
    program: PathBuf,
    marker: String,
    user: String,
}

impl ImageSource {
    /// An image with one static program at `path`, which is its entry point.
    pub fn new(path: &str, program: impl Into<PathBuf>) -> Self {
        Self { path: path.to_owned(), program: program.into(), marker: String::new(), user: "0".to_owned() }
    }

    /// Adds a marker, so that the digest shows which registry served the image.
    pub fn marker(mut self, marker: &str) -> Self {
        marker.clone_into(&mut self.marker);
        self
    }

    /// The user of the image. The default is root.
    pub fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }
}

/// An image in a directory.
#[derive(Debug)]
pub struct Image {
    layout: PathBuf,
    digest: String,
    id: String,
}

impl Image {
    /// Writes an image as an OCI layout to `directory`. The same contents give the same digest.
    ///
    /// # Errors
    ///
    /// If the program cannot be read or a file not be written.
    pub fn build(directory: &Path, source: &ImageSource) -> Result<Self> {
        let config = json!({ "Entrypoint": [source.path], "User": source.user, "Labels": { MARKER: source.marker } });
        Self::of_layer(directory, &layer(source)?, &config)
    }

    /// Writes an image of this layer, a tar archive that is not compressed. `config` is what containers are run with.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn of_layer(directory: &Path, layer: &[u8], config: &Value) -> Result<Self> {
        let blobs = Blobs::create(directory)?;
        let layer = blobs.add(LAYER, layer)?;
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": config,
            // The layer is not compressed, so its digest and its diff ID are the same.
            "rootfs": { "type": "layers", "diff_ids": [layer.digest] },
        });
        let config = blobs.add(CONFIG, &serde_json::to_vec(&config)?)?;
        let config_id = config.digest.trim_start_matches("sha256:").to_owned();
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
        let manifest = blobs.add(MANIFEST, &serde_json::to_vec(&manifest)?)?;
        let (digest, id) = (manifest.digest.clone(), config_id);
        write_json(&directory.join("index.json"), &json!({ "schemaVersion": 2, "manifests": [manifest] }))?;
        write_json(&directory.join("oci-layout"), &json!({ "imageLayoutVersion": "1.0.0" }))?;
        Ok(Self { layout: directory.to_owned(), digest, id })
    }

    /// Writes a sigstore signature as an OCI layout to `directory`. A registry has it below the tag [`tag`](crate::signature::tag).
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn signature(directory: &Path, payload: &[u8], signature: &str) -> Result<Self> {
        let blobs = Blobs::create(directory)?;
        let layer = blobs.add(SIGNATURE_PAYLOAD, payload)?;
        let rootfs = json!({ "type": "layers", "diff_ids": [layer.digest] });
        let config = json!({ "architecture": "", "os": "", "config": {}, "rootfs": rootfs });
        let config = blobs.add(CONFIG, &serde_json::to_vec(&config)?)?;
        let id = config.digest.trim_start_matches("sha256:").to_owned();
        let mut layer = serde_json::to_value(layer)?;
        layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": signature });
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
        let manifest = blobs.add(MANIFEST, &serde_json::to_vec(&manifest)?)?;
        let digest = manifest.digest.clone();
        write_json(&directory.join("index.json"), &json!({ "schemaVersion": 2, "manifests": [manifest] }))?;
        write_json(&directory.join("oci-layout"), &json!({ "imageLayoutVersion": "1.0.0" }))?;
        Ok(Self { layout: directory.to_owned(), digest, id })
    }

    /// The digest of its manifest, as `sha256:…`.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its ID in a container runtime: the hash of its configuration.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Pushes it to a registry that speaks HTTP, as `repository:tag`, under the same digest.
    ///
    /// # Errors
    ///
    /// If skopeo is not installed or the registry refuses.
    pub async fn push(&self, host: &str, name: &str) -> Result<()> {
        let output = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"])
            .arg("--dest-no-creds")
            .arg(format!("oci:{}", self.layout.display()))
            .arg(format!("docker://{host}/{name}"))
            .kill_on_drop(true)
            .output()
            .await
            .context("is skopeo installed?")?;
        ensure!(output.status.success(), "push {name}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }
}

/// The descriptor of a blob.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    digest: String,
    size: usize,
}

struct Blobs(PathBuf);

impl Blobs {
    fn create(layout: &Path) -> Result<Self> {
        let directory = layout.join("blobs/sha256");
        std::fs::create_dir_all(&directory).with_context(|| format!("failed to create {}", directory.display()))?;
        Ok(Self(directory))
    }

    fn add(&self, media_type: &'static str, bytes: &[u8]) -> Result<Descriptor> {
        let hash = Sha256::digest(bytes).iter().fold(String::new(), |mut hash, byte| {
            _ = write!(hash, "{byte:02x}");
            hash
        });
        std::fs::write(self.0.join(&hash), bytes).context("failed to write a blob")?;
        Ok(Descriptor { media_type, digest: format!("sha256:{hash}"), size: bytes.len() })
    }
}

/// A reproducible tar archive of one file.
fn layer(source: &ImageSource) -> Result<Vec<u8>> {
    let program =
        std::fs::read(&source.program).with_context(|| format!("failed to read {}", source.program.display()))?;
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(program.len())?);
    header.set_mode(0o755);
    header.set_mtime(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, source.path.trim_start_matches('/'), program.as_slice())?;
    Ok(archive.into_inner()?)
}

/// The architecture in an image's configuration.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    std::fs::write(path, serde_json::to_vec(value)?).with_context(|| format!("failed to write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_contents_have_equal_digests_and_a_marker_changes_the_digest() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("program");
        std::fs::write(&program, "#!").unwrap();
        let source = ImageSource::new("/program", &program);
        let digest = |name: &str, source: &ImageSource| {
            Image::build(&directory.path().join(name), source).unwrap().digest().to_owned()
        };
        assert_eq!(digest("a", &source), digest("b", &source));
        assert_ne!(digest("a", &source), digest("c", &source.clone().marker("mirror")));
    }
}
