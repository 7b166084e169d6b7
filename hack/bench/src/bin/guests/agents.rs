//! Many agents in one guest cluster: counts the requests of the agents and the manager for a change and when idle.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use hypermirror_bench::Spread;
use hypermirror_e2e::{AgentNode, Cluster, Process, eventually};
use serde_json::json;

use crate::Arguments;
use crate::requests::{count, lines};
use crate::stage::{LIMIT, Stage};

/// The namespace and the ServiceAccount of the agent.
const AGENT: (&str, &str) = ("hypermirror-system", "hypermirror-agent");
/// Time without requests after which all agents are idle.
const REST: Duration = Duration::from_secs(3);

pub async fn measure(arguments: &Arguments) -> Result<()> {
    let stage = Stage::start(1).await?;
    let guest = stage.scene.bed.guest(0);
    let started = Instant::now();
    let agents = start(guest, arguments.agents).await?;
    let nodes: Vec<&AgentNode> = agents.iter().map(|(node, _)| node).collect();
    follow(&stage, &nodes, 0).await?;
    eprintln!("{} agents are ready after {:.0} s", nodes.len(), started.elapsed().as_secs_f64());
    let audit = guest.audit().await?;
    tokio::time::sleep(REST).await;
    let mark = audit.mark().await?;
    tokio::time::sleep(Duration::from_secs(arguments.idle)).await;
    println!("{} agents in one guest cluster, {} s without changes:", nodes.len(), arguments.idle);
    print(&lines(&[count(&audit.since(mark).await?)]));
    let (mut runs, mut on_disk, mut told) = (Vec::new(), Vec::new(), Vec::new());
    for edit in 1..=arguments.edits {
        let mark = audit.mark().await?;
        let (disk, report) = follow(&stage, &nodes, edit).await?;
        tokio::time::sleep(REST).await;
        runs.push(count(&audit.since(mark).await?));
        on_disk.push(disk);
        told.push(report);
    }
    println!("requests for one change, {} times:", runs.len());
    print(&lines(&runs));
    println!("time from the edit to the file on the last node: {:.0} ms", Spread::of_milliseconds(on_disk));
    println!("time from the edit to the report that all nodes are up to date: {:.0} ms", Spread::of_milliseconds(told));
    Ok(())
}

fn print(lines: &[String]) {
    for line in lines {
        println!("  {line}");
    }
    if lines.is_empty() {
        println!("  no requests");
    }
}

async fn start(guest: &Cluster, agents: usize) -> Result<Vec<(AgentNode, Process)>> {
    let one = |n: usize| async move {
        let labels = json!({"hypershift.openshift.io/nodePool": "a", "kubernetes.io/os": "linux"});
        let node = AgentNode::create(guest, &format!("node-{n:03}"), &labels, AGENT).await?;
        let agent = node.agent()?;
        Ok::<_, anyhow::Error>((node, agent))
    };
    stream::iter(0..agents).map(one).buffer_unordered(8).try_collect().await
}

/// Makes an edit. Returns the times when it was on the last node, and when the report showed that.
async fn follow(stage: &Stage, nodes: &[&AgentNode], edit: usize) -> Result<(Duration, Duration)> {
    let mirror = format!("mirror.example/edit-{edit}");
    let started = Instant::now();
    stage.edit(0, &mirror).await?;
    let mut behind = nodes.to_vec();
    eventually(LIMIT, "all nodes have the edit", async || {
        behind.retain(|node| !node.ours().is_some_and(|file| file.contains(&mirror)));
        anyhow::ensure!(behind.is_empty(), "{} nodes are not up to date", behind.len());
        Ok(Some(()))
    })
    .await?;
    let on_disk = started.elapsed();
    let (set, all) = (format!("cluster@{}", edit + 2), format!("{0}/{0}", nodes.len()));
    let cluster = crate::stage::name(0);
    eventually(LIMIT, "the report shows the edit", async || {
        let report = stage.scene.fleet.report(&cluster).await?;
        let told = report["guest"]["sets"][0] == set.as_str() && report["nodes"]["summary"] == all.as_str();
        anyhow::ensure!(told, "{report}");
        Ok(Some(()))
    })
    .await?;
    Ok((on_disk, started.elapsed()))
}
