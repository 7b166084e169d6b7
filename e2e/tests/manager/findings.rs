//! An invalid mirror object is reported and affects no other.

use anyhow::Result;
use hypermirror_e2e::fleet::objects::idms;
use hypermirror_e2e::{Crds, Scene, Testbed};
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
