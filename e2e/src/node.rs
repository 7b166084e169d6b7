//! A real node of a guest: kubelet, CRI-O and pods, on this machine.
//!
//! The node lives in a machine of its own (namespaces for processes and mounts): it has the usual paths of a node, of which
//! the files that matter lie below [`RealNode::directory`], and when it is dropped, or its test is killed, nothing is left.
//! Pods use the host's network. There is no kube-proxy: a pod needs the API server's real address, as on a booting node.

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

/// Longer than anything takes on a loaded machine.
const LIMIT: Duration = Duration::from_mins(1);

/// A node of a cluster. Dropping it ends every process and mount of it; drop it before its cluster.
#[derive(Debug)]
pub struct RealNode {
    name: String,
    kubeconfig: String,
    crictl: Crictl,
    crio_launch: Launch,
    // None: it was ended, and not yet started again.
    crio: Mutex<Option<Inmate>>,
    kubelet: Inmate,
    machine: Machine,
    detached: bool,
}

impl RealNode {
    /// Why no real node can be had here: no root, or a part is missing. [`needs_node!`](crate::needs_node) is the usual way
    /// to ask.
    pub fn unavailable() -> Option<String> {
        available::unavailable()
    }

    /// Whether this machine has a program, such as skopeo, at a usual place.
    pub fn installed(program: &str) -> bool {
        config::system_program(program).is_some()
    }

    /// Starts a node of this name and waits until it is ready. The cluster needs a controller manager
    /// ([`Builder::guest_controller_managers`](crate::bed::Builder::guest_controller_managers)); it gets a scheduler with its
    /// first node.
    ///
    /// # Errors
    ///
    /// When a program is missing, or the node does not get ready: with the end of the log.
    pub async fn start(cluster: &Cluster, name: &str) -> Result<Self> {
        start::node(cluster, name).await
    }

    /// The name of its Node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its files lie, as seen from outside: `etc/containers` below it is the node's `/etc/containers`.
    pub fn directory(&self) -> &Path {
        self.machine.directory()
    }

    /// Where the file lies that is `path` on the node; of the directories that the node has for itself, such as
    /// `/etc/containers`, `/etc/crio`, `/run` and `/var/lib/kubelet`.
    pub fn outside(&self, path: &str) -> PathBuf {
        self.machine.outside(path)
    }

    /// Where drop-ins lie: the node's `/etc/containers/registries.conf.d`.
    pub fn drop_ins(&self) -> PathBuf {
        self.outside(config::DROP_INS)
    }

    /// The base file: the node's `/etc/containers/registries.conf`. It lets CRI-O speak HTTP with registries at `127.0.0.1`.
    pub fn registries(&self) -> PathBuf {
        self.outside(config::REGISTRIES)
    }

    /// The drop-ins of CRI-O's own configuration: the node's `/etc/crio/crio.conf.d`.
    pub fn crio_drop_ins(&self) -> PathBuf {
        self.outside(config::CRIO_DROP_INS)
    }

    /// CRI-O's socket; on the node it is `/run/crio/crio.sock`.
    pub fn socket(&self) -> PathBuf {
        self.outside(config::SOCKET)
    }

    /// crictl for the node's CRI-O.
    pub fn crictl(&self) -> &Crictl {
        &self.crictl
    }

    /// The process id of CRI-O outside the machine, where [`Handle`] and `/proc` know it.
    ///
    /// # Errors
    ///
    /// When it was ended and not started again.
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
    /// When the machine is gone.
    pub fn processes(&self) -> Result<Vec<u32>> {
        self.machine.processes()
    }

    /// The machine itself: it ends when the node does.
    pub fn handle(&self) -> &Handle {
        self.machine.handle()
    }

    /// Runs a command on the node to its end, as somebody does who is logged in as root.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or does not end within a minute.
    pub async fn run(&self, program: &str, args: &[&str]) -> Result<Outcome> {
        let output = tokio::time::timeout(LIMIT, self.machine.command(program, args).output()).await;
        let output = output.with_context(|| format!("{program} does not end"))?;
        Ok(output.with_context(|| format!("run {program}"))?.into())
    }

