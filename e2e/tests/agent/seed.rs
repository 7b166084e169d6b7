//! What hcp-idms-operator gets wrong, defect by defect: the agent has none of them.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use hypermirror_e2e::consistently;
use hypermirror_e2e::fleet::objects::{idms, itms};
use serde_json::{Value, json};

use super::stage::{DROP_INS, HEADER, Node, OURS, Stage};

/// A set of the seed's own kind.
fn per_node(name: &str, list: &Value) -> Value {
    json!({
        "apiVersion": "config.openshift.io/v1alpha1", "kind": "ImageMirrorDigestSet",
        "metadata": {"name": name}, "spec": {"imageDigestMirrors": list}
    })
}

/// What the table of defects is read from.
async fn declare(stage: &Stage, node: &Node) -> Result<()> {
    // W7: the base file's table of the same prefix.
    node.write(
        "etc/containers/registries.conf",
        "[[registry]]\nlocation = \"base.example\"\nblocked = true\n[[registry.mirror]]\nlocation = \"hc.example\"\n",
    )?;
    let never = Some("NeverContactSource");
    for set in [
        idms("one", &[("w1.example", &["m.example/a"], None), ("w2.example", &["m.example/b"], never)]),
        idms("two", &[("w1.example", &["m.example/z"], None), ("*.w3.example", &["m.example"], None)]),
        idms("base", &[("base.example", &["m.example/base"], None)]),
        itms("tags", &[("w14.example", &["m.example/t"], None)]),
    ] {
        stage.guest.apply(&set).await?;
    }
    let insecure =
        json!([{"source": "w4.example", "mirrors": ["m.example/c", "n.example/c"], "insecureSkipTLSVerify": true}]);
    stage.guest.apply(&per_node("insecure", &insecure)).await?;
    let injected = json!([{"source": "w11.example\"\nblocked = true", "mirrors": ["https://m.example", ""]}]);
    stage.guest.apply(&per_node("injected", &injected)).await.map(|_| ())
}

/// Defect by defect, whether the file is free of it.
fn defects(ours: &str) -> Vec<(&'static str, bool)> {
    let table = |source: &str| -> String {
        ours.split("[[registry]]").filter(|table| table.contains(&format!("\"{source}\""))).collect()
    };
    let (w1, w4, base) = (table("w1.example"), table("w4.example"), table("base.example"));
    let by_digest = w1.matches("pull-from-mirror = \"digest-only\"").count();
    let insecure = w4.matches("    insecure = true").count();
    vec![
        ("W1: digest mirrors are for digests only", by_digest == 2),
        ("W2: a source that is never contacted is blocked", table("w2.example").contains("blocked = true")),
        ("W3: a wildcard is a prefix alone", table("*.w3.example").contains("  prefix = \"*.w3.example\"\n\n")),
        ("W4: every mirror is insecure, and not the source", insecure == 2 && !w4.contains("\n  insecure")),
        ("W6: sets of one source are merged", w1.contains("m.example/a") && w1.contains("m.example/z")),
        ("W6: into one table", ours.matches("location = \"w1.example\"").count() == 1),
        ("W7: what the base says is folded in", base.contains("hc.example") && base.contains("blocked")),
        ("W9: no time in the file", !ours.contains("Generated at")),
        ("W11: nothing is injected", !ours.contains("w11.example")),
        ("W14: tags have mirrors too", table("w14.example").contains("pull-from-mirror = \"tag-only\"")),
    ]
}

