//! The cluster of a pod: where its objects are read, and what its node pulls with.

use anyhow::{Context as _, Result};
use hypermirror_api::ClusterKey;
use hypermirror_api::hypershift::HostedCluster;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, Client};

use super::super::coverage::{Extras, policies_of};
use super::super::input::{Connection, Input, InputArgs, Wanted};
use super::super::node::{NodeState, read_node};
use super::super::registry::ReachArgs;
use super::super::{Usage, console, guest};
use super::cause::Surroundings;
use super::pod;
use crate::client::cause::Cause;
use crate::guest::GuestClient;
use crate::management::pulled;
use crate::mirrors::registries::RegistriesConfig;
use crate::mirrors::signature_policy::SignaturePolicy;
use crate::registry::coverage::demand::NodeRules;
use crate::registry::credentials::auth_file::AuthFile;

/// Where OpenShift keeps the pull secret of its nodes.
const NODE_SECRET: (&str, &str) = ("openshift-config", "pull-secret");
/// The keys of the two types of Secrets with credentials for registries.
const KEYS: [&str; 2] = [".dockerconfigjson", ".dockercfg"];
/// The namespace of a guest cluster if none is given: its kubeconfig is not the user's own.
const DEFAULT_NAMESPACE: &str = "default";

/// The cluster of the pod.
pub struct Site {
    client: Client,
    input: InputArgs,
    guest: Option<(ClusterKey, GuestClient)>,
}

/// Credentials, and where they come from.
#[derive(Clone, Debug)]
pub struct NamedFile {
    /// `Secret namespace/name`.
    pub name: String,
    /// The credentials.
    pub file: AuthFile,
}

/// What the node of a pod pulls with, and from where.
pub struct NodeView {
    /// For the causes.
    pub around: Surroundings,
    /// Where the node pulls images from.
    pub rules: NodeRules,
    /// The credentials of the node.
    pub of_node: Vec<NamedFile>,
    /// The credentials of the pod.
    pub of_pod: Vec<NamedFile>,
    /// Authorities of the hosted cluster, in PEM.
    pub authorities: Vec<u8>,
    /// The signature policies in force.
    pub policies: Vec<SignaturePolicy>,
}

impl Site {
    /// Connects to the management cluster, and with a hosted cluster also to its guest.
    pub async fn connect(connection: &Connection, hosted_cluster: Option<&ClusterKey>) -> Result<Self> {
        let client = connection.connect().await?;
        let guest = match hosted_cluster {
            Some(key) => Some((key.clone(), guest::connect(&client, key).await?)),
            None => None,
        };
        let input = InputArgs { files: Vec::new(), connection: connection.clone() };
        Ok(Self { client, input, guest })
    }

    /// The namespace where nobody names one.
    pub fn default_namespace(&self) -> String {
        if self.guest.is_some() { DEFAULT_NAMESPACE.to_owned() } else { self.client.default_namespace().to_owned() }
    }

