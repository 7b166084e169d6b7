//! Runs the pod of a Job by podman: its containers one after another, in a user namespace if the pod has one, with exactly the
//! capabilities, mounts and variables of its spec. So what the spec allows is what is measured.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::Fleet;
use crate::buildah::{self, run};

/// The first ID of the machine in the user namespace, as a kubelet chooses one for each pod.
const FIRST_ID: u32 = 100_000;
/// The number of IDs in a user namespace of Kubernetes.
const IDS: u32 = 65_536;
/// Time limit of a container.
const LIMIT: Duration = Duration::from_mins(2);

/// The end of a pod.
#[derive(Debug)]
pub struct PodEnd {
    /// The name of the container that ended last.
    pub container: String,
    /// Its exit code.
    pub code: i32,
    /// What it wrote to its termination log.
    pub message: String,
    /// What all containers printed.
    pub log: String,
}

/// A node with the image of Buildah, made of Debian's programs.
#[derive(Debug)]
pub struct PodmanNode {
    directory: TempDir,
}

impl PodmanNode {
    /// Makes the image.
    ///
    /// # Errors
    ///
    /// If a program is not installed, or the user is not root.
    pub async fn new() -> Result<Self> {
        let node = Self { directory: tempfile::tempdir()? };
        // The container's user passes it on its way to its root.
        run(Command::new("chmod").arg("755").arg(node.directory.path())).await?;
        let root = node.root();
        buildah::make_root(&root).await?;
        let owner = format!("{FIRST_ID}:{FIRST_ID}");
        run(Command::new("chown").arg("-R").arg(owner).arg(&root)).await?;
        for (program, capability) in buildah::CAPABLE {
            let (program, capability) = (root.join(program), format!("{}=ep", capability.name));
            run(Command::new("setcap").arg("-n").arg(FIRST_ID.to_string()).arg(capability).arg(&program)).await?;
        }
        Ok(node)
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    /// Runs the pod of a Job until a container fails or the last one ends.
    ///
    /// # Errors
    ///
    /// If podman cannot run it as its spec says.
    pub async fn run(&self, fleet: &Fleet, job: &Value) -> Result<PodEnd> {
        let pod =
            Pod { spec: &job["spec"]["template"]["spec"], directory: tempfile::tempdir_in(self.directory.path())? };
        pod.make_volumes(fleet, job["metadata"]["namespace"].as_str().context("no namespace")?).await?;
        let (mut log, mut end) = (String::new(), None);
        for container in list(&pod.spec["initContainers"]).chain(list(&pod.spec["containers"])) {
            let termination = pod.directory.path().join("termination");
            std::fs::write(&termination, "")?;
            run(Command::new("chmod").arg("666").arg(&termination)).await?;
            let mut command = self.command(&pod, container, &termination)?;
            let output =
                tokio::time::timeout(LIMIT, command.kill_on_drop(true).output()).await.context("too slow")??;
            for text in [&output.stdout, &output.stderr] {
                log.push_str(&String::from_utf8_lossy(text));
            }
            let (container, code) = (text(&container["name"]), output.status.code().unwrap_or(-1));
            end = Some((container, code, std::fs::read_to_string(&termination)?));
            if code != 0 {
                break;
            }
        }
        let (container, code, message) = end.context("no container")?;
        Ok(PodEnd { container, code, message, log })
    }

    fn command(&self, pod: &Pod<'_>, container: &Value, termination: &Path) -> Result<Command> {
        let below = |name: &str| self.directory.path().join(name);
        let mut command = Command::new("podman");
        command
            .arg("--root")
            .arg(below("storage"))
            .arg("--runroot")
            .arg(below("runroot"))
            .arg("--tmpdir")
            .arg(below("tmp"));
        command.args(["--storage-driver=vfs", "--events-backend=none", "--cgroup-manager=cgroupfs"]);
        command.args(["--runtime", "/usr/sbin/runc", "run", "--rm", "--network=host"]);
        // The limits of some machines cannot be raised.
        command.args(["--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"]);
        pod.add_security(&mut command, container);
        for variable in list(&container["env"]) {
            command.arg(format!("--env={}={}", text(&variable["name"]), text(&variable["value"])));
        }
        for mount in list(&container["volumeMounts"]) {
            let volume = pod.volume(&text(&mount["name"]));
            let source = mount["subPath"].as_str().map_or_else(|| volume.clone(), |key| volume.join(key));
            let mode = if mount["readOnly"] == true { "ro" } else { "rw" };
            command.arg(format!("--volume={}:{}:{mode}", source.display(), text(&mount["mountPath"])));
        }
        let path = container["terminationMessagePath"].as_str().unwrap_or("/dev/termination-log");
        command.arg(format!("--volume={}:{path}:rw", termination.display()));
        command.arg("--rootfs").arg(self.root());
        ensure!(list(&container["command"]).next().is_some(), "no command");
        command.args(list(&container["command"]).chain(list(&container["args"])).map(text));
        Ok(command)
    }
}

/// A pod and the directories of its volumes.
struct Pod<'a> {
    spec: &'a Value,
    directory: TempDir,
}

