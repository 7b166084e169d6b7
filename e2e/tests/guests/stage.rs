//! A management cluster with hosted clusters whose guests are real.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::manager::{Manager, ManagerLaunch};
use hypermirror_e2e::fleet::objects::Entry;
use hypermirror_e2e::fleet::{Fleet, NAMESPACE, SOON, deployments};
use hypermirror_e2e::pki::Validity;
use hypermirror_e2e::{AgentNode, Cluster, Credentials, Scene, consistently, eventually};
use serde_json::{Value, json};

pub use hypermirror_e2e::fleet::guests::HCCO;

/// Where the manager puts the agent, and its ServiceAccount.
pub const AGENT: (&str, &str) = ("hypermirror-system", "hypermirror-agent");
/// An image by digest that nobody pulls here.
pub const IMAGE: &str =
    "quay.example/hypermirror@sha256:0000000000000000000000000000000000000000000000000000000000000001";

pub struct Stage {
    pub scene: Scene,
    /// Each guest as its administrator.
    pub guests: Vec<Fleet>,
}

impl Stage {
    /// One management cluster and so many guests, which have OpenShift's kinds; nothing else yet.
    pub async fn start(guests: usize) -> Result<Self> {
        let (scene, fleets) = Scene::with_guests(guests).await?;
        Ok(Self { scene, guests: fleets })
    }

    /// [`Self::start`], with the hosted clusters `west-0`, `west-1` and so on for the guests, each with the usual kubeconfig.
    pub async fn populated(guests: usize, sources: &[Entry<'_>]) -> Result<Self> {
        let stage = Self::start(guests).await?;
        for index in 0..guests {
            stage.hosted_cluster(index, sources).await?;
            stage.kubeconfig(index, &stage.usual_kubeconfig(index)?).await?;
        }
        Ok(stage)
    }

    pub fn fleet(&self) -> &Fleet {
        &self.scene.fleet
    }

    pub fn cluster(&self, index: usize) -> &Cluster {
        self.scene.bed.guest(index)
    }

    /// The hosted cluster of a guest, with its Deployments.
    pub async fn hosted_cluster(&self, index: usize, sources: &[Entry<'_>]) -> Result<()> {
        self.fleet().hosted_cluster(&name(index), sources, "=").await
    }

    /// What HyperShift writes for its own components.
    pub fn usual_kubeconfig(&self, index: usize) -> Result<String> {
        self.kubeconfig_of(index, HCCO, Validity::Current)
    }

    /// A kubeconfig for another user, all of them administrators.
    pub fn kubeconfig_of(&self, index: usize, user: &str, validity: Validity) -> Result<String> {
        let cluster = self.cluster(index);
        cluster.kubeconfig(&cluster.certificate(user, Some("system:masters"), validity)?)
    }

    /// Puts a kubeconfig into the Secret that is asked first.
    pub async fn kubeconfig(&self, index: usize, kubeconfig: &str) -> Result<()> {
        self.secret(index, "hcco-kubeconfig", kubeconfig).await
    }

    pub async fn secret(&self, index: usize, secret: &str, kubeconfig: &str) -> Result<()> {
        let object = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": secret, "namespace": deployments::namespace(&name(index))},
            "stringData": {"kubeconfig": kubeconfig}
        });
        self.fleet().apply(&object).await.map(|_| ())
    }

    /// A manager that looks at guests every few seconds, to be started.
    pub fn launch(&self, name: &str) -> ManagerLaunch {
        self.scene.launch(name).arg(format!("--agent-image={IMAGE}")).arg("--agent-reload=none")
    }

    pub async fn manager(&self) -> Result<Manager> {
        self.launch("manager").start_ready(self.scene.management()).await
    }

    /// A node of a guest with a running agent; the manager must have been there.
    pub async fn node(&self, index: usize, name: &str, pool: &str) -> Result<(AgentNode, hypermirror_e2e::Process)> {
        let labels = json!({"hypershift.openshift.io/nodePool": pool, "kubernetes.io/os": "linux"});
        let node = eventually(SOON, "the agent's ServiceAccount is there", async || {
            AgentNode::create(self.cluster(index), name, &labels, AGENT).await.map(Some)
        })
        .await?;
        let agent = node.agent()?;
        Ok((node, agent))
    }

    /// For a while the first control plane carries this value, and the node's file does not change.
    pub async fn wait_for_value_everywhere(&self, node: &AgentNode, value: &str) -> Result<()> {
        let file = node.ours();
        consistently(Duration::from_secs(1), "what is in force stays", async || {
            let values = self.fleet().effective_values(&name(0)).await?;
            ensure!(values.values().all(|found| found.as_deref() == Some(value)), "{values:?}");
            ensure!(node.ours() == file && file.is_some(), "{:?}", node.ours());
            Ok(())
        })
        .await
    }

    /// Waits until a condition of a guest's hosted cluster has this status and reason; answers its message.
    pub async fn condition(&self, index: usize, kind: &str, status: &str, reason: &str) -> Result<String> {
        self.fleet().condition(&name(index), kind, status, reason).await
    }

    /// Changes the mirrors of a hosted cluster.
    pub async fn edit(&self, index: usize, sources: &[Entry<'_>]) -> Result<()> {
        let object = hypermirror_e2e::fleet::objects::hosted_cluster(&name(index), sources);
        self.fleet().apply(&object).await.map(|_| ())
    }

    /// A NodePool of a hosted cluster, as the stock CRD accepts it.
    pub async fn node_pool(&self, index: usize, pool: &str, annotations: &Value) -> Result<()> {
        let object = json!({
            "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "NodePool",
            "metadata": {"name": pool, "namespace": NAMESPACE, "annotations": annotations},
            "spec": {
                "clusterName": name(index), "replicas": 1, "release": {"image": "quay.example/ocp/release:4.20.1"},
                "management": {"upgradeType": "Replace"}, "platform": {"type": "None"}
            }
        });
        self.fleet().apply(&object).await.map(|_| ())
    }
}

/// The hosted cluster of a guest.
pub fn name(index: usize) -> String {
    format!("west-{index}")
}

/// An object of a guest, by kind and name, to look for.
pub fn object(version: &str, kind: &str, name: &str) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}})
}

/// An object of a guest; none if it is not there.
pub async fn found(guest: &Fleet, wanted: &Value) -> Result<Option<Value>> {
    let name = wanted["metadata"]["name"].as_str().context("no name")?;
    match guest.api_of(wanted)?.get_opt(name).await {
        Ok(object) => Ok(object.map(serde_json::to_value).transpose()?),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Waits until an object of a guest is, or is not, there.
pub async fn awaits(guest: &Fleet, wanted: &Value, there: bool) -> Result<()> {
    eventually(SOON, &format!("{wanted} is there: {there}"), async || {
        ensure!(found(guest, wanted).await?.is_some() == there, "it is not so");
        Ok(Some(()))
    })
    .await
}

/// A credential of another cluster's authority: nobody here signed it.
pub fn foreign_credentials(other: &Cluster) -> Result<Credentials> {
    other.certificate(HCCO, Some("system:masters"), Validity::Current)
}
