//! The rival: a simulation of stock HyperShift's two operators on a real API server, with their measured behaviour.
//!
//! The hypershift operator writes the Deployment control-plane-operator. The process of that Deployment writes its two
//! children, with the values that it was started with. Both use full updates: they immediately revert changed values, tolerate
//! appended ones, and drop these with their next own change. Neither watches mirrors.

pub mod administrator;
pub mod chance;
mod child;
pub mod desired;
pub mod judge;
mod parent;
pub mod pulse;
pub(crate) mod random;
pub mod stage;
pub mod timeline;
pub mod values;
pub mod writes;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::api::DynamicObject;
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use self::child::Child;
use self::desired::Hand;
use self::parent::Parent;
pub use self::random::Random;
use self::writes::{Ledger, Looked};
use crate::Cluster;
use crate::fleet::{NAMESPACE, TARGETS, deployments, objects};

/// The field managers of the two operators, as measured.
pub const MANAGERS: [&str; 2] = ["hypershift-operator-manager", "hypershift-controlplane-manager"];

/// The behaviour of the operators of one hosted cluster.
#[derive(Clone, Debug)]
pub struct Manners {
    /// The static `--registry-overrides` of the hypershift operator.
    pub flag: String,
    /// Time from an event to the write.
    pub reaction: RangeInclusive<Duration>,
    /// Time from a new pod template of control-plane-operator until its process runs.
    pub restart: RangeInclusive<Duration>,
    /// Targets in which appended values are also reverted, which no stock operator does.
    pub greedy: Vec<&'static str>,
}

impl Default for Manners {
    /// As measured: 20-200 ms, and about a second for a pod.
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self {
            flag: values::EMPTY.to_owned(),
            reaction: millis(20)..=millis(200),
            restart: millis(300)..=millis(1000),
            greedy: Vec::new(),
        }
    }
}

/// One of the two operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The hypershift operator.
    Parent,
    /// The control-plane-operator.
    Child,
}

struct Hosted {
    manners: Manners,
    ledger: Arc<Ledger>,
    changed: [Arc<Notify>; 2],
    tasks: [Option<JoinHandle<()>>; 2],
}

/// The stock operators of some hosted clusters. Dropping it stops them.
pub struct Rival {
    hands: [Hand; 2],
    admin: Client,
    random: Random,
    hosted: BTreeMap<String, Hosted>,
}

impl Rival {
    /// Creates a rival without hosted clusters.
    ///
    /// # Errors
    ///
    /// If its clients cannot be made.
    pub async fn new(cluster: &Cluster, random: Random) -> Result<Self> {
        let users =
            ["system:serviceaccount:hypershift:operator", "system:serviceaccount:clusters:control-plane-operator"];
        let client = |user| cluster.client_for_user(user, Some("system:masters"));
        let [parent, child] = users.map(client);
        Ok(Self {
            hands: [
                Hand { client: parent.await?, manager: MANAGERS[0] },
                Hand { client: child.await?, manager: MANAGERS[1] },
            ],
            admin: cluster.admin_client().await?,
            random,
            hosted: BTreeMap::new(),
        })
    }

    /// Starts to reconcile a hosted cluster, which creates its Deployments. Its namespace must exist.
    pub fn adopt(&mut self, cluster: &str, manners: Manners) {
        let hosted = Hosted { manners, ledger: Arc::default(), changed: <[_; 2]>::default(), tasks: [None, None] };
        self.hosted.insert(cluster.to_owned(), hosted);
        self.start(cluster, Operator::Parent);
        self.start(cluster, Operator::Child);
    }

    /// Starts one of the operators of a hosted cluster, without any state of an earlier one.
    pub fn start(&mut self, cluster: &str, operator: Operator) {
        let Some(hosted) = self.hosted.get_mut(cluster) else { return };
        let (cluster, manners) = (cluster.to_owned(), hosted.manners.clone());
        let (ledger, random) = (Arc::clone(&hosted.ledger), Random::new(self.random.next()));
        let [parent, child] = self.hands.clone();
        hosted.tasks[operator as usize] = Some(match operator {
            Operator::Parent => {
                let changed = Arc::clone(&hosted.changed[0]);
                tokio::spawn(Parent { cluster, hand: parent, manners, ledger, changed, random }.run())
            }
            Operator::Child => {
                ledger.open().running.clear();
                let changed = Arc::clone(&hosted.changed[1]);
                tokio::spawn(Child { cluster, hand: child, manners, ledger, changed, random }.run())
            }
        });
    }

