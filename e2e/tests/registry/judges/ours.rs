//! Our client reads from each of them what was pushed: manifests, blobs, tags, referrers, a scan, and coverage at each level.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use hypermirror::registry::coverage::check::Checker;
use hypermirror::registry::coverage::matrix::{Finding, Level};
use hypermirror::registry::scan::{ContentCache, ScanOptions, scan};
use hypermirror::registry::wire::digest::{Algorithm, Digest};
use hypermirror::registry::{Client, Credential, Reason, Reference, RegistryAddress, Repository, Target};
use hypermirror_e2e::content::{Content, Feature, Manifest};
use hypermirror_e2e::judge::{Judge, Kind};

use super::super::reading::client;
use super::REPOSITORY;

/// Blobs of the content are smaller.
const LIMIT: usize = 1 << 20;

/// Everything that the client reads, from a registry that was filled with `content`.
pub async fn read(judge: &Judge, content: &Content) -> Result<()> {
    let client = client(judge.authority())?;
    let repository = Repository::new(RegistryAddress::parse(&judge.url())?, REPOSITORY)?;
    let credential = match judge.credentials() {
        Some((user, password)) => Credential::basic(user, password),
        None => Credential::Anonymous,
    };
    let target = Target { repository: &repository, credential: &credential };
    client.ping(&repository.registry, &credential).await?;
    let pushed: Vec<&Manifest> = content.manifests.iter().filter(|it| is_taken(judge, it)).collect();
    manifests(&client, target, &pushed).await?;
    for (digest, bytes) in &content.blobs {
        let digest = Digest::parse(digest)?;
        client.head_blob(target, &digest, bytes.len() as u64).await?;
        client.check_blob(target, &digest, bytes.len() as u64).await?;
        ensure!(client.small_blob(target, &digest, LIMIT).await? == *bytes, "{digest}");
    }
    tags(&client, target, &pushed).await?;
    referrers(&client, target, judge.kind(), content).await?;
    coverage(&client, target, content).await?;
    refused(&client, target, judge).await
}

fn is_taken(judge: &Judge, manifest: &Manifest) -> bool {
    manifest.needs.is_none_or(|feature| judge.kind().supports(feature))
}

async fn manifests(client: &Client, target: Target<'_>, pushed: &[&Manifest]) -> Result<()> {
    for manifest in pushed {
        let digest = Digest::parse(&manifest.digest)?;
        let tag = manifest.tag.clone().map(Reference::Tag);
        for reference in tag.into_iter().chain([Reference::Digest(digest.clone())]) {
            let head = client.head_manifest(target, &reference).await?;
            let fetched = client.manifest(target, &reference).await?;
            // A manifest that is named by sha512 has a tag that leads to its sha256.
            let is_same = |other: &Digest| *other == Digest::of(other.algorithm(), &manifest.bytes);
            ensure!(is_same(&head.digest) && is_same(&fetched.digest), "{} as {reference}: {head:?}", manifest.name);
            ensure!(fetched.bytes == manifest.bytes, "{} as {reference}: other bytes", manifest.name);
        }
    }
    Ok(())
}

/// The list, in pages of the smallest size that each registry allows, and what a scan finds for each tag.
async fn tags(client: &Client, target: Target<'_>, pushed: &[&Manifest]) -> Result<()> {
    let names: BTreeSet<&str> = pushed.iter().filter_map(|manifest| manifest.tag.as_deref()).collect();
    let list = client.tags(target, |_| {}).await?;
    let listed: BTreeSet<&str> = list.tags.iter().map(String::as_str).collect();
    ensure!(names.is_subset(&listed), "pushed {names:?}, listed {listed:?}");
    let found = scan(client, target, &ContentCache::default(), &ScanOptions::default(), |_| {}).await?;
    for manifest in pushed.iter().filter(|manifest| manifest.needs.is_none()) {
        let Some(tag) = manifest.tag.as_deref().filter(|tag| !hypermirror::registry::scan::filter::is_attachment(tag))
        else {
            continue;
        };
        let scanned = found.tags.iter().find(|scanned| scanned.tag == tag).with_context(|| format!("no {tag}"))?;
        ensure!(scanned.digest.as_ref().map(ToString::to_string).as_deref() == Some(&*manifest.digest), "{scanned:?}");
        ensure!(scanned.error().is_none() && scanned.content.size.is_some(), "{scanned:?}");
    }
    Ok(())
}

/// By the API where there is one, else by the tag.
async fn referrers(client: &Client, target: Target<'_>, kind: Kind, content: &Content) -> Result<()> {
    let subject = Digest::parse(&content.manifest("multi").context("no index")?.digest)?;
    let found = client.referrers(target, &subject).await?;
    ensure!(found.is_by_tag != kind.supports(Feature::Referrers), "{found:?}");
    if kind.supports(Feature::Referrers) {
        let artifact = content.manifest("artifact").context("no artifact")?;
        let digests: Vec<String> = found.manifests.iter().map(|it| it.digest.to_string()).collect();
        ensure!(digests == [artifact.digest.to_string()], "{digests:?}");
    }
    Ok(())
}

async fn coverage(client: &Client, target: Target<'_>, content: &Content) -> Result<()> {
    let checker = Checker::new(client);
    let absent = Reference::Digest(Digest::of(Algorithm::Sha256, b"nobody pushed this"));
    for level in [Level::L0, Level::L1, Level::L2] {
        for name in ["multi", "nested"] {
            let manifest = content.manifest(name).with_context(|| format!("no {name}"))?;
            let digest = Reference::Digest(Digest::parse(&manifest.digest)?);
            for reference in [digest, Reference::Tag(name.to_owned())] {
                let found = checker.check(target, &reference, level).await;
                ensure!(found == Finding::Held, "{name} at {level:?}: {found:?}");
            }
        }
        for reference in [absent.clone(), Reference::Tag("nobody-pushed-this".to_owned())] {
            let found = checker.check(target, &reference, level).await;
            ensure!(found == Finding::Absent, "{reference} at {level:?}: {found:?}");
        }
    }
    Ok(())
}

/// What is not there is not found, and a wrong password is no answer about images.
async fn refused(client: &Client, target: Target<'_>, judge: &Judge) -> Result<()> {
    let nowhere = Repository::new(target.repository.registry.clone(), "team/nothing")?;
    let nowhere = Target { repository: &nowhere, ..target };
    let error = client.tags(nowhere, |_| {}).await.err().context("a repository that nobody pushed to has tags")?;
    ensure!(error.reason() == Reason::NotFound, "{error}");
    let Some((user, _)) = judge.credentials() else { return Ok(()) };
    let wrong = Credential::basic(user, "not the password");
    let tag = Reference::Tag("multi".to_owned());
    let error = client.head_manifest(Target { credential: &wrong, ..target }, &tag).await;
    let error = error.err().context("a wrong password opens the registry")?;
    ensure!(matches!(error.reason(), Reason::Unauthorized | Reason::CredentialsUnavailable), "{error}");
    ensure!(!error.to_string().contains("not the password"), "{error}");
    Ok(())
}
