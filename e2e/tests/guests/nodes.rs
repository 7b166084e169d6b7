//! Edits on the management cluster, on the nodes of guests.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use hypermirror_e2e::fleet::{NAMESPACE, SOON};
use hypermirror_e2e::rival::pulse::Pulse;
use hypermirror_e2e::{consistently, eventually};
use serde_json::json;

use super::stage::{HCCO, Stage, awaits, found, name, object};

const A: &str = "registry.example/a";
const SET: &str = "hypermirror.dev/v1alpha1";

#[tokio::test]
async fn an_edit_reaches_each_node_and_is_reported_within_a_second_and_deletions_are_complete() -> Result<()> {
    let stage = Stage::populated(2, &[(A, &["mirror.example/one"], None)]).await?;
    let _manager = stage.manager().await?;
    let mut nodes = Vec::new();
    for (guest, pool) in [(0, "a"), (0, "b"), (1, "a")] {
        nodes.push(stage.node(guest, &format!("node-{guest}-{pool}"), pool).await?);
    }
    for guest in 0..2 {
        stage.condition(guest, "GuestSynced", "True", "AsExpected").await?;
        stage.condition(guest, "NodesUpToDate", "True", "AsExpected").await?;
    }
    for (node, _) in &nodes {
        let file = node.wait_for_text("mirror.example/one").await?;
        ensure!(file.contains(&format!("HostedCluster/{NAMESPACE}/")), "the file says who declares it: {file}");
    }
    let report = stage.fleet().report(&name(0)).await?;
    ensure!(report["nodes"]["summary"] == "2/2", "{report}");
    let pulse = Pulse::start(stage.fleet().client.clone());
    let mut delays = Vec::new();
    for round in 0..5 {
        let mirror = format!("mirror.example/round-{round}");
        let start = Instant::now();
        stage.edit(0, &[(A, &[&mirror], None)]).await?;
        for (node, _) in nodes.iter().filter(|(node, _)| node.name.starts_with("node-0")) {
            node.wait_for_text(&mirror).await?;
        }
        let generation = format!("cluster@{}", round + 2);
        stage
            .fleet()
            .wait_for_report(&name(0), &generation, |report| report["guest"]["sets"][0] == generation.as_str())
            .await?;
        delays.push(start.elapsed().saturating_sub(pulse.stalled(start, Instant::now())));
    }
    // One round may have met something else that the machine does.
    delays.sort_unstable();
    ensure!(delays[2] <= Duration::from_secs(1), "reported after {delays:?}");
    stage.edit(0, &[]).await?;
    for (node, _) in nodes.iter().filter(|(node, _)| node.name.starts_with("node-0")) {
        node.has_no_file().await?;
    }
    nodes.last().unwrap().0.wait_for_text("mirror.example/one").await?;
    Ok(())
}

#[tokio::test]
async fn pools_have_sets_of_their_own_and_one_that_wants_no_mirrors_gets_none() -> Result<()> {
    let stage = Stage::populated(1, &[(A, &["mirror.example/one"], None)]).await?;
    stage.node_pool(0, "a", &json!({})).await?;
    stage.node_pool(0, "b", &json!({"hypermirror.dev/node-delivery": "None"})).await?;
    let _manager = stage.manager().await?;
    awaits(&stage.guests[0], &object(SET, "NodeMirrorSet", "nodepool-a"), true).await?;
    ensure!(found(&stage.guests[0], &object(SET, "NodeMirrorSet", "nodepool-b")).await?.is_none());
    let (a, _agent) = stage.node(0, "node-a", "a").await?;
    let (b, _other) = stage.node(0, "node-b", "b").await?;
    a.wait_for_text("mirror.example/one").await?;
    stage.condition(0, "NodesUpToDate", "True", "AsExpected").await?;
    ensure!(b.ours().is_none());
    // A node that changes its pool changes its file.
    stage.guests[0]
        .merge(
            &object("v1", "Node", "node-b"),
            &json!({"metadata": {"labels": {"hypershift.openshift.io/nodePool": "a"}}}),
        )
        .await?;
    b.wait_for_text("mirror.example/one").await?;
    stage.node_pool(0, "b", &json!({"hypermirror.dev/node-delivery": "Agent"})).await?;
    awaits(&stage.guests[0], &object(SET, "NodeMirrorSet", "nodepool-b"), true).await
}