    /// Reads the pod.
    pub async fn pod(&self, namespace: &str, name: &str) -> Result<Pod> {
        let read = || format!("failed to read Pod {namespace}/{name}");
        let found = match &self.guest {
            Some((_, guest)) => {
                guest.get(&format!("/api/v1/namespaces/{namespace}/pods/{name}")).await.with_context(read)?
            }
            None => Api::<Pod>::namespaced(self.client.clone(), namespace).get_opt(name).await.with_context(read)?,
        };
        found.ok_or_else(|| {
            let place = match &self.guest {
                Some((key, _)) => format!("the guest cluster of {key}"),
                None => "the management cluster".to_owned(),
            };
            Usage::error(format!("{place} has no Pod {name} in namespace {namespace}"))
        })
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, String> {
        if let Some((_, guest)) = &self.guest {
            let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
            return guest.get(&path).await.map_err(|error| error.to_string());
        }
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        api.get_opt(name).await.map_err(|error| Cause(&error).to_string())
    }

    /// What the node of a pod pulls with, and from where.
    pub async fn around(&self, reach: &ReachArgs, namespace: &str, pod: &Pod) -> Result<NodeView> {
        let wanted = Wanted { pools: self.guest.is_some(), ..Wanted::default() };
        let input = self.input.load(wanted).await?;
        let mut view = match &self.guest {
            Some((key, guest)) => self.in_guest(&input, key, guest, pod).await?,
            None => self.in_management(&input, namespace).await?,
        };
        namespace.clone_into(&mut view.around.namespace);
        pod::node_of(pod).unwrap_or_default().clone_into(&mut view.around.node);
        for name in pod::pull_secrets(pod) {
            match self.secret(namespace, &name).await.and_then(|secret| file_of(secret.as_ref())) {
                Ok(file) => view.of_pod.push(NamedFile { name: format!("Secret {namespace}/{name}"), file }),
                Err(why) => view.around.unusable_secrets.push((name, why)),
            }
        }
        if reach.names_credentials() {
            // Somebody knows better what the node shows.
            let files = reach.keychain()?.files.into_iter();
            view.of_node = files.map(|file| NamedFile { name: "--authfile".to_owned(), file }).collect();
        }
        Ok(view)
    }

    async fn in_management(&self, input: &Input, namespace: &str) -> Result<NodeView> {
        let policies = pulled::signature_policies(&self.client).await?;
        let (secret_namespace, name) = NODE_SECRET;
        let read = self.secret(secret_namespace, name).await;
        let of_node = match read {
            // Clusters other than OpenShift have none.
            Ok(None) => Vec::new(),
            Ok(Some(secret)) => named(secret_namespace, name, file_of(Some(&secret))),
            Err(why) => named(secret_namespace, name, Err(why)),
        };
        Ok(NodeView {
            around: Surroundings::default(),
            rules: NodeRules::of_management(&input.mirror_entries())?,
            of_node,
            of_pod: Vec::new(),
            authorities: Vec::new(),
            policies: policies.into_iter().filter(|policy| policy.applies_in(namespace)).collect(),
        })
    }

    async fn in_guest(&self, input: &Input, key: &ClusterKey, guest: &GuestClient, pod: &Pod) -> Result<NodeView> {
        let cluster: Option<&HostedCluster> = input.select(Some(key))?;
        let mut extras = Extras::default();
        if let Some(cluster) = cluster {
            extras.read_cluster(&self.client, cluster).await;
        }
        let mut around = Surroundings { hosted_cluster: Some(key.to_string()), ..Surroundings::default() };
        let (mut rules, mut policies) = (NodeRules::default(), Vec::new());
        if let Some(node) = pod::node_of(pod) {
            let node = parse_node(node)?;
            let live = read_node(guest, key, node).await?;
            around.mirrors_behind = behind(&live.state);
            let (found, notes) = NodeRules::of(&live.mirrors.set, RegistriesConfig::default(), false)?;
            notes.iter().for_each(console::warning);
            rules = found;
            let pools = input.pools_of(key);
            let pool = pools.iter().find(|pool| pool.metadata.name == live.pool);
            policies = pool.map(|pool| policies_of(input, pool)).transpose()?.unwrap_or_default();
        }
        let of_node = match extras.pull_secrets.remove(key) {
            Some(Ok(file)) => vec![NamedFile { name: format!("the pull secret of HostedCluster {key}"), file }],
            Some(Err(why)) => {
                console::warning(format!("the node's own credentials are not known: {why}"));
                Vec::new()
            }
            None => Vec::new(),
        };
        let authorities = extras.authorities.remove(key).unwrap_or_default();
        Ok(NodeView { around, rules, of_node, of_pod: Vec::new(), authorities, policies })
    }
}

/// The name of a node comes from the pod, and becomes a segment of a path.
fn parse_node(name: &str) -> Result<&str> {
    super::parse_object_name(name).map_err(anyhow::Error::msg)?;
    Ok(name)
}

/// Why the mirrors of a node are not in force. Without any set nothing is to be applied.
fn behind(state: &NodeState) -> Option<String> {
    let (reason, message) = state.behind.as_ref().filter(|_| !state.has_no_set)?;
    Some(format!("{reason}: {message}"))
}

/// Credentials of nodes that cannot be read are no reason to give up: many images need none.
fn named(namespace: &str, name: &str, file: Result<AuthFile, String>) -> Vec<NamedFile> {
    let name = format!("Secret {namespace}/{name}");
    match file {
        Ok(file) => vec![NamedFile { name, file }],
        Err(why) => {
            console::warning(format!("the node's own credentials are not known: {name}: {why}"));
            Vec::new()
        }
    }
}

/// The credentials in a Secret. No error contains a value.
fn file_of(secret: Option<&Secret>) -> Result<AuthFile, String> {
    let secret = secret.ok_or("it does not exist")?;
    let content = KEYS.iter().find_map(|key| secret.data.as_ref()?.get(*key));
    let content = content.ok_or_else(|| format!("it has neither key {} nor {}", KEYS[0], KEYS[1]))?;
    AuthFile::parse(&content.0).map_err(|error| error.to_string())
}
