//! What is wrong with mirror objects is told, and stops nothing else.

use std::time::Duration;

use anyhow::Result;
use hypermirror_e2e::fleet::objects::{Entry, icsp, idms, itms};
use hypermirror_e2e::{Crds, Scene, Testbed, consistently};
use serde_json::json;

#[tokio::test]
async fn an_object_that_does_not_decode_is_named_and_the_others_are_applied() -> Result<()> {
    let scene = Scene::with(Testbed::builder(), &relaxed_mirror_sets()?).await?;
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    let mut bad = idms("bad", &[]);
    bad["spec"] = json!({"imageDigestMirrors": "not a list"});
    fleet.apply(&bad).await?;
    fleet.apply(&idms("good", &[("s.example", &["m.example/s"], None)])).await?;
    let _manager = scene.manager().await?;

    fleet.reads(&["a"], "s.example=m.example/s").await?;
    let message = fleet.condition("a", "SourcesResolved", "False", "MalformedObject").await?;
    assert!(message.contains("ImageDigestMirrorSet/bad") && message.contains("not a list"), "{message}");
    fleet.condition("a", "ControlPlaneUpToDate", "True", "AsExpected").await?;
    // The watch goes on behind it.
    fleet.apply(&idms("later", &[("t.example", &["m.example/t"], None)])).await?;
    fleet.reads(&["a"], "s.example=m.example/s,t.example=m.example/t").await?;

    fleet.apply(&idms("bad", &[("u.example", &["m.example/u"], None)])).await?;
    fleet.reads(&["a"], "s.example=m.example/s,t.example=m.example/t,u.example=m.example/u").await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;
    Ok(())
}

fn relaxed_mirror_sets() -> Result<Crds> {
    let crds = Crds::of_the_fleet()?;
    let hypershift = ["hostedclusters", "hostedcontrolplanes", "nodepools"]
        .map(|plural| format!("{plural}.hypershift.openshift.io"));
    let hypershift: Vec<&str> = hypershift.iter().map(String::as_str).collect();
    Ok(crds.only(&hypershift)?.and(crds.without(&hypershift)?.relaxed()))
}

#[tokio::test]
async fn invalid_entries_are_left_out_and_named_and_the_others_are_applied() -> Result<()> {
    let scene = Scene::with(Testbed::builder(), &relaxed_mirror_sets()?).await?;
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    let _manager = scene.manager().await?;
    let entries: &[Entry<'_>] = &[("u.example", &["https://m.example/u"], None), ("v.example", &["m.example/v"], None)];
    fleet.apply(&icsp("old", entries)).await?;
    fleet
        .apply(&idms("one", &[("S.example/UPPER", &["m.example/s"], None), ("s.example", &["m.example/s"], None)]))
        .await?;
    fleet.apply(&itms("tags", &[("a,b=c", &["m.example/t"], None)])).await?;

    fleet.reads(&["a"], "s.example=m.example/s,v.example=m.example/v").await?;
    fleet.condition("a", "SourcesResolved", "False", "InvalidEntries").await?;
    let told = fleet.wait_for_report("a", "three findings", |report| {
        report["findings"].as_array().is_some_and(|all| all.len() == 3)
    });
    let message = told.await?["conditions"][0]["message"].to_string();
    for (object, field, value) in [
        ("ImageContentSourcePolicy/old", "repositoryDigestMirrors[0].mirrors[0]", "https://m.example/u"),
        ("ImageDigestMirrorSet/one", "imageDigestMirrors[0].source", "S.example/UPPER"),
        ("ImageTagMirrorSet/tags", "imageTagMirrors[0].source", "a,b=c"),
    ] {
        assert!(message.contains(object) && message.contains(field) && message.contains(value), "{message}");
    }
    fleet.condition("a", "ControlPlaneUpToDate", "True", "AsExpected").await?;
    Ok(())
}

#[tokio::test]
async fn a_map_that_exceeds_the_limit_is_rejected_and_a_smaller_one_is_applied() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    let _manager = scene.manager().await?;
    fleet.reads(&["a"], "s.example=m.example/s").await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;
    let mark = scene.audit.mark().await?;

    let long = "x".repeat(60);
    let sources: Vec<String> = (0..1000).map(|number| format!("s{number:04}.example/{long}")).collect();
    let mirrors: Vec<String> = (0..1000).map(|number| format!("m{number:04}.example/{long}")).collect();
    let mirrors: Vec<[&str; 1]> = mirrors.iter().map(|mirror| [mirror.as_str()]).collect();
    let entries: Vec<Entry<'_>> =
        sources.iter().zip(&mirrors).map(|(source, mirrors)| (source.as_str(), mirrors.as_slice(), None)).collect();
    fleet.apply(&idms("huge", &entries)).await?;
    let message = fleet.condition("a", "ControlPlaneUpToDate", "False", "ValueTooLarge").await?;
    assert!(message.contains("131072"), "{message}");
    consistently(Duration::from_secs(1), "nothing is written", async || {
        anyhow::ensure!(scene.patches(mark).await?.is_empty());
        Ok(())
    })
    .await?;

    fleet.apply(&idms("huge", &entries[..1])).await?;
    fleet.reads(&["a"], &format!("s.example=m.example/s,s0000.example/{long}=m0000.example/{long}")).await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;
    Ok(())
}
