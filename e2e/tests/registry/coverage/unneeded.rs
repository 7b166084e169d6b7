//! What mirrors hold that nobody needs any more: named where the look was complete, and nothing deleted.

use anyhow::{Context as _, Result, ensure};
use http::{Method, StatusCode};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::mock::digest::Digest;
use hypermirror_e2e::mock::{Fixed, On, Rule};
use hypermirror_e2e::release::IMAGE;
use serde_json::{Value, json};

use super::stage::{ART, RELEASE, Stage};

const LOOK: [&str; 5] = ["coverage", "--unneeded", "--plain-http", "-o", "json"];

/// An image that no release has.
fn add_old(registry: &MockRegistry, repository: &str, tag: &str) -> Digest {
    let mut store = registry.store();
    let config = store.add_blob(repository, format!("{{\"old\": \"{repository}\"}}"));
    let descriptor = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": &*config, "size": 2});
    let manifest = json!({"schemaVersion": 2, "mediaType": IMAGE, "config": descriptor, "layers": []});
    let digest = store.add_manifest(repository, IMAGE, manifest.to_string());
    store.tag(repository, tag, &digest);
    digest
}

fn registry<'a>(report: &'a Value, host: &str) -> Result<&'a Value> {
    let all = report["registries"].as_array().context("no registries")?;
    all.iter().find(|it| it["registry"] == host).with_context(|| report.to_string())
}

fn repository<'a>(report: &'a Value, host: &str, path: &str) -> Result<&'a Value> {
    let all = registry(report, host)?["repositories"].as_array().context("no repositories")?;
    let name = format!("{host}/{path}");
    all.iter().find(|it| it["repository"] == name.as_str()).with_context(|| report.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_cluster_and_no_list_needs_is_named_and_nothing_is_deleted() -> Result<()> {
    let stage = Stage::set().await?;
    stage.write_fleet()?;
    let host = stage.first.host();
    let needed = stage.images[3].1.clone();
    {
        let mut store = stage.first.store();
        store.tag(ART, "hypermirror-0123456789ab", &needed);
        let signature = json!({"schemaVersion": 2, "mediaType": IMAGE, "config": {"mediaType": "x", "digest": &*needed, "size": 1},
            "layers": []});
        let signature = store.add_manifest(ART, IMAGE, signature.to_string());
        store.tag(ART, &format!("{}.sig", needed.replace(':', "-")), &signature);
        store.tag(RELEASE, "4.19", &stage.release);
    }
    let old = add_old(&stage.first, ART, "v0");
    let whole = add_old(&stage.first, "ocp/retired", "v1");
    add_old(&stage.first, "other/app", "v1");

    let ran = stage.run(&LOOK).await?;
    let report = ran.json()?;
    ensure!(ran.code == Some(1), "{report} {}", ran.stderr);
    let art = repository(&report, &host, ART)?;
    ensure!(art["unneeded"] == json!([{"digest": &*old, "tags": ["v0"]}]) && art["isNeeded"] == true, "{art}");
    ensure!(art["tags"] == 3, "{art}");
    let retired = repository(&report, &host, "ocp/retired")?;
    ensure!(retired["unneeded"][0]["digest"] == *whole && retired["isNeeded"] == false, "{retired}");
    ensure!(repository(&report, &host, RELEASE)?["unneeded"] == json!([]), "{report}");
    ensure!(repository(&report, &host, "other/app").is_err(), "it lies below no mirror: {report}");
    let clusters = &report["lookedAt"]["hostedClusters"];
    ensure!(clusters.as_array().is_some_and(|all| all.len() == 3), "{clusters}");
    let writes = |it: &hypermirror_e2e::mock::Recorded| ![Method::GET, Method::HEAD].contains(&it.method);
    for mirror in [&stage.first, &stage.second, &stage.source] {
        ensure!(!mirror.requests().iter().any(writes), "{:?}", mirror.lines());
    }

    // A list keeps what it names; without a catalog only repositories of needs are looked at.
    let image = format!("{}/{ART}@{old}", stage.source.host());
    stage.first.add(Rule::new(On::any().containing("_catalog"), Fixed::status(StatusCode::NOT_FOUND)));
    let ran = stage.run(&[&LOOK[..], &["--image", &image]].concat()).await?;
    let report = ran.json()?;
    ensure!(ran.code == Some(0), "{report} {}", ran.stderr);
    ensure!(registry(&report, &host)?["catalogError"].is_string(), "{report}");

    // A repository that cannot be judged names nothing.
    stage.first.clear_rules();
    let refused = Fixed::status(StatusCode::FORBIDDEN);
    stage.first.add(Rule::new(On::any().containing("/ocp/art/tags/list"), refused));
    let report = stage.run(&LOOK).await?.json()?;
    let art = repository(&report, &host, ART)?;
    ensure!(art["error"].is_string() && art["unneeded"] == json!([]), "{art}");
    stage.first.clear_rules();

    // A release whose payload nobody gives may need anything.
    for mirror in [&stage.first, &stage.second, &stage.source] {
        mirror.store().repository(RELEASE).blobs.clear();
    }
    let ran = stage.run(&LOOK).await?;
    let report = ran.json()?;
    ensure!(ran.code == Some(3) && report["registries"] == json!([]), "{report}");
    ensure!(report["gaps"][0].as_str().is_some_and(|gap| gap.contains(&stage.release_image())), "{report}");
    let text = stage.run(&["coverage", "--unneeded", "--plain-http"]).await?;
    ensure!(text.stdout.contains("no image is named as unneeded"), "{}", text.stdout);
    Ok(())
}