#[tokio::test]
async fn none_of_the_seeds_defects_in_what_is_written() -> Result<()> {
    let stage = Stage::start().await?;
    let node = stage.node("a", &json!({})).await?;
    declare(&stage, &node).await?;
    let mut agent = node.agent(&["--source=cluster"]).await?;
    let ours = node.wait_for_text("w14.example").await?;
    for (defect, is_free) in defects(&ours) {
        ensure!(is_free, "{defect}\n{ours}");
    }
    let left_out = |status: &Value| status["rejectedCount"].as_i64() > Some(0);
    let status = stage.wait_for_report("a", "what was left out", left_out).await?;
    let origin = status["rejected"][0]["origin"].as_str().unwrap_or_default();
    ensure!(origin.contains("injected"), "W11, W14: it is reported: {status}");
    ensure!(status["warnings"].to_string().contains("InsecureMirrors"), "W5: unverified TLS is warned of: {status}");
    ensure!(node.names()? == ["50-hypermirror.conf"], "W10: nothing half-written is left: {:?}", node.names());

    // W9: a restart and a change of metadata write nothing.
    let written = fs::metadata(node.path(OURS))?.modified()?;
    agent.process.stop().await?;
    let _again = node.agent(&["--source=cluster"]).await?;
    stage.guest.merge(&idms("one", &[]), &json!({"metadata": {"annotations": {"x": "y"}}})).await?;
    consistently(Duration::from_millis(500), "W9: nothing is written", async || {
        ensure!(fs::metadata(node.path(OURS))?.modified()? == written);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn none_of_the_seeds_defects_in_what_becomes_of_files() -> Result<()> {
    let stage = Stage::start().await?;
    let node = stage.node("a", &json!({})).await?;
    // W12: a first line of more than 64 KiB, and one with a carriage return, are somebody else's.
    let (long, carriage) = ("#".repeat(70_000), HEADER.replace('\n', "\r\n"));
    node.write(&format!("{DROP_INS}/long.conf"), &long)?;
    node.write(&format!("{DROP_INS}/carriage.conf"), &carriage)?;
    stage.guest.apply(&idms("a", &[("a.example", &["m.example/a"], None)])).await?;
    stage.guest.apply(&idms("b", &[("b.example", &["m.example/b"], None)])).await?;
    stage.guest.apply(&idms("default", &[("default.example", &["m.example/d"], None)])).await?;
    let agent = node.agent(&["--source=cluster"]).await?;
    let ours = node.wait_for_text("b.example").await?;
    ensure!(!ours.contains("default.example"), "the one named default is left alone");
    ensure!(fs::read_to_string(node.path(DROP_INS).join("long.conf"))? == long, "W12");
    ensure!(fs::read_to_string(node.path(DROP_INS).join("carriage.conf"))? == carriage, "W12");

    // W8: what is labelled managed, and what is deleted, goes; at last the file.
    stage
        .guest
        .merge(&idms("a", &[]), &json!({"metadata": {"labels": {"hypershift.openshift.io/managed": "true"}}}))
        .await?;
    stage.wait_for_report("a", "one source less", |status| status["sourceCount"] == 1).await?;
    ensure!(!node.wait_for_text("b.example").await?.contains("a.example\""), "W8");
    stage.guest.delete(&idms("b", &[])).await?;
    node.has_no_file().await?;
    ensure!(agent.readiness().await?.status == 200, "ready means what it says");
    Ok(())
}

/// W13, W15 and W16 are about manifests.
#[test]
fn none_of_the_seeds_defects_in_the_manifests() -> Result<()> {
    let root = hypermirror_e2e::binaries::repository_root();
    let read = |file: &str| fs::read_to_string(root.join(file));
    let daemon_set = read("manifests/overlays/standalone-agent/daemonset.yaml")?;
    ensure!(!daemon_set.contains("privileged: true") && daemon_set.contains("drop: [ALL]"), "W16");
    ensure!(!read("manifests/overlays/standalone-agent/rbac.yaml")?.contains("delete"), "W16");
    let signal = read("manifests/overlays/standalone-agent-signal/kustomization.yaml")?;
    ensure!(signal.contains("hostPID") && signal.contains("/run/crio"), "W13: who signals sees whom");
    ensure!(daemon_set.contains("/run/dbus") && daemon_set.contains("--reload=dbus"), "W13: who asks has the bus");
    let makefile = read("Makefile")?;
    for target in ["manifests", "run", "install", "deploy-daemonset", "podman-build", "podman-push"] {
        ensure!(makefile.contains(&format!("\n{target}:")), "W15: make {target}");
    }
    ensure!(makefile.contains("manifests/overlays/standalone-agent"), "W15");
    Ok(())
}
