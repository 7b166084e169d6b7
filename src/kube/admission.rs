//! The objects of the admission: the webhook's configuration, its certificate's Secret, and the policies instead of both.

use std::collections::BTreeSet;

use futures::Stream;
use hypermirror_api::names;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, WebhookClientConfig};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::deadline::answered;
use super::watch::{Update, updates};

/// The keys of the Secret, as cert-manager and `kubernetes.io/tls` name them.
const AUTHORITIES: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// A certificate as it is kept, each part as PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeptCertificate {
    /// Whom API servers have to trust: the newest authority first.
    pub authorities: String,
    /// What the server shows.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// The Secret, as far as it matters.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateSecret {
    /// Its version, which a write has to meet.
    pub resource_version: String,
    /// What it holds; none as long as it is empty.
    pub kept: Option<KeptCertificate>,
}

impl CertificateSecret {
    fn of(secret: Secret) -> Self {
        let resource_version = secret.resource_version().unwrap_or_default();
        let mut data = secret.data.unwrap_or_default();
        let mut text = |key: &str| String::from_utf8(data.remove(key)?.0).ok().filter(|text| !text.is_empty());
        let (authorities, certificate, key) = (text(AUTHORITIES), text(CERTIFICATE), text(KEY));
        let kept = authorities.zip(certificate).zip(key);
        let kept = kept.map(|((authorities, certificate), key)| KeptCertificate { authorities, certificate, key });
        Self { resource_version, kept }
    }
}

/// The configuration, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookConfiguration {
    /// Its webhooks, in their order: the name, and the authorities that API servers trust now.
    pub webhooks: Vec<(String, String)>,
    /// Under which names API servers reach them.
    pub hosts: BTreeSet<String>,
}

impl WebhookConfiguration {
    fn of(configuration: MutatingWebhookConfiguration) -> Self {
        let webhooks = configuration.webhooks.unwrap_or_default();
        Self {
            hosts: webhooks.iter().filter_map(|webhook| host(&webhook.client_config)).collect(),
            webhooks: webhooks
                .into_iter()
                .map(|webhook| {
                    let bundle = webhook.client_config.ca_bundle.unwrap_or_default().0;
                    (webhook.name, String::from_utf8(bundle).unwrap_or_default())
                })
                .collect(),
        }
    }
}

fn host(config: &WebhookClientConfig) -> Option<String> {
    if let Some(service) = &config.service {
        return Some(service_host(&service.name, &service.namespace));
    }
    let url: http::Uri = config.url.as_deref()?.parse().ok()?;
    Some(url.host()?.trim_matches(['[', ']']).to_owned())
}

/// How API servers call a Service.
pub fn service_host(name: &str, namespace: &str) -> String {
    format!("{name}.{namespace}.svc")
}

/// Watches the Secret of the certificate.
pub fn certificate_secret(client: &Client, namespace: &str) -> impl Stream<Item = Update<CertificateSecret>> + use<> {
    updates(Api::namespaced(client.clone(), namespace), named(names::WEBHOOK_SECRET), CertificateSecret::of)
}

/// Watches the configuration of the webhook.
pub fn webhook_configuration(client: &Client) -> impl Stream<Item = Update<WebhookConfiguration>> + use<> {
    updates(Api::all(client.clone()), named(names::WEBHOOK_CONFIGURATION), WebhookConfiguration::of)
}

/// One object, which RBAC can hold a watch to.
fn named(name: &str) -> watcher::Config {
    watcher::Config::default().fields(&format!("metadata.name={name}"))
}

/// Writes the Secret, if it is still what it was.
///
/// # Errors
/// [`kube::Error`]; 409 if it changed meanwhile.
pub async fn write_certificate(
    client: &Client,
    namespace: &str,
    before: &CertificateSecret,
    kept: &KeptCertificate,
) -> kube::Result<()> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let patch = json!({
        "metadata": {"resourceVersion": before.resource_version},
        "data": {
            AUTHORITIES: bytes(&kept.authorities), CERTIFICATE: bytes(&kept.certificate), KEY: bytes(&kept.key)
        }
    });
    answered(api.patch(names::WEBHOOK_SECRET, &params(), &Patch::Merge(patch))).await.map(|_| ())
}