    /// Stops one of the operators of a hosted cluster immediately.
    pub fn stop(&mut self, cluster: &str, operator: Operator) {
        if let Some(task) = self.hosted.get_mut(cluster).and_then(|hosted| hosted.tasks[operator as usize].take()) {
            task.abort();
        }
    }

    /// Changes the behaviour of the operators of a hosted cluster, but not their desired state.
    pub fn reform(&mut self, cluster: &str, manners: Manners) {
        for operator in [Operator::Parent, Operator::Child] {
            self.stop(cluster, operator);
        }
        if let Some(hosted) = self.hosted.get_mut(cluster) {
            hosted.manners = manners;
        }
        for operator in [Operator::Parent, Operator::Child] {
            self.start(cluster, operator);
        }
    }

    /// Changes the desired state of one target, but not its mirrors.
    pub fn change(&self, cluster: &str, target: &'static str) {
        let Some(hosted) = self.hosted.get(cluster) else { return };
        *hosted.ledger.open().changes.entry(target).or_default() += 1;
        hosted.changed[usize::from(target != TARGETS[0])].notify_one();
    }

    /// The record of the operators' actions for a hosted cluster.
    ///
    /// # Errors
    ///
    /// If it was never adopted.
    pub fn ledger(&self, cluster: &str) -> Result<&Ledger> {
        Ok(&self.hosted.get(cluster).with_context(|| format!("no hosted cluster {cluster}"))?.ledger)
    }

    /// Whether both operators have processed the current state and are idle. Returns the three Deployments.
    ///
    /// # Errors
    ///
    /// If they are not idle. The error describes what is pending.
    pub async fn idle_targets(&self, cluster: &str) -> Result<Vec<Value>> {
        let hosted = objects::hosted_cluster(cluster, &[]);
        let hosted = self.api(&hosted)?.get(cluster).await?.resource_version().unwrap_or_default();
        let mut targets = Vec::new();
        for target in TARGETS {
            let object = deployments::target(cluster, target, None, "=");
            targets.push(serde_json::to_value(self.api(&object)?.get(target).await?)?);
        }
        let pages = self.ledger(cluster)?.open();
        ensure!(
            pages.looked.get("").is_some_and(|looked| looked.version == hosted),
            "the HostedCluster is not processed yet"
        );
        for (name, target) in TARGETS.iter().zip(&targets) {
            let version = target["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
            let now = Looked { version, changes: pages.changes_of(name) };
            ensure!(pages.looked.get(name) == Some(&now), "the current version of {name} is not processed yet");
        }
        let template = targets.first().map(|parent| desired::digest(&parent["spec"]["template"]));
        ensure!(template.as_ref() == Some(&pages.running), "control-plane-operator is restarting");
        drop(pages);
        Ok(targets)
    }

    /// Creates the namespaces and the HostedCluster, with these annotations.
    ///
    /// # Errors
    ///
    /// If the API server rejects a request.
    pub async fn host(
        &mut self,
        fleet: &crate::Fleet,
        cluster: &str,
        sources: &[objects::Entry<'_>],
        annotations: &Value,
        manners: Manners,
    ) -> Result<()> {
        fleet.apply(&deployments::namespace_of(cluster)).await?;
        let mut hosted = objects::hosted_cluster(cluster, sources);
        hosted["metadata"]["annotations"] = annotations.clone();
        fleet.apply(&hosted).await?;
        self.adopt(cluster, manners);
        Ok(())
    }

    fn api(&self, object: &Value) -> Result<Api<DynamicObject>> {
        watch_of(&self.admin, object)
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        for task in self.hosted.values().flat_map(|hosted| &hosted.tasks).flatten() {
            task.abort();
        }
    }
}

/// The API of an object's kind in its namespace.
fn watch_of(client: &Client, object: &Value) -> Result<Api<DynamicObject>> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(NAMESPACE);
    Ok(Api::namespaced_with(client.clone(), namespace, &objects::resource_of(object)?))
}
