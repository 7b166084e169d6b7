//! The agent is killed at each step between a temporary file and the reload: no torn file, no lost reload.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt as _;
use futures::future::try_join_all;
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::{Process, eventually};
use inotify::{EventMask, EventStream, Inotify, WatchMask};
use serde_json::{Value, json};

use super::stage::{DROP_INS, HEADER, Node, Stage, mirrors};
use super::stand_in::{Crio, PENDING};

const TEMPORARY: &str = ".50-hypermirror.conf.tmp";
const NODES: usize = 4;
/// On each node: 200 kills together.
const ROUNDS: usize = 50;

/// The steps that show in the directory; the agent is killed as soon as one is seen.
const STEPS: [(&str, EventMask); 6] = [
    (PENDING, EventMask::CREATE),
    (TEMPORARY, EventMask::CREATE),
    (TEMPORARY, EventMask::CLOSE_WRITE),
    ("50-hypermirror.conf", EventMask::MOVED_TO),
    ("50-hypermirror.conf", EventMask::OPEN),
    (PENDING, EventMask::DELETE),
];

#[tokio::test]
async fn two_hundred_kills_tear_no_file_and_lose_no_reload() -> Result<()> {
    let stage = Stage::start().await?;
    let (kills, unread) = (AtomicUsize::new(0), AtomicUsize::new(0));
    try_join_all((0..NODES).map(|index| kill_on_one_node(&stage, index, &kills, &unread))).await?;
    ensure!(kills.load(Ordering::Relaxed) == NODES * ROUNDS);
    // A kill that always came after the reload would prove nothing.
    ensure!(unread.load(Ordering::Relaxed) > NODES * ROUNDS / 4, "{unread:?} kills before CRI-O had read");
    Ok(())
}

/// What a set of that edition makes of the file.
fn file(index: usize, edition: usize) -> String {
    format!(
        "{HEADER}# Written by hypermirror from the objects named above each table. Edits are lost.\n\n\
         # NodeMirrorSet/n{index}[0]\n[[registry]]\n  prefix = \"\"\n  location = \"quay.example\"\n\n  \
         [[registry.mirror]]\n    location = \"m{edition}.example\"\n    pull-from-mirror = \"digest-only\"\n"
    )
}

fn set(index: usize, edition: usize) -> Value {
    json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorSet", "metadata": {"name": format!("n{index}")},
        "spec": {
            "layer": "HostedCluster", "nodeSelector": {"matchLabels": {"node": format!("n{index}")}},
            "digestMirrors": [mirrors("quay.example", &[&format!("m{edition}.example")])]
        }
    })
}

async fn kill_on_one_node(stage: &Stage, index: usize, kills: &AtomicUsize, unread: &AtomicUsize) -> Result<()> {
    let name = format!("n{index}");
    let node = stage.node(&name, &json!({"node": name})).await?;
    let crio = Crio::start(&node).await?;
    let is_over = Arc::new(AtomicBool::new(false));
    let reader = tokio::task::spawn_blocking({
        let (path, is_over) = (node.path(super::stage::OURS), Arc::clone(&is_over));
        move || read_all_the_time(&path, index, &is_over)
    });
    let mut agent = node.spawn(&["--reload=signal"])?;
    stage.guest.apply(&set(index, 0)).await?;
    caught_up(&node, &crio, index, 0).await?;
    for round in 1..=ROUNDS {
        let mut events = watch(&node)?;
        stage.guest.apply(&set(index, round)).await?;
        kill_at(STEPS[round % STEPS.len()], &mut events, &mut agent).await?;
        kills.fetch_add(1, Ordering::Relaxed);
        if crio.loaded() != file(index, round) {
            unread.fetch_add(1, Ordering::Relaxed);
        }
        agent = node.spawn(&["--reload=signal"])?;
        caught_up(&node, &crio, index, round).await.with_context(|| format!("round {round}"))?;
    }
    is_over.store(true, Ordering::Relaxed);
    let reads = reader.await??;
    ensure!(reads > ROUNDS, "{reads} reads");
    Ok(())
}

fn watch(node: &Node) -> Result<EventStream<Vec<u8>>> {
    let inotify = Inotify::init()?;
    let mask = WatchMask::CREATE | WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO | WatchMask::DELETE | WatchMask::OPEN;
    inotify.watches().add(node.path(DROP_INS), mask)?;
    Ok(inotify.into_event_stream(vec![0; 4096])?)
}

/// Kills it when the step is seen. The reader of the test opens the file too: of an OPEN the moment is random.
async fn kill_at(step: (&str, EventMask), events: &mut EventStream<Vec<u8>>, agent: &mut Process) -> Result<()> {
    let seen = async {
        while let Some(event) = events.next().await {
            let event = event?;
            if event.name.as_deref().is_some_and(|name| name == step.0) && event.mask.contains(step.1) {
                break;
            }
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(SOON, seen).await.with_context(|| format!("{step:?} was not seen\n{:?}", agent.log()))??;
    agent.kill().map(|_| ())
}

/// Waits until the file says this edition, CRI-O has read just that, and no reload is pending.
async fn caught_up(node: &Node, crio: &Crio, index: usize, edition: usize) -> Result<()> {
    let wanted = file(index, edition);
    eventually(SOON, &format!("edition {edition} is read"), async || {
        let (ours, loaded, names) = (node.ours().unwrap_or_default(), crio.loaded(), node.names()?);
        ensure!(ours == wanted, "the file: {ours}");
        ensure!(loaded == wanted, "read: {loaded}");
        ensure!(names == ["50-hypermirror.conf"], "{names:?}");
        Ok(Some(()))
    })
    .await
}

/// Every look at the file, whenever it comes, finds a whole edition.
fn read_all_the_time(path: &std::path::Path, index: usize, is_over: &AtomicBool) -> Result<usize> {
    let mut reads = 0;
    while !is_over.load(Ordering::Relaxed) {
        if let Ok(content) = fs::read_to_string(path) {
            let rest = content.split_once("\"m").map(|(_, rest)| rest).context(content.clone())?;
            let edition = rest.split_once(".example").and_then(|(number, _)| number.parse().ok());
            ensure!(edition.is_some_and(|edition| content == file(index, edition)), "torn: {content:?}");
            reads += 1;
        }
        std::thread::park_timeout(Duration::from_millis(3));
    }
    Ok(reads)
}
