//! Whether an installed admission is in effect.

use super::{Diagnosis, DiagnosisCode};
use crate::mirrors::finding::Severity;

/// The parts of an admission that have to fit together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstalledAdmission {
    /// The webhook configuration, if it exists.
    pub webhook: Option<Webhook>,
    /// Each policy by name: whether it exists, and whether its binding does.
    pub policies: Vec<(String, bool, bool)>,
    /// Whether the manager has the flag `--webhook=serve`. `None` if its Deployment does not exist.
    pub is_served: Option<bool>,
}

/// A webhook configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Webhook {
    /// The name of the object.
    pub name: String,
    /// The webhooks without a certificate authority, by index.
    pub without_authority: Vec<usize>,
    /// Number of webhooks.
    pub count: usize,
    /// The Service that is called, `namespace/name`.
    pub service: Option<String>,
    /// Number of ready endpoints of that Service. `None` if they could not be read.
    pub ready: Option<usize>,
}

/// Diagnoses the admission.
pub fn diagnose(installed: &InstalledAdmission) -> Vec<Diagnosis> {
    let mut found: Vec<Diagnosis> =
        installed.webhook.iter().flat_map(|webhook| of_webhook(webhook, installed.is_served)).collect();
    found.extend(installed.policies.iter().filter_map(|(name, exists, is_bound)| of_policy(name, *exists, *is_bound)));
    found
}

fn ineffective(object: String, message: &str, cure: &str) -> Diagnosis {
    Diagnosis::new(DiagnosisCode::AdmissionIneffective, Severity::Error, object, message, cure)
}

fn of_webhook(webhook: &Webhook, is_served: Option<bool>) -> Vec<Diagnosis> {
    let object = format!("MutatingWebhookConfiguration/{}", webhook.name);
    let mut found = Vec::new();
    if webhook.count == 0 {
        let cure = "apply manifests/overlays/webhook-cert-manager or webhook-service-ca again";
        found.push(ineffective(object.clone(), "the configuration has no webhook", cure).at("webhooks", ""));
    }
    if let Some(index) = webhook.without_authority.first() {
        let message = "the webhook has no certificate authority, so that API servers ignore it";
        let cure = "check cert-manager or the service-ca operator, which writes the field";
        found.push(
            ineffective(object.clone(), message, cure).at(format!("webhooks[{index}].clientConfig.caBundle"), ""),
        );
    }
    let service = webhook.service.as_deref().unwrap_or_default();
    if is_served == Some(false) {
        let message = "the webhook is configured, and the manager runs without --webhook=serve";
        let cure = "apply the overlay with the webhook to the manager, too, or delete the configuration";
        found.push(ineffective(object, message, cure).at("webhooks[0].clientConfig.service", service));
    } else {
        match webhook.ready {
            Some(0) => {
                let message = "the Service of the webhook has no ready endpoint, so that API servers go on without it";
                let cure = "check the pods of the manager and the Secret hypermirror-webhook-certificate";
                found.push(ineffective(object, message, cure).at("webhooks[0].clientConfig.service", service));
            }
            Some(_) => {}
            None => {
                let message = "whether the webhook has a ready endpoint could not be read";
                let cure = "run check as a user that may list EndpointSlices";
                found.push(Diagnosis::not_checked(object, message, cure));
            }
        }
    }
    found
}

fn of_policy(name: &str, exists: bool, is_bound: bool) -> Option<Diagnosis> {
    let cure = "apply manifests/overlays/admission-policy again";
    match (exists, is_bound) {
        (true, false) => {
            let message = "the policy has no binding and is not in effect";
            Some(ineffective(format!("MutatingAdmissionPolicy/{name}"), message, cure))
        }
        (false, true) => {
            let message = "the policy of the binding does not exist";
            let object = format!("MutatingAdmissionPolicyBinding/{name}");
            Some(ineffective(object, message, cure).at("spec.policyName", name))
        }
        _ => None,
    }
}

/// Diagnoses the label of a control-plane namespace, by which admission and policies find it.
pub fn diagnose_namespace(cluster: &hypermirror_api::ClusterKey, value: Option<&str>) -> Option<Diagnosis> {
    let label = hypermirror_api::names::CONTROL_PLANE_NAMESPACE_LABEL;
    if value == Some("true") {
        return None;
    }
    let namespace = cluster.control_plane_namespace();
    let message = "the control-plane namespace lacks HyperShift's label, so that the manager may not write to it";
    let cure = format!("kubectl label namespace {namespace} {label}=true --overwrite");
    let code = DiagnosisCode::NamespaceUnlabelled;
    let found = Diagnosis::new(code, Severity::Error, format!("Namespace/{namespace}"), message, cure);
    Some(found.at(format!("metadata.labels[{label}]"), value.unwrap_or_default()).of(cluster))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook() -> Webhook {
        let service = Some("hypermirror-system/hypermirror-webhook".to_owned());
        Webhook { name: "hypermirror".into(), without_authority: Vec::new(), count: 2, service, ready: Some(2) }
    }

    #[test]
    fn a_webhook_needs_an_authority_a_server_and_an_endpoint() {
        for (webhook, is_served, expected) in [
            (webhook(), Some(true), &[][..]),
            (webhook(), None, &[]),
            (Webhook { without_authority: vec![1], ..webhook() }, Some(true), &["webhooks[1].clientConfig.caBundle"]),
            (Webhook { ready: Some(0), ..webhook() }, Some(true), &["webhooks[0].clientConfig.service"]),
            (Webhook { ready: Some(0), ..webhook() }, Some(false), &["webhooks[0].clientConfig.service"]),
            (Webhook { count: 0, ..webhook() }, Some(true), &["webhooks"]),
            (Webhook { ready: None, ..webhook() }, Some(true), &[""]),
        ] {
            let admission = InstalledAdmission { webhook: Some(webhook), is_served, ..InstalledAdmission::default() };
            let fields: Vec<String> = diagnose(&admission).into_iter().map(|found| found.field).collect();
            assert_eq!(fields, expected, "{admission:?}");
        }
    }

    #[test]
    fn a_policy_needs_its_binding_and_a_binding_its_policy() {
        for (exists, is_bound, expected) in [
            (true, true, None),
            (false, false, None),
            (true, false, Some("MutatingAdmissionPolicy/p")),
            (false, true, Some("MutatingAdmissionPolicyBinding/p")),
        ] {
            let policies = vec![("p".to_owned(), exists, is_bound)];
            let found = diagnose(&InstalledAdmission { policies, ..InstalledAdmission::default() });
            assert_eq!(found.first().map(|found| &*found.object), expected);
        }
    }

    #[test]
    fn a_control_plane_namespace_needs_its_label() {
        let key = "clusters/west".parse().unwrap();
        assert_eq!(diagnose_namespace(&key, Some("true")), None);
        for value in [None, Some("false")] {
            let found = diagnose_namespace(&key, value).unwrap();
            assert_eq!(found.object, "Namespace/clusters-west");
            assert!(found.cure.starts_with("kubectl label namespace clusters-west hypershift"), "{found:?}");
        }
    }
}
