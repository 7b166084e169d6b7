//! Starts a node: its files, its machine, CRI-O, the pause image, the kubelet.

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::sync::Mutex;

use super::{
    LIMIT, RealNode, config,
    crictl::Crictl,
    machine::{Inmate, Machine},
};
use crate::{
    Cluster,
    binaries::Servers,
    credentials, eventually,
    image::{Image, ImageSource},
    pki::Validity,
    port,
    process::Launch,
    registry::Registry,
};

/// The taint of a node whose cloud has not introduced it yet.
const UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";

const PAUSE: &str = "testbed/pause:1";

/// An environment variable of CRI-O. Without `CAP_SYS_RESOURCE`, as in most containers, its helper cannot set an OOM score and
/// would fail.
const CRIO_ENVIRONMENT: [&str; 2] = ["_CRIO_ROOTLESS=1", "HOME=/var/lib/crio"];
const KUBELET_ENVIRONMENT: [&str; 1] = ["HOME=/var/lib/kubelet"];

pub(super) async fn node(cluster: &Cluster, name: &str) -> Result<RealNode> {
    ensure!(
        cluster.has_controller_manager(),
        "{} has no controller manager, so pods would not get tokens",
        cluster.name()
    );
    let servers = Servers::from_env();
    cluster.start_scheduler(&servers)?;
    let kubeconfig = std::fs::read_to_string(cluster.kubeconfig_path())?;
    let machine = Machine::start(&servers, &cluster.directory().join(name), cluster.detached()).await?;
    // The registry is needed only for the first pull, because the image is pinned in the storage.
    let registry = Registry::start(&machine.outside("/run/pause-registry")).await?;
    let pause = pause_image(&servers, &registry, &machine.outside("/run/pause-image")).await?;
    configure(cluster, name, &servers, &machine, &pause)?;
    let crio_launch = machine.launch("crio", &servers.find("crio")?, &CRIO_ENVIRONMENT);
    let crio = machine.spawn(&crio_launch).await?;
    let crictl = Crictl::new(servers.find("crictl")?, &machine.outside(config::SOCKET), machine.directory())?;
    let mut crio = answering(&crictl, crio).await?;
    crictl.pull(&pause).await?;
    let mut kubelet = machine.spawn(&kubelet_launch(&servers, &machine, name)?).await?;
    ready(&kubeconfig, name, &mut kubelet, &mut crio).await?;
    registry.stop().await?;
    let (crio, detached) = (Mutex::new(Some(crio)), cluster.detached());
    Ok(RealNode { name: name.to_owned(), kubeconfig, crictl, crio_launch, crio, kubelet, machine, detached })
}

async fn pause_image(servers: &Servers, registry: &Registry, directory: &Path) -> Result<String> {
    let image = Image::build(directory, &ImageSource::new("/pause", servers.find("pause")?))?;
    image.push(registry.host(), PAUSE).await?;
    Ok(format!("{}/{PAUSE}", registry.host()))
}

/// Writes the files of CRI-O and the kubelet.
fn configure(cluster: &Cluster, name: &str, servers: &Servers, machine: &Machine, pause: &str) -> Result<()> {
    let storage_driver = config::storage_driver(machine.directory())?;
    let user = cluster.certificate(&format!("system:node:{name}"), Some("system:nodes"), Validity::Current)?;
    for (path, text) in [
        (config::REGISTRIES, config::registries()),
        ("/etc/containers/policy.json", config::policy()),
        ("/etc/crio/crio.conf", config::crio(servers, pause, storage_driver)?),
        ("/etc/cni/net.d/10-lo.conflist", config::cni()),
        (config::AUTHORITY, cluster.authority_certificate()),
        (config::KUBELET_CONFIG, config::kubelet(port::free()?)?),
        (config::KUBELET_KUBECONFIG, cluster.kubeconfig(&user)?),
    ] {
        let path = machine.outside(path);
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    for directory in [config::DROP_INS, config::CRIO_DROP_INS] {
        std::fs::create_dir_all(machine.outside(directory))?;
    }
    Ok(())
}

fn kubelet_launch(servers: &Servers, machine: &Machine, name: &str) -> Result<Launch> {
    Ok(machine
        .launch("kubelet", &servers.find("kubelet")?, &KUBELET_ENVIRONMENT)
        // It keeps the address that a cloud, here the test bed, has given its Node. Its own choice would not be the loopback
        // address, on which it listens.
        .arg("--cloud-provider=external")
        .args(["--config", config::KUBELET_CONFIG, "--kubeconfig", config::KUBELET_KUBECONFIG])
        .args(["--hostname-override", name, "--root-dir", "/var/lib/kubelet", "--cert-dir", "/var/lib/kubelet/pki"]))
}

async fn answering(crictl: &Crictl, mut crio: Inmate) -> Result<Inmate> {
    eventually(LIMIT, "CRI-O responds", async || {
        crio.check()?;
        crictl.run(&["version"]).await.map(Some)
    })
    .await?;
    Ok(crio)
}

async fn ready(kubeconfig: &str, name: &str, kubelet: &mut Inmate, crio: &mut Inmate) -> Result<()> {
    let nodes: Api<Node> = Api::all(credentials::client(kubeconfig).await?);
    eventually(LIMIT, &format!("node {name} is registered"), async || {
        kubelet.check().context("kubelet")?;
        introduce(&nodes, name).await.map(Some)
    })
    .await?;
    eventually(LIMIT, &format!("node {name} is ready"), async || {
        kubelet.check().context("kubelet")?;
        crio.check().context("CRI-O")?;
        let node = nodes.get(name).await?;
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
        let ready = ready.ok_or_else(|| anyhow!("no condition yet"))?;
        ensure!(ready.status == "True", "{}", ready.message.unwrap_or_default());
        let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
        ensure!(taints.is_empty(), "taints: {taints:?}");
        Ok(Some(()))
    })
    .await
}

/// Does what the controller of a cloud does for a new node: it sets its addresses and lets pods run there.
async fn introduce(nodes: &Api<Node>, name: &str) -> Result<()> {
    let addresses = json!([
        { "type": "InternalIP", "address": "127.0.0.1" },
        { "type": "Hostname", "address": name },
    ]);
    let params = PatchParams::default();
    nodes.patch_status(name, &params, &Patch::Merge(json!({ "status": { "addresses": addresses } }))).await?;
    let node = nodes.get(name).await?;
    let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
    let left: Vec<_> = taints.into_iter().filter(|taint| taint.key != UNINITIALIZED).collect();
    nodes.patch(name, &params, &Patch::Merge(json!({ "spec": { "taints": left } }))).await?;
    Ok(())
}
