//! What a registry is filled with: one of everything that a client meets. Made from nothing, so that every digest is the same
//! in each run.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::mock::digest::{Digest, sha256, sha512};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// What not every registry takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// A manifest that is pushed by a sha512 digest.
    Sha512,
    /// The referrers API.
    Referrers,
}

/// A manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// A name for people.
    pub name: &'static str,
    /// The tag, if it has one.
    pub tag: Option<String>,
    /// The media type.
    pub media_type: &'static str,
    /// The bytes.
    pub bytes: Bytes,
    /// The digest by which it is pushed and read.
    pub digest: Digest,
    /// What a registry needs to take it.
    pub needs: Option<Feature>,
    size: usize,
}

impl Manifest {
    fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": &*self.digest, "size": self.size })
    }

    /// As a child of an index, for this platform.
    fn child(&self, platform: &str) -> Value {
        let (os, architecture) = platform.split_once('/').unwrap_or((platform, ""));
        let mut descriptor = self.descriptor();
        descriptor["platform"] = json!({ "os": os, "architecture": architecture });
        descriptor
    }
}

/// Blobs and manifests of one repository, each after what it refers to.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// Blobs with their digests.
    pub blobs: Vec<(Digest, Bytes)>,
    /// Manifests.
    pub manifests: Vec<Manifest>,
}

impl Content {
    /// One of everything: images of both architectures, an attestation, an index with all three, an index of that index, the
    /// same as Docker's types, an artifact that refers to the index, a signature as a tag, a foreign layer, an empty blob, an
    /// image without layers, a manifest by its sha512 digest.
    pub fn everything() -> Self {
        let mut content = Self::default();
        let amd64 = content.image("amd64", "amd64");
        let arm64 = content.image("arm64", "arm64");
        let attestation = content.attestation(&amd64);
        let children = [amd64.child("linux/amd64"), arm64.child("linux/arm64"), attestation];
        let multi = content.index("multi", &children);
        content.index("nested", &[multi.descriptor()]);
        content.docker();
        content.artifacts(&multi);
        content.oddities();
        content
    }

