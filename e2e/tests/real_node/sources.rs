//! What sets can say about sources: never to be contacted, wildcards, one within another.

use anyhow::{Result, ensure};
use hypermirror_e2e::{RealNode, Served, needs_node, port};

use super::stage::Stage;

/// Pulls, and answers what CRI-O tried, or how it failed.
async fn pull(node: &RealNode, reference: &str) -> Result<Result<Vec<String>, String>> {
    let mark = node.mark()?;
    let outcome = node.crictl().try_run(&["pull", reference]).await?;
    if !outcome.success {
        return Ok(Err(outcome.stderr));
    }
    node.crictl().remove_image(reference).await?;
    Ok(Ok(node.tried_since(mark)?))
}

#[tokio::test]
async fn a_source_that_must_never_be_contacted_is_not_even_when_every_mirror_is_down() -> Result<()> {
    needs_node!();
    let stage = Stage::enter().await?;
    let node = stage.node();
    let source = Served::start("ns/strict:v1").await?;
    let place = format!("{}/ns", source.registry.host());
    let by_tag = format!("{place}/strict:v1");
    let by_digest = source.reference("ns/strict");
    ensure!(pull(node, &by_tag).await?.is_ok(), "the source serves it");
    let asked = source.registry.requests("/manifests/")?.len();

    let dead = format!("127.0.0.1:{}/copy", port::free()?);
    let never = [(place.as_str(), [dead.as_str()], Some("NeverContactSource"))];
    let never = never.each_ref().map(|(source, mirrors, policy)| (*source, &mirrors[..], *policy));
    stage.put("strict", &never, &never).await?;
    for reference in [&by_tag, &by_digest] {
        let refused = pull(node, reference).await?;
        ensure!(refused.as_ref().is_err_and(|words| words.contains("is blocked in")), "{reference}: {refused:?}");
    }
    ensure!(source.registry.requests("/manifests/")?.len() == asked, "the source was contacted");

    // With a mirror that works after the one that does not; and then without the rule.
    let good = Served::start("copy/strict").await?;
    let copy = format!("{}/copy", good.registry.host());
    let set = stage.put("strict", &[(&place, &[&dead, &copy], Some("NeverContactSource"))], &[]).await?;
    let tried = pull(node, &format!("{place}/strict@{}", good.digest)).await?;
    ensure!(tried.as_ref().is_ok_and(|tried| tried.len() == 2 && tried[1].starts_with(&copy)), "{tried:?}");
    stage.remove(set).await?;
    let tried = pull(node, &by_tag).await?;
    ensure!(tried == Ok(vec![by_tag]), "{tried:?}");
    Ok(())
}

#[tokio::test]
async fn a_wildcard_matches_each_subdomain_and_the_longest_source_applies() -> Result<()> {
    needs_node!();
    let stage = Stage::enter().await?;
    let node = stage.node();
    let (outer, inner) = (Served::start("outer/app").await?, Served::start("inner/app").await?);
    let (outer_host, inner_host) = (outer.registry.host(), inner.registry.host());
    let source = format!("127.0.0.1:{}/ns", port::free()?);
    let nested = format!("{source}/deep");
    let (to_outer, to_inner) = (format!("{outer_host}/outer"), format!("{inner_host}/inner"));
    let set = stage
        .put(
            "places",
            &[
                (&source, &[&to_outer], None),
                (&nested, &[&to_inner], None),
                ("*.wild.test", &[&to_outer], Some("NeverContactSource")),
                ("b.wild.test/deep", &[&to_inner], Some("NeverContactSource")),
            ],
            &[],
        )
        .await?;
    for (image, served, mirror) in [
        (format!("{source}/app"), &outer, &to_outer),
        (format!("{nested}/app"), &inner, &to_inner),
        ("a.wild.test/app".to_owned(), &outer, &to_outer),
        ("x.y.wild.test/app".to_owned(), &outer, &to_outer),
        ("b.wild.test/deep/app".to_owned(), &inner, &to_inner),
    ] {
        let digest = &served.digest;
        let tried = pull(node, &format!("{image}@{digest}")).await?;
        ensure!(tried == Ok(vec![format!("{mirror}/app@{digest}")]), "{image}: {tried:?}");
    }
    stage.remove(set).await
}
