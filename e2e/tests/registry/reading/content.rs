//! Manifests and blobs within their limits.

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::{Method, StatusCode};
use hypermirror::registry::coverage::check::Checker;
use hypermirror::registry::coverage::matrix::{Finding, Level};
use hypermirror::registry::wire::digest::Digest;
use hypermirror::registry::{Cause, Reference};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::mock::{Area, Change, Fixed, On, Rule, Synthetic};

use super::{add_image, anonymous, client, repository};

#[tokio::test]
async fn a_manifest_of_a_gigabyte_is_refused_after_four_megabytes() -> Result<()> {
    let registry = MockRegistry::start().await?;
    let digest = Digest::parse(&add_image(&registry, "q/app", "layer"))?;
    let endless = Change::Repeat { part: Bytes::from(vec![b' '; 1 << 16]), times: Some(1 << 14) };
    registry.add(Rule::new(On::area(Area::Manifest).method(Method::GET), endless));
    let repository = repository(&registry, "q/app")?;
    let refused = client(None)?.manifest(anonymous(&repository), &Reference::Digest(digest)).await.unwrap_err();
    ensure!(matches!(refused.cause, Cause::TooLarge { what: "manifest", .. }), "{refused}");
    // What was sent is in buffers on the way: far less than the whole.
    ensure!(registry.requests().iter().all(|request| request.sent < 64 << 20), "{:?}", registry.requests());
    Ok(())
}

#[tokio::test]
async fn b26_a_body_that_breaks_off_is_read_again() -> Result<()> {
    let registry = MockRegistry::start().await?;
    let digest = Digest::parse(&add_image(&registry, "q/app", "layer"))?;
    registry.add(Rule::new(On::area(Area::Manifest).method(Method::GET), Change::CutAfter(20)).times(1));
    let repository = repository(&registry, "q/app")?;
    client(None)?.manifest(anonymous(&repository), &Reference::Digest(digest)).await?;
    ensure!(registry.lines().len() == 2, "{:?}", registry.lines());
    Ok(())
}

#[tokio::test]
async fn large_blobs_are_checked_to_the_last_byte_and_not_held() -> Result<()> {
    let registry = MockRegistry::start().await?;
    let content = Synthetic::new(64 << 20, 7);
    let digest = Digest::parse(&registry.store().add_synthetic("q/app", content))?;
    let (client, repository) = (client(None)?, repository(&registry, "q/app")?);
    client.check_blob(anonymous(&repository), &digest, content.size).await?;
    registry.add(Rule::new(On::area(Area::Blob), Change::Flip(content.size - 1)));
    let damaged = client.check_blob(anonymous(&repository), &digest, content.size).await.unwrap_err();
    ensure!(matches!(damaged.cause, Cause::Digest { .. }), "{damaged}");
    Ok(())
}

#[tokio::test]
async fn b03_what_a_registry_does_not_say_is_unknown_and_asked_once_where_it_throttles() -> Result<()> {
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        let registry = MockRegistry::start().await?;
        let digest = Digest::parse(&add_image(&registry, "q/app", "layer"))?;
        registry.add(Rule::new(On::area(Area::Blob), Fixed::status(status)).times(1));
        let repository = repository(&registry, "q/app")?;
        let checker = Checker::new(&client(None)?);
        let found = checker.check(anonymous(&repository), &Reference::Digest(digest), Level::L1).await;
        ensure!(matches!(found, Finding::Unknown(..)), "{status}: {found:?}");
        let asked = registry.requests().iter().filter(|request| request.status == Some(status.as_u16())).count();
        ensure!(asked == 1, "{status}: {:?}", registry.lines());
    }
    Ok(())
}
