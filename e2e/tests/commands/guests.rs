//! Commands about guests and their nodes.

use anyhow::{Context as _, Result};
use hypermirror_e2e::fleet::TARGETS;
use hypermirror_e2e::fleet::manager::Manager;
use hypermirror_e2e::fleet::objects::hosted_cluster;
use hypermirror_e2e::{Crds, binaries};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::ran::{Ran, run};
use super::stage::{self, IMAGE, Stage, awaits, found, object};

const A: &str = "registry.example/a";
const WEST: &str = "clusters/west-0";

fn image() -> String {
    format!("{A}/app@sha256:{}", "a".repeat(64))
}

/// The references of the first image, in order.
fn references(explained: &Ran) -> Result<Vec<String>> {
    let endpoints = explained.json()?[0]["endpoints"].as_array().context("no endpoints")?.clone();
    let text = |endpoint: &Value| Ok(endpoint["reference"].as_str().context("no reference")?.to_owned());
    endpoints.iter().map(text).collect()
}

/// The references that are tried for `image`: at these mirrors, then at its source.
fn endpoints(mirrors: &[&str]) -> Vec<String> {
    let name = |mirror: &&str| image().replacen(A, mirror, 1);
    mirrors.iter().chain([&A]).map(name).collect()
}

/// A manager that soon sees a node that came after its mirrors.
async fn manager(stage: &Stage) -> Result<Manager> {
    stage.launch("manager").arg("--guest-interval=2s").start_ready(stage.scene.management()).await
}

#[tokio::test]
async fn explain_uses_the_mirrors_of_the_nodes_guest_and_shows_whether_the_node_confirmed_them() -> Result<()> {
    let stage = Stage::populated(1, &[(A, &["mirror.example/one"], None)]).await?;
    stage.node_pool(0, "workers", &json!({})).await?;
    stage.node_pool(0, "edge", &json!({"hypermirror.dev/node-delivery": "None"})).await?;
    let _manager = manager(&stage).await?;
    stage.condition(0, "GuestSynced", "True", "AsExpected").await?;
    let image = image();
    let explain = ["explain", &image, "-o", "json", "--hosted-cluster", WEST];
    let of_node = [&explain[..], &["--node", "node-0"]].concat();
    let unknown = run(&stage.scene, &of_node).await?;
    assert!(unknown.code == Some(2) && unknown.stderr.contains("has no Node node-0"), "{}", unknown.stderr);

    let (node, agent) = stage.node(0, "node-0", "workers").await?;
    stage.fleet().wait_for_report("west-0", "the node", |report| report["nodes"]["summary"] == "1/1").await?;
    let confirmed = run(&stage.scene, &of_node).await?;
    assert_eq!(references(&confirmed)?, endpoints(&["mirror.example/one"]), "{}", confirmed.stderr);
    assert!(confirmed.stderr.contains("node node-0 has applied its NodeMirrorSets"), "{}", confirmed.stderr);
    let directory = node.path("etc/containers/registries.conf.d").display().to_string();
    let files = run(&stage.scene, &["explain", &image, "-o", "json", "--registries-conf-dir", &directory]).await?;
    assert_eq!(references(&files)?, references(&confirmed)?, "as the node's own files say");

    let workers = run(&stage.scene, &[&explain[..], &["--node-pool", "workers"]].concat()).await?;
    assert_eq!(references(&workers)?, references(&confirmed)?);
    let edge = run(&stage.scene, &[&explain[..], &["--node-pool", "edge"]].concat()).await?;
    assert_eq!(references(&edge)?, endpoints(&[]));
    assert!(edge.stderr.contains("NodePool/clusters/edge: annotation hypermirror.dev/node-delivery is None"));
    let unknown = run(&stage.scene, &[&explain[..], &["--node-pool", "none"]].concat()).await?;
    assert!(unknown.code == Some(2) && unknown.stderr.contains("available: edge, workers"), "{}", unknown.stderr);

    drop(agent);
    stage.edit(0, &[(A, &["mirror.example/two"], None)]).await?;
    stage.condition(0, "NodesUpToDate", "False", "NodesUpdating").await?;
    let behind = run(&stage.scene, &of_node).await?;
    assert_eq!(references(&behind)?, endpoints(&["mirror.example/two"]));
    let shown = "node node-0 has not applied its NodeMirrorSets (NodesUpdating): waiting for the node to confirm cluster of generation 2";
    assert!(behind.stderr.contains(shown), "{}", behind.stderr);
    let status = run(&stage.scene, &["status"]).await?.stdout;
    assert!(
        status.contains("guest, GuestSynced=True (AsExpected)")
            && status.contains("kubeconfig: Secret hcco-kubeconfig"),
        "{status}"
    );
    assert!(status.contains("nodes 0/1, NodesUpToDate=False (NodesUpdating)"), "{status}");
    assert!(status.contains("node-0 NodesUpdating: waiting for the node to confirm"), "{status}");
    Ok(())
}

