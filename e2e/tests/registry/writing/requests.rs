//! How many requests copies take.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use hypermirror::registry::client::BlobSource as _;
use hypermirror::registry::transfer::side::SmallBlob;
use hypermirror::registry::transfer::{CopyOptions, Done, Job};
use hypermirror::registry::{Client, Credential, Target};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::mock::behavior::Mounts;
use hypermirror_e2e::mock::{Area, Change, On, Rule};

use super::super::reading::client;
use super::uploads::repository;
use super::{REPOSITORY, add_image, copied, copy, received, side, whole};

const IMAGES: u64 = 40;
const SHARED: u64 = 40_000;
const OWN: u64 = 20_000;

fn path(image: u64) -> String {
    format!("team/app-{image}")
}

/// Images that share three of four bases, each in a repository of its own.
fn fill(source: &MockRegistry) {
    for image in 0..IMAGES {
        let bases = (0..4).filter(|base| *base != image % 4).map(|base| (SHARED, base));
        let own = (0..2).map(|number| (OWN, 100 + 2 * image + number));
        add_image(source, &path(image), "v1", image, &bases.chain(own).collect::<Vec<_>>());
    }
}

fn jobs(client: &Client, source: &MockRegistry, destination: &MockRegistry) -> Result<Vec<Job>> {
    (0..IMAGES)
        .map(|image| {
            let from = side(client, &source.url(), &path(image))?;
            Ok(super::job(&from, "v1", &[side(client, &destination.url(), &path(image))?]))
        })
        .collect()
}

/// A text, over and over.
fn repeated(text: &str, length: usize) -> SmallBlob {
    SmallBlob::new(text.bytes().cycle().take(length).collect::<Vec<u8>>().into())
}

