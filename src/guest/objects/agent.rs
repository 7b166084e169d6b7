//! The agent's DaemonSet.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{AGENT, NAMESPACE, labels};
use crate::process::flags::{ReloadMethod, RuntimeChoice};

/// The configuration of the agent in a guest cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSpec {
    /// Its image, by digest.
    pub image: String,
    /// Its method to reload CRI-O.
    pub reload: ReloadMethod,
    /// The container runtime of the nodes.
    pub runtime: RuntimeChoice,
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

impl AgentSpec {
    /// Whether it sends a signal to a process of the node.
    pub fn signals_crio(&self) -> bool {
        self.reload == ReloadMethod::Signal && self.runtime != RuntimeChoice::Containerd
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
        "hostPID": agent.signals_crio(),
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
    let mut args = vec![format!("--root={HOST}"), format!("--reload={}", name_of(&agent.reload))];
    // An agent of an earlier version, which has only CRI-O, does not know the flag.
    if agent.runtime != RuntimeChoice::Crio {
        args.push(format!("--runtime={}", name_of(&agent.runtime)));
    }
    args.push(format!("--metrics-bind-address=:{metrics}"));
    args.push(format!("--health-probe-bind-address=127.0.0.1:{health}"));
    let probe = |path: &str, period: u32| json!({"httpGet": {"host": "127.0.0.1", "port": health, "path": path}, "periodSeconds": period});
    json!({
        "name": "agent",
        "image": agent.image,
        "command": [PROGRAM],
        "args": args,
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

/// The value of a flag.
fn name_of(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// A directory of the node in the agent's container. A mounted file would not be updated when the file on the host is replaced.
struct Directory {
    name: &'static str,
    path: &'static str,
    /// Whether it is created if it does not exist.
    is_created: bool,
    is_writable: bool,
}

/// The directories of the node's runtime. If nodes of both runtimes exist, those of the other one are created, because a pod starts
/// only if all of them exist.
fn directories(agent: &AgentSpec) -> Vec<Directory> {
    let is_created = agent.runtime == RuntimeChoice::Auto;
    let read = |name, path| Directory { name, path, is_created, is_writable: false };
    let written = |name, path| Directory { name, path, is_created: true, is_writable: true };
    let mut directories = Vec::new();
    if agent.runtime != RuntimeChoice::Containerd {
        directories.push(read("containers", "/etc/containers"));
        directories.push(written("drop-ins", "/etc/containers/registries.conf.d"));
        match agent.reload {
            ReloadMethod::Dbus => directories.push(read("dbus", "/run/dbus")),
            ReloadMethod::Signal => directories.push(read("crio", "/run/crio")),
            ReloadMethod::None => {}
        }
        directories.push(written("signatures", "/etc/containers/registries.d"));
    }
    if agent.runtime != RuntimeChoice::Crio {
        directories.push(read("containerd", "/etc/containerd"));
        directories.push(written("hosts", "/etc/containerd/certs.d"));
    }
    directories
}

fn volumes(agent: &AgentSpec) -> Value {
    let volume = |directory: Directory| {
        let kind = if directory.is_created { "DirectoryOrCreate" } else { "Directory" };
        json!({"name": directory.name, "hostPath": {"path": directory.path, "type": kind}})
    };
    directories(agent).into_iter().map(volume).collect()
}

fn volume_mounts(agent: &AgentSpec) -> Value {
    let mount = |directory: Directory| {
        let path = format!("{HOST}{}", directory.path);
        json!({"name": directory.name, "mountPath": path, "readOnly": !directory.is_writable})
    };
    directories(agent).into_iter().map(mount).collect()
}
