//! One management cluster, one guest with one real node, and a manager that has brought the agent there.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::manager::{Manager, ManagerLaunch};
use hypermirror_e2e::fleet::objects::{self, Entry};
use hypermirror_e2e::fleet::{Fleet, SOON};
use hypermirror_e2e::{Crds, RealNode, Served, Testbed, eventually};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

/// The hosted cluster whose guest it is.
pub const CLUSTER: &str = "west";
/// The namespace of the agent.
const AGENT: &str = "hypermirror-system";
const NODE: &str = "node-0";
/// How often nodes are asked when nothing happens: scenarios wait for what nobody announces.
const INTERVAL: &str = "--guest-interval=2s";

static SHARED: Mutex<Weak<Servers>> = Mutex::const_new(Weak::new());
static TURN: Mutex<()> = Mutex::const_new(());

/// Everything that runs; dropped in this order.
pub struct Servers {
    _manager: Manager,
    pub node: RealNode,
    bed: Testbed,
    _agent: Served,
}

impl Servers {
    /// Without a manager yet.
    async fn start() -> Result<(Testbed, RealNode, Fleet)> {
        let bed = Testbed::builder().guests(1).guest_controller_managers(true);
        let bed = bed.management_kit(Fleet::kit(&Crds::of_the_fleet()?)?).start().await?;
        let fleet = Fleet::of(bed.management()).await?;
        fleet.hosted_cluster(CLUSTER, &[], "=").await?;
        fleet.guest_of(CLUSTER, bed.guest(0)).await?;
        let node = RealNode::start(bed.guest(0), NODE).await?;
        node.label(&[("hypershift.openshift.io/nodePool", "pool")]).await?;
        Ok((bed, node, fleet))
    }

    /// With a manager and an agent that is ready.
    async fn with_agent() -> Result<Self> {
        let (bed, node, fleet) = Self::start().await?;
        let agent = Served::agent("ns/hypermirror").await?;
        let manager = manager(&bed, &agent.reference("ns/hypermirror")).await?;
        fleet.condition(CLUSTER, "NodesUpToDate", "True", "AsExpected").await?;
        Ok(Self { _manager: manager, node, bed, _agent: agent })
    }
}

/// Starts a manager that pushes the agent from this image.
async fn manager(bed: &Testbed, image: &str) -> Result<Manager> {
    let launch = ManagerLaunch::new("manager", bed.management().directory()).agent(image)?.arg(INTERVAL);
    launch.start_ready(bed.management()).await
}

/// The servers as one scenario sees them: those that wait for their turn keep them alive, and the last one ends them.
pub struct Stage {
    pub servers: Arc<Servers>,
    /// The management cluster, as its administrator.
    pub fleet: Fleet,
    /// The guest, as its administrator.
    pub guest: Fleet,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    /// Waits for the turn of the scenario; nothing is declared then.
    pub async fn enter() -> Result<Self> {
        let servers = {
            let mut shared = SHARED.lock().await;
            if let Some(servers) = shared.upgrade() {
                servers
            } else {
                let servers = Arc::new(Servers::with_agent().await?);
                *shared = Arc::downgrade(&servers);
                servers
            }
        };
        let turn = TURN.lock().await;
        let fleet = Fleet { client: servers.bed.management().admin_client().await? };
        let guest = Fleet { client: servers.bed.guest(0).admin_client().await? };
        let stage = Self { servers, fleet, guest, _turn: turn };
        stage.declare(&[]).await?;
        Ok(stage)
    }

    pub fn node(&self) -> &RealNode {
        &self.servers.node
    }

    /// Of the management cluster's administrator.
    pub fn kubeconfig(&self) -> std::path::PathBuf {
        self.servers.bed.management().kubeconfig_path()
    }

