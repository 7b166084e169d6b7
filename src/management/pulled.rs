//! What the management cluster itself adds to coverage: signature policies in force on its nodes, and images of operators.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};

use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::client::pages::Pages;
use crate::mirrors::signature_policy::SignaturePolicy;

const PAGE: u32 = 500;
/// Where HyperShift installs its operator, and the name of its Deployment.
pub const OPERATOR: (&str, &str) = ("hypershift", "operator");
const MANAGER: &str = "hypermirror-manager";
const AGENT_IMAGE_FLAG: &str = "--agent-image=";
const POLICY_GROUP: &str = "config.openshift.io";
const POLICY_VERSION: &str = "v1";
/// Kinds of policies, with their plurals.
const POLICIES: [(&str, &str); 2] = [("ClusterImagePolicy", "clusterimagepolicies"), ("ImagePolicy", "imagepolicies")];

/// Signature policies cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The API server does not list them.
    #[error("failed to list objects of kind {kind}: {}", Cause(.cause))]
    List {
        /// The kind.
        kind: &'static str,
        /// Why.
        cause: kube::Error,
    },
    /// One cannot be decoded.
    #[error("failed to decode an object of kind {kind}: {cause}")]
    Decode {
        /// The kind.
        kind: &'static str,
        /// Why.
        cause: serde_json::Error,
    },
}

/// The policies of the management cluster.
///
/// # Errors
/// [`PolicyError`]; clusters that have no such kind have no policies.
pub async fn signature_policies(client: &Client) -> Result<Vec<SignaturePolicy>, PolicyError> {
    let mut found = Vec::new();
    for (kind, plural) in POLICIES {
        let gvk = GroupVersionKind::gvk(POLICY_GROUP, POLICY_VERSION, kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let mut pages = Pages::of(ListParams::default(), PAGE);
        while let Some(params) = pages.next() {
            let page = match answered(api.list(params)).await {
                Ok(page) => page,
                // Clusters other than OpenShift have no such kind.
                Err(kube::Error::Api(status)) if status.code == 404 => break,
                Err(cause) => return Err(PolicyError::List { kind, cause }),
            };
            pages.read(&page.metadata);
            for object in page.items {
                found.extend(policy(kind, &object).map_err(|cause| PolicyError::Decode { kind, cause })?);
            }
        }
    }
    Ok(found)
}

fn policy(kind: &str, object: &DynamicObject) -> Result<Option<SignaturePolicy>, serde_json::Error> {
    let mut value = serde_json::to_value(object)?;
    value["kind"] = kind.into();
    value["apiVersion"] = format!("{POLICY_GROUP}/{POLICY_VERSION}").into();
    SignaturePolicy::of(&value)
}

/// The image of HyperShift's operator, if it is installed.
///
/// # Errors
/// Its Deployment cannot be read.
pub async fn operator_image(client: &Client) -> kube::Result<Option<String>> {
    Ok(deployment(client, OPERATOR).await?.as_ref().and_then(image_of))
}

/// The image of the agents of a manager in this namespace, if it is installed.
///
/// # Errors
/// Its Deployment cannot be read.
pub async fn agent_image(client: &Client, namespace: &str) -> kube::Result<Option<String>> {
    let manager = deployment(client, (namespace, MANAGER)).await?;
    Ok(manager.as_ref().and_then(|manager| agent_flag(manager).or_else(|| image_of(manager))))
}

async fn deployment(client: &Client, (namespace, name): (&str, &str)) -> kube::Result<Option<Deployment>> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    answered(api.get_opt(name)).await
}

/// The image of the first container of a Deployment.
pub fn image_of(deployment: &Deployment) -> Option<String> {
    deployment.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.image.clone()
}

fn agent_flag(deployment: &Deployment) -> Option<String> {
    let containers = &deployment.spec.as_ref()?.template.spec.as_ref()?.containers;
    let arguments = containers.first()?.args.as_ref()?;
    arguments.iter().find_map(|argument| argument.strip_prefix(AGENT_IMAGE_FLAG).map(str::to_owned))
}
