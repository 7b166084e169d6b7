//! Copies of images.

use anyhow::{Context as _, Result, ensure};
use http::{Method, StatusCode};
use hypermirror::registry::transfer::{CopyError, CopyOptions, Destination, Done, Job, PlatformFilter};
use hypermirror::registry::wire::digest::Digest;
use hypermirror::registry::{Cause, Reference};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::content::Content;
use hypermirror_e2e::mock::behavior::{Immutable, Referrers};
use hypermirror_e2e::mock::{Area, Fixed, On, Rule, cases};

use super::super::reading::client;
use super::{REPOSITORY, copied, copy, filled, job, received, side, whole};

/// The names of images in the content that every registry takes.
const IMAGES: [&str; 9] =
    ["amd64", "multi", "nested", "docker", "docker-list", "artifact", "foreign", "empty-blob", "no-layers"];

fn bytes_are_equal(registry: &MockRegistry, repository: &str, content: &Content, name: &str) -> Result<()> {
    let expected = content.manifest(name).with_context(|| format!("no {name}"))?;
    let store = registry.store();
    let (digest, manifest) = store.manifest(repository, name).with_context(|| format!("{name} is not there"))?;
    ensure!(manifest.bytes == expected.bytes && digest == expected.digest, "{name} is another one");
    ensure!(manifest.media_type == expected.media_type, "{name} is {}", manifest.media_type);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b17_everything_is_copied_bit_for_bit_and_a_second_time_nothing() -> Result<()> {
    let (source, content) = filled().await?;
    let destination = MockRegistry::start().await?;
    let client = client(None)?;
    let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
    let jobs = || IMAGES.iter().map(|name| job(&from, name, std::slice::from_ref(&to))).collect();
    copied(jobs()).await?;
    for name in IMAGES {
        bytes_are_equal(&destination, "copy/app", &content, name)?;
    }
    whole(&destination.store(), "copy/app")?;
    let all: u64 =
        destination.store().repository("copy/app").blobs.values().map(hypermirror_e2e::mock::store::Blob::size).sum();
    ensure!(received(&destination) == all, "some blobs were sent twice");
    for registry in [&source, &destination] {
        registry.clear_requests();
    }
    let again = copied(jobs()).await?;
    ensure!(again.outcomes.iter().all(|it| matches!(it.result, Ok(Done::Unchanged))), "{again:?}");
    let asked = [source.lines(), destination.lines()].concat();
    ensure!(asked.len() == 2 * IMAGES.len() && asked.iter().all(|line| line.starts_with("HEAD ")), "{asked:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_and_referrers_come_along_and_the_tag_is_written_last() -> Result<()> {
    let (source, content) = filled().await?;
    let destination = MockRegistry::start().await?;
    let client = client(None)?;
    let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
    copied(vec![job(&from, "multi", &[to])]).await?;
    let multi = content.manifest("multi").context("no index")?;
    let artifact = content.manifest("artifact").context("no artifact")?;
    let signature = format!("{}.sig", multi.digest.replace(':', "-"));
    let store = destination.store();
    ensure!(store.manifest("copy/app", &signature).is_some() && store.manifest("copy/app", &artifact.digest).is_some());
    drop(store);
    let puts: Vec<String> = destination.lines().into_iter().filter(|line| line.contains("/manifests/")).collect();
    let puts: Vec<String> = puts.into_iter().filter(|line| line.starts_with("PUT")).collect();
    ensure!(puts.last().is_some_and(|line| line.ends_with("/manifests/multi")), "{puts:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_by_digest_gets_an_anchor() -> Result<()> {
    let (source, content) = filled().await?;
    let destination = MockRegistry::start().await?;
    let client = client(None)?;
    let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
    let multi = content.manifest("multi").context("no index")?;
    let by_digest = Job {
        sources: vec![from],
        reference: Reference::Digest(Digest::parse(&multi.digest)?),
        destinations: vec![Destination { side: to, tag: None }],
    };
    copied(vec![by_digest.clone()]).await?;
    let tag = format!("hypermirror-{}", &multi.digest["sha256:".len()..][..12]);
    ensure!(destination.store().manifest("copy/app", &tag).is_some_and(|(digest, _)| digest == multi.digest));
    ensure!(matches!(copied(vec![by_digest]).await?.outcomes[0].result, Ok(Done::Unchanged)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_source_feeds_three_registries_with_one_read_of_each_blob() -> Result<()> {
    let (source, _) = filled().await?;
    let registries = [MockRegistry::start().await?, MockRegistry::start().await?, MockRegistry::start().await?];
    let client = client(None)?;
    let from = side(&client, &source.url(), REPOSITORY)?;
    let to = registries.iter().map(|it| side(&client, &it.url(), "copy/app")).collect::<Result<Vec<_>>>()?;
    let (here, there) =
        (side(&client, &registries[0].url(), "copy/b")?, side(&client, &registries[0].url(), "copy/c")?);
    let to = [to, vec![here, there]].concat();
    copied(vec![job(&from, "multi", &to), job(&from, "docker", &to)]).await?;
    let mut reads: Vec<String> =
        source.lines().into_iter().filter(|it| it.starts_with("GET") && it.contains("/blobs/")).collect();
    let all = reads.len();
    reads.sort();
    reads.dedup();
    ensure!(all == reads.len() && all > 0, "a blob was read twice: {reads:#?}");
    // Other repositories of the same registry get theirs from the first.
    let sent = received(&registries[0]);
    ensure!(sent == received(&registries[1]), "{sent}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_source_is_taken_when_the_first_one_fails_or_lies() -> Result<()> {
    let (good, content) = filled().await?;
    let (lying, _) = filled().await?;
    let destination = MockRegistry::start().await?;
    lying.add(Rule::new(On::area(Area::Blob).method(Method::GET), hypermirror_e2e::mock::Change::Flip(0)));
    let client = client(None)?;
    let sources = [
        side(&client, "http://127.0.0.1:1", REPOSITORY)?,
        side(&client, &lying.url(), REPOSITORY)?,
        side(&client, &good.url(), REPOSITORY)?,
    ];
    let to = side(&client, &destination.url(), "copy/app")?;
    let mut job = job(&sources[1], "amd64", &[to]);
    job.sources = sources[1..].to_vec();
    copied(vec![job.clone()]).await?;
    bytes_are_equal(&destination, "copy/app", &content, "amd64")?;
    whole(&destination.store(), "copy/app")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_an_image_of_schema_1_is_refused() -> Result<()> {
    let source = MockRegistry::start().await?;
    let body = r#"{"schemaVersion":1,"name":"any","tag":"v1","fsLayers":[],"history":[],"signatures":[]}"#;
    let digest = source.store().add_manifest(REPOSITORY, cases::SCHEMA_1, body);
    source.store().tag(REPOSITORY, "v1", &digest);
    let destination = MockRegistry::start().await?;
    let client = client(None)?;
    let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
    let report = copy(CopyOptions::default(), vec![job(&from, "v1", &[to])]).await;
    let error = report.outcomes[0].result.clone().unwrap_err().to_string();
    ensure!(error.contains("schema 1"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b18_an_index_without_its_attestations_or_platforms_is_kept_where_the_destination_takes_it() -> Result<()> {
    let (source, content) = filled().await?;
    let attestation = content.manifest("attestation").context("no attestation")?.digest.clone();
    source.store().repository(REPOSITORY).manifests.remove(&attestation);
    let client = client(None)?;
    let from = side(&client, &source.url(), REPOSITORY)?;
    for demands in [false, true] {
        let destination = MockRegistry::start().await?;
        destination.behave(|behavior| behavior.demands_content = demands);
        let to = side(&client, &destination.url(), "copy/app")?;
        let options = CopyOptions { platforms: PlatformFilter::parse(["linux/amd64"])?, ..CopyOptions::default() };
        let report = copy(options, vec![job(&from, "multi", &[to])]).await;
        match &report.outcomes[0].result {
            Ok(_) => {
                ensure!(!demands);
                bytes_are_equal(&destination, "copy/app", &content, "multi")?;
            }
            Err(CopyError::Registry(error)) => {
                ensure!(demands && matches!(error.cause, Cause::DemandsChildren { lacking: 2 }), "{error}");
                ensure!(destination.store().manifest("copy/app", "multi").is_none());
            }
            Err(error) => return Err(error.clone().into()),
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b19_a_registry_that_forgot_children_or_blobs_gets_them_again_once() -> Result<()> {
    let (source, content) = filled().await?;
    let client = client(None)?;
    let from = side(&client, &source.url(), REPOSITORY)?;
    let unknown = || Fixed::error(StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
    for (times, is_copied) in [(1, true), (9, false)] {
        let destination = MockRegistry::start().await?;
        destination.add(
            Rule::new(On::area(Area::Manifest).method(Method::PUT).containing("/manifests/multi"), unknown())
                .times(times),
        );
        let to = side(&client, &destination.url(), "copy/app")?;
        let report = copy(CopyOptions::default(), vec![job(&from, "multi", &[to])]).await;
        ensure!(report.is_complete() == is_copied, "{report:?}");
        let puts = destination.lines().iter().filter(|it| *it == "PUT /v2/copy/app/manifests/multi").count();
        ensure!(puts == 2, "{puts}");
        if is_copied {
            bytes_are_equal(&destination, "copy/app", &content, "multi")?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b20_a_registry_without_nested_indexes_is_asked_once() -> Result<()> {
    let (source, _) = filled().await?;
    let destination = MockRegistry::start().await?;
    destination.behave(|behavior| behavior.refuses_nested = true);
    let client = client(None)?;
    let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
    let report = copy(CopyOptions::default(), vec![job(&from, "nested", &[to])]).await;
    ensure!(!report.is_complete());
    let puts = destination.lines().iter().filter(|it| *it == "PUT /v2/copy/app/manifests/nested").count();
    ensure!(puts == 1, "{puts}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b21_an_immutable_tag_that_is_right_is_left_alone_and_another_one_is_named() -> Result<()> {
    for immutable in [Immutable::Ecr, Immutable::Harbor, Immutable::Quay, Immutable::Artifactory] {
        let (source, content) = filled().await?;
        let destination = MockRegistry::start().await?;
        let client = client(None)?;
        let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
        let mut to_v1 = job(&from, "amd64", std::slice::from_ref(&to));
        to_v1.destinations[0].tag = Some("v1".to_owned());
        copied(vec![to_v1.clone()]).await?;
        destination.behave(|behavior| behavior.immutable = Some(immutable));
        destination.clear_requests();
        copied(vec![to_v1.clone()]).await?;
        ensure!(!destination.lines().iter().any(|line| line.starts_with("PUT")), "{immutable:?}");
        let mut other = job(&from, "docker", &[to]);
        other.destinations[0].tag = Some("v1".to_owned());
        let report = copy(CopyOptions::default(), vec![other]).await;
        let Err(CopyError::Registry(error)) = &report.outcomes[0].result else { anyhow::bail!("{report:?}") };
        let Cause::TagImmutable { held, wanted } = &error.cause else { anyhow::bail!("{immutable:?}: {error}") };
        let digest = |name| content.manifest(name).map(|it| it.digest.to_string()).unwrap_or_default();
        ensure!(held.to_string() == digest("amd64") && wanted.to_string() == digest("docker"), "{error}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b23_referrers_are_listed_by_tag_where_there_is_no_api() -> Result<()> {
    let (source, content) = filled().await?;
    let client = client(None)?;
    let from = side(&client, &source.url(), REPOSITORY)?;
    let (multi, artifact) =
        (content.manifest("multi").context("no index")?, content.manifest("artifact").context("no artifact")?);
    let tag = multi.digest.replace(':', "-");
    for referrers in [Referrers::Unsupported, Referrers::Html] {
        let destination = MockRegistry::start().await?;
        destination.behave(|behavior| behavior.referrers = referrers.clone());
        let foreign = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"text/x","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":1}]}"#;
        let foreign = destination.store().add_manifest("copy/app", "application/vnd.oci.image.index.v1+json", foreign);
        destination.store().tag("copy/app", &tag, &foreign);
        destination.behave(|behavior| behavior.demands_content = false);
        let to = side(&client, &destination.url(), "copy/app")?;
        copied(vec![job(&from, "multi", &[to])]).await?;
        let store = destination.store();
        let (_, index) = store.manifest("copy/app", &tag).context("no list of referrers")?;
        let text = String::from_utf8_lossy(&index.bytes);
        ensure!(text.contains(&*artifact.digest) && text.contains("sha256:00000000"), "{referrers:?}: {text}");
    }
    Ok(())
}
