//! Mirrors in order, sources that are never contacted, TLS.

use anyhow::{Result, ensure};
use hypermirror_e2e::pki::Authority;
use hypermirror_e2e::{Served, port};

use super::stage::{Consumer, Stage};

const CONSUMERS: [Consumer; 2] = [Consumer::Skopeo, Consumer::Podman];
const NEVER: Option<&str> = Some("NeverContactSource");

#[tokio::test]
async fn skopeo_and_podman_try_the_mirrors_in_the_order_of_explain() -> Result<()> {
    let stage = Stage::start().await?;
    stage.insecure()?;
    let (first, second) = (Served::start("one/app:v1").await?, Served::start("two/app:v1").await?);
    let dead = format!("127.0.0.1:{}/copy", port::free()?);
    let source = format!("127.0.0.1:{}/ns", port::free()?);
    let one = format!("{}/one", first.registry.host());
    let two = format!("{}/two", second.registry.host());
    for (mirrors, served, asked) in
        [([&dead, &one, &two], &first, 2), ([&two, &dead, &one], &second, 1), ([&dead, &two, &one], &second, 2)]
    {
        stage.declare(&source, &mirrors.map(String::as_str), None).await?;
        for image in [format!("{source}/app:v1"), format!("{source}/app@{}", served.digest)] {
            let explained = stage.explained(&image).await?;
            ensure!(explained.len() == 4, "{explained:?}");
            for consumer in CONSUMERS {
                let pulled = stage.pull(consumer, &image).await?;
                ensure!(pulled.success, "{consumer:?} {image}: {}", pulled.words);
                ensure!(pulled.tried == explained[..asked], "{consumer:?}: {:?}, {explained:?}", pulled.tried);
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn skopeo_and_podman_are_refused_where_a_source_must_never_be_contacted() -> Result<()> {
    let stage = Stage::start().await?;
    stage.insecure()?;
    let source = Served::start("ns/app:v1").await?;
    let place = format!("{}/ns", source.registry.host());
    let images = [format!("{place}/app:v1"), source.reference("ns/app")];
    let dead = format!("127.0.0.1:{}/copy", port::free()?);
    stage.declare(&place, &[&dead], None).await?;
    for (consumer, image) in CONSUMERS.iter().flat_map(|consumer| images.iter().map(move |image| (*consumer, image))) {
        let pulled = stage.pull(consumer, image).await?;
        ensure!(pulled.success && pulled.tried.len() == 2, "{consumer:?} {image}: {}", pulled.words);
    }
    let asked = source.registry.requests("/v2/")?.len();
    stage.declare(&place, &[&dead], NEVER).await?;
    for (consumer, image) in CONSUMERS.iter().flat_map(|consumer| images.iter().map(move |image| (*consumer, image))) {
        let pulled = stage.pull(consumer, image).await?;
        ensure!(!pulled.success && pulled.words.contains("is blocked in"), "{consumer:?} {image}: {}", pulled.words);
    }
    ensure!(source.registry.requests("/v2/")?.len() == asked, "the source was contacted");
    Ok(())
}

#[tokio::test]
async fn a_mirror_over_tls_is_used_only_by_clients_that_trust_its_authority() -> Result<()> {
    let stage = Stage::start().await?;
    let authority = Authority::new("registries")?;
    let mirror = Served::start_tls("copy/app:v1", &authority).await?;
    let host = mirror.registry.host();
    let source = format!("127.0.0.1:{}/ns", port::free()?);
    stage.declare(&source, &[&format!("{host}/copy")], NEVER).await?;
    let images = [format!("{source}/app:v1"), format!("{source}/app@{}", mirror.digest)];
    for (is_trusted, authority) in [(false, Authority::new("another")?), (true, authority)] {
        stage.trust(host, &authority.certificate())?;
        for (consumer, image) in CONSUMERS.iter().flat_map(|consumer| images.iter().map(move |one| (*consumer, one))) {
            let pulled = stage.pull(consumer, image).await?;
            ensure!(pulled.success == is_trusted, "{consumer:?} {image}: {}", pulled.words);
            ensure!(is_trusted || pulled.words.contains("x509"), "{}", pulled.words);
        }
    }
    Ok(())
}
