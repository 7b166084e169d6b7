//! An edit of a mirror set reaches every control plane, and nothing else is written.

use anyhow::Result;
use hypermirror_e2e::fleet::objects::{icsp, idms, itms};
use hypermirror_e2e::fleet::{SOON, TARGETS, deployments};
use hypermirror_e2e::{Scene, eventually};

#[tokio::test]
async fn an_edit_of_each_kind_reaches_every_target() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    fleet.hosted_cluster("b", &[("own.example/x", &["m.example/own"], None)], "=").await?;
    let _manager = scene.manager().await?;

    fleet.apply(&idms("one", &[("src.example/a", &["z.example/a", "y.example/a"], None)])).await?;
    fleet.reads(&["a"], "src.example/a=z.example/a,src.example/a=y.example/a").await?;
    fleet.reads(&["b"], "own.example/x=m.example/own,src.example/a=z.example/a,src.example/a=y.example/a").await?;

    fleet.apply(&itms("two", &[("src.example/a", &["t.example/a"], None)])).await?;
    fleet.reads(&["a"], "src.example/a=z.example/a,src.example/a=y.example/a,src.example/a=t.example/a").await?;

    fleet.apply(&icsp("old", &[("icsp.example", &["m.example/icsp"], None)])).await?;
    let all =
        "icsp.example=m.example/icsp,src.example/a=z.example/a,src.example/a=y.example/a,src.example/a=t.example/a";
    fleet.reads(&["a"], all).await?;

    fleet.wait_for_map("a", all).await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;
    let report = fleet.report("a").await?;
    assert_eq!(report["sourceCount"], 2, "{report}");
    assert_eq!(report["controlPlane"]["summary"], "3/3", "{report}");
    let deployment = fleet.deployment("a", TARGETS[0]).await?;
    assert_eq!(deployments::env_values(&deployment), ["=", all], "the stock value stays as it was");
    assert_eq!(deployments::annotation(&deployment, "hypermirror.dev/overrides").as_deref(), Some(all));
    Ok(())
}

#[tokio::test]
async fn deleting_the_last_mirror_set_removes_all_entries_and_annotations_of_hypermirror() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    let before = fleet.deployment("a", TARGETS[1]).await?;
    let _manager = scene.manager().await?;

    let never: &[(&str, &[&str], Option<&str>)] = &[("s.example", &["m.example/s"], Some("NeverContactSource"))];
    fleet.apply(&idms("one", never)).await?;
    fleet.apply(&idms("two", &[("t.example", &["m.example/t"], None)])).await?;
    fleet.reads(&["a"], "s.example=m.example/s,t.example=m.example/t").await?;
    let with = fleet.deployment("a", TARGETS[1]).await?;
    let args = with["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    assert!(args.ends_with(r#""--registry-overrides","s.example=m.example/s"]"#), "{args}");

    fleet.delete(&idms("two", &[])).await?;
    fleet.reads(&["a"], "s.example=m.example/s").await?;
    fleet.delete(&idms("one", &[])).await?;
    fleet.reads(&["a"], "=").await?;
    let after = fleet.deployment("a", TARGETS[1]).await?;
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(after["metadata"]["annotations"], before["metadata"]["annotations"]);
    Ok(())
}

#[tokio::test]
async fn nothing_is_written_when_nothing_changed() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.hosted_cluster("a", &[], "=").await?;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    let manager = scene.manager().await?;
    fleet.reads(&["a"], "s.example=m.example/s").await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;
    drop(manager);

    let mark = scene.audit.mark().await?;
    // Whichever list comes last, no start decides before it has seen all of them.
    for _ in 0..4 {
        scene.manager().await?.leads().await?;
    }
    let again = scene.manager().await?;
    again.leads().await?;
    // A change that says nothing new: the same set with a label.
    fleet.merge(&idms("one", &[]), &serde_json::json!({"metadata": {"labels": {"x": "y"}}})).await?;
    eventually(SOON, "the reconciles are through", async || {
        anyhow::ensure!(again.metric("hypermirror_reconcile_duration_seconds_count").await? >= 2.0);
        Ok(Some(()))
    })
    .await?;
    scene.nothing_written(mark).await
}