#[tokio::test]
async fn drift_in_a_guest_is_repaired_and_nothing_is_written_when_nothing_changed() -> Result<()> {
    let stage = Stage::populated(1, &[(A, &["mirror.example/one"], None)]).await?;
    let launch = stage.launch("manager").arg("--guest-interval=1s");
    let _manager = launch.start_ready(stage.scene.management()).await?;
    let (_node, _agent) = stage.node(0, "node-0", "a").await?;
    stage.condition(0, "NodesUpToDate", "True", "AsExpected").await?;
    let audit = stage.cluster(0).audit().await?;
    let mark = audit.mark().await?;
    eventually(SOON, "the manager looks at the guest's set three times more", async || {
        let events = audit.since(mark).await?;
        let looks = events.iter().filter(|event| {
            event.user == HCCO && event.verb == "get" && event.resource == "nodemirrorsets" && event.name == "cluster"
        });
        Ok((looks.count() >= 3).then_some(()))
    })
    .await?;
    let writes = audit.writes_by(mark, HCCO).await?;
    ensure!(writes.is_empty(), "{:?}", writes.iter().map(hypermirror_e2e::audit::Event::summary).collect::<Vec<_>>());
    let set = object(SET, "NodeMirrorSet", "cluster");
    stage.guests[0].merge(&set, &json!({"spec": {"digestMirrors": []}})).await?;
    stage.guests[0]
        .delete(&json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {"name": "hypermirror-agent", "namespace": "hypermirror-system"}
        }))
        .await?;
    eventually(SOON, "the guest is repaired", async || {
        let live = found(&stage.guests[0], &set).await?.unwrap_or_default();
        ensure!(live["spec"]["digestMirrors"][0]["source"] == A, "{live}");
        let daemon_set = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {"name": "hypermirror-agent", "namespace": "hypermirror-system"}
        });
        ensure!(found(&stage.guests[0], &daemon_set).await?.is_some(), "no DaemonSet");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn an_agent_may_not_write_the_status_of_another_node() -> Result<()> {
    let stage = Stage::populated(1, &[]).await?;
    let _manager = stage.manager().await?;
    let (node, _agent) = stage.node(0, "node-0", "a").await?;
    let (_other, _its_agent) = stage.node(0, "node-1", "a").await?;
    stage.condition(0, "NodesUpToDate", "True", "AsExpected").await?;
    let kubeconfig = kube::config::Kubeconfig::read_from(&node.kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await?;
    let agent = hypermirror_e2e::Fleet { client: kube::Client::try_from(config)? };
    let status = |name: &str| {
        let mut status = object(SET, "NodeMirrorStatus", name);
        status["metadata"]["annotations"] = json!({"by": "node-0"});
        status["spec"] = json!({});
        status
    };
    for name in ["node-1", "node-that-is-none"] {
        // A policy is in force a moment after it is written.
        eventually(SOON, &format!("{name} is denied"), async || {
            let Err(error) = agent.apply(&status(name)).await else { bail!("it was not") };
            ensure!(format!("{error:#}").contains("may write only the NodeMirrorStatus of its own node"), "{error:#}");
            Ok(Some(()))
        })
        .await?;
    }
    agent.apply(&status("node-0")).await?;
    Ok(())
}

#[tokio::test]
async fn no_more_guests_change_at_once_than_are_allowed() -> Result<()> {
    let stage = Stage::populated(2, &[(A, &["mirror.example/one"], None)]).await?;
    let set = object(SET, "NodeMirrorSet", "cluster");
    for (guest, fleet) in stage.guests.iter().enumerate() {
        // Nodes that never confirm: nobody runs there.
        fleet.apply(&hypermirror_e2e::agent_node::node(&format!("node-{guest}"), &json!({}))).await?;
    }
    let launch = stage.launch("manager").arg("--max-concurrent-guests=1");
    let _manager = launch.start_ready(stage.scene.management()).await?;
    let first = eventually(SOON, "one guest has its mirrors", async || {
        for (guest, fleet) in stage.guests.iter().enumerate() {
            if found(fleet, &set).await?.is_some() {
                return Ok(Some(guest));
            }
        }
        Ok(None)
    })
    .await?;
    let second = 1 - first;
    consistently(Duration::from_secs(4), "the other one waits", async || {
        ensure!(found(&stage.guests[second], &set).await?.is_none(), "it was given mirrors");
        Ok(())
    })
    .await?;
    let node = hypermirror_e2e::agent_node::node(&format!("node-{first}"), &json!({}));
    stage.guests[first].delete(&node).await?;
    awaits(&stage.guests[second], &set, true).await
}
