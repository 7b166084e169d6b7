//! Sixty images, built by buildah and by hand, are copied to each of them, in each way in which it is reached, and pulled by
//! clients that are not ours.

use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hypermirror::registry::policy::PolicyOptions;
use hypermirror::registry::proxy::Proxies;
use hypermirror::registry::transfer::Side;
use hypermirror::registry::transport::tls::TlsOptions;
use hypermirror::registry::transport::{Transport, TransportOptions};
use hypermirror::registry::{Client, Credential};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::judge::{Judge, Kind, Reach};
use hypermirror_e2e::mock::digest::sha256;
use hypermirror_e2e::proxy::Proxy;
use hypermirror_e2e::registry::Program;
use serde_json::{Value, json};

use super::super::reading::client;
use super::super::writing::{as_user, copied, job, side};
use super::built::{BUILT, add_built};
use super::consumers::{crane_validates, podman_pulls, skopeo_reads};

const REPOSITORY: &str = "team/sixty";
const IMAGES: usize = 60;
/// By hand: images, indexes of two architectures, some with an attestation, and an artifact.
const BY_HAND: usize = IMAGES - BUILT;
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The tag of an image and its digest.
type Named = (String, String);

/// Images that share layers; every fifth is an index of two, every tenth has an attestation, and the last one is an artifact.
fn fill(registry: &MockRegistry) -> Vec<Named> {
    let shared: Vec<Bytes> = (0..4).map(|number| layer(&format!("shared-{number}"), 50_000)).collect();
    let mut named = Vec::new();
    for number in 0..BY_HAND {
        let own = layer(&format!("own-{number}"), 100 * number);
        let layers = [&shared[number % 4], &shared[(number + 1) % 4], &own];
        let mut digest =
            if number + 1 == BY_HAND { add_artifact(registry) } else { add_image(registry, &layers, "amd64") };
        if number % 5 == 0 {
            let other = add_image(registry, &layers, "arm64");
            let child = |digest: &str, os: &str, architecture: &str| {
                let size = registry.store().manifest(REPOSITORY, digest).map_or(0, |(_, it)| it.bytes.len());
                let platform = json!({ "os": os, "architecture": architecture });
                json!({ "mediaType": IMAGE, "digest": digest, "size": size, "platform": platform })
            };
            let mut children = vec![child(&digest, "linux", "amd64"), child(&other, "linux", "arm64")];
            if number % 10 == 0 {
                let mut attestation = child(&add_attestation(registry, &digest), "unknown", "unknown");
                attestation["annotations"] = json!({
                    "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest,
                });
                children.push(attestation);
            }
            let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children });
            digest = registry.store().add_manifest(REPOSITORY, INDEX, index.to_string()).to_string();
        }
        let tag = format!("v{number}");
        registry.store().tag(REPOSITORY, &tag, &digest.as_str().into());
        named.push((tag, digest));
    }
    named
}

/// A manifest of one small blob that is no layer of an image.
fn add_plain(registry: &MockRegistry, media_type: &str, content: String) -> String {
    let mut store = registry.store();
    let size = content.len();
    let layer = store.add_blob(REPOSITORY, content);
    let config = store.add_blob(REPOSITORY, "{}");
    let config = json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": &*config, "size": 2 });
    let layer = json!({ "mediaType": media_type, "digest": &*layer, "size": size });
    let manifest = json!({ "schemaVersion": 2, "mediaType": IMAGE, "artifactType": media_type, "config": config,
        "layers": [layer] });
    store.add_manifest(REPOSITORY, IMAGE, manifest.to_string()).to_string()
}

fn add_artifact(registry: &MockRegistry) -> String {
    add_plain(registry, "application/vnd.example.chart", "a chart".to_owned())
}

fn add_attestation(registry: &MockRegistry, subject: &str) -> String {
    add_plain(registry, "application/vnd.in-toto+json", format!("{{\"subject\": \"{subject}\"}}"))
}

