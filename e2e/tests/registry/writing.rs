//! Our client writes to the mock, and copies between two: what it must do for each way in which registries answer.

mod copies;
mod ecr;
mod faults;
mod killed;
mod mending;
mod requests;
mod uploads;

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use hypermirror::registry::transfer::progress::Silent;
use hypermirror::registry::transfer::{
    CancellationToken, Copier, CopyOptions, Destination, Job, RegistrySide, Report, Side,
};
use hypermirror::registry::{Client, Credential, Reference, RegistryAddress, Repository};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::content::Content;
use hypermirror_e2e::mock::{Store, Synthetic};
use hypermirror_e2e::pusher::Pusher;
use serde_json::{Value, json};

/// The repository of sources and destinations.
const REPOSITORY: &str = "team/app";

/// A repository of a mock, for everybody.
pub fn side(client: &Client, url: &str, path: &str) -> Result<Side> {
    as_user(client, url, path, Credential::Anonymous)
}

/// A repository as the holder of a credential sees it.
pub fn as_user(client: &Client, url: &str, path: &str, credential: Credential) -> Result<Side> {
    let repository = Repository::new(RegistryAddress::parse(url)?, path)?;
    Ok(Side::Registry(RegistrySide::new(client.clone(), repository, credential)))
}

/// Copies an image from one side to others, under the same tag.
pub fn job(from: &Side, tag: &str, to: &[Side]) -> Job {
    let destinations = to.iter().map(|side| Destination { side: side.clone(), tag: Some(tag.to_owned()) }).collect();
    Job { sources: vec![from.clone()], reference: Reference::Tag(tag.to_owned()), destinations }
}

/// Copies.
pub async fn copy(options: CopyOptions, jobs: Vec<Job>) -> Report {
    Copier::new(options, Arc::new(Silent), CancellationToken::new()).copy(jobs).await
}

/// Copies, and every image must be there afterwards.
pub async fn copied(jobs: Vec<Job>) -> Result<Report> {
    let report = copy(CopyOptions::default(), jobs).await;
    for outcome in &report.outcomes {
        ensure!(outcome.result.is_ok(), "{outcome:?}");
    }
    Ok(report)
}

/// A mock with one of everything, in [`REPOSITORY`].
pub async fn filled() -> Result<(MockRegistry, Content)> {
    let (registry, content) = (MockRegistry::start().await?, Content::everything());
    Pusher::new(&registry.url(), None, None)?.push(REPOSITORY, &content, |_| true).await?;
    registry.clear_requests();
    Ok((registry, content))
}

/// Fails if a tag names a manifest that lacks a child or a blob.
pub fn whole(store: &Store, repository: &str) -> Result<usize> {
    let Some(tags) = store.repositories.get(repository).map(|it| it.tags.clone()) else { return Ok(0) };
    for (tag, digest) in &tags {
        complete(store, repository, digest).with_context(|| format!("tag {tag}"))?;
    }
    Ok(tags.len())
}

fn complete(store: &Store, repository: &str, digest: &str) -> Result<()> {
    let (_, manifest) = store.manifest(repository, digest).with_context(|| format!("no manifest {digest}"))?;
    let value: Value = serde_json::from_slice(&manifest.bytes)?;
    let list = |name: &str| value[name].as_array().cloned().unwrap_or_default();
    for child in list("manifests") {
        complete(store, repository, child["digest"].as_str().unwrap_or_default())?;
    }
    let own = list("layers").into_iter().chain([value["config"].clone()]).filter(|it| it["urls"].is_null());
    for blob in own.filter_map(|it| it["digest"].as_str().map(str::to_owned)) {
        ensure!(store.blob(repository, &blob).is_some(), "{digest} lacks {blob}");
    }
    Ok(())
}

/// Bytes of blobs that a registry received.
pub fn received(registry: &MockRegistry) -> u64 {
    registry.requests().iter().filter(|it| it.path.contains("/blobs/uploads/")).map(|it| it.received).sum()
}

/// An image of these layers, each of a size and a seed. The number makes its configuration another one than those of others.
pub fn add_image(registry: &MockRegistry, repository: &str, tag: &str, number: u64, layers: &[(u64, u64)]) -> String {
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let mut store = registry.store();
    let config = json!({ "architecture": "amd64", "os": "linux", "number": number }).to_string();
    let layers: Vec<Value> = layers
        .iter()
        .map(|(size, seed)| {
            let digest = store.add_synthetic(repository, Synthetic::new(*size, *seed));
            json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": &*digest, "size": size })
        })
        .collect();
    let size = config.len();
    let digest = store.add_blob(repository, config);
    let config = json!({ "mediaType": "application/vnd.oci.image.config.v1+json", "digest": &*digest, "size": size });
    let manifest = json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers });
    let digest = store.add_manifest(repository, kind, manifest.to_string());
    store.tag(repository, tag, &digest);
    digest.to_string()
}

/// The layers of an image with their sizes.
pub fn layers(registry: &MockRegistry, repository: &str, tag: &str) -> Vec<(String, u64)> {
    let store = registry.store();
    let manifest = store.manifest(repository, tag).map(|(_, manifest)| manifest.bytes.clone()).unwrap_or_default();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
    let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
    let layer = |it: &Value| Some((it["digest"].as_str()?.to_owned(), it["size"].as_u64()?));
    layers.iter().filter_map(layer).collect()
}
