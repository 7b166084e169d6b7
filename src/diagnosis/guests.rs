//! Whether guest clusters can be reached, and whether their nodes and agents fit.

use std::collections::BTreeMap;

use hypermirror_api::ClusterKey;

use super::{Diagnosis, DiagnosisCode, listed};
use crate::mirrors::finding::Severity;

/// Container runtimes whose configuration the agent of a guest cluster writes, as
/// `status.nodeInfo.containerRuntimeVersion` names them.
const RUNTIMES: [&str; 2] = ["cri-o", "containerd"];

/// The kubeconfig that the manager prefers, as this machine finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kubeconfig {
    /// There is none of the names that the manager reads.
    Missing,
    /// It works.
    Usable,
    /// The Secret of this name is not usable, for a reason that is the same everywhere.
    Unusable(String, String),
    /// The Secret of this name has a server that this machine cannot reach.
    Unreachable(String, String),
    /// The Secrets could not be read.
    Unknown(String),
}

/// Diagnoses the kubeconfig of a guest cluster. `names` are those of the Secrets that the manager reads.
pub fn diagnose_kubeconfig(cluster: &ClusterKey, kubeconfig: &Kubeconfig, names: &[&str]) -> Option<Diagnosis> {
    let namespace = cluster.control_plane_namespace();
    let found = match kubeconfig {
        Kubeconfig::Usable => return None,
        Kubeconfig::Missing => {
            let message = format!(
                "namespace {namespace} has no Secret with a kubeconfig for the guest cluster ({})",
                names.join(", ")
            );
            let cure = "wait until HyperShift has created it, or check why the control plane does not start";
            Diagnosis::new(
                DiagnosisCode::GuestKubeconfigMissing,
                Severity::Warning,
                format!("HostedCluster/{cluster}"),
                message,
                cure,
            )
        }
        Kubeconfig::Unusable(secret, why) => {
            let message = format!("the kubeconfig of the guest cluster is not usable: {why}");
            let cure = "delete the Secret, so that HyperShift writes it again, or correct the guest cluster";
            let code = DiagnosisCode::GuestKubeconfigUnusable;
            Diagnosis::new(code, Severity::Error, format!("Secret/{namespace}/{secret}"), message, cure)
                .at("data[kubeconfig]", "")
        }
        Kubeconfig::Unreachable(secret, why) => {
            let message = format!("the guest cluster cannot be reached from this machine: {why}");
            let cure = "run check in a pod of the management cluster, whose network the manager has";
            Diagnosis::not_checked(format!("Secret/{namespace}/{secret}"), message, cure)
        }
        Kubeconfig::Unknown(why) => {
            let message = format!("the kubeconfig of the guest cluster could not be read: {why}");
            let cure = "run check as a user that may get the Secrets with kubeconfigs";
            Diagnosis::not_checked(format!("HostedCluster/{cluster}"), message, cure)
        }
    };
    Some(found.of(cluster))
}

/// Diagnoses the runtimes of nodes, given by name. One row for each runtime.
pub fn diagnose_runtimes<'n>(
    cluster: &ClusterKey,
    nodes: impl IntoIterator<Item = (&'n str, &'n str)>,
) -> Vec<Diagnosis> {
    let mut others: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (node, version) in nodes {
        let runtime = version.split("://").next().unwrap_or_default();
        // A node that has just joined has none yet.
        if !runtime.is_empty() && !RUNTIMES.contains(&runtime) {
            others.entry(version).or_default().push(node);
        }
    }
    let row = |(version, nodes): (&str, Vec<&str>)| {
        let message = format!(
            "the container runtime of {} in the guest cluster is {version}; the agent configures {} only",
            listed(&nodes),
            RUNTIMES.join(", ")
        );
        let cure = "use nodes with CRI-O or containerd, or set hypermirror.dev/node-delivery: None and configure these nodes otherwise";
        let object = format!("Node/{}", nodes.first().copied().unwrap_or_default());
        Diagnosis::new(DiagnosisCode::NodeRuntimeUnsupported, Severity::Error, object, message, cure)
            .at("status.nodeInfo.containerRuntimeVersion", version)
            .of(cluster)
    };
    others.into_iter().map(row).collect()
}