impl Pod<'_> {
    fn volume(&self, name: &str) -> PathBuf {
        self.directory.path().join("volumes").join(name)
    }

    /// Makes the directory of each volume, as a kubelet does.
    async fn make_volumes(&self, fleet: &Fleet, namespace: &str) -> Result<()> {
        for volume in list(&self.spec["volumes"]) {
            let directory = self.volume(&text(&volume["name"]));
            std::fs::create_dir_all(&directory)?;
            let of = |kind: &str, name: &Value| serde_json::json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}});
            let (object, is_encoded) = if volume["configMap"].is_object() {
                (of("ConfigMap", &volume["configMap"]["name"]), false)
            } else if volume["secret"].is_object() {
                (of("Secret", &volume["secret"]["secretName"]), true)
            } else {
                ensure!(volume["emptyDir"].is_object(), "a volume of another kind: {volume}");
                run(Command::new("chmod").arg("777").arg(&directory)).await?;
                continue;
            };
            let found = fleet.api_of(&object)?.get(&text(&object["metadata"]["name"])).await?;
            for (key, value) in found.data["data"].as_object().into_iter().flatten() {
                let value = text(value).into_bytes();
                let engine = base64::prelude::BASE64_STANDARD;
                let value = if is_encoded { engine.decode(value)? } else { value };
                std::fs::write(directory.join(key), value)?;
            }
        }
        // In a user namespace a kubelet maps the IDs of volumes.
        run(Command::new("chown").arg("-R").arg(format!("{FIRST_ID}:{FIRST_ID}")).arg(self.directory.path())).await?;
        Ok(())
    }

    fn add_security(&self, command: &mut Command, container: &Value) {
        let (of_pod, own) = (&self.spec["securityContext"], &container["securityContext"]);
        if self.spec["hostUsers"] == false {
            command.arg(format!("--uidmap=0:{FIRST_ID}:{IDS}")).arg(format!("--gidmap=0:{FIRST_ID}:{IDS}"));
        }
        let id = |name: &str| of_pod[name].as_u64().unwrap_or_default();
        command.arg(format!("--user={}:{}", id("runAsUser"), id("runAsGroup")));
        if own["privileged"] == true {
            command.arg("--privileged");
        }
        for capability in list(&own["capabilities"]["drop"]) {
            command.arg(format!("--cap-drop={}", text(capability)));
        }
        for capability in list(&own["capabilities"]["add"]) {
            command.arg(format!("--cap-add={}", text(capability)));
        }
        if own["readOnlyRootFilesystem"] == true {
            command.args(["--read-only", "--read-only-tmpfs=false"]);
        }
        if own["allowPrivilegeEscalation"] == false {
            command.arg("--security-opt=no-new-privileges");
        }
        if of_pod["seccompProfile"]["type"] != "RuntimeDefault" {
            command.arg("--security-opt=seccomp=unconfined");
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
