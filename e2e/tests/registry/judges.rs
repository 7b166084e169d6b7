//! One suite for all registries: what is pushed to them is read back equal, by a plain client, by ours and by skopeo.

mod built;
mod command;
mod consumers;
mod copying;
mod ours;
mod sweep;

use anyhow::{Context, Result, ensure};
use hypermirror_e2e::content::{Content, Feature};
use hypermirror_e2e::judge::{Judge, Kind, Reach};
use hypermirror_e2e::registry::Program;
use serde_json::Value;
use tokio::process::Command;

const REPOSITORY: &str = "team/everything";

#[tokio::test(flavor = "multi_thread")]
async fn the_mock_gives_back_what_it_was_given() -> Result<()> {
    all(Kind::Mock).await
}

#[tokio::test(flavor = "multi_thread")]
async fn debians_docker_registry_gives_back_what_it_was_given() -> Result<()> {
    all(Kind::Real(Program::Docker)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn distribution_gives_back_what_it_was_given() -> Result<()> {
    all(Kind::Real(Program::Distribution)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn go_containerregistry_gives_back_what_it_was_given() -> Result<()> {
    all(Kind::Real(Program::PkgRegistry)).await
}

async fn all(kind: Kind) -> Result<()> {
    let content = Content::everything();
    for reach in Reach::ALL {
        let judge = Judge::start(kind, reach).await?;
        one(&judge, &content).await.with_context(|| format!("{kind:?}, {reach:?}"))?;
    }
    Ok(())
}

async fn one(judge: &Judge, content: &Content) -> Result<()> {
    let pusher = judge.pusher()?;
    let is_taken = |feature| judge.kind().supports(feature);
    pusher.push(REPOSITORY, content, is_taken).await?;
    for manifest in content.manifests.iter().filter(|manifest| manifest.needs.is_none_or(is_taken)) {
        let by_tag = manifest.tag.as_deref().unwrap_or(&manifest.digest);
        for reference in [by_tag, &*manifest.digest] {
            let read = pusher.get(REPOSITORY, &format!("manifests/{reference}")).await?;
            ensure!(read.status == 200 && read.body == manifest.bytes, "{} as {reference}: {read:?}", manifest.name);
        }
    }
    for (digest, bytes) in &content.blobs {
        let read = pusher.get(REPOSITORY, &format!("blobs/{digest}")).await?;
        ensure!(read.status == 200 && read.body == *bytes, "{digest}: {read:?}");
    }
    referrers(judge, content).await?;
    ours::read(judge, content).await.context("our client")?;
    skopeo_reads(judge, content).await
}

/// Only where there is the API; elsewhere there is the tag.
async fn referrers(judge: &Judge, content: &Content) -> Result<()> {
    let subject = content.manifest("multi").context("no index")?;
    let read = judge.pusher()?.get(REPOSITORY, &format!("referrers/{}", subject.digest)).await?;
    if !judge.kind().supports(Feature::Referrers) {
        ensure!(read.status == 404, "{read:?}");
        return Ok(());
    }
    let found: Value = serde_json::from_slice(&read.body)?;
    let artifact = content.manifest("artifact").context("no artifact")?;
    let listed = found["manifests"].as_array().context("no list")?;
    let digests: Vec<&str> = listed.iter().filter_map(|one| one["digest"].as_str()).collect();
    ensure!(digests == [&*artifact.digest], "{found}");
    Ok(())
}

/// A client that is not ours, and checks every byte: it copies the index with all its children.
async fn skopeo_reads(judge: &Judge, content: &Content) -> Result<()> {
    let place = tempfile::tempdir()?;
    let image = format!("docker://{}/{REPOSITORY}:multi", judge.host());
    let target = format!("dir:{}", place.path().display());
    let mut command = Command::new("skopeo");
    command.args(["--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests"]);
    match judge.authority() {
        None => command.arg("--src-tls-verify=false"),
        Some(_) => command.arg(format!("--src-cert-dir={}", judge.certificates().display())),
    };
    match judge.credentials() {
        None => command.arg("--src-no-creds"),
        Some((user, password)) => command.arg(format!("--src-creds={user}:{password}")),
    };
    let output = command.args([image, target]).kill_on_drop(true).output().await;
    let output = output.context("is skopeo installed? hack/setup test")?;
    ensure!(output.status.success(), "skopeo: {}", String::from_utf8_lossy(&output.stderr));
    let multi = content.manifest("multi").context("no index")?;
    ensure!(std::fs::read(place.path().join("manifest.json"))? == multi.bytes, "skopeo read another index");
    let index: Value = serde_json::from_slice(&multi.bytes)?;
    for child in index["manifests"].as_array().into_iter().flatten() {
        let hash = child["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:")).context("no digest")?;
        let child = std::fs::read(place.path().join(format!("{hash}.manifest.json")))?;
        let is_ours = content.manifests.iter().any(|manifest| manifest.bytes == child);
        ensure!(is_ours, "skopeo read another manifest than {hash}");
    }
    Ok(())
}
