//! A management cluster with hosted clusters for all guest clusters.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use hypermirror_bench::manager::{LIMIT, Manager};
use hypermirror_e2e::fleet::guests::HCCO;
use hypermirror_e2e::fleet::objects::{hosted_cluster, report, resource_of};
use hypermirror_e2e::fleet::{NAMESPACE, deployments};
use hypermirror_e2e::pki::Validity;
use hypermirror_e2e::{Cluster, Fleet, Scene, eventually};
use serde_json::{Value, json};

use crate::Arguments;
use crate::stubs::Stubs;

/// An image by digest, which is never pulled.
const IMAGE: &str = "quay.example/hypermirror@sha256:0000000000000000000000000000000000000000000000000000000000000001";
/// The annotation with the name of the ConfigMap of all hosted clusters.
const REFERENCE: &str = "hypermirror.dev/image-mirror-config-ref";
const SHARED: &str = "shared";
const SOURCE: &str = "registry.example/own";
const SHARED_SOURCE: &str = "registry.example/shared";
const AT_ONCE: usize = 32;

/// All clusters, without a manager.
pub struct Stage {
    pub scene: Scene,
    pub guests: Vec<Fleet>,
    pub stubs: Stubs,
    pub arguments: Arguments,
}

impl Stage {
    pub async fn start(arguments: Arguments) -> Result<Self> {
        let (scene, guests) = Scene::with_guests(arguments.real).await?;
        let number = arguments.guests - arguments.real;
        let stubs = Stubs::start(number, arguments.nodes, scene.bed.directory()).await?;
        let mut kubeconfigs = scene.bed.guests().iter().map(kubeconfig).collect::<Result<Vec<_>>>()?;
        kubeconfigs.extend(stubs.kubeconfigs().await?);
        ensure!(kubeconfigs.len() == arguments.guests, "{} kubeconfigs", kubeconfigs.len());
        let stage = Self { scene, guests, stubs, arguments };
        stage.edit_all("mirror.example/first").await?;
        let create = kubeconfigs.iter().enumerate().map(|(index, kubeconfig)| stage.create(index, kubeconfig));
        stream::iter(create).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        Ok(stage)
    }

    async fn create(&self, index: usize, kubeconfig: &str) -> Result<()> {
        let (fleet, cluster) = (&self.scene.fleet, name(index));
        let namespace = deployments::namespace(&cluster);
        if self.arguments.deployments {
            fleet.hosted_cluster(&cluster, &[], "=").await?;
        } else {
            fleet.apply(&deployments::namespace_of(&cluster)).await?;
        }
        fleet
            .apply(&json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hcco-kubeconfig", "namespace": namespace},
                "stringData": {"kubeconfig": kubeconfig}
            }))
            .await?;
        self.edit(index, "mirror.example/first").await
    }

    /// Changes the mirror of one hosted cluster.
    pub async fn edit(&self, index: usize, mirror: &str) -> Result<()> {
        let mut object = hosted_cluster(&name(index), &[(SOURCE, &[mirror], None)]);
        object["metadata"]["annotations"] = json!({REFERENCE: SHARED});
        self.scene.fleet.apply(&object).await.map(|_| ())
    }

    /// Changes the mirror in the ConfigMap that all hosted clusters reference.
    pub async fn edit_all(&self, mirror: &str) -> Result<()> {
        let set = json!({
            "apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSet", "metadata": {"name": "shared"},
            "spec": {"imageDigestMirrors": [{"source": SHARED_SOURCE, "mirrors": [mirror]}]}
        });
        let metadata = json!({"name": SHARED, "namespace": NAMESPACE});
        let data = json!({"idms.yaml": set.to_string()});
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
        self.scene.fleet.apply(&object).await.map(|_| ())
    }

    pub fn flags() -> Vec<String> {
        vec![format!("--agent-image={IMAGE}"), "--agent-reload=none".to_owned()]
    }

    pub async fn manager(&self, number: usize) -> Result<Manager> {
        Manager::start_with(self.scene.management(), number, &Self::flags()).await
    }

    /// The reason of `GuestSynced` of each hosted cluster, by name.
    pub async fn reasons(&self) -> Result<BTreeMap<String, String>> {
        let reports = self.scene.fleet.list(&resource_of(&report(""))?).await?;
        let reason = |status: &Value| {
            let mut conditions = status["conditions"].as_array().into_iter().flatten();
            let found = conditions.find(|condition| condition["type"] == "GuestSynced");
            found.and_then(|found| found["reason"].as_str()).unwrap_or_default().to_owned()
        };
        let of = |report: kube::api::DynamicObject| Some((report.metadata.name?, reason(report.data.get("status")?)));
        Ok(reports.into_iter().filter_map(of).collect())
    }

    /// Waits until `GuestSynced` of these hosted clusters has this reason.
    pub async fn synced(&self, guests: &[usize], reason: &str) -> Result<()> {
        eventually(LIMIT, &format!("all guest clusters are {reason}"), async || {
            let reasons = self.reasons().await?;
            let others =
                guests.iter().filter(|guest| reasons.get(&name(**guest)).is_none_or(|found| found != reason)).count();
            ensure!(others == 0, "{others} are not");
            Ok(Some(()))
        })
        .await
    }
}

/// The hosted cluster of a guest cluster.
pub fn name(index: usize) -> String {
    format!("west-{index:04}")
}

/// The kubeconfig of HyperShift's own components.
fn kubeconfig(guest: &Cluster) -> Result<String> {
    let certificate = guest.certificate(HCCO, Some("system:masters"), Validity::Current)?;
    guest.kubeconfig(&certificate).context("failed to write a kubeconfig")
}
