//! The files that a node's programs read. Paths are those within its machine: the usual ones of a node.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::json;

/// The kubelet's configuration, as the machine sees it.
pub(super) const KUBELET_CONFIG: &str = "/etc/kubernetes/kubelet.yaml";
/// The kubelet's kubeconfig.
pub(super) const KUBELET_KUBECONFIG: &str = "/etc/kubernetes/kubelet.kubeconfig";
/// The authority of the cluster, for requests to the kubelet.
pub(super) const AUTHORITY: &str = "/etc/kubernetes/ca.crt";
/// Where CRI-O listens.
pub(super) const SOCKET: &str = "/run/crio/crio.sock";
/// The base file of containers/image.
pub(super) const REGISTRIES: &str = "/etc/containers/registries.conf";
/// The directory of drop-ins.
pub(super) const DROP_INS: &str = "/etc/containers/registries.conf.d";
/// CRI-O's own drop-ins.
pub(super) const CRIO_DROP_INS: &str = "/etc/crio/crio.conf.d";

/// Debian's, which need not be in the caller's path.
const BINARY_DIRECTORIES: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Debian's containernetworking-plugins.
pub(super) const CNI_PLUGINS: &str = "/usr/lib/cni";

/// A program that the machine has from its distribution.
pub(super) fn system_program(name: &str) -> Option<PathBuf> {
    BINARY_DIRECTORIES.iter().map(|directory| Path::new(directory).join(name)).find(|path| path.is_file())
}

/// Without a network for pods, which share the host's, CRI-O says that the node is not ready.
pub(super) fn cni() -> String {
    json!({ "cniVersion": "0.4.0", "name": "lo", "plugins": [{ "type": "loopback" }] }).to_string()
}

/// Registries of the bed speak HTTP, which is asked for by name; to the image library this prefix is every port.
pub(super) fn registries() -> String {
    "[[registry]]\nprefix = \"127.0.0.1\"\nlocation = \"127.0.0.1\"\ninsecure = true\n".to_owned()
}

/// Signatures are not what is tested.
pub(super) fn policy() -> String {
    json!({ "default": [{ "type": "insecureAcceptAnything" }] }).to_string()
}

/// How images can be stored below a directory: layers cannot lie on a file system of layers, such as a container's.
pub(super) fn storage_driver(directory: &Path) -> Result<&'static str> {
    let output = Command::new("stat").args(["--file-system", "--format=%T"]).arg(directory).output();
    let kind = output.context("is coreutils installed?")?.stdout;
    Ok(if kind.starts_with(b"overlay") { "vfs" } else { "overlay" })
}

/// CRI-O's main file. What is not said is CRI-O's default: its paths are the usual ones.
pub(super) fn crio(pinns: &Path, pause_image: &str, storage_driver: &str) -> Result<String> {
    let program = |name: &str| system_program(name).with_context(|| format!("{name} is not installed"));
    let (runc, conmon) = (program("runc")?, program("conmon")?);
    Ok(format!(
        r#"[crio]
root = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
storage_driver = "{storage_driver}"
version_file = "/run/crio/version"
clean_shutdown_file = "/var/lib/crio/clean.shutdown"

[crio.api]
listen = "{SOCKET}"

[crio.runtime]
# What it tries and what it reads stands at this level.
log_level = "debug"
cgroup_manager = "cgroupfs"
default_runtime = "runc"
pinns_path = "{pinns}"
namespaces_dir = "/run/crio/namespaces"
hooks_dir = []
cdi_spec_dirs = []

[crio.runtime.runtimes.runc]
runtime_path = "{runc}"
runtime_root = "/run/runc"
monitor_path = "{conmon}"
monitor_cgroup = "pod"

[crio.image]
pause_image = "{pause_image}"
signature_policy = "/etc/containers/policy.json"

[crio.network]
network_dir = "/etc/cni/net.d"
plugin_dirs = ["{CNI_PLUGINS}"]

[crio.nri]
enable_nri = false
"#,
        pinns = pinns.display(),
        runc = runc.display(),
        conmon = conmon.display(),
    ))
}

/// The kubelet's configuration. Nothing is evicted or collected, and control groups are not looked after: a kubelet ends
/// what it does not know there, and there may be several on one machine.
pub(super) fn kubelet(port: u16) -> Result<String> {
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "127.0.0.1",
        "port": port,
        "healthzPort": 0,
        "readOnlyPort": 0,
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": false },
            "x509": { "clientCAFile": AUTHORITY },
        },
        "authorization": { "mode": "AlwaysAllow" },
        "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        "makeIPTablesUtilChains": false,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": { "nodefs.available": "1%" },
        "resolvConf": "",
        "podLogsDir": "/var/log/pods",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    });
    serde_yaml::to_string(&config).context("write the kubelet's configuration")
}
