//! Registries sweep manifests without a tag: what was copied by digest stays, with everything below it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use hypermirror::registry::coverage::check::Checker;
use hypermirror::registry::coverage::matrix::{Finding, Level};
use hypermirror::registry::distribution::Fetched;
use hypermirror::registry::transfer::side::SmallBlob;
use hypermirror::registry::transfer::{Destination, Job, Side};
use hypermirror::registry::wire::digest::{Algorithm, Digest};
use hypermirror::registry::wire::manifest::Manifest;
use hypermirror::registry::{Client, Credential, Reference, RegistryAddress, Repository, Target};
use hypermirror_e2e::binaries::Servers;
use hypermirror_e2e::registry::{Access, Program, Registry, Settings};
use serde_json::json;
use tokio::process::Command;

use super::super::reading::client;
use super::super::writing::{copied, filled, side};

const REPOSITORY: &str = "copy/app";
const SETTINGS: Settings<'_> = Settings { program: Program::Distribution, authority: None, access: Access::Open };

async fn check(client: &Client, registry: &Registry, digest: &Digest) -> Result<Finding> {
    let address = RegistryAddress::parse(&format!("http://{}", registry.host()))?;
    let repository = Repository::new(address, REPOSITORY)?;
    let target = Target { repository: &repository, credential: &Credential::Anonymous };
    Ok(Checker::new(client).check(target, &Reference::Digest(digest.clone()), Level::L2).await)
}

/// An image without a tag, which the sweep must take: else it swept nothing.
async fn untagged(to: &Side) -> Result<Digest> {
    let config = SmallBlob::new("{}".into());
    to.write_blob(&config, None).await?;
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let digest = Digest::of(Algorithm::Sha256, b"{}").to_string();
    let config = json!({ "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2 });
    let bytes = json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": [] }).to_string();
    let (digest, manifest) =
        (Digest::of(Algorithm::Sha256, bytes.as_bytes()), Manifest::parse(bytes.as_bytes(), Some(kind))?);
    to.write_manifest(&Fetched { digest: digest.clone(), bytes: bytes.into(), manifest }).await?;
    Ok(digest)
}

async fn sweep(directory: &Path) -> Result<()> {
    let program = Servers::from_env().find_registry("distribution")?;
    let mut command = Command::new(program);
    command.args(["garbage-collect", "--delete-untagged"]).arg(directory.join("config.yml")).kill_on_drop(true);
    let output = command.output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_copied_by_digest_survives_a_sweep_of_what_has_no_tag() -> Result<()> {
    let (source, content) = filled().await?;
    let place = tempfile::tempdir()?;
    let directory = place.path().join("registry");
    let registry = Registry::launch(&directory, &SETTINGS).await?;
    let client = client(None)?;
    let to = side(&client, &format!("http://{}", registry.host()), REPOSITORY)?;
    let multi = Digest::parse(&content.manifest("multi").context("no index")?.digest)?;
    let job = Job {
        sources: vec![side(&client, &source.url(), "team/app")?],
        reference: Reference::Digest(multi.clone()),
        destinations: vec![Destination { side: to.clone(), tag: None }],
    };
    copied(vec![job]).await?;
    let untagged = untagged(&to).await?;
    for digest in [&multi, &untagged] {
        let found = check(&client, &registry, digest).await?;
        ensure!(found == Finding::Held, "{digest}: {found:?}");
    }
    registry.stop().await?;
    sweep(&directory).await?;
    let registry = Registry::launch(&directory, &SETTINGS).await?;
    let found = check(&client, &registry, &multi).await?;
    ensure!(found == Finding::Held, "{found:?}");
    let found = check(&client, &registry, &untagged).await?;
    ensure!(found == Finding::Absent, "the sweep took nothing: {found:?}");
    Ok(())
}
