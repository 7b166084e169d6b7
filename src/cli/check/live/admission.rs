//! Reads the admission and the labels of control-plane namespaces.

use std::collections::BTreeMap;

use hypermirror_api::{ClusterKey, names};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};

use super::super::super::input::Input;
use super::in_order;
use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::diagnosis::Diagnosis;
use crate::diagnosis::admission::{self, InstalledAdmission, Webhook};
use crate::management::admission_registration::policies;

/// The diagnoses, and whether a policy is installed. `manager` are the arguments of the manager, if it is installed.
pub async fn diagnose(client: &Client, manager: Option<&[String]>) -> (Vec<Diagnosis>, bool) {
    let mut found = Vec::new();
    let mut unknown = |error: &kube::Error| {
        let message = format!("the admission could not be read: {}", Cause(error));
        let cure = "run check as a user that may get webhook configurations and admission policies";
        found.push(Diagnosis::not_checked("MutatingWebhookConfiguration/hypermirror", message, cure));
    };
    let webhook = read_webhook(client).await.unwrap_or_else(|error| {
        unknown(&error);
        None
    });
    let policies = policies(client).await.unwrap_or_else(|error| {
        unknown(&error);
        Vec::new()
    });
    let has_policy = policies.iter().any(|(_, exists, _)| *exists);
    let is_served = manager.map(|words| words.iter().any(|word| word == "--webhook=serve"));
    found.extend(admission::diagnose(&InstalledAdmission { webhook, policies, is_served }));
    (found, has_policy)
}

async fn read_webhook(client: &Client) -> kube::Result<Option<Webhook>> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let Some(configuration) = answered(api.get_opt(names::WEBHOOK_CONFIGURATION)).await? else { return Ok(None) };
    let webhooks = configuration.webhooks.unwrap_or_default();
    let lacks = |webhook: &k8s_openapi::api::admissionregistration::v1::MutatingWebhook| {
        webhook.client_config.ca_bundle.as_ref().is_none_or(|bundle| bundle.0.is_empty())
    };
    let service = webhooks.iter().find_map(|webhook| webhook.client_config.service.as_ref());
    let ready = match service {
        // Somebody replaced the Service by a URL, about which nothing is known.
        None => None,
        Some(service) => ready_endpoints(client, &service.namespace, &service.name).await,
    };
    Ok(Some(Webhook {
        name: names::WEBHOOK_CONFIGURATION.to_owned(),
        without_authority: (0..webhooks.len()).filter(|index| webhooks.get(*index).is_some_and(lacks)).collect(),
        count: webhooks.len(),
        service: service.map(|service| format!("{}/{}", service.namespace, service.name)),
        ready,
    }))
}

/// `None` if they cannot be read.
async fn ready_endpoints(client: &Client, namespace: &str, service: &str) -> Option<usize> {
    let api: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
    let slices = answered(api.list(&params)).await.ok()?;
    let endpoints = slices.items.iter().flat_map(|slice| &slice.endpoints);
    let is_ready = |conditions: &k8s_openapi::api::discovery::v1::EndpointConditions| conditions.ready != Some(false);
    Some(endpoints.filter(|endpoint| endpoint.conditions.as_ref().is_none_or(is_ready)).count())
}

/// Diagnoses the control-plane namespaces that exist.
pub async fn diagnose_namespaces(client: &Client, input: &Input) -> Vec<Diagnosis> {
    let owned = input.clusters.iter().map(ClusterKey::of).filter(|key| input.claims.refusal(key).is_none());
    let read = |key: ClusterKey| async move {
        let api: Api<Namespace> = Api::all(client.clone());
        let found = answered(api.get_metadata_opt(&key.control_plane_namespace())).await;
        (key, found)
    };
    let mut found = Vec::new();
    for (key, namespace) in in_order(owned.map(read)).await {
        match namespace {
            // HyperShift has not created it yet.
            Ok(None) => {}
            Ok(Some(namespace)) => {
                found.extend(admission::diagnose_namespace(&key, label(&namespace).map(String::as_str)));
            }
            Err(error) => {
                let message = format!("the labels of control-plane namespaces could not be read: {}", Cause(&error));
                let cure = "run check as a user that may get Namespaces";
                found.push(Diagnosis::not_checked("Namespaces/all", message, cure));
                break;
            }
        }
    }
    found
}

fn label(namespace: &PartialObjectMeta<Namespace>) -> Option<&String> {
    let labels: Option<&BTreeMap<String, String>> = namespace.metadata.labels.as_ref();
    labels?.get(names::CONTROL_PLANE_NAMESPACE_LABEL)
}
