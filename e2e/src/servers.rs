//! The command lines of etcd, kube-apiserver, kube-controller-manager and kube-scheduler.

use std::path::Path;

use anyhow::Result;

use crate::{binaries::Servers, files::ClusterFiles, process::Launch};

/// The variable with the directory that the etcd of `hack/testbed` removes when its parent exits, so that a killed test leaves
/// no files.
const REMOVE_VARIABLE: &str = "TESTBED_REMOVE_DIR";

/// The program of an API server.
pub(crate) const API_SERVER: &str = "kube-apiserver";

/// One etcd member. `remove` is the directory of its test bed if it is to be removed with the parent.
pub(crate) fn etcd(servers: &Servers, directory: &Path, port: u16, remove: Option<&Path>) -> Result<Launch> {
    let client = format!("http://127.0.0.1:{port}");
    // A member without peers also needs a peer listener, on any free port.
    let peer = "http://127.0.0.1:0";
    let launch = Launch::new("etcd", servers.find("etcd")?, directory)
        .arg("--data-dir")
        .arg(directory.join("data"))
        .args([format!("--listen-client-urls={client}"), format!("--advertise-client-urls={client}")])
        .args([format!("--listen-peer-urls={peer}"), format!("--initial-advertise-peer-urls={peer}")])
        .arg(format!("--initial-cluster=default={peer}"))
        // No fsync, because the data of a test is temporary. 8 GiB, because 10,000 clusters need more than the default of 2 GiB.
        .args(["--unsafe-no-fsync", "--quota-backend-bytes=8589934592", "--log-level=warn"]);
    Ok(match remove {
        Some(directory) => launch.env(REMOVE_VARIABLE, directory),
        None => launch,
    })
}

/// One API server with its own key prefix in etcd.
pub(crate) fn api_server(
    servers: &Servers,
    files: &ClusterFiles,
    name: &str,
    ports: Ports,
    controller_manager: bool,
) -> Result<Launch> {
    let launch = Launch::new(API_SERVER, servers.find(API_SERVER)?, &files.directory)
        .args([
            format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd),
            format!("--etcd-prefix=/{name}"),
            format!("--secure-port={}", ports.api_server),
        ])
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
        .args(["--service-cluster-ip-range=10.0.0.0/24"])
        .args(["--service-account-issuer=https://kubernetes.default.svc"])
        // Never rotated, because tests read one file (in MB).
        .args(["--audit-log-maxsize=100000", "--profiling=false"]);
    let launch = [
        ("--client-ca-file", "ca.crt"),
        ("--tls-cert-file", "tls.crt"),
        ("--tls-private-key-file", "tls.key"),
        ("--service-account-key-file", "sa.pub"),
        ("--service-account-signing-key-file", "sa.key"),
        ("--audit-policy-file", "audit-policy.yaml"),
        ("--audit-log-path", "audit.jsonl"),
        ("--cert-dir", "generated"),
    ]
    .into_iter()
    .fold(launch, |launch, (flag, file)| launch.arg(flag).arg(files.path(file)));
    // Without a controller manager, nothing creates the ServiceAccounts that this admission requires.
    Ok(if controller_manager {
        // Node authorization for kubelets; the certificate is for the logs of pods.
        launch
            .args(["--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"])
            .arg("--kubelet-client-certificate")
            .arg(files.path("kubelet-client.crt"))
            .arg("--kubelet-client-key")
            .arg(files.path("kubelet-client.key"))
            .arg("--kubelet-preferred-address-types=InternalIP")
    } else {
        launch.args(["--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount"])
    })
}

/// The controller manager of a cluster, without controllers that need nodes or a cloud.
pub(crate) fn controller_manager(servers: &Servers, files: &ClusterFiles) -> Result<Launch> {
    let launch = Launch::new("kube-controller-manager", servers.find("kube-controller-manager")?, &files.directory)
        .args(["--leader-elect=false", "--secure-port=0"])
        .arg("--controllers=*,-nodeipam,-service-lb-controller,-node-route-controller");
    let launch = ["--kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig"]
        .into_iter()
        .fold(launch, |launch, flag| launch.arg(flag).arg(files.kubeconfig("kube-controller-manager")));
    Ok(launch
        .arg("--service-account-private-key-file")
        .arg(files.path("sa.key"))
        .arg("--root-ca-file")
        .arg(files.path("ca.crt")))
}

/// The scheduler of a cluster that has nodes.
pub(crate) fn scheduler(servers: &Servers, files: &ClusterFiles) -> Result<Launch> {
    let launch = Launch::new("kube-scheduler", servers.find("kube-scheduler")?, &files.directory)
        .args(["--leader-elect=false", "--secure-port=0"]);
    let kubeconfigs = ["--kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig"];
    Ok(kubeconfigs.into_iter().fold(launch, |launch, flag| launch.arg(flag).arg(files.kubeconfig("kube-scheduler"))))
}

/// The ports that one API server needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) api_server: u16,
}
