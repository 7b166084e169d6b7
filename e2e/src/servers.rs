//! The command lines of the servers: etcd, kube-apiserver, kube-controller-manager, kube-scheduler.

use std::path::Path;

use anyhow::Result;

use crate::{binaries::Servers, files::ClusterFiles, process::Launch};

/// What the etcd of `hack/testbed` removes when its parent is gone: a killed test leaves no files either.
const REMOVE_VARIABLE: &str = "TESTBED_REMOVE_DIR";

/// One etcd member; `remove` is its bed's directory if that is to go with the parent.
pub(crate) fn etcd(servers: &Servers, directory: &Path, port: u16, remove: Option<&Path>) -> Result<Launch> {
    let client = format!("http://127.0.0.1:{port}");
    // A member without peers has a peer listener all the same: any free port will do.
    let peer = "http://127.0.0.1:0";
    let launch = Launch::new("etcd", servers.find("etcd")?, directory)
        .arg("--data-dir")
        .arg(directory.join("data"))
        .args([format!("--listen-client-urls={client}"), format!("--advertise-client-urls={client}")])
        .args([format!("--listen-peer-urls={peer}"), format!("--initial-advertise-peer-urls={peer}")])
        .arg(format!("--initial-cluster=default={peer}"))
        // The data of a test goes with it. 8 GiB, as a scenario of 10,000 clusters outgrows the default of 2.
        .args(["--unsafe-no-fsync", "--quota-backend-bytes=8589934592", "--log-level=warn"]);
    Ok(match remove {
        Some(directory) => launch.env(REMOVE_VARIABLE, directory),
        None => launch,
    })
}

/// One API server over a share of etcd's keys.
pub(crate) fn api_server(
    servers: &Servers,
    files: &ClusterFiles,
    name: &str,
    ports: Ports,
    controller_manager: bool,
) -> Result<Launch> {
    let launch = Launch::new("kube-apiserver", servers.find("kube-apiserver")?, &files.directory)
        .args([
            format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd),
            format!("--etcd-prefix=/{name}"),
            format!("--secure-port={}", ports.api_server),
        ])
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
        .args(["--service-cluster-ip-range=10.0.0.0/24"])
        .args(["--service-account-issuer=https://kubernetes.default.svc"])
        // Never rotated: a test reads one file (in MB).
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
    // Nobody makes the ServiceAccounts that this admission asks for where no controller manager runs.
    Ok(if controller_manager {
        // A cluster that may get nodes: a kubelet may do what is its own.
        launch.args(["--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"])
    } else {
        launch.args(["--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount"])
    })
}

/// The controller manager of a cluster, without the controllers that want nodes or a cloud.
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