fn add_image(registry: &MockRegistry, layers: &[&Bytes], architecture: &str) -> String {
    let mut store = registry.store();
    let mut blob = |media_type: &str, bytes: Bytes| -> Value {
        let size = bytes.len();
        let digest = store.add_blob(REPOSITORY, bytes);
        json!({ "mediaType": media_type, "digest": &*digest, "size": size })
    };
    let ids: Vec<String> = layers.iter().map(|bytes| sha256(bytes).to_string()).collect();
    let layers: Vec<Value> = layers.iter().map(|bytes| blob(LAYER, compressed(bytes))).collect();
    let config = json!({
        "architecture": architecture, "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": ids },
    });
    let config = blob("application/vnd.oci.image.config.v1+json", config.to_string().into());
    let manifest = json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers });
    store.add_manifest(REPOSITORY, IMAGE, manifest.to_string()).to_string()
}

/// crane reads no other layers.
fn compressed(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

/// A tar archive of one file.
fn layer(name: &str, size: usize) -> Bytes {
    let mut header = tar::Header::new_gnu();
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    let mut archive = tar::Builder::new(Vec::new());
    let content = name.bytes().cycle().take(size).collect::<Vec<u8>>();
    archive.append_data(&mut header, name, content.as_slice()).unwrap();
    archive.into_inner().unwrap().into()
}

/// Copies all of them, and everybody reads what was copied.
async fn copied_to(judge: &Judge, to: Side, reach: Reach, sample: usize) -> Result<()> {
    let source = MockRegistry::start().await?;
    let mut named = fill(&source);
    let built = add_built(&source, REPOSITORY).await?;
    // The first of those that buildah built has gzip, the last in order of their names zstd.
    let pulled = [named.first(), built.first(), built.last()].map(Option::<&Named>::cloned);
    named.extend(built);
    let from = side(&client(None)?, &source.url(), REPOSITORY)?;
    let jobs = named.iter().map(|(tag, _)| job(&from, tag, std::slice::from_ref(&to))).collect();
    let report = copied(jobs).await?;
    ensure!(report.outcomes.len() == IMAGES, "{report:?}");
    for (tag, digest) in named.iter().step_by(sample) {
        skopeo_reads(judge, &format!("{REPOSITORY}:{tag}"), digest).await?;
    }
    for (place, (tag, digest)) in pulled.into_iter().flatten().enumerate() {
        // crane asks no token server at a loopback address.
        if reach != Reach::Tokens && place < 2 {
            crane_validates(judge, &format!("{REPOSITORY}:{tag}")).await?;
        }
        podman_pulls(judge, &format!("{REPOSITORY}:{tag}")).await?;
        podman_pulls(judge, &format!("{REPOSITORY}@{digest}")).await?;
    }
    Ok(())
}

async fn all(kind: Kind) -> Result<()> {
    for reach in Reach::ALL {
        let judge = Judge::start(kind, reach).await?;
        let credential = match judge.credentials() {
            Some((user, password)) => Credential::basic(user, password),
            None => Credential::Anonymous,
        };
        let to = as_user(&client(judge.authority())?, &judge.url(), REPOSITORY, credential)?;
        let sample = if reach == Reach::Http { 1 } else { 10 };
        copied_to(&judge, to, reach, sample).await.with_context(|| format!("{kind:?}, {reach:?}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn debians_docker_registry_holds_what_was_copied_to_it() -> Result<()> {
    all(Kind::Real(Program::Docker)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn distribution_holds_what_was_copied_to_it() -> Result<()> {
    all(Kind::Real(Program::Distribution)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn go_containerregistry_holds_what_was_copied_to_it() -> Result<()> {
    all(Kind::Real(Program::PkgRegistry)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_through_a_proxy_by_connect() -> Result<()> {
    let judge = Judge::start(Kind::Real(Program::Distribution), Reach::Tls).await?;
    let proxy = Proxy::start().await?;
    let port = judge.host().rsplit_once(':').context("no port")?.1.to_owned();
    proxy.route(&format!("registry.test:{port}"), judge.host().parse()?);
    let mut tls = TlsOptions::default();
    tls.add_authorities(judge.authority().context("no authority")?.certificate().as_bytes())?;
    let proxies = Proxies::one(&proxy.url(), "")?;
    let client = Client::new(
        Transport::new(TransportOptions { tls, proxies, ..TransportOptions::default() })?,
        PolicyOptions::default(),
    );
    let to = side(&client, &format!("https://registry.test:{port}"), REPOSITORY)?;
    copied_to(&judge, to, Reach::Tls, 20).await?;
    let attempts = proxy.attempts();
    ensure!(!attempts.is_empty() && attempts.iter().all(|it| it.is_tls == Some(true)), "{attempts:?}");
    Ok(())
}
