//! The agent's DaemonSet.

use clap::{Args, ValueEnum as _};
use serde_json::{Value, json};

use super::{AGENT, NAMESPACE, labels};
use crate::process::flags::ReloadMethod;

/// The configuration of the agent in a guest cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSpec {
    /// Its image, by digest.
    pub image: String,
    /// Its method to reload CRI-O.
    pub reload: ReloadMethod,
    /// Its ports on the node.
    pub ports: AgentPorts,
    /// Host and port of the API server that nodes can reach without the guest cluster's network.
    pub api: Option<(String, u16)>,
}

/// The agent's ports. They are ports of the node, so the defaults avoid common ones.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentPorts {
    /// Port of the agent on each node for /metrics
    #[arg(long = "agent-metrics-port", value_name = "PORT", default_value_t = Self::default().metrics)]
    pub metrics: u16,
    /// Port of the agent on each node's loopback address for probes
    #[arg(long = "agent-health-port", value_name = "PORT", default_value_t = Self::default().health)]
    pub health: u16,
}

impl Default for AgentPorts {
    fn default() -> Self {
        Self { metrics: 9638, health: 9639 }
    }
}

/// The agent in the image: a program of its own, because its memory is mostly its code.
const PROGRAM: &str = "/usr/local/bin/hypermirror-agent";
/// The path of the host's files in the agent's container.
const HOST: &str = "/host";

/// The DaemonSet.
pub fn daemon_set(agent: &AgentSpec) -> Value {
    let selector = json!({"app.kubernetes.io/name": "hypermirror", "app.kubernetes.io/component": "agent"});
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": AGENT, "namespace": NAMESPACE, "labels": labels()},
        "spec": {
            "selector": {"matchLabels": selector},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "template": {
                "metadata": {
                    "labels": labels(),
                    "annotations": {
                        "target.workload.openshift.io/management": r#"{"effect": "PreferredDuringScheduling"}"#,
                        "openshift.io/required-scc": AGENT,
                    },
                },
                "spec": pod_spec(agent),
            },
        },
    })
}

fn pod_spec(agent: &AgentSpec) -> Value {
    json!({
        "serviceAccountName": AGENT,
        "nodeSelector": {"kubernetes.io/os": "linux"},
        // Runs on every node, including nodes that are not ready.
        "tolerations": [{"operator": "Exists"}],
        "priorityClassName": "system-node-critical",
        // Works before the node has a pod network, when Service addresses are not routed.
        "hostNetwork": true,
        "dnsPolicy": "Default",
        "hostPID": agent.reload == ReloadMethod::Signal,
        "terminationGracePeriodSeconds": 10,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container(agent)],
        "volumes": volumes(agent),
    })
}

fn container(agent: &AgentSpec) -> Value {
    let mut env = vec![json!({"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}})];
    if let Some((host, port)) = &agent.api {
        env.push(json!({"name": "KUBERNETES_SERVICE_HOST", "value": host}));
        env.push(json!({"name": "KUBERNETES_SERVICE_PORT", "value": port.to_string()}));
    }
    let AgentPorts { metrics, health } = agent.ports;
    let probe = |path: &str, period: u32| json!({"httpGet": {"host": "127.0.0.1", "port": health, "path": path}, "periodSeconds": period});
    json!({
        "name": "agent",
        "image": agent.image,
        "command": [PROGRAM],
        "args": [
            format!("--root={HOST}"),
            format!("--reload={}", reload(agent.reload)),
            format!("--metrics-bind-address=:{metrics}"),
            format!("--health-probe-bind-address=127.0.0.1:{health}"),
        ],
        "env": env,
        "ports": [{"name": "metrics", "containerPort": metrics, "hostPort": metrics, "protocol": "TCP"}],
        "livenessProbe": probe("/healthz", 20),
        "readinessProbe": probe("/readyz", 5),
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            // Root is required for the host's files. All capabilities are dropped.
            "runAsUser": 0,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
            // SELinux allows only privileged types to write the host's files.
            "seLinuxOptions": {"type": "spc_t"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": volume_mounts(agent),
    })
}

/// The value of the agent's flag `--reload`.
fn reload(method: ReloadMethod) -> String {
    method.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Mounts the whole directory, because a mounted file is not updated when the file on the host is replaced.
fn volumes(agent: &AgentSpec) -> Value {
    let volume = |name: &str, path: &str, kind: &str| json!({"name": name, "hostPath": {"path": path, "type": kind}});
    let mut volumes = vec![
        volume("containers", "/etc/containers", "Directory"),
        volume("drop-ins", "/etc/containers/registries.conf.d", "DirectoryOrCreate"),
    ];
    match agent.reload {
        ReloadMethod::Dbus => volumes.push(volume("dbus", "/run/dbus", "Directory")),
        ReloadMethod::Signal => volumes.push(volume("crio", "/run/crio", "Directory")),
        ReloadMethod::None => {}
    }
    volumes.into()
}

fn volume_mounts(agent: &AgentSpec) -> Value {
    let mount = |name: &str, path: &str, read_only: bool| json!({"name": name, "mountPath": format!("{HOST}{path}"), "readOnly": read_only});
    let mut mounts = vec![
        mount("containers", "/etc/containers", true),
        mount("drop-ins", "/etc/containers/registries.conf.d", false),
    ];
    match agent.reload {
        ReloadMethod::Dbus => mounts.push(mount("dbus", "/run/dbus", true)),
        ReloadMethod::Signal => mounts.push(mount("crio", "/run/crio", true)),
        ReloadMethod::None => {}
    }
    mounts.into()
}
