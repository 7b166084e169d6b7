use std::collections::HashMap;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::super::super::credentials::Credential;
use super::super::super::name::{RegistryAddress, Repository};
use super::super::super::policy::PolicyOptions;
use super::super::super::testing::{Server, answer};
use super::super::super::transport::{Transport, TransportOptions};
use super::super::super::wire::digest::Algorithm;
use super::super::super::wire::media_type::ManifestType;
use super::*;

type Content = HashMap<String, Vec<u8>>;

fn add(content: &mut Content, bytes: Vec<u8>) -> Digest {
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    content.insert(digest.to_string(), bytes);
    digest
}

fn layer(path: &str, text: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    archive.append_data(&mut header, path, text.as_bytes()).unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}

fn references(names: &[&str]) -> Vec<u8> {
    let tag =
        |name: &&str| json!({"name": name, "from": {"kind": "DockerImage", "name": format!("quay.io/ocp/{name}:v1")}});
    let stream = json!({"kind": "ImageStream", "spec": {"tags": names.iter().map(tag).collect::<Vec<_>>()}});
    layer("release-manifests/image-references", &stream.to_string())
}

fn image(content: &mut Content, layers: Vec<Vec<u8>>) -> Digest {
    let layer = |bytes: Vec<u8>| {
        let size = bytes.len();
        json!({"mediaType": "application/x", "digest": add(content, bytes), "size": size})
    };
    let layers: Vec<Value> = layers.into_iter().map(layer).collect();
    let manifest = json!({"mediaType": ManifestType::OciImage.name(), "layers": layers});
    add(content, serde_json::to_vec(&manifest).unwrap())
}

async fn names(content: Content, digest: &Digest) -> (Result<Vec<String>, ReleaseError>, usize) {
    let server = Server::start(move |seen| match content.get(seen.uri.path().rsplit('/').next().unwrap()) {
        Some(bytes) => answer(200, &[], bytes.clone()),
        None => answer(404, &[], ""),
    })
    .await;
    let repository = Repository::new(RegistryAddress::parse(&server.url("")).unwrap(), "release").unwrap();
    let target = Target { repository: &repository, credential: &Credential::Anonymous };
    let options = PolicyOptions { attempts: 1, ..PolicyOptions::default() };
    let client = Client::new(Transport::new(TransportOptions::default()).unwrap(), options);
    let found = payload(&client, target, &Reference::Digest(digest.clone())).await;
    let names = found.map(|images| images.into_iter().map(|image| image.name).collect());
    (names, server.lines().iter().filter(|line| line.contains("/blobs/")).count())
}

#[tokio::test]
async fn the_last_layer_that_has_the_file_counts() {
    let mut content = Content::new();
    let (base, old) = (layer("etc/os-release", "x"), references(&["old"]));
    let release = image(&mut content, vec![base.clone(), old.clone(), references(&["etcd", "cli"]), layer("z", "z")]);
    let (found, blobs) = names(content, &release).await;
    assert_eq!((found.unwrap(), blobs), (vec!["cli".to_owned(), "etcd".to_owned()], 2), "layers below are not read");
    let mut content = Content::new();
    let removed = image(&mut content, vec![old, layer("release-manifests/.wh.image-references", "")]);
    assert!(matches!(names(content, &removed).await.0, Err(ReleaseError::NoRelease(_))));
    let mut content = Content::new();
    let other = image(&mut content, vec![base]);
    let error = names(content, &other).await.0.unwrap_err().to_string();
    assert!(error.contains("/release@sha256:") && error.contains("is no release image"), "{error}");
}

#[tokio::test]
async fn the_payloads_of_all_platforms_are_needed() {
    let mut content = Content::new();
    let shared = references(&["etcd"]);
    let platforms = [
        image(&mut content, vec![shared.clone()]),
        image(&mut content, vec![references(&["cli"])]),
        image(&mut content, vec![layer("x", "x"), shared]),
    ];
    let child = |digest: &Digest| json!({"mediaType": ManifestType::OciImage.name(), "digest": digest, "size": 1, "platform": {"os": "linux", "architecture": "amd64"}});
    let index = json!({"mediaType": ManifestType::OciIndex.name(), "manifests": platforms.iter().map(child).collect::<Vec<_>>()});
    let index = add(&mut content, serde_json::to_vec(&index).unwrap());
    let (found, blobs) = names(content, &index).await;
    assert_eq!((found.unwrap(), blobs), (vec!["cli".to_owned(), "etcd".to_owned()], 2), "a shared layer is read once");
}

#[tokio::test]
async fn a_layer_with_zstd_is_refused_with_the_release() {
    let mut content = Content::new();
    let release = image(&mut content, vec![vec![0x28, 0xb5, 0x2f, 0xfd, 0]]);
    let error = names(content, &release).await.0.unwrap_err().to_string();
    assert!(error.contains("/release@sha256:") && error.contains("zstd"), "{error}");
}
