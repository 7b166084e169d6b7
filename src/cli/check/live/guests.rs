//! Connects to guest clusters, and reads the runtimes of their nodes and the versions of their agents.

use hypermirror_api::{ClusterKey, NodeReason};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use serde::Deserialize;

use super::super::super::console;
use super::super::super::guest::open;
use super::super::super::input::Input;
use super::in_order;
use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::diagnosis::Diagnosis;
use crate::diagnosis::guests::{self, Kubeconfig};
use crate::guest::{GuestClient, GuestError};
use crate::management::index::guests::KUBECONFIG_SECRETS;
use crate::mirrors::containerd::CONFIG_PATH_LIST;

const NODES: &str = "/api/v1/nodes";
const STATUSES: &str = "/apis/hypermirror.dev/v1alpha1/nodemirrorstatuses";
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub async fn diagnose(client: &Client, input: &Input) -> Vec<Diagnosis> {
    // For a cluster that does not own its namespace the Secrets there are those of another one.
    let owned = input.clusters.iter().map(ClusterKey::of).filter(|key| input.claims.refusal(key).is_none());
    let found = in_order(owned.map(|key| async move { of_guest(client, &key).await })).await;
    found.into_iter().flatten().collect()
}

async fn of_guest(client: &Client, key: &ClusterKey) -> Vec<Diagnosis> {
    let (kubeconfig, guest) = look(client, key).await;
    let mut found: Vec<Diagnosis> =
        guests::diagnose_kubeconfig(key, &kubeconfig, &KUBECONFIG_SECRETS).into_iter().collect();
    let Some(guest) = guest else { return found };
    match read(&guest).await {
        Ok(Seen { nodes, agents, ignored }) => {
            let ignored = ignored.iter().map(|(name, value)| (&**name, &**value));
            found.extend(guests::diagnose_configurations(key, ignored));
            found.extend(guests::diagnose_runtimes(key, nodes.iter().map(|(name, value)| (&**name, &**value))));
            found.extend(guests::diagnose_agents(key, VERSION, agents.iter().map(|(name, value)| (&**name, &**value))));
        }
        Err(error) => {
            let message = format!("nodes and agents of the guest cluster could not be read: {error}");
            let cure = "check the API server of the guest cluster";
            found.push(Diagnosis::not_checked(format!("HostedCluster/{key}"), message, cure).of(key));
        }
    }
    found
}

/// The kubeconfig that the manager prefers, and a connection with the first one that works from here.
async fn look(client: &Client, key: &ClusterKey) -> (Kubeconfig, Option<GuestClient>) {
    let namespace = key.control_plane_namespace();
    let api: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let mut preferred = Kubeconfig::Missing;
    for name in KUBECONFIG_SECRETS {
        let secret = match answered(api.get_opt(name)).await {
            Ok(None) => continue,
            Ok(Some(secret)) => secret,
            Err(error) => return (Kubeconfig::Unknown(Cause(&error).to_string()), None),
        };
        let state = match open(&secret, &namespace).await {
            Ok(guest) => {
                let state = if preferred == Kubeconfig::Missing { Kubeconfig::Usable } else { preferred };
                return (state, Some(guest));
            }
            Err(error) => judged(name, &error),
        };
        // The manager takes the first one that exists, and this machine has another network than it.
        if preferred == Kubeconfig::Missing {
            preferred = state;
        }
    }
    (preferred, None)
}

fn judged(name: &str, error: &anyhow::Error) -> Kubeconfig {
    let is_down = matches!(error.downcast_ref(), Some(GuestError::Down { .. } | GuestError::Unfinished { .. }));
    let (name, why) = (name.to_owned(), console::causes(error));
    if is_down { Kubeconfig::Unreachable(name, why) } else { Kubeconfig::Unusable(name, why) }
}

/// Nodes with their runtimes, agents with their versions, and why runtimes ignore what agents write.
struct Seen {
    nodes: Vec<(String, String)>,
    agents: Vec<(String, String)>,
    ignored: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct SeenNode {
    metadata: Named,
    #[serde(default)]
    status: NodeState,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeState {
    node_info: NodeInfo,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeInfo {
    container_runtime_version: String,
    operating_system: String,
}

#[derive(Deserialize)]
struct SeenAgent {
    metadata: Named,
    #[serde(default)]
    status: AgentState,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AgentState {
    agent_version: String,
    conditions: Vec<Reported>,
    warnings: Vec<Reported>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reported {
    reason: String,
    message: String,
}

impl AgentState {
    /// Why the container runtime ignores the agent's files, or may ignore them.
    fn ignored(&self) -> Option<&str> {
        let is_ignored = |reported: &&Reported| {
            reported.reason == NodeReason::RuntimeNotConfigured.as_str() || reported.reason == CONFIG_PATH_LIST
        };
        self.conditions.iter().chain(&self.warnings).find(is_ignored).map(|reported| reported.message.as_str())
    }
}

async fn read(guest: &GuestClient) -> Result<Seen, GuestError> {
    let (mut nodes, mut agents, mut ignored) = (Vec::new(), Vec::new(), Vec::new());
    guest
        .each(NODES, "", |node: SeenNode| {
            let info = node.status.node_info;
            // No agent runs on Windows.
            if info.operating_system != "windows" {
                nodes.push((node.metadata.name, info.container_runtime_version));
            }
        })
        .await?;
    guest
        .each(STATUSES, "", |agent: SeenAgent| {
            let why = agent.status.ignored().map(|why| (agent.metadata.name.clone(), why.to_owned()));
            ignored.extend(why);
            agents.push((agent.metadata.name, agent.status.agent_version));
        })
        .await?;
    Ok(Seen { nodes, agents, ignored })
}
