//! What a live cluster has beside the input of other commands: policies, pull secrets, authorities, images of operators.

use std::collections::BTreeMap;

use anyhow::Result;
use hypermirror_api::ClusterKey;
use hypermirror_api::hypershift::HostedCluster;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use serde::Deserialize as _;
use serde_json::Value;

use super::super::input::{Input, InputArgs};
use super::super::{MANAGER_NAMESPACE, console};
use crate::management::pulled;
use crate::mirrors::signature_policy::SignaturePolicy;
use crate::registry::credentials::auth_file::AuthFile;

const PULL_SECRET_KEY: &str = ".dockerconfigjson";
const TRUST_BUNDLE_KEY: &str = "ca-bundle.crt";
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
                object["metadata"]["namespace"] == pulled::OPERATOR.0
                    && object["metadata"]["name"] == pulled::OPERATOR.1
            };
            let operator = input.deployments.iter().find(named);
            let operator = operator.and_then(|operator| Deployment::deserialize(operator).ok());
            let operator_image = operator.as_ref().and_then(pulled::image_of);
            return Ok(Self { policies: input.signature_policies.clone(), operator_image, ..Self::default() });
        }
        let client = args.connection.connect().await?;
        let manager = format!("{MANAGER_NAMESPACE}/hypermirror-manager");
        let mut extras = Self {
            policies: pulled::signature_policies(&client).await?,
            operator_image: or_warning("hypershift/operator", pulled::operator_image(&client).await),
            agent_image: or_warning(&manager, pulled::agent_image(&client, MANAGER_NAMESPACE).await),
            ..Self::default()
        };
        for cluster in selected {
            extras.read_cluster(&client, cluster).await;
        }
        Ok(extras)
    }

    /// What a consumer shows registries and believes. What cannot be read is no reason to ask with somebody else's credentials.
    pub async fn read_cluster(&mut self, client: &Client, cluster: &HostedCluster) {
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

/// An image of a Deployment, if that is there and may be read.
fn or_warning(name: &str, read: kube::Result<Option<String>>) -> Option<String> {
    read.unwrap_or_else(|error| {
        console::warning(format!("failed to read Deployment {name}; its image is not checked: {error}"));
        None
    })
}
