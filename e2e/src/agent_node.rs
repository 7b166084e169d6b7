//! A simulated node: a Node object, and a directory in which a real agent process writes. For guest clusters with many nodes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fleet::{Fleet, SOON};
use crate::{Cluster, Credentials, Launch, Process, binaries, eventually};

/// The agent's file, relative to the node's root.
pub const OURS: &str = "etc/containers/registries.conf.d/50-hypermirror.conf";

/// The directory of the agent's file.
pub const DROP_INS: &str = "etc/containers/registries.conf.d";

static STARTS: AtomicUsize = AtomicUsize::new(0);

/// A node: a Node object, and a directory that serves as its file system.
pub struct AgentNode {
    /// Its name.
    pub name: String,
    /// Its file system.
    pub root: TempDir,
    /// The kubeconfig of its agent.
    pub kubeconfig: PathBuf,
}

impl AgentNode {
    /// Creates a node with these labels, and a token for the agent that is bound to the node. The agent's namespace and
    /// ServiceAccount must exist.
    ///
    /// # Errors
    ///
    /// If the API server rejects a request.
    pub async fn create(cluster: &Cluster, name: &str, labels: &Value, agent: (&str, &str)) -> Result<Self> {
        let fleet = Fleet { client: cluster.admin_client().await? };
        fleet.apply(&node(name, labels)).await?;
        let (namespace, account) = agent;
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("of-{name}"), "namespace": namespace},
            "spec": {"nodeName": name, "serviceAccountName": account, "containers": [{"name": "agent", "image": "none"}]}
        });
        let pod = fleet.apply(&pod).await?;
        let bound = BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: pod.metadata.name,
            uid: pod.metadata.uid,
        };
        let spec = TokenRequestSpec { bound_object_ref: Some(bound), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let api: Api<ServiceAccount> = Api::namespaced(fleet.client.clone(), namespace);
        let answer = api.create_token_request(account, &PostParams::default(), &request).await?;
        let token = Credentials::Token(answer.status.context("no token")?.token);
        let root = TempDir::new()?;
        fs::create_dir_all(root.path().join(DROP_INS))?;
        let kubeconfig = root.path().join("kubeconfig");
        fs::write(&kubeconfig, cluster.kubeconfig(&token)?)?;
        Ok(Self { name: name.to_owned(), root, kubeconfig })
    }

    /// A path below its root.
    pub fn path(&self, file: &str) -> PathBuf {
        self.root.path().join(file)
    }

    /// The agent's file, if it exists.
    pub fn ours(&self) -> Option<String> {
        fs::read_to_string(self.path(OURS)).ok()
    }

    /// The command of its agent, with additional flags, which override the usual ones.
    ///
    /// # Errors
    ///
    /// If there is no program.
    pub fn launch(&self, args: &[&str]) -> Result<Launch> {
        Ok(self.launch_program(&binaries::agent()?, args))
    }

    /// Like [`Self::launch`], of another version's program.
    pub fn launch_program(&self, program: &Path, args: &[&str]) -> Launch {
        let start = STARTS.fetch_add(1, Ordering::Relaxed);
        let reload = ["--reload=none"].iter().filter(|_| !args.iter().any(|arg| arg.starts_with("--reload")));
        let root = format!("--root={}", self.root.path().display());
        let root = [root].into_iter().filter(|_| !args.iter().any(|arg| arg.starts_with("--root")));
        let launch = Launch::new(&format!("agent-{start}"), program, self.root.path())
            .args(["--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0"])
            .args(root)
            .arg(format!("--node-name={}", self.name))
            .env("KUBECONFIG", &self.kubeconfig);
        launch.args(reload).args(args)
    }

    /// Starts its agent with the usual flags.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn agent(&self) -> Result<Process> {
        self.launch(&[])?.spawn()
    }

    /// Waits until the agent's file contains this text.
    ///
    /// # Errors
    ///
    /// If it does not in time. The error has its content.
    pub async fn wait_for_text(&self, text: &str) -> Result<String> {
        eventually(SOON, &format!("the file of {} contains {text}", self.name), async || {
            let ours = self.ours().context("the file does not exist")?;
            ensure!(ours.contains(text), "{ours}");
            Ok(Some(ours))
        })
        .await
    }

    /// Waits until the agent's file is removed.
    ///
    /// # Errors
    ///
    /// If it is not in time.
    pub async fn has_no_file(&self) -> Result<()> {
        eventually(SOON, &format!("the agent's file on {} is removed", self.name), async || {
            ensure!(self.ours().is_none(), "{:?}", self.ours());
            Ok(Some(()))
        })
        .await
    }
}

/// A Node object with these labels.
pub fn node(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
}
