//! Detects which admission is installed, and removes it.

use hypermirror_api::names;
use hypermirror_api::report::Admission;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{ApiResource, DeleteParams, DynamicObject};
use kube::core::GroupVersionKind;
use kube::{Api, Client};

use crate::client::deadline::answered;

const POLICY: &str = "MutatingAdmissionPolicy";
const BINDING: &str = "MutatingAdmissionPolicyBinding";
const CONFIGURATION: &str = "MutatingWebhookConfiguration";

/// A kind of the admission. `k8s-openapi` does not have the policies yet.
fn api(client: &Client, kind: &str) -> Api<DynamicObject> {
    let plural = match kind {
        POLICY => "mutatingadmissionpolicies".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
    Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&kind, &plural))
}

/// Detects the installed admission: the webhook if its configuration has a certificate authority, or the policy if it has a
/// binding.
///
/// # Errors
/// [`kube::Error`] if a read failed.
pub async fn installed(client: &Client) -> kube::Result<Admission> {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let configuration = answered(configurations.get_opt(names::WEBHOOK_CONFIGURATION)).await?;
    if configuration.is_some_and(|configuration| is_trusted(&configuration)) {
        return Ok(Admission::Webhook);
    }
    // The API server also responds with 404 if it does not serve the kind.
    for kind in [POLICY, BINDING] {
        if answered(api(client, kind).get_opt(names::ADMISSION_POLICIES[0])).await?.is_none() {
            return Ok(Admission::None);
        }
    }
    Ok(Admission::Policy)
}

/// Each admission policy by name, with whether it exists, and whether its binding does.
///
/// # Errors
/// [`kube::Error`] if a read failed.
pub async fn policies(client: &Client) -> kube::Result<Vec<(String, bool, bool)>> {
    let mut found = Vec::new();
    for name in names::ADMISSION_POLICIES {
        let policy = answered(api(client, POLICY).get_opt(name)).await?.is_some();
        let binding = answered(api(client, BINDING).get_opt(name)).await?.is_some();
        found.push((name.to_owned(), policy, binding));
    }
    Ok(found)
}

/// Whether all webhooks have a certificate authority. Without one, each call fails.
fn is_trusted(configuration: &MutatingWebhookConfiguration) -> bool {
    let mut webhooks = configuration.webhooks.iter().flatten().peekable();
    webhooks.peek().is_some()
        && webhooks.all(|webhook| webhook.client_config.ca_bundle.as_ref().is_some_and(|bundle| !bundle.0.is_empty()))
}

/// Removes the admission and returns the removed objects. Objects that the manager may not delete do not belong to it.
///
/// # Errors
/// [`kube::Error`] if an object may still exist.
pub async fn remove(client: &Client) -> kube::Result<Vec<String>> {
    let policies = names::ADMISSION_POLICIES;
    let objects = [BINDING, POLICY].iter().flat_map(|kind| policies.map(|name| (*kind, name)));
    // Bindings go before their policies: a policy acts only through its binding, so it has no effect from the first deletion on,
    // also if a later one fails.
    let mut removed = Vec::new();
    for (kind, name) in [(CONFIGURATION, names::WEBHOOK_CONFIGURATION)].into_iter().chain(objects) {
        match answered(api(client, kind).delete(name, &DeleteParams::default())).await {
            Ok(_) => removed.push(format!("{kind} {name}")),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(kube::Error::Api(status)) if status.code == 403 => {
                tracing::debug!(
                    kind,
                    name,
                    "skipped: RBAC does not allow deleting it, so the manager did not create it"
                );
            }
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_webhook_counts_when_api_servers_can_trust_it() {
        let webhook = |config: Value| json!({"name": "w", "clientConfig": config, "sideEffects": "None", "admissionReviewVersions": ["v1"]});
        let is_trusted = |webhooks: Value| {
            is_trusted(&serde_json::from_value(json!({"metadata": {}, "webhooks": webhooks})).unwrap())
        };
        let (with, without) = (webhook(json!({"caBundle": "YQ=="})), webhook(json!({})));
        assert!(is_trusted(json!([with, with])));
        assert!(!is_trusted(json!([with, without])));
        assert!(!is_trusted(json!([webhook(json!({"caBundle": ""}))])));
        assert!(!is_trusted(json!([])));
        assert!(!is_trusted(Value::Null));
    }
}
