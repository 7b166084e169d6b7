//! What a live cluster has beside the input of other commands: policies, pull secrets, authorities, images of operators.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use hypermirror_api::ClusterKey;
use hypermirror_api::hypershift::HostedCluster;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;

use super::super::input::{Input, InputArgs};
use super::super::{MANAGER_NAMESPACE, console};
use crate::client::pages::Pages;
use crate::registry::coverage::policy::SignaturePolicy;
use crate::registry::credentials::auth_file::AuthFile;

const PAGE: u32 = 500;
/// Where HyperShift installs its operator, and the name of its Deployment.
const OPERATOR: (&str, &str) = ("hypershift", "operator");
const MANAGER: &str = "hypermirror-manager";
const AGENT_IMAGE_FLAG: &str = "--agent-image=";
const PULL_SECRET_KEY: &str = ".dockerconfigjson";
const TRUST_BUNDLE_KEY: &str = "ca-bundle.crt";
/// Kinds of policies, with their plurals.
const POLICIES: [(&str, &str); 2] = [("ClusterImagePolicy", "clusterimagepolicies"), ("ImagePolicy", "imagepolicies")];

/// What else is known about the input.
#[derive(Debug, Default)]
pub struct Extras {
    /// Policies of the management cluster.
    pub policies: Vec<SignaturePolicy>,
    /// The image of HyperShift's operator.
    pub operator_image: Option<String>,
    /// The image of the agent.
    pub agent_image: Option<String>,
    /// The pull secret of each hosted cluster, or why it cannot be read.
    pub pull_secrets: BTreeMap<ClusterKey, Result<AuthFile, String>>,
    /// The authorities of each hosted cluster, in PEM.
    pub authorities: BTreeMap<ClusterKey, Vec<u8>>,
}

impl Extras {
    /// Reads them from the live cluster, or from what the manifests have.
    ///
    /// # Errors
    /// No cluster.
    pub async fn read(args: &InputArgs, input: &Input, selected: &[&HostedCluster]) -> Result<Self> {
        if !input.is_live {
            let named = |object: &&Value| {
                object["metadata"]["namespace"] == OPERATOR.0 && object["metadata"]["name"] == OPERATOR.1
            };
            let operator_image = input.deployments.iter().find(named).and_then(image_of);
            return Ok(Self { policies: input.signature_policies.clone(), operator_image, ..Self::default() });
        }
        let client = args.connection.connect().await?;
        let mut extras = Self::default();
        for (kind, plural) in POLICIES {
            extras.policies.extend(policies(&client, kind, plural).await?);
        }
        let operator = deployment(&client, OPERATOR).await;
        extras.operator_image = operator.as_ref().and_then(image_of);
        let manager = deployment(&client, (MANAGER_NAMESPACE, MANAGER)).await;
        extras.agent_image = manager.as_ref().and_then(|manager| agent_flag(manager).or_else(|| image_of(manager)));
        for cluster in selected {
            extras.read_cluster(&client, cluster).await;
        }
        Ok(extras)
    }

    /// What a consumer shows registries and believes. What cannot be read is no reason to ask with somebody else's credentials.
    async fn read_cluster(&mut self, client: &Client, cluster: &HostedCluster) {
        let key = ClusterKey::of(cluster);
        if let Some(reference) = &cluster.spec.pull_secret {
            let name = format!("{}/{}", key.namespace, reference.name);
            let api: Api<Secret> = Api::namespaced(client.clone(), &key.namespace);
            let secret = api.get(&reference.name).await;
            let read = secret.map_err(|error| format!("failed to read Secret {name}: {error}")).and_then(|secret| {
                let content = secret.data.as_ref().and_then(|data| data.get(PULL_SECRET_KEY));
                let content = content.ok_or_else(|| format!("Secret {name} has no key {PULL_SECRET_KEY}"))?;
                AuthFile::parse(&content.0).map_err(|error| format!("Secret {name}: {error}"))
            });
            self.pull_secrets.insert(key.clone(), read);
        }
        if let Some(reference) = &cluster.spec.additional_trust_bundle {
            let name = format!("{}/{}", key.namespace, reference.name);
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), &key.namespace);
            match api.get(&reference.name).await {
                Ok(map) => {
                    let bundle = map.data.and_then(|mut data| data.remove(TRUST_BUNDLE_KEY)).unwrap_or_default();
                    self.authorities.insert(key, bundle.into_bytes());
                }
                Err(error) => console::warning(format!(
                    "failed to read ConfigMap {name} with the certificate authorities of HostedCluster {key}: {error}"
                )),
            }
        }
    }
}

async fn policies(client: &Client, kind: &str, plural: &str) -> Result<Vec<SignaturePolicy>> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("config.openshift.io", "v1", kind), plural);
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let mut pages = Pages::of(ListParams::default(), PAGE);
    let mut found = Vec::new();
    while let Some(params) = pages.next() {
        let page = match api.list(params).await {
            Ok(page) => page,
            // Clusters other than OpenShift have no such kind.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(found),
            Err(error) => return Err(error).with_context(|| format!("failed to list objects of kind {kind}")),
        };
        pages.read(&page.metadata);
        for object in page.items {
            let mut value = serde_json::to_value(&object)?;
            value["kind"] = kind.into();
            value["apiVersion"] = "config.openshift.io/v1".into();
            found.extend(
                SignaturePolicy::of(&value).with_context(|| format!("failed to decode an object of kind {kind}"))?,
            );
        }
    }
    Ok(found)
}

/// A Deployment whose image is needed, if it is there and may be read.
async fn deployment(client: &Client, (namespace, name): (&str, &str)) -> Option<Value> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    match api.get_opt(name).await {
        Ok(found) => serde_json::to_value(found?).ok(),
        Err(error) => {
            console::warning(format!(
                "failed to read Deployment {namespace}/{name}; its image is not checked: {error}"
            ));
            None
        }
    }
}

fn image_of(deployment: &Value) -> Option<String> {
    let image = deployment.pointer("/spec/template/spec/containers/0/image")?.as_str()?;
    Some(image.to_owned())
}

fn agent_flag(deployment: &Value) -> Option<String> {
    let arguments = deployment.pointer("/spec/template/spec/containers/0/args")?.as_array()?;
    arguments.iter().find_map(|argument| argument.as_str()?.strip_prefix(AGENT_IMAGE_FLAG).map(str::to_owned))
}