    /// An index, tagged `program`, of images of both architectures with this program and nothing else. It is the same program in
    /// both: what is run in a build runs on this machine.
    pub fn of_program(path: &str, program: &[u8]) -> Self {
        let mut content = Self::default();
        let layer = content.blob(LAYER, layer(path, program, 0o755));
        let mut children = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let config = content.blob(CONFIG, config(architecture, &[&layer]));
            let value = json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [layer] });
            children.push(content.push(architecture, IMAGE, &value).child(&format!("linux/{architecture}")));
        }
        content.index("program", &children);
        content
    }

    /// The manifest of this name.
    pub fn manifest(&self, name: &str) -> Option<&Manifest> {
        self.manifests.iter().find(|manifest| manifest.name == name)
    }

    fn blob(&mut self, media_type: &str, bytes: impl Into<Bytes>) -> Value {
        let bytes = bytes.into();
        let digest = sha256(&bytes);
        let descriptor = json!({ "mediaType": media_type, "digest": &*digest, "size": bytes.len() });
        if !self.blobs.iter().any(|(known, _)| *known == digest) {
            self.blobs.push((digest, bytes));
        }
        descriptor
    }

    fn push(&mut self, name: &'static str, media_type: &'static str, value: &Value) -> Manifest {
        let bytes = Bytes::from(value.to_string());
        let (digest, size) = (sha256(&bytes), bytes.len());
        let tag = Some(name.to_owned());
        let manifest = Manifest { name, tag, media_type, bytes, digest, needs: None, size };
        self.manifests.push(manifest.clone());
        manifest
    }

    fn last(&mut self, change: impl FnOnce(&mut Manifest)) {
        if let Some(manifest) = self.manifests.last_mut() {
            change(manifest);
        }
    }

    fn image(&mut self, name: &'static str, architecture: &str) -> Manifest {
        let shared = self.blob(LAYER, layer("etc/shared", b"in every image\n", 0o644));
        let own = self.blob(LAYER, layer("etc/architecture", architecture.as_bytes(), 0o644));
        let config = self.blob(CONFIG, config(architecture, &[&shared, &own]));
        let value = json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [shared, own] });
        self.push(name, IMAGE, &value)
    }

    /// As buildx makes them: a child of the index for no platform.
    fn attestation(&mut self, of: &Manifest) -> Value {
        let statement = json!({ "_type": "https://in-toto.io/Statement/v0.1", "subject": [], "predicate": {} });
        let layer = self.blob("application/vnd.in-toto+json", statement.to_string());
        let config = self.blob(CONFIG, config("unknown", &[&layer]));
        let value = json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [layer] });
        let manifest = self.push("attestation", IMAGE, &value);
        self.last(|manifest| manifest.tag = None);
        let mut child = manifest.child("unknown/unknown");
        child["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": &*of.digest,
        });
        child
    }

    fn index(&mut self, name: &'static str, children: &[Value]) -> Manifest {
        let value = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children });
        self.push(name, INDEX, &value)
    }

    fn docker(&mut self) {
        let layer = self.blob(DOCKER_LAYER, layer("etc/architecture", b"s390x", 0o644));
        let config = self.blob(DOCKER_CONFIG, config("s390x", &[&layer]));
        let value = json!({ "schemaVersion": 2, "mediaType": DOCKER_IMAGE, "config": config, "layers": [layer] });
        let image = self.push("docker", DOCKER_IMAGE, &value);
        let children = [image.child("linux/s390x")];
        let value = json!({ "schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": children });
        self.push("docker-list", DOCKER_LIST, &value);
    }

    /// What refers to an image: by its subject, and, for registries without an API for that, by a tag.
    fn artifacts(&mut self, subject: &Manifest) {
        let empty = self.blob(EMPTY, "{}");
        let payload = self.blob("text/spdx+json", r#"{"spdxVersion":"SPDX-2.3"}"#);
        let value = json!({
            "schemaVersion": 2, "mediaType": IMAGE, "artifactType": "text/spdx+json", "config": empty,
            "layers": [payload], "subject": subject.descriptor(), "annotations": { "org.example.kind": "sbom" },
        });
        let artifact = self.push("artifact", IMAGE, &value);
        let mut referrer = artifact.descriptor();
        referrer["artifactType"] = "text/spdx+json".into();
        let tag = subject.digest.replace(':', "-");
        self.index("referrers", &[referrer]);
        self.last(|manifest| manifest.tag = Some(tag.clone()));
        let signature = self.blob("application/vnd.dev.cosign.simplesigning.v1+json", r#"{"critical":{}}"#);
        let config = self.blob(CONFIG, config("", &[]));
        let value = json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [signature] });
        self.push("signature", IMAGE, &value);
        self.last(|manifest| manifest.tag = Some(format!("{tag}.sig")));
    }

    fn oddities(&mut self) {
        let empty = self.blob(LAYER, "");
        let config = self.blob(CONFIG, config("amd64", &[&empty]));
        let foreign = json!({
            "mediaType": FOREIGN, "digest": &*sha256(b"elsewhere"), "size": 9, "urls": ["https://foreign.test/layer.tar"],
        });
        let image =
            |layers: &[&Value]| json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers });
        self.push("foreign", IMAGE, &image(&[&foreign]));
        self.push("empty-blob", IMAGE, &image(&[&empty, &empty]));
        let mut bare = image(&[]);
        bare["org.example.unknown"] = json!({ "kept": ["as", "it", "is"] });
        self.push("no-layers", IMAGE, &bare);
        let mut by_sha512 = image(&[]);
        by_sha512["annotations"] = json!({ "org.example.digest": "sha512" });
        self.push("sha512", IMAGE, &by_sha512);
        self.last(|manifest| {
            manifest.digest = sha512(&manifest.bytes);
            manifest.needs = Some(Feature::Sha512);
            manifest.tag = None;
        });
    }
}

/// The configuration of an image of these layers, which are not compressed.
fn config(architecture: &str, layers: &[&Value]) -> String {
    let layers: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
    json!({ "architecture": architecture, "os": "linux", "rootfs": { "type": "layers", "diff_ids": layers } })
        .to_string()
}

/// A tar archive of one file.
fn layer(path: &str, bytes: &[u8], mode: u32) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    let mut archive = tar::Builder::new(Vec::new());
    // Writing to memory does not fail.
    _ = archive.append_data(&mut header, path, bytes);
    archive.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_is_the_same_in_each_run_and_refers_only_to_its_own_parts() {
        let content = Content::everything();
        assert_eq!(content.manifest("multi").unwrap().digest, Content::everything().manifest("multi").unwrap().digest);
        for (at, manifest) in content.manifests.iter().enumerate() {
            let value: Value = serde_json::from_slice(&manifest.bytes).unwrap();
            for child in value["manifests"].as_array().into_iter().flatten() {
                let is_before = content.manifests[..at].iter().any(|earlier| *earlier.digest == child["digest"]);
                assert!(is_before, "{}: {child}", manifest.name);
            }
            for layer in value["layers"].as_array().into_iter().flatten().filter(|layer| layer["urls"].is_null()) {
                assert!(content.blobs.iter().any(|(digest, _)| **digest == layer["digest"]), "{}", manifest.name);
            }
        }
        assert!(content.blobs.iter().any(|(_, bytes)| bytes.is_empty()));
    }
}
