//! Upgrade and downgrade between the last release and this one, while mirrors are edited: no target misses an edit, gets an older
//! one back or restarts for nothing. By default the programs of this version play both parts (see `release`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::audit::{Event, Mark};
use hypermirror_e2e::fleet::manager::Manager;
use hypermirror_e2e::fleet::objects::{hosted_cluster, idms};
use hypermirror_e2e::fleet::{Fleet, NAMESPACE, SOON, SYSTEM, TARGETS};
use hypermirror_e2e::{AgentNode, Cluster, Crds, Kit, Process, Scene, Testbed, eventually};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::release::Release;

/// The hosted cluster that has a guest cluster, and mirrors of its own.
const GUEST: &str = "west";
/// Hosted clusters without one.
const OTHERS: [&str; 2] = ["a", "b"];
/// Edits come faster than a manager starts.
const BETWEEN_EDITS: Duration = Duration::from_millis(200);
/// Where the manager puts the agent, and its ServiceAccount.
const AGENT: (&str, &str) = ("hypermirror-system", "hypermirror-agent");

#[tokio::test]
async fn upgrades_and_downgrades_under_edits_lose_no_mirror_and_restart_nothing_else() -> Result<()> {
    let (before, now) = (Release::previous()?, Release::current()?);
    let stage = Stage::start(&before).await?;
    let (fleet, begin) = (&stage.scene.fleet, stage.scene.audit.mark().await?);
    let first = stage.launch(&before).await?;
    let (node, agent) = stage.node(&before).await?;
    stage.edit_once(&node).await?;

    // CRDs first: the manager of before goes on with the CRDs of now.
    let edits = stage.edits();
    now.apply_crds(fleet).await?;
    stage.arrived(edits.end().await?, &node).await?;
    stage.reported().await?;

    // Nothing is edited: the new manager writes to no Deployment. The agent of before takes its edits.
    let mark = stage.scene.audit.mark().await?;
    let upgraded = stage.replace(first, &now).await?;
    stage.all_reconciled(&upgraded).await?;
    let patches: Vec<String> = stage.scene.patches(mark).await?.iter().map(Event::summary).collect();
    ensure!(patches.is_empty(), "{patches:#?}");
    stage.edit_once(&node).await?;

    // Back, and forward again, both under edits. The agent of now takes those of the manager of before.
    let edits = stage.edits();
    let downgraded = stage.replace(upgraded, &before).await?;
    drop(agent);
    let _agent = node.launch_program(&now.agent, &[]).spawn()?;
    stage.arrived(edits.end().await?, &node).await?;
    stage.reported().await?;
    let edits = stage.edits();
    let _last = stage.replace(downgraded, &now).await?;
    stage.arrived(edits.end().await?, &node).await?;

    // The CRDs of before, which nobody should have: mirrors arrive, whatever becomes of the report.
    before.apply_crds(fleet).await?;
    stage.edit_once(&node).await?;
    now.apply_crds(fleet).await?;
    stage.edit_once(&node).await?;
    stage.reported().await?;

    let rollouts = stage.each_rollout_was_an_edit(begin).await?;
    println!("{} edits, {rollouts:?} rollouts of each target at most", stage.count.load(Ordering::Relaxed));
    Ok(())
}

struct Stage {
    scene: Scene,
    guest: Fleet,
    /// The number of the last edit.
    count: Arc<AtomicU32>,
}

/// Edits that go on until they are ended.
struct Edits {
    task: JoinHandle<Result<()>>,
    end: oneshot::Sender<()>,
    count: Arc<AtomicU32>,
}

impl Edits {
    /// The number of the last edit.
    async fn end(self) -> Result<u32> {
        ensure!(self.end.send(()).is_ok(), "no edits were left: {:?}", self.task.await?);
        self.task.await??;
        Ok(self.count.load(Ordering::Relaxed))
    }
}