/// Has API servers trust these authorities, and changes nothing else of the configuration.
///
/// # Errors
/// [`kube::Error`]; 422 if its webhooks are no longer those that were seen.
pub async fn write_trust(client: &Client, seen: &WebhookConfiguration, authorities: &str) -> kube::Result<()> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let bundle = ByteString(authorities.as_bytes().to_vec());
    let operations = seen.webhooks.iter().enumerate().flat_map(|(place, (name, _))| {
        [
            json!({"op": "test", "path": format!("/webhooks/{place}/name"), "value": name}),
            json!({"op": "add", "path": format!("/webhooks/{place}/clientConfig/caBundle"), "value": bundle}),
        ]
    });
    let patch = serde_json::from_value(Value::Array(operations.collect())).map_err(kube::Error::SerdeError)?;
    answered(api.patch(names::WEBHOOK_CONFIGURATION, &params(), &Patch::Json::<()>(patch))).await.map(|_| ())
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// Takes the admission away, whichever there is. Answers what was there; what the manager may not delete is not its own.
///
/// # Errors
/// [`kube::Error`] if something may still be there.
pub async fn remove(client: &Client) -> kube::Result<Vec<String>> {
    let policies = names::ADMISSION_POLICIES;
    let of_policies = ["MutatingAdmissionPolicyBinding", "MutatingAdmissionPolicy"];
    let objects = of_policies.iter().flat_map(|kind| policies.map(|name| (*kind, name)));
    let mut removed = Vec::new();
    for (kind, name) in [("MutatingWebhookConfiguration", names::WEBHOOK_CONFIGURATION)].into_iter().chain(objects) {
        let plural = match kind {
            "MutatingAdmissionPolicy" => "mutatingadmissionpolicies".to_owned(),
            kind => format!("{}s", kind.to_lowercase()),
        };
        let kind_of = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        let resource = ApiResource::from_gvk_with_plural(&kind_of, &plural);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        match answered(api.delete(name, &DeleteParams::default())).await {
            Ok(_) => removed.push(format!("{kind} {name}")),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(kube::Error::Api(status)) if status.code == 403 => {
                tracing::debug!(kind, name, "the manager may not delete it: none of ours");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_holds_a_certificate_only_when_all_of_it_is_there() {
        let of = |data: Value| {
            CertificateSecret::of(serde_json::from_value(json!({"metadata": {}, "data": data})).unwrap()).kept
        };
        let kept = of(json!({"ca.crt": "YQ==", "tls.crt": "Yg==", "tls.key": "Yw=="})).unwrap();
        assert_eq!((&*kept.authorities, &*kept.certificate, &*kept.key), ("a", "b", "c"));
        assert!(of(json!({"ca.crt": "YQ==", "tls.crt": "Yg==", "tls.key": ""})).is_none());
        assert!(of(json!({})).is_none());
        assert!(of(Value::Null).is_none());
    }

    #[test]
    fn a_configuration_tells_how_the_webhook_is_reached() {
        let webhook = |name: &str, config: Value| json!({"name": name, "clientConfig": config, "sideEffects": "None", "admissionReviewVersions": ["v1"]});
        let configuration = json!({"metadata": {}, "webhooks": [
            webhook("a", json!({"service": {"name": "w", "namespace": "n"}, "caBundle": "YQ=="})),
            webhook("b", json!({"url": "https://127.0.0.1:9443/admit"})),
            webhook("c", json!({"url": "https://[::1]:9443/admit"})),
        ]});
        let configuration = WebhookConfiguration::of(serde_json::from_value(configuration).unwrap());
        assert_eq!(configuration.hosts, ["w.n.svc", "127.0.0.1", "::1"].map(str::to_owned).into());
        assert_eq!(configuration.webhooks[0], ("a".to_owned(), "a".to_owned()));
        assert_eq!(configuration.webhooks[1], ("b".to_owned(), String::new()));
    }
}
