//! The URL paths of objects on an API server.

use serde_json::Value;

/// The kinds that are applied in guest clusters, with the prefix of their paths.
const KINDS: [(&str, &str, &str); 13] = [
    ("CustomResourceDefinition", "/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    ("Namespace", "/api/v1", "namespaces"),
    ("ServiceAccount", "/api/v1", "serviceaccounts"),
    ("ClusterRole", "/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    ("ClusterRoleBinding", "/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    ("SecurityContextConstraints", "/apis/security.openshift.io/v1", "securitycontextconstraints"),
    ("ValidatingAdmissionPolicy", "/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
    ("ValidatingAdmissionPolicyBinding", "/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings"),
    ("NodeMirrorSet", "/apis/hypermirror.dev/v1alpha1", "nodemirrorsets"),
    ("ImageDigestMirrorSet", "/apis/config.openshift.io/v1", "imagedigestmirrorsets"),
    ("ImageTagMirrorSet", "/apis/config.openshift.io/v1", "imagetagmirrorsets"),
    ("ImageContentSourcePolicy", "/apis/operator.openshift.io/v1alpha1", "imagecontentsourcepolicies"),
    ("DaemonSet", "/apis/apps/v1", "daemonsets"),
];

/// The path of the list of a kind.
pub fn collection(kind: &str) -> String {
    let found = KINDS.iter().find(|(known, ..)| *known == kind);
    found.map_or_else(String::new, |(_, group, plural)| format!("{group}/{plural}"))
}

/// The path of an object.
pub fn of(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let collection = collection(text("/kind"));
    let (name, namespace) = (text("/metadata/name"), text("/metadata/namespace"));
    match collection.rsplit_once('/') {
        Some((group, plural)) if !namespace.is_empty() => format!("{group}/namespaces/{namespace}/{plural}/{name}"),
        _ => format!("{collection}/{name}"),
    }
}

/// The name of an object in messages, such as `DaemonSet hypermirror-system/hypermirror-agent`.
pub fn title(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, name, namespace) = (text("/kind"), text("/metadata/name"), text("/metadata/namespace"));
    if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
}

/// Whether a text is a valid name of an object, so that it can be a segment of a path.
pub fn is_name(text: &str) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    (1..=253).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::objects::{AgentPorts, AgentSpec, GuestInput, GuestKinds, GuestObjects};
    use crate::process::flags::{ReloadMethod, RuntimeChoice};

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert!(is_name("nodepool-a") && is_name("ip-10-0-0-1.ec2.internal"));
        for wrong in ["", "..", "../x", "a/b", "a?b", "a#b", "A", "a b", "%2e%2e", &"a".repeat(254)] {
            assert!(!is_name(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn every_applied_object_has_a_path() {
        let (reload, ports) = (ReloadMethod::Dbus, AgentPorts::default());
        let agent = AgentSpec { image: "x@sha256:0".into(), reload, runtime: RuntimeChoice::Auto, ports, api: None };
        let input = GuestInput { entries: &[], pools: &[], agent: Some(&agent), kinds: GuestKinds::OPENSHIFT };
        let paths: Vec<String> = GuestObjects::new(&input).all().map(of).collect();
        assert!(paths.iter().all(|path| path.starts_with("/api")), "{paths:?}");
        assert!(paths.contains(&"/apis/apps/v1/namespaces/hypermirror-system/daemonsets/hypermirror-agent".to_owned()));
        assert!(paths.contains(&"/apis/hypermirror.dev/v1alpha1/nodemirrorsets/cluster".to_owned()));
    }
}