impl Stage {
    /// A fleet on which a release is installed, with nothing of another one.
    async fn start(release: &Release) -> Result<Self> {
        let crds = Crds::of_the_fleet()?;
        let bed = Testbed::builder().guests(1).guest_kit(Scene::guest_kit(&crds)?);
        let bed = bed.management_kit(Kit::of(crds)).start().await?;
        let cluster = bed.management();
        let fleet = Fleet::of(cluster).await?;
        for name in [NAMESPACE, SYSTEM] {
            fleet.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await?;
        }
        release.apply_crds(&fleet).await?;
        release.apply_base(&fleet).await?;
        fleet.hosted_clusters(&[GUEST, OTHERS[0], OTHERS[1]], "=").await?;
        fleet.guest_of(GUEST, bed.guest(0)).await?;
        fleet.apply(&idms("keep", &[("keep.example", &["m.example/keep"], None)])).await?;
        let guest = Scene::guests(&bed).await?.pop().context("no guest cluster")?;
        let audit = cluster.audit().await?;
        Ok(Self { scene: Scene { bed, fleet, audit }, guest, count: Arc::default() })
    }

    fn cluster(&self) -> &Cluster {
        self.scene.management()
    }

    async fn launch(&self, release: &Release) -> Result<Manager> {
        let manager = release.manager(&self.scene.fleet, self.cluster()).await?.start_ready(self.cluster()).await?;
        Ok(manager)
    }

    /// As a Deployment does: the new one waits for the Lease until the old one has ended.
    async fn replace(&self, mut old: Manager, release: &Release) -> Result<Manager> {
        release.apply_base(&self.scene.fleet).await?;
        let new = self.launch(release).await?;
        ensure!(old.process.stop().await?.success(), "{}", old.process.log()?);
        new.leads().await?;
        Ok(new)
    }

    async fn node(&self, release: &Release) -> Result<(AgentNode, Process)> {
        let labels = json!({"hypershift.openshift.io/nodePool": "pool", "kubernetes.io/os": "linux"});
        let node = eventually(SOON, "the agent's ServiceAccount is there", async || {
            AgentNode::create(self.scene.bed.guest(0), "node", &labels, AGENT).await.map(Some)
        })
        .await?;
        let agent = node.launch_program(&release.agent, &[]).spawn()?;
        Ok((node, agent))
    }

    /// Edits again and again.
    fn edits(&self) -> Edits {
        let (fleet, count) = (self.scene.fleet.clone(), self.count.clone());
        let (end, mut ended) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(BETWEEN_EDITS);
            loop {
                ticks.tick().await;
                edit(&fleet, count.fetch_add(1, Ordering::Relaxed) + 1).await?;
                if ended.try_recv() == Ok(()) {
                    return Ok(());
                }
            }
        });
        Edits { task, end, count: self.count.clone() }
    }

    /// One more edit, which arrives everywhere.
    async fn edit_once(&self, node: &AgentNode) -> Result<()> {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        edit(&self.scene.fleet, number).await?;
        self.arrived(number, node).await
    }

    /// The edit is in every control plane and on the node.
    async fn arrived(&self, number: u32, node: &AgentNode) -> Result<()> {
        let shared = format!("src.example=m.example/e{number}");
        self.scene.fleet.reads(&OTHERS, &format!("keep.example=m.example/keep,{shared}")).await?;
        let own = format!("keep.example=m.example/keep,own.example=m.example/n{number},{shared}");
        self.scene.fleet.reads(&[GUEST], &own).await?;
        node.wait_for_text(&format!("m.example/n{number}\"")).await.map(|_| ())
    }

    /// The reports have the mirrors of the last edit, and nothing is wrong.
    async fn reported(&self) -> Result<()> {
        let number = self.count.load(Ordering::Relaxed);
        for cluster in OTHERS {
            let map = format!("keep.example=m.example/keep,src.example=m.example/e{number}");
            self.scene.fleet.wait_for_map(cluster, &map).await?;
            self.scene.fleet.condition(cluster, "Ready", "True", "AsExpected").await?;
        }
        self.scene.fleet.condition(GUEST, "NodesUpToDate", "True", "AsExpected").await?;
        let sets =
            json!({"apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorSet", "metadata": {"name": "cluster"}});
        ensure!(self.guest.api_of(&sets)?.get_opt("cluster").await?.is_some(), "the guest cluster has no mirrors");
        Ok(())
    }

    /// The manager has looked at every hosted cluster since it leads.
    async fn all_reconciled(&self, manager: &Manager) -> Result<()> {
        eventually(SOON, "all hosted clusters are reconciled", async || {
            let reconciled = manager.metric("hypermirror_reconcile_duration_seconds_count").await?;
            ensure!(reconciled >= 3.0, "{reconciled}");
            Ok(Some(()))
        })
        .await
    }

    /// See [`most_rollouts`].
    async fn each_rollout_was_an_edit(&self, mark: Mark) -> Result<usize> {
        let mut values = Vec::new();
        for patch in self.scene.patches(mark).await? {
            let value = written(&patch).with_context(|| patch.summary())?;
            values.push((format!("{}/{}", patch.namespace, patch.name), value));
        }
        let targets: BTreeSet<&String> = values.iter().map(|(target, _)| target).collect();
        ensure!(targets.len() == (OTHERS.len() + 1) * TARGETS.len(), "{targets:?}");
        most_rollouts(&values)
    }
}

