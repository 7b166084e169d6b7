//! Whether another tool writes what hypermirror writes.

use std::collections::BTreeSet;

use hypermirror_api::{ClusterKey, names};
use serde_json::Value;

use super::{Diagnosis, DiagnosisCode, listed};
use crate::hosted::target::TargetSpec;
use crate::mirrors::finding::Severity;

/// Those that write the variable of stock Deployments, and hypermirror itself.
const EXPECTED: [&str; 3] =
    [names::FIELD_MANAGER, names::HYPERSHIFT_OPERATOR_MANAGER, names::CONTROL_PLANE_OPERATOR_MANAGER];

/// Diagnoses who owns `OPENSHIFT_IMG_OVERRIDES` of a target Deployment by its `managedFields`.
pub fn diagnose_overrides(cluster: &ClusterKey, deployment: &Value, target: &TargetSpec) -> Option<Diagnosis> {
    let managers = deployment["metadata"]["managedFields"].as_array().into_iter().flatten();
    let others: BTreeSet<&str> = managers
        .filter(|entry| owns_overrides(&entry["fieldsV1"], &target.container))
        .filter_map(|entry| entry["manager"].as_str())
        .filter(|manager| !EXPECTED.contains(manager))
        .collect();
    let others: Vec<&str> = others.into_iter().collect();
    if others.is_empty() {
        return None;
    }
    let listed = listed(&others);
    let message = format!(
        "{listed} also writes {} of this Deployment, and may remove the entries of hypermirror",
        names::OVERRIDES_ENV
    );
    let cure =
        format!("let {listed} stop writing the variable; declare its mirrors in an ImageDigestMirrorSet instead");
    let object = format!("Deployment/{}/{}", cluster.control_plane_namespace(), target.deployment);
    let code = DiagnosisCode::OverridesWrittenByOther;
    let found = Diagnosis::new(code, Severity::Warning, object, message, cure);
    Some(found.at(format!("spec.template.spec.containers[{}].env", target.container), listed).of(cluster))
}

fn owns_overrides(fields: &Value, container: &str) -> bool {
    let key = |name: &str| format!("k:{{\"name\":\"{name}\"}}");
    let containers = &fields["f:spec"]["f:template"]["f:spec"]["f:containers"];
    !containers[key(container)]["f:env"][key(names::OVERRIDES_ENV)].is_null()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::hosted::target::stock_targets;

    fn deployment(manager: &str, container: &str, variable: &str) -> Value {
        let env = json!({format!("k:{{\"name\":\"{variable}\"}}"): {".": {}, "f:value": {}}});
        let containers = json!({format!("k:{{\"name\":\"{container}\"}}"): {"f:env": env}});
        let fields = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": containers}}}});
        json!({"metadata": {"managedFields": [{"manager": manager, "operation": "Update", "fieldsV1": fields}, {"manager": "x"}]}})
    }

    #[test]
    fn only_other_writers_of_the_variable_are_found() {
        let key = "clusters/west".parse().unwrap();
        let target = &stock_targets()[0];
        let (own, variable) = (&*target.container, names::OVERRIDES_ENV);
        for (manager, container, variable, expected) in [
            ("argocd", own, variable, Some("argocd")),
            (names::HYPERSHIFT_OPERATOR_MANAGER, own, variable, None),
            (names::CONTROL_PLANE_OPERATOR_MANAGER, own, variable, None),
            (names::FIELD_MANAGER, own, variable, None),
            ("argocd", "sidecar", variable, None),
            ("argocd", own, "OTHER", None),
        ] {
            let found = diagnose_overrides(&key, &deployment(manager, container, variable), target);
            assert_eq!(found.as_ref().map(|found| &*found.value), expected, "{manager} {container} {variable}");
        }
        assert_eq!(diagnose_overrides(&key, &json!({}), target), None);
    }
}
