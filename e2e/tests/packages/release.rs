//! A release: its manifests and its programs, this one's and the one's before.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use hypermirror_e2e::binaries::{self, repository_root};
use hypermirror_e2e::fleet::SYSTEM;
use hypermirror_e2e::fleet::manager::ManagerLaunch;
use hypermirror_e2e::{Cluster, Crds, Fleet};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The chart that `hack/release/keep` keeps of the last release. It has all its manifests.
const CHART: &str = "hack/release/previous/hypermirror.tgz";

/// The `hypermirror` of the last release, with its `hypermirror-agent` beside it. Without it, the programs of this one play its part:
/// then manifests, CRDs, permissions and flags are those of before, and what programs remember and write is not.
const PROGRAM: &str = "HYPERMIRROR_PREVIOUS_BIN";

/// A directory such as `manifests`, in place of what the kept chart has.
const MANIFESTS: &str = "HYPERMIRROR_PREVIOUS_MANIFESTS";

/// What a base installs, beside its CRDs and its namespace.
const FILES: [&str; 6] =
    ["rbac.yaml", "policies.yaml", "networkpolicy.yaml", "deployment.yaml", "service.yaml", "poddisruptionbudget.yaml"];

/// The path of the last release's chart.
pub fn previous_chart() -> PathBuf {
    repository_root().join(CHART)
}

/// Manifests and programs of one version.
pub struct Release {
    name: &'static str,
    manifests: PathBuf,
    operator: PathBuf,
    /// The program of nodes.
    pub agent: PathBuf,
    // The manifests are in it.
    _unpacked: Option<TempDir>,
}

impl Release {
    /// What is in this repository.
    pub fn current() -> Result<Self> {
        let (operator, agent) = (binaries::operator()?, binaries::agent()?);
        Ok(Self { name: "now", manifests: repository_root().join("manifests"), operator, agent, _unpacked: None })
    }

    /// The last release.
    pub fn previous() -> Result<Self> {
        let operator = std::env::var_os(PROGRAM).map_or_else(binaries::operator, |path| Ok(path.into()))?;
        let agent = operator.with_file_name("hypermirror-agent");
        if let Some(manifests) = std::env::var_os(MANIFESTS) {
            return Ok(Self { name: "before", manifests: manifests.into(), operator, agent, _unpacked: None });
        }
        let unpacked = TempDir::new()?;
        let package = std::fs::File::open(previous_chart()).with_context(|| CHART.to_owned())?;
        tar::Archive::new(flate2::read::GzDecoder::new(package)).unpack(unpacked.path())?;
        let manifests = unpacked.path().join("hypermirror/files");
        Ok(Self { name: "before", manifests, operator, agent, _unpacked: Some(unpacked) })
    }

    /// Applies the CRDs.
    pub async fn apply_crds(&self, fleet: &Fleet) -> Result<()> {
        Crds::read(&[self.manifests.join("crd/management.yaml")])?.install(&fleet.client).await
    }

    /// Applies the other objects.
    pub async fn apply_base(&self, fleet: &Fleet) -> Result<()> {
        for file in FILES {
            fleet.apply_file(&self.manifests.join("base").join(file)).await?;
        }
        Ok(())
    }

    /// The manager that runs as its Deployment says.
    pub async fn manager(&self, fleet: &Fleet, cluster: &Cluster) -> Result<ManagerLaunch> {
        let launch = launch(fleet, self.name, cluster).await?;
        Ok(launch.program(&self.operator))
    }
}

/// A manager with the flags of the Deployment that is installed, with an identity of this name.
pub async fn launch(fleet: &Fleet, name: &str, cluster: &Cluster) -> Result<ManagerLaunch> {
    let arguments = arguments(fleet, SYSTEM, "hypermirror-manager", "manager").await?;
    let launch = arguments.into_iter().fold(ManagerLaunch::new(name, cluster.directory()), ManagerLaunch::arg);
    // No controller manager reports that a rollout is complete, so that a budget would never be free again. And no node pulls the agent.
    Ok(launch.arg("--max-concurrent-rollouts=0").arg("--agent-reload=none").arg(format!("--agent-image={AGENT_IMAGE}")))
}

/// An image by digest that nobody pulls here.
const AGENT_IMAGE: &str =
    "quay.example/hypermirror@sha256:0000000000000000000000000000000000000000000000000000000000000001";

/// The flags of an installed Deployment's container, which runs the command of this name.
pub async fn arguments(fleet: &Fleet, namespace: &str, deployment: &str, command: &str) -> Result<Vec<String>> {
    let wanted = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": deployment, "namespace": namespace}
    });
    let found = serde_json::to_value(fleet.api_of(&wanted)?.get(deployment).await?)?;
    let args: Value = found["spec"]["template"]["spec"]["containers"][0]["args"].clone();
    let mut args: Vec<String> = serde_json::from_value(args)?;
    anyhow::ensure!(args.first().is_some_and(|first| first == command), "{args:?}");
    args.remove(0);
    Ok(args)
}