/// Every value of a target carries a later edit than the one before, and what is never edited. Answers the largest number of values of
/// one target.
fn most_rollouts(values: &[(String, String)]) -> Result<usize> {
    let mut seen: BTreeMap<&String, Vec<[u32; 2]>> = BTreeMap::new();
    for (target, value) in values {
        ensure!(value.contains("keep.example=m.example/keep"), "{target}: {value}");
        let edits = ["src.example=m.example/e", "own.example=m.example/n"].map(|entry| number(value, entry));
        let earlier = seen.entry(target).or_default();
        if let Some(last) = earlier.last() {
            let is_later = edits != *last && edits.iter().zip(last).all(|(new, old)| new >= old);
            ensure!(is_later, "{target}: {value} after {last:?}");
        }
        earlier.push(edits);
    }
    Ok(seen.values().map(Vec::len).max().unwrap_or_default())
}

#[test]
fn a_value_that_is_written_twice_older_or_incomplete_is_found() {
    let values = |edits: &[&str]| -> Vec<(String, String)> {
        let value = |edit: &&str| ("a/x".to_owned(), format!("keep.example=m.example/keep,{edit}"));
        edits.iter().map(value).collect()
    };
    let (first, second) = ("src.example=m.example/e1", "src.example=m.example/e2");
    assert_eq!(most_rollouts(&values(&[first, second])).unwrap(), 2);
    for wrong in [[first, first], [second, first], [first, ""]] {
        most_rollouts(&values(&wrong)).unwrap_err();
    }
    most_rollouts(&[("a/x".to_owned(), first.to_owned())]).unwrap_err();
}

/// The mirrors of the management cluster and those of one hosted cluster.
async fn edit(fleet: &Fleet, number: u32) -> Result<()> {
    let (shared, own) = (format!("m.example/e{number}"), format!("m.example/n{number}"));
    fleet.apply(&idms("edited", &[("src.example", &[&shared], None)])).await?;
    fleet.apply(&hosted_cluster(GUEST, &[("own.example", &[&own], None)])).await?;
    Ok(())
}

/// The value that a patch of a target sets.
fn written(patch: &Event) -> Option<String> {
    let operations = patch.request_object.as_ref()?.as_array()?;
    let set = operations.iter().filter(|operation| operation["op"] != "test").map(|operation| &operation["value"]);
    let values = set.flat_map(|value| [value, &value["value"], &value["hypermirror.dev/overrides"]]);
    values.filter_map(Value::as_str).find(|text| text.contains("keep.example=")).map(str::to_owned)
}

/// The number of the edit of an entry, 0 without it.
fn number(value: &str, entry: &str) -> u32 {
    let digits = value.split(',').find_map(|part| part.strip_prefix(entry));
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
}
