//! What the management cluster alone tells.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::objects::{Entry, hosted_cluster, idms, itms, lease};
use hypermirror_e2e::fleet::{SOON, SYSTEM, TARGETS};
use hypermirror_e2e::{Crds, Scene, eventually};
use serde_json::{Value, json};

use super::ran::{run, run_with};

const IDMS: &str = "imagedigestmirrorsets.config.openshift.io";
const ONE: &[Entry<'_>] = &[("s.example", &["m.example/s"], Some("NeverContactSource"))];
const FOREIGN: &str = "=,f.example=x.example";
const WANTED: &str = "s.example=m.example/s,f.example=x.example";

/// A hosted cluster with an entry of somebody else's, and a mirror set.
async fn fleet_of_one() -> Result<Scene> {
    let scene = Scene::start().await?;
    scene.fleet.hosted_cluster("a", &[], FOREIGN).await?;
    scene.fleet.apply(&idms("one", ONE)).await?;
    Ok(scene)
}

#[tokio::test]
async fn the_manager_makes_the_changes_of_diff_and_no_others() -> Result<()> {
    let scene = fleet_of_one().await?;
    let before = run(&scene, &["diff", "-o", "json"]).await?;
    assert_eq!(before.code, Some(1), "{}", before.stderr);
    let changes = before.json()?;
    assert_eq!(changes[0]["hostedCluster"], "clusters/a");
    let targets = changes[0]["targets"].as_array().context("no targets")?;
    assert_eq!(targets.len(), 3, "{changes}");
    let rendered = run(&scene, &["render", "control-plane"]).await?;
    assert_eq!(rendered.code, Some(0), "{}", rendered.stderr);

    let _manager = scene.manager().await?;
    scene.fleet.reads(&["a"], WANTED).await?;
    for target in targets {
        let name = target["name"].as_str().context("a target without a name")?;
        let found = scene.fleet.deployment("a", name).await?;
        for annotation in target["annotations"].as_array().into_iter().flatten() {
            let key = annotation["key"].as_str().context("an annotation without a key")?;
            assert_eq!(found["metadata"]["annotations"][key], annotation["after"], "{name} {key}");
        }
        assert!(rendered.stdout.contains(&format!("name: {name}\n")), "{}", rendered.stdout);
    }
    assert_eq!(rendered.stdout.matches(&format!("value: {WANTED}\n")).count(), 3, "{}", rendered.stdout);
    scene.fleet.condition("a", "Ready", "True", "AsExpected").await?;
    let after = run(&scene, &["diff"]).await?;
    assert_eq!((after.code, after.stdout.as_str()), (Some(0), ""), "{}", after.stderr);
    Ok(())
}

#[tokio::test]
async fn diff_keeps_foreign_entries_of_an_opted_out_cluster_like_the_manager() -> Result<()> {
    let scene = fleet_of_one().await?;
    let _manager = scene.manager().await?;
    scene.fleet.reads(&["a"], WANTED).await?;
    scene.fleet.condition("a", "Ready", "True", "AsExpected").await?;
    // Paused, so that the change stays to be seen.
    let out = json!({"metadata": {"annotations": {"hypermirror.dev/management-mirrors": "Ignore", "hypermirror.dev/paused": "x"}}});
    scene.fleet.merge(&hosted_cluster("a", &[]), &out).await?;
    let paused = run(&scene, &["diff", "-o", "json"]).await?;
    assert_eq!(paused.code, Some(0), "{}", paused.stderr);
    let changes = paused.json()?;
    assert!(changes[0]["held"].as_str().is_some_and(|held| held.starts_with("paused")), "{changes}");
    let overrides = &changes[0]["targets"][0]["overrides"];
    assert_eq!(*overrides, json!([{"source": "s.example", "before": ["m.example/s"], "after": []}]), "{changes}");
    let go_on = json!({"metadata": {"annotations": {"hypermirror.dev/paused": null}}});
    scene.fleet.merge(&hosted_cluster("a", &[]), &go_on).await?;
    eventually(SOON, "the management mirrors are gone", async || {
        let value = scene.fleet.effective("a", TARGETS[0]).await?;
        ensure!(value.as_deref() == Some(FOREIGN), "{value:?}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn the_fleet_is_shown_checked_and_explained() -> Result<()> {
    let scene = fleet_of_one().await?;
    let early = run(&scene, &["status"]).await?;
    assert!(early.stdout.ends_with("\n\nclusters/a no report yet\n"), "{}{}", early.stdout, early.stderr);
    assert!(early.stderr.contains("no reports found"), "{}", early.stderr);
    let _manager = scene.manager().await?;
    scene.fleet.condition("a", "Ready", "True", "AsExpected").await?;

    let status = run(&scene, &["status"]).await?;
    let columns = ["clusters/a", "True", "1", "3/3", "Unknown", "-", "AsExpected"];
    let second: Vec<&str> = status.stdout.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(second, columns, "{}", status.stdout);
    assert!(status.stdout.contains("\n\nclusters/a Ready, 1 source\n"), "{}", status.stdout);
    assert!(status.stdout.contains("control plane 3/3"), "{}", status.stdout);
    let table = scene.fleet.table("/apis/hypermirror.dev/v1alpha1/hostedclustermirrors", true).await?;
    assert_eq!(table[0], ["NAMESPACE", "NAME", "READY", "SOURCES", "CONTROL-PLANE", "GUEST", "NODES", "AGE"]);
    // Without nodes there is nothing to count.
    assert_eq!(table[1][..7], ["clusters", "a", "True", "1", "3/3", "Unknown", ""], "{table:?}");
    assert!(!table[1][7].is_empty(), "{table:?}");
    let maps = run(&scene, &["render", "overrides"]).await?.json()?;
    assert_eq!(maps["clusters/a"]["env"], "s.example=m.example/s");
    let check = run(&scene, &["check"]).await?;
    assert_eq!(check.code, Some(0), "{}{}", check.stdout, check.stderr);
    let explained = run(&scene, &["explain", "s.example/app:v1", "-o", "json"]).await?;
    assert_eq!(
        explained.json()?[0]["endpoints"][0]["reference"],
        "s.example/app:v1",
        "management mirrors reach no node"
    );

    scene.fleet.apply(&itms("odd", &[("t.example", &["short/t"], Some("NeverContactSource"))])).await?;
    scene
        .fleet
        .merge(
            &hosted_cluster("a", &[]),
            &json!({"metadata": {"annotations": {"hypermirror.dev/management-mirrors": "use"}}}),
        )
        .await?;
    let check = run(&scene, &["check", "-o", "json"]).await?;
    assert_eq!(check.code, Some(1), "{}", check.stderr);
    let reasons: Vec<Value> = check.json()?.as_array().into_iter().flatten().map(|row| row["reason"].clone()).collect();
    assert!(reasons.contains(&json!("MalformedObject")) && reasons.contains(&json!("ShortMirrorHost")), "{reasons:?}");
    Ok(())
}

#[tokio::test]
async fn a_kind_is_forgotten_when_it_is_gone_and_not_before() -> Result<()> {
    let (scene, crds) = (fleet_of_one().await?, Crds::of_the_fleet()?.only(&[IDMS])?);
    let _manager = scene.manager().await?;
    scene.fleet.reads(&["a"], WANTED).await?;
    let refused = run(&scene, &["forget", "idms"]).await?;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("the CRD of ImageDigestMirrorSet is still installed"), "{}", refused.stderr);

    eventually(SOON, "the Lease knows the kind", async || {
        let found = scene.fleet.api_of(&lease())?.get("hypermirror-manager").await?;
        let known = found.metadata.annotations.and_then(|all| all.get("hypermirror.dev/known-kinds").cloned());
        ensure!(known.as_deref().is_some_and(|known| known.contains("idms")), "{known:?}");
        Ok(Some(()))
    })
    .await?;
    crds.delete(&scene.fleet.client).await?;
    scene.fleet.condition("a", "SourcesResolved", "Unknown", "KindVanished").await?;
    let diff = run(&scene, &["diff"]).await?;
    assert_eq!((diff.code, diff.stdout.as_str()), (Some(0), ""), "nothing is lost with the CRD: {}", diff.stderr);
    assert!(diff.stderr.contains("is no longer served by the cluster"), "{}", diff.stderr);
    let check = run(&scene, &["check", "-o", "json"]).await?;
    assert!(check.stdout.contains("KindVanished"), "{}", check.stdout);

    let forgot = run(&scene, &["forget", "idms"]).await?;
    assert_eq!((forgot.code, forgot.stdout.as_str()), (Some(0), ""), "{}", forgot.stderr);
    assert!(forgot.stderr.contains("removes the mirrors of ImageDigestMirrorSet"), "{}", forgot.stderr);
    scene.fleet.reads(&["a"], FOREIGN).await?;
    let again = run(&scene, &["forget", "idms"]).await?;
    assert!(again.code == Some(0) && again.stderr.contains("nothing to do"), "{}", again.stderr);
    let elsewhere = run(&scene, &["forget", "idms", "--namespace", "default"]).await?;
    assert!(
        elsewhere.code == Some(1) && elsewhere.stderr.contains("Lease default/hypermirror-manager does not exist"),
        "{}",
        elsewhere.stderr
    );
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_an_error_and_no_empty_answer() -> Result<()> {
    let scene = fleet_of_one().await?;
    let stranger = scene.management().kubeconfig_for_service_account(SYSTEM, "default").await?;
    for command in ["check", "diff", "status"] {
        let refused = run_with(&stranger, &[command]).await?;
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{command}: {}", refused.stderr);
        assert!(
            refused.stderr.starts_with("error: failed to list objects of kind HostedCluster: "),
            "{}",
            refused.stderr
        );
        assert!(refused.stderr.contains("forbidden"), "{}", refused.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn a_cluster_without_the_kinds_of_hypermirror_can_be_read() -> Result<()> {
    let crds = Crds::of_the_fleet()?;
    let scene = Scene::with(hypermirror_e2e::Testbed::builder(), &crds.only(&[IDMS])?).await?;
    scene.fleet.apply(&idms("one", ONE)).await?;
    let maps = run(&scene, &["render", "overrides"]).await?;
    assert_eq!(maps.json()?[""]["env"], "s.example=m.example/s");
    assert!(maps.stderr.contains("HostedCluster is not served"), "{}", maps.stderr);
    let digest = format!("s.example/app@sha256:{}", "a".repeat(64));
    let explained = run(&scene, &["explain", &digest, "-o", "json"]).await?.json()?;
    assert_eq!(explained[0]["endpoints"][0]["origin"]["name"], "one", "no HostedCluster: the nodes' own objects");
    let diff = run(&scene, &["diff"]).await?;
    assert_eq!(diff.code, Some(0), "{}", diff.stderr);
    Ok(())
}
