//! The last part of the demo: a real node in the guest cluster of a hosted cluster, and a pod that waits for a mirror.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::Fleet;
use hypermirror_e2e::{Cluster, RealNode, Served, eventually, port};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::cli::Cli;
use crate::show::Show;
use crate::{LIMIT, mirrored};

const NODE: &str = "worker-0";
const BACK_OFF: &str = "ImagePullBackOff";
/// The hosted cluster whose guest cluster has the node.
const CLUSTER: &str = "east";

/// The clusters and tools of the last part.
pub struct End<'a> {
    pub show: &'a Show,
    pub cli: &'a Cli,
    /// The management cluster.
    pub fleet: &'a Fleet,
    /// The guest cluster of `east`.
    pub guest: &'a Cluster,
}

impl End<'_> {
    /// On a real node.
    pub async fn on_a_node(&self) -> Result<()> {
        let Self { show, fleet, guest, .. } = self;
        show.title("Node: starting a real node, with kubelet and CRI-O, in the guest cluster of east");
        let start = Instant::now();
        let node = RealNode::start(guest, NODE).await?;
        show.note(&format!(
            "{NODE} is Ready after {:.1} s. Creating the Secret with the kubeconfig of the guest cluster, as HyperShift does.",
            start.elapsed().as_secs_f32()
        ));
        let start = Instant::now();
        fleet.guest_of(CLUSTER, guest).await?;
        fleet.condition(CLUSTER, "NodesUpToDate", "True", "AsExpected").await?;
        let of_guest = Fleet { client: guest.admin_client().await? };
        agent_is_ready(&of_guest).await?;
        show.note(&format!(
            "The manager has deployed the agent to the guest cluster. It runs and has reported its status after {:.1} s:",
            start.elapsed().as_secs_f32()
        ));
        show.pods(&of_guest).await?;
        let waits = Waits::create(self, &of_guest).await?;
        waits.edit(self, &of_guest).await?;
        let args = ["explain", &waits.image, "--hosted-cluster=clusters/east", "--node=worker-0"];
        self.cli.run(show, &args)?;
        self.cli.run(show, &["status"])?;
        drop(node);
        Ok(())
    }
}

/// A pod whose image is available only from a mirror.
struct Waits {
    source: String,
    image: String,
    mirror: Served,
}

impl Waits {
    async fn create(end: &End<'_>, guest: &Fleet) -> Result<Self> {
        let show = end.show;
        show.title("Pod: its image is available only from a mirror that is not declared yet");
        let mirror = Served::start("team/app").await?;
        // Nothing listens on this port: an unreachable registry.
        let source = format!("127.0.0.1:{}/team", port::free()?);
        let image = format!("{source}/app@{}", mirror.digest);
        show.note(&format!(
            "In this demo, {source} is an unreachable registry and {} is the mirror.",
            mirror.registry.host()
        ));
        let pod = serde_json::from_value(json!({
            "metadata": {"name": "app"},
            "spec": {
                "hostNetwork": true, "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "app", "image": image}]
            }
        }))?;
        let pods: Api<Pod> = Api::default_namespaced(guest.client.clone());
        eventually(LIMIT, "the namespace has its ServiceAccount", async || {
            Ok(Some(pods.create(&PostParams::default(), &pod).await?))
        })
        .await?;
        let waits = async |reasons: &[&str]| {
            eventually(LIMIT, &format!("the pod waits: {reasons:?}"), async || {
                let pod = pods.get("app").await?;
                let waiting = container(&pod).and_then(|status| status.state?.waiting).context("it does not wait")?;
                ensure!(waiting.reason.as_deref().is_some_and(|reason| reasons.contains(&reason)), "{waiting:?}");
                Ok(waiting.message)
            })
            .await
        };
        waits(&["ErrImagePull", "RegistryUnavailable", BACK_OFF]).await?;
        // A change of the pod makes the kubelet report the back-off at once and not ten seconds later.
        let touch = json!({"metadata": {"annotations": {"demo": "look again"}}});
        pods.patch("app", &PatchParams::default(), &Patch::Merge(&touch)).await?;
        let words = waits(&[BACK_OFF]).await?;
        show.pods(guest).await?;
        show.note(&format!("\nMessage of the kubelet: {}", words.replace(&image, "(image)")));
        Ok(Self { source, image, mirror })
    }

    async fn edit(&self, end: &End<'_>, guest: &Fleet) -> Result<()> {
        let show = end.show;
        show.title("Edit: declare the mirror in HostedCluster/east");
        let mirror = format!("{}/team", self.mirror.registry.host());
        let start = Instant::now();
        mirrored(show, end.fleet, CLUSTER, &self.source, &mirror).await?;
        show.note(&format!(
            "CRI-O on {NODE} has loaded the mirror and the report confirms it {} ms after the edit. Nothing was restarted.",
            start.elapsed().as_millis()
        ));
        let pods: Api<Pod> = Api::default_namespaced(guest.client.clone());
        eventually(LIMIT, "the pod runs", async || {
            let pod = pods.get("app").await?;
            ensure!(container(&pod).is_some_and(|status| status.ready), "not yet");
            Ok(Some(()))
        })
        .await?;
        show.note(&format!(
            "The pod runs {:.1} s after the edit. The kubelet retries the pull by itself, the first time after 10 s.",
            start.elapsed().as_secs_f32()
        ));
        show.pods(guest).await
    }
}

/// Waits for the readiness of the agent's pod, which the kubelet probes only every few seconds.
async fn agent_is_ready(guest: &Fleet) -> Result<()> {
    let pods: Api<Pod> = Api::all(guest.client.clone());
    let of_agent = ListParams::default().labels("app.kubernetes.io/component=agent");
    eventually(LIMIT, "the agent's pod is ready", async || {
        let pods = pods.list(&of_agent).await?.items;
        ensure!(pods.iter().filter_map(container).any(|status| status.ready), "not yet");
        Ok(Some(()))
    })
    .await
}

fn container(pod: &Pod) -> Option<k8s_openapi::api::core::v1::ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first().cloned()
}
