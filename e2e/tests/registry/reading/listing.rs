//! Tag lists and scans.

use anyhow::{Result, ensure};
use http::StatusCode;
use hypermirror::registry::distribution::tags::TagList;
use hypermirror::registry::scan::{ContentCache, ScanOptions, scan};
use hypermirror::registry::{Reference, wire::digest::Digest};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::mock::behavior::{DigestHeader, Paging, Referrers};
use hypermirror_e2e::mock::{Area, Fixed, On, Rule};
use serde_json::json;

use super::{IMAGE, INDEX, add_image, anonymous, client, repository};

async fn tags(registry: &MockRegistry) -> Result<TagList> {
    let repository = repository(registry, "q/app")?;
    Ok(client(None)?.tags(anonymous(&repository), |_| {}).await?)
}

fn add_tags(registry: &MockRegistry, count: usize) {
    let digest = add_image(registry, "q/app", "layer");
    for number in 0..count {
        registry.store().tag("q/app", &format!("v{number:05}"), &digest);
    }
}

#[tokio::test]
async fn b10_every_kind_of_paging_gives_the_whole_list() -> Result<()> {
    let registry = MockRegistry::start().await?;
    add_tags(&registry, 2_500);
    for (paging, page_size, pages) in [
        (Paging::Link, 400, 7),
        (Paging::Cursor, 400, 7),
        (Paging::ForeignPath("/v2/docker/q/app/tags/list".to_owned()), 1_000, 3),
        (Paging::ForeignHost("https://169.254.169.254".to_owned()), 1_000, 3),
        (Paging::NoLink, 10_000, 3),
        (Paging::Ignored, 10_000, 1),
    ] {
        registry.behave(|behavior| (behavior.paging, behavior.page_size) = (paging.clone(), page_size));
        registry.clear_requests();
        let list = tags(&registry).await?;
        ensure!(
            (list.tags.len(), list.pages) == (2_500, pages),
            "{paging:?}: {} in {} pages",
            list.tags.len(),
            list.pages
        );
        let is_own = |line: &String| line.starts_with("GET /v2/q/app/tags/list?");
        ensure!(registry.lines().iter().all(is_own), "{paging:?}: {:?}", registry.lines());
    }
    Ok(())
}

#[tokio::test]
async fn b10_a_list_that_comes_again_ends_and_an_endless_one_is_refused() -> Result<()> {
    let registry = MockRegistry::start().await?;
    add_tags(&registry, 20);
    registry.behave(|behavior| (behavior.paging, behavior.page_size) = (Paging::SameCursor, 10));
    let list = tags(&registry).await?;
    ensure!(list.pages <= 3 && !list.tags.is_empty(), "{list:?}");
    registry.behave(|behavior| (behavior.paging, behavior.page_size) = (Paging::Endless, 1_000));
    let refused = tags(&registry).await.unwrap_err().to_string();
    ensure!(refused.contains(&registry.host()) && refused.contains("/q/app"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn five_thousand_tags_take_as_many_heads_and_the_second_scan_reads_no_manifest() -> Result<()> {
    let registry = MockRegistry::start().await?;
    add_tags(&registry, 5_000);
    let (client, repository, cache) = (client(None)?, repository(&registry, "q/app")?, ContentCache::default());
    for manifests in [1, 0] {
        registry.clear_requests();
        let found = scan(&client, anonymous(&repository), &cache, &ScanOptions::default(), |_| {}).await?;
        ensure!(found.tags.len() == 5_000 && found.tags.iter().all(|tag| tag.error().is_none()));
        let count = |start: &str| registry.lines().iter().filter(|line| line.starts_with(start)).count();
        let counts = (count("HEAD /v2/q/app/manifests/v"), count("GET /v2/q/app/manifests/"), registry.lines().len());
        ensure!(counts == (5_000, manifests, 5_000 + 5 + manifests), "{counts:?}");
    }
    Ok(())
}

#[tokio::test]
async fn b14_a_missing_digest_header_is_computed_and_a_wrong_one_named() -> Result<()> {
    let registry = MockRegistry::start().await?;
    add_tags(&registry, 1);
    let repository = repository(&registry, "q/app")?;
    let tag = Reference::Tag("v00000".to_owned());
    let right = client(None)?.head_manifest(anonymous(&repository), &tag).await?;
    registry.behave(|behavior| behavior.digest_header = DigestHeader::Missing);
    ensure!(client(None)?.head_manifest(anonymous(&repository), &tag).await?.digest == right.digest);
    registry.behave(|behavior| behavior.digest_header = DigestHeader::Wrong);
    let found =
        scan(&client(None)?, anonymous(&repository), &ContentCache::default(), &ScanOptions::default(), |_| {}).await?;
    ensure!(found.tags[0].error().is_some() && found.tags[0].content.size.is_none(), "{found:?}");
    Ok(())
}

#[tokio::test]
async fn b23_referrers_are_found_with_the_api_and_without() -> Result<()> {
    let registry = MockRegistry::start().await?;
    let subject = add_image(&registry, "q/app", "layer");
    let own = json!({"mediaType": IMAGE, "digest": &*subject, "size": 1});
    let attached = json!({"schemaVersion": 2, "mediaType": IMAGE, "artifactType": "application/x", "config": own, "layers": [], "subject": own});
    let attached = registry.store().add_manifest("q/app", IMAGE, attached.to_string());
    let entry = json!({"mediaType": IMAGE, "digest": &*attached, "size": 1, "artifactType": "application/x"});
    let listed = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).to_string();
    let subject = Digest::parse(&subject)?;
    let repository = repository(&registry, "q/app")?;
    for (referrers, is_by_tag) in [
        (Referrers::Listed { page: 1 }, false),
        (Referrers::Unsupported, true),
        (Referrers::Html, true),
        (Referrers::Failing(StatusCode::INTERNAL_SERVER_ERROR), true),
    ] {
        if is_by_tag {
            let index = registry.store().add_manifest("q/app", INDEX, listed.clone());
            registry.store().tag("q/app", &subject.referrers_tag(), &index);
        }
        registry.behave(|behavior| behavior.referrers = referrers.clone());
        let found = client(None)?.referrers(anonymous(&repository), &subject).await?;
        let digests: Vec<String> = found.manifests.iter().map(|it| it.digest.to_string()).collect();
        ensure!((digests, found.is_by_tag) == (vec![attached.to_string()], is_by_tag), "{referrers:?}");
    }
    Ok(())
}

#[tokio::test]
async fn b12_a_tag_that_one_registry_cannot_show_costs_the_others_nothing() -> Result<()> {
    let registry = MockRegistry::start().await?;
    add_tags(&registry, 20);
    let broken = Fixed::error(StatusCode::FORBIDDEN, "DENIED", "not this one");
    registry.add(Rule::new(On::area(Area::Manifest).containing("v00007"), broken));
    let repository = repository(&registry, "q/app")?;
    let found =
        scan(&client(None)?, anonymous(&repository), &ContentCache::default(), &ScanOptions::default(), |_| {}).await?;
    let failed: Vec<_> =
        found.tags.iter().filter_map(|tag| Some((tag.tag.as_str(), tag.error()?.reason.as_str()))).collect();
    ensure!(found.tags.len() == 20 && failed == [("v00007", "Forbidden")], "{failed:?}");
    Ok(())
}