    /// Changes `spec.imageContentSources` and waits for nothing.
    pub async fn edit(&self, sources: &[Entry<'_>]) -> Result<()> {
        self.fleet.apply(&objects::hosted_cluster(CLUSTER, sources)).await.map(|_| ())
    }

    /// [`Self::edit`], and waits until the report says that the node has confirmed it; says how long that took.
    pub async fn declare(&self, sources: &[Entry<'_>]) -> Result<Duration> {
        let start = Instant::now();
        self.edit(sources).await?;
        self.confirmed(sources.iter().map(|(source, mirrors, _)| (*source, *mirrors)).collect()).await?;
        Ok(start.elapsed())
    }

    async fn confirmed(&self, wanted: Vec<(&str, &[&str])>) -> Result<()> {
        let wanted: Vec<Value> =
            wanted.into_iter().map(|(source, mirrors)| json!({"source": source, "mirrors": mirrors})).collect();
        let generation = eventually(SOON, "the guest has the edit", async || {
            let set = self.guest.api_of(&set("cluster"))?.get("cluster").await?;
            let listed = set.data["spec"]["digestMirrors"].as_array().cloned().unwrap_or_default();
            let brief = |entry: &Value| json!({"source": entry["source"], "mirrors": entry["mirrors"]});
            ensure!(listed.iter().map(brief).eq(wanted.iter().cloned()), "{listed:?}");
            Ok(set.metadata.generation)
        })
        .await?;
        let reported = format!("cluster@{generation}");
        let of_it = |report: &Value| {
            report["guest"]["sets"].as_array().is_some_and(|sets| sets.contains(&json!(reported)))
                && report["nodes"]["summary"] == "1/1"
                && is_true(report, "NodesUpToDate")
                && is_true(report, "GuestSynced")
        };
        self.fleet.wait_for_report(CLUSTER, &reported, of_it).await.map(|_| ())
    }

    /// Puts a set of mirrors into the guest by hand, and waits until the node has it.
    pub async fn put(&self, name: &str, digest: &[Entry<'_>], tag: &[Entry<'_>]) -> Result<ByHand> {
        let list = |entries: &[Entry<'_>]| -> Vec<Value> {
            let entry = |(source, mirrors, policy): &Entry<'_>| {
                let mut entry = json!({"source": source, "mirrors": mirrors});
                if let Some(policy) = policy {
                    entry["mirrorSourcePolicy"] = json!(policy);
                }
                entry
            };
            entries.iter().map(entry).collect()
        };
        let mut wanted = set(name);
        wanted["spec"] = json!({"layer": "HostedCluster", "digestMirrors": list(digest), "tagMirrors": list(tag)});
        let live = self.guest.apply(&wanted).await?;
        let generation = live.metadata.generation.context("no generation")?;
        self.wait_for_node_report(&format!("{name} of generation {generation}"), |status| {
            let sets = status["observedSets"].as_array().into_iter().flatten();
            sets.filter(|set| set["name"] == name).any(|set| set["generation"] == generation)
        })
        .await?;
        Ok(ByHand(wanted))
    }

    /// Takes a set away again, and waits until the node has forgotten it.
    pub async fn remove(&self, set: ByHand) -> Result<()> {
        self.guest.delete(&set.0).await?;
        let name = set.0["metadata"]["name"].clone();
        self.wait_for_node_report("no such set any more", |status| {
            let mut sets = status["observedSets"].as_array().into_iter().flatten();
            sets.all(|set| set["name"] != name)
        })
        .await
    }

    /// Waits until the agent's report says so, and that CRI-O has read it.
    pub async fn wait_for_node_report(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<()> {
        let status = json!({"apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorStatus"});
        let mut status = status;
        status["metadata"]["name"] = json!(NODE);
        eventually(SOON, &format!("the agent says {what}"), async || {
            let found = self.guest.api_of(&status)?.get(NODE).await?;
            let status = &found.data["status"];
            let reported = wanted(status) && status["pendingReload"] != true && is_true(status, "Reloaded");
            ensure!(reported, "{status}");
            Ok(Some(()))
        })
        .await
    }

    /// The agent's pod.
    pub async fn agent(&self) -> Result<Pod> {
        agent_pod(&self.guest).await
    }

    /// Waits until the report says this of the nodes; answers the message.
    pub async fn nodes(&self, status: &str, reason: &str) -> Result<String> {
        self.fleet.condition(CLUSTER, "NodesUpToDate", status, reason).await
    }
}

/// A set that a person made.
pub struct ByHand(Value);

fn set(name: &str) -> Value {
    json!({"apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorSet", "metadata": {"name": name}})
}

fn is_true(status: &Value, kind: &str) -> bool {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// The one pod of the agent.
pub async fn agent_pod(guest: &Fleet) -> Result<Pod> {
    let pods: Api<Pod> = Api::namespaced(guest.client.clone(), AGENT);
    let of_agent = ListParams::default().labels("app.kubernetes.io/component=agent");
    let found = pods.list(&of_agent).await?.items;
    ensure!(found.len() == 1, "{} pods of the agent", found.len());
    found.into_iter().next().context("no pod of the agent")
}

/// A guest whose node cannot pull the agent from where its image is said to be.
pub struct Unreachable {
    _manager: Manager,
    pub node: RealNode,
    _bed: Testbed,
    pub fleet: Fleet,
    pub guest: Fleet,
    /// Where the image really is: a mirror.
    pub mirror: Served,
}

impl Unreachable {
    /// `source` has nothing; the hosted cluster says that it is mirrored at the registry that has the agent.
    pub async fn start(source: &str) -> Result<Self> {
        let (bed, node, fleet) = Servers::start().await?;
        let mirror = Served::agent("copy/hypermirror").await?;
        let copy = format!("{}/copy", mirror.registry.host());
        fleet.apply(&objects::hosted_cluster(CLUSTER, &[(source, &[&copy], None)])).await?;
        let manager = manager(&bed, &format!("{source}/hypermirror@{}", mirror.digest)).await?;
        let guest = Fleet { client: bed.guest(0).admin_client().await? };
        Ok(Self { _manager: manager, node, _bed: bed, fleet, guest, mirror })
    }
}
