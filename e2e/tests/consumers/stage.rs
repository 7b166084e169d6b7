//! A node that is a directory, with an agent on it, and consumers that take its files for their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use hypermirror_e2e::binaries::{operator, repository_root};
use hypermirror_e2e::fleet::{Fleet, SOON};
use hypermirror_e2e::{AgentNode, Crds, Kit, Process, Testbed, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// The agent's namespace and ServiceAccount when it runs without a manager.
const AGENT: (&str, &str) = ("hypermirror-agent", "hypermirror-agent");
const NODE: &str = "node-0";

/// Which program pulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consumer {
    Skopeo,
    Podman,
}

/// What a pull came to.
#[derive(Debug)]
pub struct Pulled {
    pub success: bool,
    /// What was tried, in order.
    pub tried: Vec<String>,
    pub words: String,
}

/// Dropped in this order: the agent before its server.
pub struct Stage {
    _agent: Process,
    pub node: AgentNode,
    guest: Fleet,
    _bed: Testbed,
    scratch: TempDir,
}

impl Stage {
    pub async fn start() -> Result<Self> {
        let manifests = repository_root().join("manifests");
        let overlay = manifests.join("overlays/standalone-agent");
        let kit = Kit::of(Crds::read(&[manifests.join("crd/agent")])?)
            .file(&overlay.join("namespace.yaml"))?
            .file(&overlay.join("rbac.yaml"))?
            .file(&overlay.join("policy.yaml"))?;
        // The only cluster: an agent needs no management cluster.
        let bed = Testbed::builder().management_kit(kit).start().await?;
        let guest = Fleet::of(bed.management()).await?;
        let node = AgentNode::create(bed.management(), NODE, &json!({"kubernetes.io/os": "linux"}), AGENT).await?;
        // Each program looks for these files below its home before it looks at those of this machine.
        fs::create_dir_all(node.path(".config"))?;
        std::os::unix::fs::symlink(node.path("etc/containers"), node.path(".config/containers"))?;
        fs::write(node.path("etc/containers/registries.conf"), "")?;
        let policy = json!({"default": [{"type": "insecureAcceptAnything"}]});
        fs::write(node.path("etc/containers/policy.json"), policy.to_string())?;
        let agent = node.agent()?;
        Ok(Self { _agent: agent, node, guest, _bed: bed, scratch: TempDir::new()? })
    }

    /// Lets consumers of the node speak HTTP with registries on the loopback address, as administrators do.
    pub fn insecure(&self) -> Result<()> {
        let base = "[[registry]]\nprefix = \"127.0.0.1\"\nlocation = \"127.0.0.1\"\ninsecure = true\n";
        Ok(fs::write(self.node.path("etc/containers/registries.conf"), base)?)
    }

    /// Lets them trust an authority for one registry.
    pub fn trust(&self, host: &str, authority: &str) -> Result<()> {
        let directory = self.node.path(&format!("etc/containers/certs.d/{host}"));
        fs::create_dir_all(&directory)?;
        Ok(fs::write(directory.join("ca.crt"), authority)?)
    }

    /// Declares mirrors, for digests and tags alike, and waits until the agent has written them.
    pub async fn declare(&self, source: &str, mirrors: &[&str], policy: Option<&str>) -> Result<()> {
        let mut entry = json!({"source": source, "mirrors": mirrors});
        if let Some(policy) = policy {
            entry["mirrorSourcePolicy"] = json!(policy);
        }
        let set = self
            .guest
            .apply(&json!({
                "apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorSet", "metadata": {"name": "by-hand"},
                "spec": {"layer": "HostedCluster", "digestMirrors": [entry], "tagMirrors": [entry]}
            }))
            .await?;
        let generation = set.metadata.generation.context("no generation")?;
        let status = json!({"apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorStatus"});
        eventually(SOON, "the agent has confirmed the set", async || {
            let found = self.guest.api_of(&status)?.get(NODE).await?;
            let sets = &found.data["status"]["observedSets"];
            ensure!(sets[0]["generation"] == generation, "{sets}");
            Ok(Some(()))
        })
        .await
    }

    /// The endpoints of an image in the order in which `explain` tells them for the node's files.
    pub async fn explained(&self, image: &str) -> Result<Vec<String>> {
        let files = self.node.path("etc/containers");
        let output = Command::new(operator()?)
            .args(["explain", image, "--output=json"])
            .arg(format!("--registries-conf={}", files.join("registries.conf").display()))
            .arg(format!("--registries-conf-dir={}", files.join("registries.conf.d").display()))
            .output()
            .await?;
        let reported: Value = serde_json::from_slice(&output.stdout)?;
        let endpoints = reported[0]["endpoints"].as_array().with_context(|| format!("{reported}"))?;
        endpoints.iter().map(|one| Ok(one["reference"].as_str().context("no reference")?.to_owned())).collect()
    }

    /// Pulls an image with the node's files, into a place of its own.
    pub async fn pull(&self, consumer: Consumer, image: &str) -> Result<Pulled> {
        let place = TempDir::new_in(self.scratch.path())?;
        let mut command = match consumer {
            Consumer::Skopeo => skopeo(place.path(), image),
            Consumer::Podman => podman(place.path(), image),
        };
        let home = self.node.path("");
        command.env_clear().env("HOME", &home).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        command.env("XDG_RUNTIME_DIR", place.path()).kill_on_drop(true);
        let output = match tokio::time::timeout(SOON, command.output()).await {
            Ok(output) => output.with_context(|| format!("is {consumer:?} installed? hack/setup test"))?,
            Err(_) => bail!("{consumer:?} does not end"),
        };
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let tried = words.lines().filter_map(|line| {
            let (_, rest) = line.split_once("Trying to access \\\"")?;
            Some(rest.split_once("\\\"")?.0.to_owned())
        });
        Ok(Pulled { success: output.status.success(), tried: tried.collect(), words })
    }
}

fn skopeo(place: &Path, image: &str) -> Command {
    let mut command = Command::new("skopeo");
    command
        .args(["--debug", "copy", &format!("docker://{image}")])
        .arg(format!("dir:{}", place.join("image").display()));
    command
}

/// With a store of its own, which needs no file system of layers.
fn podman(place: &Path, image: &str) -> Command {
    let mut command = Command::new("podman");
    let below = |name: &str| -> PathBuf { place.join(name) };
    command.arg("--root").arg(below("root")).arg("--runroot").arg(below("runroot")).arg("--tmpdir").arg(below("tmp"));
    command.args(["--storage-driver=vfs", "--log-level=debug", "--events-backend=none", "--cgroup-manager=cgroupfs"]);
    command.args(["pull", image]);
    command
}
