//! `migrate` on a live cluster.

use std::time::Duration;

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::objects::{icsp, idms};
use hypermirror_e2e::{Scene, consistently};
use serde_json::Value;

use super::ran::run;

#[tokio::test]
async fn policies_of_a_cluster_are_exchanged_and_no_control_plane_reads_anything_else() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    let (one, two) = (
        icsp(
            "one",
            &[("s.example/x", &["m.example/x", "n.example/x"], None), ("t.example", &["m.example:5000"], None)],
        ),
        icsp("two", &[("s.example/x", &["k.example/x", "m.example/x"], None)]),
    );
    for policy in [&one, &two] {
        fleet.apply(policy).await?;
    }
    fleet.apply(&idms("two", &[("u.example", &["m.example/u"], Some("NeverContactSource"))])).await?;
    fleet.apply(&idms("other", &[("v.example", &["m.example/v"], None)])).await?;
    let _manager = scene.manager().await?;
    let wanted = "s.example/x=k.example/x,s.example/x=m.example/x,s.example/x=n.example/x,t.example=m.example:5000,\
                  u.example=m.example/u,v.example=m.example/v";
    fleet.reads(&["a"], wanted).await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;

    let ran = run(&scene, &["migrate"]).await?;
    ensure!(ran.code == Some(0), "{}", ran.stderr);
    let mark = scene.audit.mark().await?;
    let mut names = Vec::new();
    for document in ran.stdout.split("---\n") {
        let object: Value = serde_yaml::from_str(document)?;
        names.push(format!("{}/{}", object["kind"], object["metadata"]["name"]).replace('"', ""));
        fleet.apply(&object).await?;
    }
    assert_eq!(names, ["ImageDigestMirrorSet/one", "ImageDigestMirrorSet/two"], "what stays as it is, is not printed");
    for policy in [&one, &two] {
        fleet.delete(policy).await?;
    }
    let origins = |report: &Value| {
        let text = report["sources"].to_string();
        !text.contains("ImageContentSourcePolicy") && text.contains("ImageDigestMirrorSet/one[0]")
    };
    fleet.wait_for_report("a", "the new objects as origins", origins).await?;
    consistently(Duration::from_secs(1), "no target is written", async || {
        ensure!(scene.patches(mark).await?.is_empty());
        Ok(())
    })
    .await?;
    fleet.reads(&["a"], wanted).await
}