#[tokio::test]
async fn render_guest_prints_the_objects_that_the_manager_writes() -> Result<()> {
    let stage = Stage::populated(1, &[(A, &["mirror.example/one"], None)]).await?;
    stage.node_pool(0, "workers", &json!({})).await?;
    stage.fleet().control_plane(&stage::name(0), "api.west.example", 6443).await?;
    let _manager = manager(&stage).await?;
    stage.condition(0, "GuestSynced", "True", "AsExpected").await?;

    let rendered = run(&stage.scene, &["render", "guest", "--agent-image", IMAGE, "--agent-reload", "none"]).await?;
    assert_eq!(rendered.code, Some(0), "{}", rendered.stderr);
    let documents = serde_yaml::Deserializer::from_str(&rendered.stdout).map(Value::deserialize);
    for document in documents.collect::<Result<Vec<_>, _>>()? {
        if document["kind"] == "SecurityContextConstraints" {
            continue; // this guest does not have the kind
        }
        let live = found(&stage.guests[0], &document).await?.with_context(|| format!("not there: {document}"))?;
        assert_eq!(live["metadata"]["labels"]["hypermirror.dev/managed"], "true", "{live}");
        if document["kind"] == "NodeMirrorSet" {
            assert_eq!(live["spec"], document["spec"]);
        }
        if document["kind"] == "DaemonSet" {
            let container = "/spec/template/spec/containers/0";
            let (live, document) = (live.pointer(container).unwrap(), document.pointer(container).unwrap());
            assert_eq!((&live["args"], &live["env"][1]), (&document["args"], &document["env"][1]));
            assert_eq!(live["env"][1]["value"], "api.west.example");
        }
    }
    Ok(())
}

#[tokio::test]
async fn mirrors_of_a_node_pool_precede_those_of_its_cluster_and_a_rejected_kubeconfig_is_reported() -> Result<()> {
    let stage = Stage::start(1).await?;
    stage.hosted_cluster(0, &[]).await?;
    let guest = &stage.guests[0];
    Crds::read(&[binaries::repository_root().join("manifests/crd/guest.yaml")])?.install(&guest.client).await?;
    let set = |name: &str, layer: &str, selector: Value, mirrors: &[&str]| {
        json!({
            "apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorSet", "metadata": {"name": name},
            "spec": {"layer": layer, "nodeSelector": selector, "digestMirrors": [{"source": A, "mirrors": mirrors}]}
        })
    };
    let workers = json!({"matchLabels": {"hypershift.openshift.io/nodePool": "workers"}});
    guest.apply(&set("cluster", "HostedCluster", json!({}), &["c.example/a", "b.example/a"])).await?;
    guest.apply(&set("nodepool-workers", "NodePool", workers, &["b.example/a", "a.example/a"])).await?;
    for (name, pool) in [("node-0", "workers"), ("node-1", "others")] {
        let labels = json!({"hypershift.openshift.io/nodePool": pool});
        guest.apply(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})).await?;
    }
    let image = image();
    let explain = |node| ["explain", &image, "-o", "json", "--node", node];
    let nothing = run(&stage.scene, &explain("node-0")).await?;
    assert!(
        nothing.code == Some(1) && nothing.stderr.contains("has no Secret with a kubeconfig for the guest cluster"),
        "{}",
        nothing.stderr
    );

    let canary = stage.scene.bed.directory().join("canary");
    let mut evil: Value = serde_yaml::from_str(&stage.usual_kubeconfig(0)?)?;
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [canary]});
    evil["users"][0]["user"]["exec"] = exec;
    stage.kubeconfig(0, &evil.to_string()).await?;
    let refused = run(&stage.scene, &explain("node-0")).await?;
    let shown = "Secret clusters-west-0/hcco-kubeconfig: field users[].user.exec is not allowed";
    assert!(refused.code == Some(1) && refused.stderr.contains(shown), "{}", refused.stderr);
    stage.secret(0, "admin-kubeconfig", &stage.usual_kubeconfig(0)?).await?;
    let explained = run(&stage.scene, &explain("node-0")).await?;
    assert_eq!(
        references(&explained)?,
        endpoints(&["b.example/a", "a.example/a", "c.example/a"]),
        "{}",
        explained.stderr
    );
    assert!(explained.stderr.contains(&format!("warning: {shown}")), "{}", explained.stderr);
    assert!(explained.stderr.contains("(AgentsMissing): no agent has reported"), "{}", explained.stderr);
    let other = run(&stage.scene, &explain("node-1")).await?;
    assert_eq!(references(&other)?, endpoints(&["c.example/a", "b.example/a"]));
    assert!(!canary.exists(), "nothing of a kubeconfig runs");
    Ok(())
}

