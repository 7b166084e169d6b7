//! A guest cluster with one node and without a manager.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hypermirror::guest::objects::{AgentPorts, AgentSpec, GuestInput, GuestKinds, GuestObjects};
use hypermirror::process::flags::{ReloadMethod, RuntimeChoice};
use hypermirror_e2e::{AgentNode, Crds, Fleet, Process, Testbed, binaries};
use serde_json::{Value, json};

/// Timeout of all waits. No step takes this long.
const LIMIT: Duration = Duration::from_mins(1);
/// Interval between two reads of the file: the resolution of the runtime's timer, which is much less than the measured times.
const LOOK: Duration = Duration::from_millis(1);
/// The namespace and the ServiceAccount of the agent.
const AGENT: (&str, &str) = ("hypermirror-system", "hypermirror-agent");

pub struct Stage {
    // Fields are dropped in this order: the agent before its server.
    pub agent: Process,
    node: AgentNode,
    guest: Fleet,
    _bed: Testbed,
}

impl Stage {
    pub async fn start() -> Result<Self> {
        let bed = Testbed::builder().start().await?;
        let guest = Fleet { client: bed.management().admin_client().await? };
        let crds = binaries::repository_root().join("manifests/crd/guest.yaml");
        Crds::read(&[crds])?.install(&guest.client).await?;
        let kinds = GuestKinds { admission_policies: true, ..GuestKinds::default() };
        let agent = AgentSpec {
            image: "none".to_owned(),
            reload: ReloadMethod::None,
            runtime: RuntimeChoice::Crio,
            ports: AgentPorts::default(),
            api: None,
        };
        let objects = GuestObjects::new(&GuestInput { entries: &[], pools: &[], agent: Some(&agent), kinds });
        for object in &objects.foundations {
            guest.apply(object).await?;
        }
        let node = AgentNode::create(bed.management(), "node-0", &json!({}), AGENT).await?;
        let agent = node.agent()?;
        Ok(Self { agent, node, guest, _bed: bed })
    }

    /// Changes the set. Returns the time from the server's response until the file is on disk.
    pub async fn edit(&self, sources: usize, edit: usize) -> Result<Duration> {
        self.guest.apply(&set(sources, edit)).await?;
        let answered = Instant::now();
        let (last, mark) = (format!("repository-{:04}\"", sources - 1), marker(sources, edit));
        loop {
            let said = self.node.ours().unwrap_or_default();
            if said.contains(&mark) && said.contains(&last) {
                return Ok(answered.elapsed());
            }
            ensure!(answered.elapsed() < LIMIT, "the file does not contain {mark}: {said}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn marker(sources: usize, edit: usize) -> String {
    format!("mirror.example:8443/edit-{sources}-{edit}/")
}

fn set(sources: usize, edit: usize) -> Value {
    let mirrors = (0..sources).map(|n| {
        let source = format!("registry.example/organisation/repository-{n:04}");
        let first = format!("{}repository-{n:04}", marker(sources, edit));
        json!({"source": source, "mirrors": [first, format!("fallback.example:8443/repository-{n:04}")]})
    });
    let mirrors: Vec<Value> = mirrors.collect();
    json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorSet", "metadata": {"name": "cluster"},
        "spec": {"layer": "HostedCluster", "digestMirrors": mirrors}
    })
}
