//! Helm, run as a person runs it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::binaries::{Servers, repository_root};
use hypermirror_e2e::fleet::SYSTEM;
use serde::Deserialize as _;
use serde_json::Value;
use tempfile::TempDir;

/// The name of the release.
const RELEASE: &str = "mirrors";

/// A version of Helm, with the chart and a cluster.
pub struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
    // Nobody's settings and repositories.
    home: TempDir,
}

impl Helm {
    /// `helm3` or `helm4`, which `hack/tools/build` builds.
    pub fn new(program: &str, kubeconfig: &Path) -> Result<Self> {
        let found = Servers::from_env().find(program);
        let program = found.with_context(|| format!("{program} is built by hack/tools/build"))?;
        Ok(Self { program, kubeconfig: kubeconfig.to_owned(), home: TempDir::new()? })
    }

    /// Installs or upgrades the release: `install`, `upgrade`.
    pub async fn apply(&self, command: &str, arguments: &[&str]) -> Result<String> {
        let chart = repository_root().join("manifests/chart");
        let chart = chart.to_str().context("the path of the chart")?;
        let all: Vec<&str> = [command, RELEASE, chart].iter().chain(arguments).copied().collect();
        self.run(&all).await
    }

    /// Deletes the objects of the release. No kubelet runs its hooks.
    pub async fn uninstall(&self) -> Result<()> {
        self.run(&["uninstall", RELEASE, "--no-hooks"]).await.map(|_| ())
    }

    /// The objects that are hooks.
    pub async fn hooks(&self) -> Result<Vec<Value>> {
        let text = self.run(&["get", "hooks", RELEASE]).await?;
        let documents = serde_yaml::Deserializer::from_str(&text).map(Value::deserialize);
        let hooks: Vec<Value> = documents.collect::<Result<_, _>>().with_context(|| text.clone())?;
        Ok(hooks.into_iter().filter(|hook| !hook.is_null()).collect())
    }

    async fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(arguments).arg(format!("--namespace={SYSTEM}")).kill_on_drop(true);
        command.env("KUBECONFIG", &self.kubeconfig);
        for variable in ["HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"] {
            command.env(variable, self.home.path());
        }
        let output = command.output().await?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "helm {arguments:?}: {stderr}");
        Ok(String::from_utf8(output.stdout)?)
    }
}
