//! A real node of a guest cluster on this machine: kubelet, CRI-O and pods.
//!
//! The node runs in namespaces for processes and mounts and has the usual paths of a node. Its relevant files are below
//! [`RealNode::directory`]. All its processes and mounts are removed when it is dropped, or when its test is killed. Pods use
//! the host network, or have only what [`RealNode::relay`] gives them. There is no kube-proxy, so pods need the real address of the API server, as on a node that boots.

mod available;
mod config;
mod crictl;
mod log;
mod machine;
mod start;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
pub use available::skip;
pub use crictl::{Crictl, Outcome};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
pub use log::Mark;
pub use machine::Inmate;
use machine::Machine;
use serde_json::json;
use tokio::sync::Mutex;

use crate::{
    Cluster, credentials, eventually,
    process::{Handle, Launch, Signal},
};

/// Timeout of all waits: longer than any step takes on a loaded machine.
const LIMIT: Duration = Duration::from_mins(1);

/// A node of a cluster. Dropping it removes all its processes and mounts. Drop it before its cluster.
#[derive(Debug)]
pub struct RealNode {
    name: String,
    kubeconfig: String,
    crictl: Crictl,
    crio_launch: Launch,
    // `None` while it is stopped.
    crio: Mutex<Option<Inmate>>,
    kubelet: Inmate,
    machine: Machine,
    detached: bool,
}

impl RealNode {
    /// Why no real node can run on this machine: not root, or a missing program. Tests use [`needs_node!`](crate::needs_node).
    pub fn unavailable() -> Option<String> {
        available::unavailable()
    }

    /// Whether a program, such as skopeo, is installed on this machine.
    pub fn installed(program: &str) -> bool {
        config::system_program(program).is_some()
    }

    /// Starts a node and waits until it is ready. The cluster needs a controller manager
    /// ([`Builder::controller_manager`](crate::bed::Builder::controller_manager), or
    /// [`Builder::guest_controller_managers`](crate::bed::Builder::guest_controller_managers)). The first node also starts a
    /// scheduler.
    ///
    /// # Errors
    ///
    /// If a program is missing, or if the node does not become ready. The error has the end of the log.
    pub async fn start(cluster: &Cluster, name: &str) -> Result<Self> {
        start::node(cluster, name).await
    }

    /// The name of its Node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory of its files outside the machine: `etc/containers` in it is the node's `/etc/containers`.
    pub fn directory(&self) -> &Path {
        self.machine.directory()
    }

    /// The path outside the machine of the node's file at `path`, for the node's own directories, such as `/etc/containers`,
    /// `/etc/crio`, `/run` and `/var/lib/kubelet`.
    pub fn outside(&self, path: &str) -> PathBuf {
        self.machine.outside(path)
    }

    /// The directory of drop-ins: the node's `/etc/containers/registries.conf.d`.
    pub fn drop_ins(&self) -> PathBuf {
        self.outside(config::DROP_INS)
    }

    /// The base file: the node's `/etc/containers/registries.conf`. It allows HTTP for registries at `127.0.0.1`.
    pub fn registries(&self) -> PathBuf {
        self.outside(config::REGISTRIES)
    }

    /// The drop-ins of CRI-O's own configuration: the node's `/etc/crio/crio.conf.d`.
    pub fn crio_drop_ins(&self) -> PathBuf {
        self.outside(config::CRIO_DROP_INS)
    }

    /// CRI-O's socket, the node's `/run/crio/crio.sock`.
    pub fn socket(&self) -> PathBuf {
        self.outside(config::SOCKET)
    }

    /// crictl for the node's CRI-O.
    pub fn crictl(&self) -> &Crictl {
        &self.crictl
    }

    /// The process ID of CRI-O outside the machine, for [`Handle`] and `/proc`.
    ///
    /// # Errors
    ///
    /// If it is stopped.
    pub async fn crio_id(&self) -> Result<u32> {
        self.with_crio(|crio| Ok(crio.handle().id())).await
    }

    /// The process id of the kubelet outside the machine.
    pub fn kubelet_id(&self) -> u32 {
        self.kubelet.handle().id()
    }

    /// The process ids of the machine's processes, outside.
    ///
    /// # Errors
    ///
    /// If the machine is gone.
    pub fn processes(&self) -> Result<Vec<u32>> {
        self.machine.processes()
    }

    /// The machine. It ends with the node.
    pub fn handle(&self) -> &Handle {
        self.machine.handle()
    }

    /// Runs a command on the node as root.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or does not end within a minute.
    pub async fn run(&self, program: &str, args: &[&str]) -> Result<Outcome> {
        let output = tokio::time::timeout(LIMIT, self.machine.command(program, args).output()).await;
        let output = output.with_context(|| format!("{program} timed out"))?;
        Ok(output.with_context(|| format!("failed to run {program}"))?.into())
    }