#[tokio::test]
async fn uninstall_removes_one_hosted_cluster_or_all_and_shows_progress() -> Result<()> {
    let stage = Stage::populated(2, &[(A, &["mirror.example/one"], None)]).await?;
    let nobody = run(&stage.scene, &["uninstall", "--yes"]).await?;
    let shown = "Lease hypermirror-system/hypermirror-manager does not exist";
    assert!(nobody.code == Some(1) && nobody.stderr.contains(shown), "{}", nobody.stderr);
    let manager = manager(&stage).await?;
    let (first, _first_agent) = stage.node(0, "node-0", "a").await?;
    let (second, _second_agent) = stage.node(1, "node-1", "a").await?;
    for index in [0, 1] {
        stage
            .fleet()
            .wait_for_report(&stage::name(index), "its node", |report| report["nodes"]["summary"] == "1/1")
            .await?;
        stage.condition(index, "Ready", "True", "AsExpected").await?;
    }
    let unknown = run(&stage.scene, &["uninstall", "--yes", "--hosted-cluster", "clusters/none"]).await?;
    assert!(unknown.code == Some(2) && unknown.stderr.contains("does not exist"), "{}", unknown.stderr);

    let west = hosted_cluster("west-0", &[]);
    let pause = |value: Value| json!({"metadata": {"annotations": {"hypermirror.dev/paused": value}}});
    stage.fleet().merge(&west, &pause(json!("x"))).await?;
    stage.condition(0, "Ready", "Unknown", "Paused").await?;
    let one = ["uninstall", "--yes", "--hosted-cluster", WEST, "--timeout"];
    let paused = run(&stage.scene, &[&one[..], &["1s"]].concat()).await?;
    assert!(
        paused.code == Some(1) && paused.stderr.contains("not removed everywhere within --timeout"),
        "{}",
        paused.stderr
    );
    assert!(paused.stderr.contains("(Paused)"), "{}", paused.stderr);
    stage.fleet().merge(&west, &pause(Value::Null)).await?;
    let left = run(&stage.scene, &[&one[..], &["60s"]].concat()).await?;
    assert_eq!(left.code, Some(0), "{}", left.stderr);
    assert!(left.stderr.contains("kubectl annotate hostedcluster -n clusters west-0 hypermirror.dev/uninstall-"));
    first.has_no_file().await?;
    let set = object("hypermirror.dev/v1alpha1", "NodeMirrorSet", "cluster");
    awaits(&stage.guests[0], &set, false).await?;
    assert_eq!(stage.fleet().effective("west-0", TARGETS[0]).await?.as_deref(), Some("="));
    assert!(stage.fleet().report("west-0").await.is_err(), "its report goes last");
    second.wait_for_text("mirror.example/one").await?;
    stage.condition(1, "Ready", "True", "AsExpected").await?;

    let all = run(&stage.scene, &["uninstall", "--yes"]).await?;
    assert_eq!(all.code, Some(0), "{}", all.stderr);
    assert!(all.stderr.contains("clusters/west-1: removed\n"), "{}", all.stderr);
    assert!(all.stderr.contains("kubectl delete -k manifests/base"), "{}", all.stderr);
    second.has_no_file().await?;
    assert_eq!(stage.fleet().effective("west-1", TARGETS[0]).await?.as_deref(), Some("="));
    drop(manager);
    let dead = run(&stage.scene, &["uninstall", "--yes"]).await?;
    assert!(dead.code == Some(1) && dead.stderr.contains("no running manager: Lease"), "{}", dead.stderr);
    Ok(())
}
