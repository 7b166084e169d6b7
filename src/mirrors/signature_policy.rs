//! Which images policies in force demand signatures for: `ClusterImagePolicy` and `ImagePolicy`. Pure.

use serde::Deserialize;
use serde_json::Value;

use crate::mirrors::ImageReference;
use crate::mirrors::scope::match_len;

const GROUP: &str = "config.openshift.io";
const CLUSTER_KIND: &str = "ClusterImagePolicy";
const NAMESPACED_KIND: &str = "ImagePolicy";

/// A policy that demands signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignaturePolicy {
    /// The namespace to whose pods it applies. None: all.
    pub namespace: Option<String>,
    /// The names of images to which it applies, whatever mirror they are pulled from.
    pub scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    scopes: Vec<String>,
}

impl SignaturePolicy {
    /// A policy, if the object is one.
    ///
    /// # Errors
    /// Its scopes cannot be read.
    pub fn of(object: &Value) -> Result<Option<Self>, serde_json::Error> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let group = text("/apiVersion").and_then(|version| version.split('/').next());
        let kind = text("/kind").filter(|kind| [CLUSTER_KIND, NAMESPACED_KIND].contains(kind));
        let (Some(GROUP), Some(kind)) = (group, kind) else { return Ok(None) };
        let spec = Spec::deserialize(object.get("spec").unwrap_or(&Value::Null))?;
        let namespace = text("/metadata/namespace").filter(|_| kind == NAMESPACED_KIND).map(str::to_owned);
        Ok(Some(Self { namespace, scopes: spec.scopes }))
    }

    /// Whether it applies to pods of a namespace.
    pub fn applies_in(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }

    /// Whether it applies to images of a source, or of a part of it.
    pub fn concerns(&self, source: &str) -> bool {
        self.scopes.iter().any(|scope| match_len(scope, source).is_some() || match_len(source, scope).is_some())
    }

    /// Whether it demands a signature of an image.
    ///
    /// Of several scopes that match, nodes use the most specific one. Each scope of a policy demands signatures, so that does
    /// not change the answer.
    fn covers(&self, image: &ImageReference) -> bool {
        let (name, whole) = (image.name(), image.to_string());
        self.scopes.iter().any(|scope| *scope == whole || match_len(scope, &name).is_some())
    }
}

/// Whether one of the policies demands a signature of an image. `image` is the name that is declared, not that at a mirror.
pub fn demand_signature(policies: &[SignaturePolicy], image: &str) -> bool {
    let Ok(image) = ImageReference::parse(image) else { return false };
    let image = image.as_pulled();
    policies.iter().any(|policy| policy.covers(&image))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(kind: &str, scopes: &[&str]) -> SignaturePolicy {
        let object = json!({"apiVersion": "config.openshift.io/v1", "kind": kind,
            "metadata": {"name": "a", "namespace": "team"}, "spec": {"scopes": scopes, "policy": {}}});
        SignaturePolicy::of(&object).unwrap().unwrap()
    }

    #[test]
    fn scopes_are_names_of_images_as_they_are_declared() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let by_digest = format!("quay.io/ocp/release@{digest}");
        let cases: [(&str, &str, bool); 9] = [
            ("quay.io", &by_digest, true),
            ("quay.io/ocp", &by_digest, true),
            ("quay.io/oc", &by_digest, false),
            ("quay.io/ocp/release", "quay.io/ocp/release:v1", true),
            ("quay.io/ocp/release:v1", "quay.io/ocp/release:v1", true),
            ("quay.io/ocp/release:v1", "quay.io/ocp/release:v2", false),
            (&by_digest, &by_digest, true),
            ("*.example", "a.example/x", true),
            ("docker.io/library", "nginx", true),
        ];
        for (scope, image, expected) in cases {
            assert_eq!(demand_signature(&[policy(CLUSTER_KIND, &[scope])], image), expected, "{scope} {image}");
        }
        assert!(
            !demand_signature(&[], "nginx") && !demand_signature(&[policy(CLUSTER_KIND, &["quay.io"])], "no image!")
        );
    }

    #[test]
    fn a_policy_concerns_sources_around_and_below_its_scopes() {
        for (scope, source, expected) in [
            ("quay.io/ocp", "quay.io/ocp", true),
            ("quay.io/ocp", "quay.io", true),
            ("quay.io/ocp", "quay.io/ocp/release", true),
            ("quay.io/ocp/release:v1", "quay.io/ocp", true),
            ("*.example", "a.example", true),
            ("quay.io/ocp", "quay.io/oc", false),
            ("quay.io/ocp", "quay.io/other", false),
        ] {
            assert_eq!(policy(CLUSTER_KIND, &[scope]).concerns(source), expected, "{scope} {source}");
        }
    }

    #[test]
    fn a_policy_of_a_namespace_is_for_its_pods_alone() {
        let (all, own) = (policy(CLUSTER_KIND, &["a"]), policy(NAMESPACED_KIND, &["a"]));
        assert!(all.applies_in("x") && own.applies_in("team") && !own.applies_in("x"));
        let other = json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterImagePolicy", "spec": {}});
        assert_eq!(SignaturePolicy::of(&other).unwrap(), None);
        let wrong =
            json!({"apiVersion": "config.openshift.io/v1", "kind": "ClusterImagePolicy", "spec": {"scopes": 1}});
        assert!(SignaturePolicy::of(&wrong).is_err());
    }
}
