//! Pods: scheduled, pulled through a mirror, with what a node's agent mounts.

use anyhow::{Context, Result, anyhow, ensure};
use hypermirror_e2e::{RealNode, credentials, eventually, needs_node, port};
use k8s_openapi::api::{apps::v1::DaemonSet, core::v1::Node, core::v1::Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};

use super::{DropIn, LIMIT, Served, reload, shared};

fn daemon_set(name: &str, image: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": {
                    "hostNetwork": true,
                    "hostPID": true,
                    "terminationGracePeriodSeconds": 1,
                    "tolerations": [{ "operator": "Exists" }],
                    "containers": [{
                        "name": "app",
                        "image": image,
                        "securityContext": {
                            "runAsUser": 0,
                            "readOnlyRootFilesystem": true,
                            "allowPrivilegeEscalation": false,
                            "capabilities": { "drop": ["ALL"] },
                        },
                        "volumeMounts": [{ "name": "drop-ins", "mountPath": "/drop-ins" }],
                    }],
                    "volumes": [{
                        "name": "drop-ins",
                        "hostPath": { "path": "/etc/containers/registries.conf.d", "type": "Directory" },
                    }],
                },
            },
        },
    })
}

/// The one pod of an app, once it is ready.
async fn ready_pod(client: &Client, app: &str) -> Result<Pod> {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let of_app = ListParams::default().labels(&format!("app={app}"));
    eventually(LIMIT, &format!("{app} runs"), async || {
        let pod = pods.list(&of_app).await?.items.pop().ok_or_else(|| anyhow!("no pod"))?;
        let status = pod.status.as_ref().context("no status")?;
        let ready = status.container_statuses.iter().flatten().any(|container| container.ready);
        ensure!(ready, "{}", serde_json::to_string(status)?);
        Ok(Some(pod))
    })
    .await
}

/// The id of the process of a container, outside the machine: it runs the image's only program.
fn process_of(node: &RealNode) -> Result<u32> {
    let runs = |id: &u32| std::fs::read_to_string(format!("/proc/{id}/cmdline")).is_ok_and(|line| line == "/app\0");
    node.processes()?.into_iter().find(runs).context("no process of the container")
}

#[tokio::test]
async fn a_node_is_ready_under_its_own_name_and_can_be_labelled() -> Result<()> {
    needs_node!();
    let (cluster, node) = shared().await?;
    let nodes: Api<Node> = Api::all(cluster.admin_client().await?);
    let pool = "hypershift.openshift.io/nodePool";
    node.label(&[(pool, "east")]).await?;
    let found = nodes.get(node.name()).await?;
    assert_eq!(found.metadata.labels.unwrap_or_default().get(pool).map(String::as_str), Some("east"));
    let info = found.status.and_then(|status| status.node_info).context("no info")?;
    assert!(info.container_runtime_version.starts_with("cri-o://"), "{}", info.container_runtime_version);
    node.label(&[(pool, "")]).await?;
    assert!(!nodes.get(node.name()).await?.metadata.labels.unwrap_or_default().contains_key(pool));

    // A kubelet is held to its own node.
    let kubeconfig = node.outside("/etc/kubernetes/kubelet.kubeconfig");
    let kubelet = credentials::client(&std::fs::read_to_string(kubeconfig)?).await?;
    assert!(Api::<DaemonSet>::all(kubelet).list(&ListParams::default()).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_daemon_set_runs_whose_image_only_a_mirror_has() -> Result<()> {
    needs_node!();
    let (cluster, node) = shared().await?;
    let client = cluster.admin_client().await?;
    let mirror = Served::start("copy/agent:v1").await?;
    let source = format!("127.0.0.1:{}/ns", port::free()?);
    let drop_in = DropIn::write(node, "agent.conf", &source, &[&format!("{}/copy", mirror.registry.host())])?;
    reload(node).await?;

    let sets: Api<DaemonSet> = Api::default_namespaced(client.clone());
    let set = serde_json::from_value(daemon_set("agent", &format!("{source}/agent:v1")))?;
    sets.create(&PostParams::default(), &set).await?;
    let pod = ready_pod(&client, "agent").await?;
    let status =
        pod.status.as_ref().and_then(|status| status.container_statuses.as_ref()?.first()).context("status")?;
    assert!(status.image_id.ends_with(&mirror.digest), "{} is not {}", status.image_id, mirror.digest);
    assert!(!mirror.registry.requests("GET /v2/copy/agent/manifests/v1")?.is_empty());
    assert_eq!(node.pod_log(&pod, "app")?, "");

    // What an agent relies on: the directory, the token, and that it sees CRI-O.
    // A container is reported as started a moment before it executes its program.
    let process = eventually(LIMIT, "the container runs its program", async || process_of(node).map(Some)).await?;
    let root = std::path::PathBuf::from(format!("/proc/{process}/root"));
    assert!(root.join("drop-ins/agent.conf").is_file());
    assert!(root.join("var/run/secrets/kubernetes.io/serviceaccount/token").is_file());
    let namespace = |id: u32| std::fs::read_link(format!("/proc/{id}/ns/pid"));
    assert_eq!(namespace(process)?, namespace(node.crio_id().await?)?);

    sets.delete("agent", &DeleteParams::default()).await?;
    let pods: Api<Pod> = Api::default_namespaced(client);
    eventually(LIMIT, "the pod is gone", async || {
        Ok(pods.list(&ListParams::default().labels("app=agent")).await?.items.is_empty().then_some(()))
    })
    .await?;
    drop(drop_in);
    Ok(())
}

#[tokio::test]
async fn the_agent_runs_as_a_pod_from_an_image_of_one_layer() -> Result<()> {
    needs_node!();
    let (cluster, node) = shared().await?;
    let image = Served::agent("ns/agent:v1").await?;

    let pods: Api<Pod> = Api::default_namespaced(cluster.admin_client().await?);
    let reference = image.reference("ns/agent");
    let pod = json!({
        "metadata": { "name": "version" },
        "spec": {
            "hostNetwork": true,
            "restartPolicy": "Never",
            "containers": [{ "name": "version", "image": reference, "args": ["--version"] }],
        },
    });
    let pod: Pod = serde_json::from_value(pod)?;
    eventually(LIMIT, "the namespace has its ServiceAccount", async || {
        Ok(Some(pods.create(&PostParams::default(), &pod).await?))
    })
    .await?;
    let pod = eventually(LIMIT, "the pod has ended well", async || {
        let pod = pods.get("version").await?;
        let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
        ensure!(phase.as_deref() == Some("Succeeded"), "{}", serde_json::to_string(&pod.status)?);
        Ok(Some(pod))
    })
    .await?;
    assert!(node.pod_log(&pod, "version")?.contains("hypermirror-agent 0."), "{}", node.pod_log(&pod, "version")?);
    pods.delete("version", &DeleteParams::default()).await?;
    Ok(())
}
