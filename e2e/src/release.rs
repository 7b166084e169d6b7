//! A release in a registry: its image, and the images of its payload, each for two architectures.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::mock::digest::Digest;
use crate::mock::store::Store;

/// The media type of an image.
pub const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// Where a release is.
#[derive(Clone, Copy, Debug)]
pub struct Repositories<'a> {
    /// The registry that the payload names, `host[:port]`.
    pub source: &'a str,
    /// The repository of the images.
    pub images: &'a str,
    /// The repository of the release image.
    pub release: &'a str,
}

/// What a release consists of.
#[derive(Clone, Debug)]
pub struct Release {
    /// The index of the release image.
    pub digest: Digest,
    /// The indexes of the payload, by name.
    pub images: Vec<(String, Digest)>,
}

impl Release {
    /// Adds a release with images of these names.
    ///
    /// # Errors
    ///
    /// If its payload cannot be written.
    pub fn add(store: &mut Store, places: Repositories<'_>, names: &[String]) -> std::io::Result<Self> {
        let images: Vec<(String, Digest)> =
            names.iter().map(|name| (name.clone(), image(store, places.images, name))).collect();
        let tag = |(name, digest): &(String, Digest)| {
            let image = format!("{}/{}@{digest}", places.source, places.images);
            json!({"name": name, "from": {"kind": "DockerImage", "name": image}})
        };
        let tags: Vec<Value> = images.iter().map(tag).collect();
        let stream = json!({"kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "spec": {"tags": tags}});
        let payload = archive("release-manifests/image-references", &stream.to_string())?;
        let digest = index(store, places.release, "release", |_| payload.clone());
        Ok(Self { digest, images })
    }
}

/// The layer that only the image of this name and architecture has.
pub fn own_layer(name: &str, architecture: &str) -> String {
    format!("layer of {name} for {architecture}")
}

fn image(store: &mut Store, repository: &str, name: &str) -> Digest {
    index(store, repository, name, |architecture| own_layer(name, architecture).into_bytes())
}

/// An index of an image for each architecture, with a layer that all share and one of its own.
fn index(store: &mut Store, repository: &str, name: &str, own: impl Fn(&str) -> Vec<u8>) -> Digest {
    let mut children = Vec::new();
    for architecture in ARCHITECTURES {
        let config = json!({"architecture": architecture, "os": "linux", "name": name}).to_string();
        let config = blob(store, repository, config);
        let layers = [blob(store, repository, "a base that all share"), blob(store, repository, own(architecture))];
        let manifest = json!({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers}).to_string();
        let size = manifest.len();
        let digest = store.add_manifest(repository, IMAGE, manifest);
        children.push(json!({"mediaType": IMAGE, "digest": &*digest, "size": size,
            "platform": {"os": "linux", "architecture": architecture}}));
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children});
    store.add_manifest(repository, INDEX, index.to_string())
}

fn blob(store: &mut Store, repository: &str, bytes: impl Into<Bytes>) -> Value {
    let bytes = bytes.into();
    let size = bytes.len();
    json!({"mediaType": LAYER, "digest": &*store.add_blob(repository, bytes), "size": size})
}

/// A tar archive of one file.
fn archive(path: &str, text: &str) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, path, text.as_bytes())?;
    archive.into_inner()
}