    /// The process id of CRI-O on the node, as an agent there sees it.
    ///
    /// # Errors
    ///
    /// When it was ended and not started again.
    pub async fn crio_id_inside(&self) -> Result<u32> {
        let id = self.crio_id().await?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).context("no NSpid")?;
        Ok(ids.split_whitespace().next_back().context("no id")?.parse()?)
    }

    /// Starts a program on the node, as a unit of it would be: it sees the node's processes and files, and of the environment
    /// only what is given (`NAME=value`). Its log is `name.log` in the node's directory.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub async fn spawn(&self, name: &str, program: &Path, args: &[&str], environment: &[&str]) -> Result<Inmate> {
        self.machine.spawn(&self.machine.launch(name, program, environment).args(args)).await
    }

    /// Sends CRI-O a signal, such as SIGHUP.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub async fn signal_crio(&self, signal: Signal) -> Result<()> {
        self.with_crio(|crio| crio.handle().signal(signal)).await
    }

    /// Makes CRI-O answer nobody, or lets it go on.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub async fn freeze_crio(&self, frozen: bool) -> Result<()> {
        self.with_crio(|crio| crio.freeze(frozen)).await
    }

    /// Ends CRI-O; pods run on.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub async fn end_crio(&self, signal: Signal) -> Result<()> {
        let crio = self.crio.lock().await.take();
        crio.context("CRI-O does not run")?.end(signal).await
    }

    /// Starts CRI-O again, without waiting for its answer.
    ///
    /// # Errors
    ///
    /// When it runs already.
    pub async fn start_crio(&self) -> Result<()> {
        let mut crio = self.crio.lock().await;
        ensure!(crio.is_none(), "CRI-O of {} runs already", self.name);
        *crio = Some(self.machine.spawn(&self.crio_launch).await?);
        Ok(())
    }

    /// Waits until CRI-O answers.
    ///
    /// # Errors
    ///
    /// When it ends instead, with the end of its log; or does not answer in time.
    pub async fn crio_answers(&self) -> Result<()> {
        eventually(LIMIT, &format!("CRI-O of {} answers", self.name), async || {
            self.with_crio(Inmate::check).await?;
            self.crictl.run(&["version"]).await.map(Some)
        })
        .await
        .map(|_| ())
    }

    /// Ends CRI-O in order, starts it and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub async fn restart_crio(&self) -> Result<()> {
        self.end_crio(Signal::TERM).await?;
        self.start_crio().await?;
        self.crio_answers().await
    }

    /// Sets labels of the Node, as HyperShift does with `hypershift.openshift.io/nodePool`; an empty value removes one.
    ///
    /// # Errors
    ///
    /// When the API server refuses.
    pub async fn label(&self, labels: &[(&str, &str)]) -> Result<()> {
        let values = labels.iter().map(|(key, value)| ((*key).to_owned(), (!value.is_empty()).then_some(*value)));
        let patch = json!({ "metadata": { "labels": values.collect::<std::collections::BTreeMap<_, _>>() } });
        let nodes: Api<Node> = Api::all(self.client().await?);
        nodes.patch(&self.name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    /// What a container has written so far.
    ///
    /// # Errors
    ///
    /// When there is no such log yet.
    pub fn pod_log(&self, pod: &Pod, container: &str) -> Result<String> {
        let id = pod.uid().ok_or_else(|| anyhow!("the pod has no uid"))?;
        let namespace = pod.namespace().unwrap_or_default();
        let path = format!("/var/log/pods/{namespace}_{}_{id}/{container}", pod.name_any());
        let directory = self.outside(&path);
        let entries = std::fs::read_dir(&directory).with_context(|| format!("list {}", directory.display()))?;
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        files.sort();
        files.iter().map(|file| Ok(std::fs::read_to_string(file)?)).collect()
    }

    /// Takes the pods off and waits until they are gone: the orderly end of a node, before it is dropped.
    ///
    /// # Errors
    ///
    /// When they do not go.
    pub async fn drain(&self) -> Result<()> {
        let pods: Api<Pod> = Api::all(self.client().await?);
        let here = ListParams::default().fields(&format!("spec.nodeName={}", self.name));
        eventually(LIMIT, &format!("no pod is left on {}", self.name), async || {
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
        // The machine takes all with it. It is dropped last, and nobody is to wait for a kubelet without its CRI-O.
        if !self.detached {
            self.machine.end();
        }
    }
}
