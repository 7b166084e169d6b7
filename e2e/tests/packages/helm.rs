//! Helm, run as a person runs it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::binaries::{Servers, repository_root};
use hypermirror_e2e::fleet::SYSTEM;
use serde::Deserialize as _;
use serde_json::Value;
use tempfile::TempDir;

/// The usual name of the release.
const RELEASE: &str = "mirrors";

/// The chart of this repository.
pub fn chart() -> PathBuf {
    repository_root().join("manifests/chart")
}

/// A version of Helm, with a cluster and the name of a release.
pub struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
    release: &'static str,
    namespace: &'static str,
    // Nobody's settings and repositories.
    home: TempDir,
}

impl Helm {
    /// `helm3` or `helm4`, which `hack/tools/build` builds.
    pub fn new(program: &str, kubeconfig: &Path) -> Result<Self> {
        let found = Servers::from_env().find(program);
        let program = found.with_context(|| format!("{program} is built by hack/tools/build"))?;
        let (kubeconfig, home) = (kubeconfig.to_owned(), TempDir::new()?);
        Ok(Self { program, kubeconfig, release: RELEASE, namespace: SYSTEM, home })
    }

    /// For another release.
    pub fn release(self, release: &'static str, namespace: &'static str) -> Self {
        Self { release, namespace, ..self }
    }

    /// Installs or upgrades the release: `install`, `upgrade`.
    pub async fn apply(&self, command: &str, chart: &Path, arguments: &[&str]) -> Result<String> {
        let chart = chart.to_str().context("the path of the chart")?;
        let all: Vec<&str> = [command, self.release, chart].iter().chain(arguments).copied().collect();
        self.run(&all).await
    }

    /// Goes back to a revision of the release, which is 1 after the installation.
    pub async fn roll_back(&self, revision: u32) -> Result<()> {
        self.run(&["rollback", self.release, &revision.to_string(), "--no-hooks"]).await.map(|_| ())
    }

    /// Deletes the objects of the release. No kubelet runs its hooks.
    pub async fn uninstall(&self) -> Result<()> {
        self.run(&["uninstall", self.release, "--no-hooks"]).await.map(|_| ())
    }

    /// The objects that are hooks.
    pub async fn hooks(&self) -> Result<Vec<Value>> {
        let text = self.run(&["get", "hooks", self.release]).await?;
        let documents = serde_yaml::Deserializer::from_str(&text).map(Value::deserialize);
        let hooks: Vec<Value> = documents.collect::<Result<_, _>>().with_context(|| text.clone())?;
        Ok(hooks.into_iter().filter(|hook| !hook.is_null()).collect())
    }

    async fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(arguments).arg(format!("--namespace={}", self.namespace)).kill_on_drop(true);
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
