//! The configuration files of a node's programs. Paths are those inside its machine.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::json;

use crate::binaries::Servers;

/// The kubelet's configuration file.
pub(super) const KUBELET_CONFIG: &str = "/etc/kubernetes/kubelet.yaml";
/// The kubelet's kubeconfig.
pub(super) const KUBELET_KUBECONFIG: &str = "/etc/kubernetes/kubelet.kubeconfig";
/// The certificate authority of the cluster, which authenticates requests to the kubelet.
pub(super) const AUTHORITY: &str = "/etc/kubernetes/ca.crt";
/// The socket of CRI-O.
pub(super) const SOCKET: &str = "/run/crio/crio.sock";
/// The base file of containers/image.
pub(super) const REGISTRIES: &str = "/etc/containers/registries.conf";
/// The directory of drop-ins.
pub(super) const DROP_INS: &str = "/etc/containers/registries.conf.d";
/// CRI-O's own drop-ins.
pub(super) const CRIO_DROP_INS: &str = "/etc/crio/crio.conf.d";

/// The ports that the relay passes on for each pod that starts.
pub(super) const RELAYED: &str = "/etc/cni/relayed-ports";

/// Debian's directories for programs of root, which may not be in the caller's PATH.
const BINARY_DIRECTORIES: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Debian's containernetworking-plugins.
pub(super) const CNI_PLUGINS: &str = "/usr/lib/cni";

/// The path of a program of the distribution.
pub(super) fn system_program(name: &str) -> Option<PathBuf> {
    BINARY_DIRECTORIES.iter().map(|directory| Path::new(directory).join(name)).find(|path| path.is_file())
}

/// A CNI configuration. Pods without the host network have a loopback device, and what the relay of the test bed passes on.
pub(super) fn cni() -> String {
    let plugins = json!([{ "type": "loopback" }, { "type": "relay", "ports": RELAYED }]);
    json!({ "cniVersion": "0.4.0", "name": "lo", "plugins": plugins }).to_string()
}

/// Allows HTTP for the registries of the test bed. The prefix matches all ports.
pub(super) fn registries() -> String {
    "[[registry]]\nprefix = \"127.0.0.1\"\nlocation = \"127.0.0.1\"\ninsecure = true\n".to_owned()
}

/// Accepts images without signatures.
pub(super) fn policy() -> String {
    json!({ "default": [{ "type": "insecureAcceptAnything" }] }).to_string()
}

/// The storage driver for a directory: overlay does not work on an overlay file system, such as that of a container.
pub(super) fn storage_driver(directory: &Path) -> Result<&'static str> {
    let output = Command::new("stat").args(["--file-system", "--format=%T"]).arg(directory).output();
    let kind = output.context("is coreutils installed?")?.stdout;
    Ok(if kind.starts_with(b"overlay") { "vfs" } else { "overlay" })
}

/// CRI-O's main file. Other settings have their defaults. runc is that of the test bed: Debian's cannot map the IDs of mounts,
/// which pods with user namespaces need.
pub(super) fn crio(servers: &Servers, pause_image: &str, storage_driver: &str) -> Result<String> {
    let conmon = system_program("conmon").context("conmon is not installed")?;
    let (pinns, runc, relay) = (servers.find("pinns")?, servers.find("runc")?, servers.find("relay")?);
    let plugins = relay.parent().context("a program has a directory")?;
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
# Endpoints and files are logged at this level.
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
plugin_dirs = ["{CNI_PLUGINS}", "{plugins}"]

[crio.nri]
enable_nri = false
"#,
        pinns = pinns.display(),
        runc = runc.display(),
        conmon = conmon.display(),
        plugins = plugins.display(),
    ))
}

/// The kubelet's configuration, without evictions, garbage collection and cgroup management: a kubelet kills processes in
/// cgroups that it does not know, and several can run on one machine.
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
    serde_yaml::to_string(&config).context("failed to write the kubelet's configuration")
}