/// Diagnoses the versions of agents, given by node. One row for each other version.
pub fn diagnose_agents<'n>(
    cluster: &ClusterKey,
    own: &str,
    agents: impl IntoIterator<Item = (&'n str, &'n str)>,
) -> Vec<Diagnosis> {
    let mut others: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (node, version) in agents {
        if !version.is_empty() && version != own {
            others.entry(version).or_default().push(node);
        }
    }
    let row = |(version, nodes): (&str, Vec<&str>)| {
        let message = format!(
            "the agent of {} in the guest cluster has version {version}, and this program has {own}",
            listed(&nodes)
        );
        let cure = "wait for the rollout of the agents, or correct --agent-image of the manager";
        let object = format!("NodeMirrorStatus/{}", nodes.first().copied().unwrap_or_default());
        Diagnosis::new(DiagnosisCode::AgentVersionDiffers, Severity::Warning, object, message, cure)
            .at("status.agentVersion", version)
            .of(cluster)
    };
    others.into_iter().map(row).collect()
}

/// Diagnoses runtimes that do not read what agents write, given by node with the agent's message. One row for each message.
pub fn diagnose_configurations<'n>(
    cluster: &ClusterKey,
    nodes: impl IntoIterator<Item = (&'n str, &'n str)>,
) -> Vec<Diagnosis> {
    let mut by_message: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (node, message) in nodes {
        by_message.entry(message).or_default().push(node);
    }
    let row = |(why, nodes): (&str, Vec<&str>)| {
        let message = format!("mirrors have no effect on {} in the guest cluster: {why}", listed(&nodes));
        let cure = "prepare the nodes as docs/containerd.md describes";
        let object = format!("NodeMirrorStatus/{}", nodes.first().copied().unwrap_or_default());
        Diagnosis::new(DiagnosisCode::NodeRuntimeMisconfigured, Severity::Error, object, message, cure).of(cluster)
    };
    by_message.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ClusterKey {
        "clusters/west".parse().unwrap()
    }

    #[test]
    fn only_what_is_wrong_everywhere_is_an_error_of_the_kubeconfig() {
        let (name, why) = ("hcco-kubeconfig".to_owned(), "why".to_owned());
        for (kubeconfig, expected) in [
            (Kubeconfig::Usable, None),
            (Kubeconfig::Missing, Some((DiagnosisCode::GuestKubeconfigMissing, Severity::Warning))),
            (
                Kubeconfig::Unusable(name.clone(), why.clone()),
                Some((DiagnosisCode::GuestKubeconfigUnusable, Severity::Error)),
            ),
            (Kubeconfig::Unreachable(name, why.clone()), Some((DiagnosisCode::NotChecked, Severity::Info))),
            (Kubeconfig::Unknown(why), Some((DiagnosisCode::NotChecked, Severity::Info))),
        ] {
            let found = diagnose_kubeconfig(&key(), &kubeconfig, &["hcco-kubeconfig"]);
            assert_eq!(found.map(|found| (found.code, found.severity)), expected, "{kubeconfig:?}");
        }
    }

    #[test]
    fn nodes_with_another_runtime_are_one_row_for_each_runtime() {
        let nodes =
            [("a", "cri-o://1.33.2"), ("b", "rkt://1.30.0"), ("c", ""), ("d", "rkt://1.30.0"), ("e", "docker://26")];
        assert!(diagnose_runtimes(&key(), [("f", "containerd://2.2.7")]).is_empty());
        let found = diagnose_runtimes(&key(), nodes);
        let values: Vec<&str> = found.iter().map(|found| &*found.value).collect();
        assert_eq!(values, ["docker://26", "rkt://1.30.0"]);
        assert!(found[1].message.contains("b, d") && found[1].object == "Node/b", "{found:?}");
        assert!(diagnose_runtimes(&key(), nodes.into_iter().take(1)).is_empty());
    }

    #[test]
    fn agents_of_another_version_are_one_row_for_each_version() {
        let agents = [("a", "0.1.0"), ("b", "0.0.9"), ("c", ""), ("d", "0.0.9")];
        let found = diagnose_agents(&key(), "0.1.0", agents);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("b, d") && found[0].value == "0.0.9", "{found:?}");
    }

    #[test]
    fn nodes_whose_runtime_ignores_the_agent_are_one_row_for_each_message() {
        let found = diagnose_configurations(
            &key(),
            [("a", "config_path is a list"), ("b", "x"), ("c", "config_path is a list")],
        );
        assert_eq!(found.len(), 2);
        assert!(found[0].message.contains("on a, c in") && found[0].object == "NodeMirrorStatus/a", "{found:?}");
        assert_eq!(diagnose_configurations(&key(), []), []);
    }
}