/// Requests by method and part of the API.
fn kinds(registry: &MockRegistry) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for request in registry.requests() {
        let area = ["uploads", "blobs", "manifests", "referrers", "tags"].into_iter();
        let area = area.into_iter().find(|area| request.path.contains(&format!("/{area}/"))).unwrap_or("other");
        let detail = ["mount", "digest"].into_iter().find(|it| request.query.starts_with(&format!("{it}=")));
        let detail = detail.map(|detail| format!(" {detail}")).unwrap_or_default();
        *kinds.entry(format!("{} {area}{detail}", request.method)).or_default() += 1;
    }
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_registry_gets_forty_images_with_at_most_seven_hundred_requests() -> Result<()> {
    let (source, destination) = (MockRegistry::start().await?, MockRegistry::start().await?);
    fill(&source);
    let client = client(None)?;
    let report = copied(jobs(&client, &source, &destination)?).await?;
    let (read, written) = (kinds(&source), kinds(&destination));
    eprintln!("source {read:#?}\ndestination {written:#?}");
    let all = source.requests().len() + destination.requests().len();
    ensure!(all <= 700, "{all} requests: {read:#?} {written:#?}");
    for image in 0..IMAGES {
        ensure!(whole(&destination.store(), &path(image))? == 1);
    }
    ensure!(report.bytes == received(&destination), "{} and {}", report.bytes, received(&destination));
    ensure!(report.mounted == 116, "{report:?}");

    // The tags are gone, as when a copy ended before it wrote them: the blobs are found, although nobody knows that they are there.
    for image in 0..IMAGES {
        destination.store().repository(&path(image)).tags.clear();
    }
    destination.clear_requests();
    source.clear_requests();
    let again = copied(jobs(&client, &source, &destination)?).await?;
    ensure!(received(&destination) == 0 && again.bytes == 0, "{:#?}", kinds(&destination));
    ensure!(!kinds(&source).contains_key("GET blobs"), "{:#?}", kinds(&source));

    destination.clear_requests();
    source.clear_requests();
    let again = copied(jobs(&client, &source, &destination)?).await?;
    ensure!(again.outcomes.iter().all(|it| matches!(it.result, Ok(Done::Unchanged))));
    ensure!(kinds(&source) == BTreeMap::from([("HEAD manifests".to_owned(), 40)]), "{:#?}", kinds(&source));
    ensure!(kinds(&destination) == kinds(&source), "{:#?}", kinds(&destination));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_without_their_shared_ones_are_found_by_the_upload_that_begins_with_a_question() -> Result<()> {
    let (source, destination) = (MockRegistry::start().await?, MockRegistry::start().await?);
    fill(&source);
    // What an interrupted copy left: layers of single images only.
    for image in 0..IMAGES {
        for layer in super::layers(&source, &path(image), "v1").into_iter().filter(|(_, size)| *size == OWN) {
            let blob = source.store().blob(&path(image), &layer.0).cloned();
            destination.store().repository(&path(image)).blobs.extend(blob.map(|blob| (layer.0.as_str().into(), blob)));
        }
    }
    let client = client(None)?;
    let report = copied(jobs(&client, &source, &destination)?).await?;
    let configurations: u64 = report.bytes - 4 * SHARED;
    ensure!(configurations < 16_384, "{} bytes were sent", report.bytes);
    ensure!(kinds(&source).get("GET blobs") == Some(&44), "{:#?}", kinds(&source));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b19_repositories_of_a_registry_that_ignores_mounts_share_one_read() -> Result<()> {
    let (source, destination) = (MockRegistry::start().await?, MockRegistry::start().await?);
    destination.behave(|behavior| behavior.mounts = Mounts::Ignored);
    let layers: Vec<(u64, u64)> = (0..6).map(|seed| (SHARED, seed)).collect();
    add_image(&source, REPOSITORY, "v1", 0, &layers);
    let client = client(None)?;
    let from = side(&client, &source.url(), REPOSITORY)?;
    let to: Result<Vec<_>> = (0..4).map(|image| side(&client, &destination.url(), &path(image))).collect();
    // One after another: what the first blob shows counts for the others.
    let options = CopyOptions { concurrency: 1, ..CopyOptions::default() };
    let report = copy(options, vec![super::job(&from, "v1", &to?)]).await;
    ensure!(report.is_complete(), "{report:?}");
    for image in 0..4 {
        ensure!(whole(&destination.store(), &path(image))? == 1);
    }
    // The first one twice: for the repository that was to be mounted from, and for the others at once.
    let reads = kinds(&source).get("GET blobs").copied().unwrap_or_default();
    ensure!(reads <= layers.len() + 2, "{reads} reads: {:#?}", source.lines());
    Ok(())
}

#[tokio::test]
async fn small_blobs_go_with_the_first_request_where_that_is_taken() -> Result<()> {
    for ignores_posts in [false, true] {
        let registry = MockRegistry::start().await?;
        registry.behave(|behavior| behavior.uploads.ignores_posts = ignores_posts);
        let (client, repository) = (client(None)?, repository(&registry)?);
        let target = Target { repository: &repository, credential: &Credential::Anonymous };
        for text in ["one", "another"] {
            client.send_blob(target, &repeated(text, 1_000), None).await?;
        }
        let methods: Vec<Method> = registry.requests().into_iter().map(|request| request.method).collect();
        let expected: &[Method] = if ignores_posts {
            // The session that was begun instead is used, and the next blob is not tried so.
            &[Method::POST, Method::PUT, Method::POST, Method::PUT]
        } else {
            &[Method::POST, Method::POST]
        };
        ensure!(methods == expected, "{:#?}", registry.lines());
        let posted =
            registry.lines().iter().filter(|line| line.contains("?digest=") && line.starts_with("POST")).count();
        ensure!(posted == if ignores_posts { 1 } else { 2 }, "{:#?}", registry.lines());
        ensure!(registry.store().repository(REPOSITORY).blobs.len() == 2);
    }
    Ok(())
}

#[tokio::test]
async fn b04_a_blob_whose_last_answer_was_lost_is_not_sent_again() -> Result<()> {
    for large in [false, true] {
        let registry = MockRegistry::start().await?;
        let (client, repository) = (client(None)?, repository(&registry)?);
        let target = Target { repository: &repository, credential: &Credential::Anonymous };
        // A gateway gives up while the registry has the blob already.
        let lost = Change::Status(StatusCode::GATEWAY_TIMEOUT);
        registry.add(Rule::new(On::area(Area::Upload).method(Method::PUT), lost).times(1));
        let blob = repeated("forty bytes of content that fill a blob.", if large { 1_000_000 } else { 40 });
        client.write_blob(target, &blob, &[]).await?;
        ensure!(received(&registry) == blob.size(), "{} of {}", received(&registry), blob.size());
        let heads = registry.requests().iter().filter(|request| request.method == Method::HEAD).count();
        ensure!(heads == 1, "{:#?}", registry.lines());
    }
    Ok(())
}
