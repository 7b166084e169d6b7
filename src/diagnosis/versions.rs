//! Whether the management cluster, HyperShift and the CRDs have versions that fit.

use serde_json::{Map, Value};

use super::{Diagnosis, DiagnosisCode};
use crate::mirrors::finding::Severity;

/// The oldest minor version of Kubernetes 1 on the management cluster: validating admission policies are stable since then, and
/// they hold the manager to its own objects.
const OLDEST_MINOR: u32 = 30;
/// The version of HyperShift's API whose fields are read.
const HYPERSHIFT_VERSION: &str = "v1beta1";
const HYPERSHIFT_GROUP: &str = "hypershift.openshift.io";

/// Diagnoses the version of the API server, as `/version` has it.
pub fn diagnose_kubernetes(major: &str, minor: &str, git_version: &str) -> Option<Diagnosis> {
    // Providers append a `+`.
    let number = |text: &str| text.trim_end_matches(|letter: char| !letter.is_ascii_digit()).parse::<u32>().ok();
    let object = "APIServer/management";
    match (number(major), number(minor)) {
        (Some(1), Some(minor)) if minor < OLDEST_MINOR => {
            let message =
                format!("the management cluster runs Kubernetes {git_version}; 1.{OLDEST_MINOR} or later is required");
            let found = Diagnosis::new(
                DiagnosisCode::KubernetesTooOld,
                Severity::Error,
                object,
                message,
                "update the management cluster",
            );
            Some(found.at("/version", git_version))
        }
        (Some(_), Some(_)) => None,
        _ => {
            let message = "the version of the management cluster is not a number";
            Some(Diagnosis::not_checked(object, message, "check kubectl version").at("/version", git_version))
        }
    }
}

/// Diagnoses the versions of HyperShift's API that are served. Empty if HyperShift is not installed, which is reported elsewhere.
pub fn diagnose_hypershift(served: &[String]) -> Option<Diagnosis> {
    if served.is_empty() || served.iter().any(|version| version == HYPERSHIFT_VERSION) {
        return None;
    }
    let served = served.join(", ");
    let message = format!("{HYPERSHIFT_GROUP} is served in {served}, and hypermirror reads {HYPERSHIFT_VERSION}");
    let object = format!("APIGroup/{HYPERSHIFT_GROUP}");
    let cure = "update HyperShift, or install a version of hypermirror that reads this API";
    let found = Diagnosis::new(DiagnosisCode::HyperShiftUnsupported, Severity::Error, object, message, cure);
    Some(found.at("versions", served))
}

/// Diagnoses an installed CRD against the one of this program: every field of this program has to be in it, because API servers
/// drop fields that a schema does not have. Fields of a later version are no problem.
pub fn diagnose_crd(own: &Value, installed: &Value) -> Option<Diagnosis> {
    let name = own["metadata"]["name"].as_str().unwrap_or_default();
    let lacks = own["spec"]["versions"].as_array().into_iter().flatten().find_map(|version| {
        let name = version["name"].as_str().unwrap_or_default();
        let found = installed["spec"]["versions"].as_array().into_iter().flatten().find(|it| it["name"] == name);
        let Some(found) = found.filter(|found| found["served"] == true) else {
            return Some(format!("version {name}"));
        };
        let schema = |version: &Value| version["schema"]["openAPIV3Schema"].clone();
        missing(&schema(version), &schema(found)).map(|path| path.trim_start_matches('.').to_owned())
    })?;
    let message = format!("the CRD is older than this program and lacks {lacks}, which API servers drop or refuse");
    let cure = "apply the CRDs of this version: hypermirror crd --for management | kubectl apply --server-side -f -";
    let object = format!("CustomResourceDefinition/{name}");
    Some(Diagnosis::new(DiagnosisCode::CrdOutdated, Severity::Error, object, message, cure).at(lacks, ""))
}

/// The path of the first field that an installed schema lacks.
fn missing(own: &Value, installed: &Value) -> Option<String> {
    // A schema that keeps unknown fields lacks none.
    if installed["x-kubernetes-preserve-unknown-fields"] == true {
        return None;
    }
    let empty = Map::new();
    let fields = |schema: &Value| schema["properties"].as_object().cloned().unwrap_or_else(|| empty.clone());
    let there = fields(installed);
    for (name, field) in &fields(own) {
        match there.get(name) {
            None => return Some(format!(".{name}")),
            Some(found) => {
                if let Some(path) = missing(field, found) {
                    return Some(format!(".{name}{path}"));
                }
            }
        }
    }
    if own["items"].is_object() {
        return missing(&own["items"], &installed["items"]).map(|path| format!("[]{path}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kubernetes_has_to_be_new_enough() {
        for (major, minor, expected) in [
            ("1", "30", None),
            ("1", "34+", None),
            ("2", "0", None),
            ("1", "29", Some(DiagnosisCode::KubernetesTooOld)),
            ("1", "9+", Some(DiagnosisCode::KubernetesTooOld)),
            ("", "x", Some(DiagnosisCode::NotChecked)),
        ] {
            assert_eq!(diagnose_kubernetes(major, minor, "v").map(|found| found.code), expected, "{major}.{minor}");
        }
    }

    #[test]
    fn hypershift_has_to_serve_the_version_that_is_read() {
        let served =
            |versions: &[&str]| diagnose_hypershift(&versions.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(served(&[]), None);
        assert_eq!(served(&["v1", "v1beta1"]), None);
        assert_eq!(served(&["v1alpha1"]).map(|found| found.value), Some("v1alpha1".to_owned()));
    }

    fn crd(version: &str, properties: &Value) -> Value {
        let schema = json!({"openAPIV3Schema": {"type": "object", "properties": properties}});
        json!({"metadata": {"name": "x.hypermirror.dev"},
            "spec": {"versions": [{"name": version, "served": true, "schema": schema}]}})
    }

    #[test]
    fn a_crd_has_to_have_every_field() {
        let list = |fields: Value| json!({"status": {"properties": {"a": {"items": {"properties": fields}}}}});
        let own = crd("v1", &list(json!({"b": {}, "c": {}})));
        for (installed, expected) in [
            (own.clone(), None),
            (crd("v1", &list(json!({"b": {}, "c": {}, "d": {}}))), None),
            (crd("v1", &list(json!({"b": {}}))), Some("status.a[].c")),
            (crd("v1", &json!({})), Some("status")),
            (crd("v1", &json!({"status": {"x-kubernetes-preserve-unknown-fields": true}})), None),
            (crd("v2", &list(json!({"b": {}, "c": {}}))), Some("version v1")),
            (json!({}), Some("version v1")),
        ] {
            let found = diagnose_crd(&own, &installed);
            assert_eq!(found.as_ref().map(|found| &*found.field), expected, "{installed}");
        }
    }
}
