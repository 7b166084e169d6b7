//! A copy that is killed at random moments, against a real registry.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use http::Method;
use hypermirror::registry::transfer::Side;
use hypermirror::registry::{Client, Digest, Reference};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::binaries::operator;
use hypermirror_e2e::registry::{Access, Program, Registry, Settings};
use serde_json::{Value, json};
use tokio::process::Command;

use super::super::reading::client;
use super::{add_image, side};

const KILLS: u64 = 50;
const IMAGES: u64 = 6;
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn path(image: u64) -> String {
    format!("team/app-{image}")
}

/// Images that share layers; every third is an index of two. All blobs of layers are larger than what is sent without a question.
fn fill(source: &MockRegistry) {
    for image in 0..IMAGES {
        let layers = |own: u64| [(60_000, image % 3), (60_000, (image + 1) % 3), (30_000 + own, 100 + own)];
        let first = add_image(source, &path(image), "v1", 2 * image, &layers(2 * image));
        if image % 3 == 0 {
            let second = add_image(source, &path(image), "v1", 2 * image + 1, &layers(2 * image + 1));
            let mut store = source.store();
            let children: Vec<Value> = [first, second]
                .iter()
                .map(|digest| {
                    let (_, manifest) = store.manifest(&path(image), digest).unwrap();
                    json!({ "mediaType": manifest.media_type, "digest": digest, "size": manifest.bytes.len() })
                })
                .collect();
            let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children }).to_string();
            let digest = store.add_manifest(&path(image), INDEX, index);
            store.tag(&path(image), "v1", &digest);
        }
    }
}

/// The command that copies all of them below a path.
fn command(source: &MockRegistry, destination: &Registry, below: &str, home: &Path) -> Result<Command> {
    let mut command = Command::new(operator()?);
    command.args(["copy", "--plain-http"]);
    command.args((0..IMAGES).map(|image| format!("{}/{}:v1", source.host(), path(image))));
    command.arg(format!("{}/{below}/", destination.host()));
    // No credentials and no proxy of whoever runs the tests.
    command.env_clear().env("HOME", home).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true);
    Ok(command)
}

/// Fails if a tag names something that lacks a child or a blob. How many tags there are.
async fn whole(client: &Client, url: &str, below: &str) -> Result<usize> {
    let mut tags = 0;
    for image in 0..IMAGES {
        let to = side(client, url, &format!("{below}/{}", path(image)))?;
        if to.digest(&Reference::Tag("v1".to_owned())).await?.is_none() {
            continue;
        }
        tags += 1;
        let mut manifests = vec![Reference::Tag("v1".to_owned())];
        while let Some(reference) = manifests.pop() {
            let fetched = to.manifest(&reference).await.with_context(|| format!("{} lacks a child", path(image)))?;
            manifests.extend(fetched.manifest.children.iter().map(|child| Reference::Digest(child.digest.clone())));
            for blob in fetched.manifest.blobs() {
                let is_there = to.has_blob(&blob.digest, blob.size).await?;
                ensure!(is_there, "{}@{} lacks {}", path(image), fetched.digest, blob.digest);
            }
        }
    }
    Ok(tags)
}

/// Bytes of the blobs that no repository holds: the others are mounted.
async fn missing(client: &Client, source: &MockRegistry, url: &str, below: &str) -> Result<u64> {
    let mut wanted: BTreeMap<String, (u64, Vec<Side>)> = BTreeMap::new();
    for image in 0..IMAGES {
        let to = side(client, url, &format!("{below}/{}", path(image)))?;
        let blobs: Vec<(String, u64)> = source
            .store()
            .repository(&path(image))
            .blobs
            .iter()
            .map(|(digest, blob)| (digest.to_string(), blob.size()))
            .collect();
        for (digest, size) in blobs {
            wanted.entry(digest).or_insert_with(|| (size, Vec::new())).1.push(to.clone());
        }
    }
    let mut bytes = 0;
    for (digest, (size, sides)) in wanted {
        let digest = Digest::parse(&digest)?;
        let mut is_held = false;
        for side in sides {
            is_held |= side.has_blob(&digest, size).await?;
        }
        bytes += if is_held { 0 } else { size };
    }
    Ok(bytes)
}

/// Bytes of blobs that were read from the source.
fn moved(source: &MockRegistry) -> u64 {
    let reads = source.requests().into_iter().filter(|it| it.method == Method::GET && it.path.contains("/blobs/"));
    reads.map(|read| read.sent).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_killed_at_fifty_moments_leaves_no_half_tag_and_goes_on_with_what_is_missing() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let settings = Settings { program: Program::Distribution, authority: None, access: Access::Open };
    let destination = Registry::launch(&directory.path().join("registry"), &settings).await?;
    let (source, url) = (MockRegistry::start().await?, format!("http://{}", destination.host()));
    fill(&source);
    let client = client(None)?;
    let begin = Instant::now();
    let status = command(&source, &destination, "whole", directory.path())?.status().await?;
    let length = begin.elapsed();
    ensure!(status.success() && whole(&client, &url, "whole").await? as u64 == IMAGES, "{status}");
    let all = moved(&source);

    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
    eprintln!("seed {seed}, one copy takes {length:?} and moves {all} bytes");
    let mut state = u64::from(seed) | 1;
    let mut half = 0;
    for kill in 0..KILLS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // In its first fifth the program has hardly begun.
        let moment = length.mul_f64(0.2 + 0.8 * f64::from(u32::try_from(state % 1_000)?) / 1_000.0);
        let below = format!("kill-{kill}");
        let mut copy = command(&source, &destination, &below, directory.path())?.spawn()?;
        tokio::time::sleep(moment).await;
        // SIGKILL, unless it has ended.
        copy.start_kill().ok();
        copy.wait().await?;
        let told = || format!("kill {kill} after {moment:?}, seed {seed}");
        let tags = whole(&client, &url, &below).await.with_context(told)?;
        let missing = missing(&client, &source, &url, &below).await?;
        half += usize::from(missing > 0 && missing < all);
        source.clear_requests();
        let status = command(&source, &destination, &below, directory.path())?.status().await?;
        ensure!(status.success(), "{}: {status}", told());
        let moved = moved(&source);
        ensure!(moved <= missing + missing / 10, "{}: {moved} of {missing} bytes, {tags} tags", told());
        ensure!(whole(&client, &url, &below).await? as u64 == IMAGES, "{}", told());
    }
    eprintln!("{half} of {KILLS} kills were in the middle of the blobs");
    ensure!(half > 0, "no kill was in the middle of the blobs: nothing is shown (seed {seed})");
    Ok(())
}