    /// The process ID of CRI-O inside the machine.
    ///
    /// # Errors
    ///
    /// If it is stopped.
    pub async fn crio_id_inside(&self) -> Result<u32> {
        let id = self.crio_id().await?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).context("no NSpid")?;
        Ok(ids.split_whitespace().next_back().context("no id")?.parse()?)
    }

    /// Starts a program on the node, with the node's processes and files, and with only these environment variables
    /// (`NAME=value`). Its log is `name.log` in the node's directory.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub async fn spawn(&self, name: &str, program: &Path, args: &[&str], environment: &[&str]) -> Result<Inmate> {
        self.machine.spawn(&self.machine.launch(name, program, environment).args(args)).await
    }

    /// Sends CRI-O a signal, such as SIGHUP.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub async fn signal_crio(&self, signal: Signal) -> Result<()> {
        self.with_crio(|crio| crio.handle().signal(signal)).await
    }

    /// Freezes or resumes CRI-O.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub async fn freeze_crio(&self, frozen: bool) -> Result<()> {
        self.with_crio(|crio| crio.freeze(frozen)).await
    }

    /// Stops CRI-O. Pods continue to run.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub async fn end_crio(&self, signal: Signal) -> Result<()> {
        let crio = self.crio.lock().await.take();
        crio.context("CRI-O does not run")?.end(signal).await
    }

    /// Starts CRI-O without waiting until it responds.
    ///
    /// # Errors
    ///
    /// If it runs already.
    pub async fn start_crio(&self) -> Result<()> {
        let mut crio = self.crio.lock().await;
        ensure!(crio.is_none(), "CRI-O of {} runs already", self.name);
        *crio = Some(self.machine.spawn(&self.crio_launch).await?);
        Ok(())
    }

    /// Waits until CRI-O responds.
    ///
    /// # Errors
    ///
    /// If it exits, with the end of its log, or if it does not respond in time.
    pub async fn crio_answers(&self) -> Result<()> {
        eventually(LIMIT, &format!("CRI-O of {} responds", self.name), async || {
            self.with_crio(Inmate::check).await?;
            self.crictl.run(&["version"]).await.map(Some)
        })
        .await
        .map(|_| ())
    }

    /// Restarts CRI-O and waits until it responds.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn restart_crio(&self) -> Result<()> {
        self.end_crio(Signal::TERM).await?;
        self.start_crio().await?;
        self.crio_answers().await
    }

    /// Lets pods without the host's network reach these ports of the loopback address, from the next pod on.
    ///
    /// # Errors
    ///
    /// If the file that the relay reads cannot be written.
    pub fn relay(&self, ports: &[u16]) -> Result<()> {
        let lines: Vec<String> = ports.iter().map(|port| format!("{port}\n")).collect();
        Ok(std::fs::write(self.outside(config::RELAYED), lines.concat())?)
    }

    /// Sets labels of the Node, such as HyperShift's `hypershift.openshift.io/nodePool`. An empty value removes a label.
    ///
    /// # Errors
    ///
    /// If the API server refuses.
    pub async fn label(&self, labels: &[(&str, &str)]) -> Result<()> {
        let values = labels.iter().map(|(key, value)| ((*key).to_owned(), (!value.is_empty()).then_some(*value)));
        let patch = json!({ "metadata": { "labels": values.collect::<std::collections::BTreeMap<_, _>>() } });
        let nodes: Api<Node> = Api::all(self.client().await?);
        nodes.patch(&self.name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    /// The log of a container.
    ///
    /// # Errors
    ///
    /// If there is no such log yet.
    pub fn pod_log(&self, pod: &Pod, container: &str) -> Result<String> {
        let id = pod.uid().ok_or_else(|| anyhow!("the pod has no uid"))?;
        let namespace = pod.namespace().unwrap_or_default();
        let path = format!("/var/log/pods/{namespace}_{}_{id}/{container}", pod.name_any());
        let directory = self.outside(&path);
        let entries =
            std::fs::read_dir(&directory).with_context(|| format!("failed to list {}", directory.display()))?;
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        files.sort();
        files.iter().map(|file| Ok(std::fs::read_to_string(file)?)).collect()
    }

    /// Drains the node: deletes its pods and waits until they are removed.
    ///
    /// # Errors
    ///
    /// If they do not go.
    pub async fn drain(&self) -> Result<()> {
        let pods: Api<Pod> = Api::all(self.client().await?);
        let here = ListParams::default().fields(&format!("spec.nodeName={}", self.name));
        eventually(LIMIT, &format!("{} has no pods", self.name), async || {
            let left = pods.list(&here).await?.items;
            for pod in left.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
                let pods: Api<Pod> = Api::namespaced(self.client().await?, &pod.namespace().unwrap_or_default());
                pods.delete(&pod.name_any(), &DeleteParams::default()).await?;
            }
            ensure!(left.is_empty(), "{:?}", left.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
            Ok(Some(()))
        })
        .await
    }

    async fn client(&self) -> Result<Client> {
        credentials::client(&self.kubeconfig).await
    }

    async fn with_crio<T>(&self, act: impl FnOnce(&mut Inmate) -> Result<T>) -> Result<T> {
        let mut crio = self.crio.lock().await;
        act(crio.as_mut().with_context(|| format!("CRI-O of {} does not run", self.name))?)
    }
}

impl Drop for RealNode {
    fn drop(&mut self) {
        // The machine is dropped last and stops all processes, so that no destructor waits for a kubelet without CRI-O.
        if !self.detached {
            self.machine.end();
        }
    }
}
