//! The desired Deployments of the rival, and how it applies them (HyperShift, `support/upsert/apply.go`).

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use anyhow::{Context as _, Result};
use kube::api::{DynamicObject, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::writes::Why;
use crate::fleet::{deployments, objects};

/// The annotation with the hash of the last desired state.
pub const HASH: &str = "hypershift.openshift.io/desired-state-hash";

/// The path of the container.
pub const CONTAINER: &str = "/spec/template/spec/containers/0";

/// The desired Deployment. `version` represents all changes except mirrors: odd versions change the image, even ones another
/// environment variable.
pub fn deployment(cluster: &str, target: &str, env: &str, argument: &str, version: u64) -> Value {
    let mut deployment = deployments::target(cluster, target, Some(env), argument);
    if let Some(container) = deployment.pointer_mut(CONTAINER) {
        container["image"] = json!(format!("quay.example/ocp/component:{}", version.div_ceil(2)));
        container["env"][2]["value"] = json!(format!("Telemetry{}", version / 2));
    }
    deployment["metadata"]["annotations"] = json!({ HASH: digest(&deployment) });
    deployment
}

/// A digest of any JSON.
pub fn digest(value: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Whether `current` has all values of `desired`. Additional keys, additional elements at the end of a list, and empty values of
/// `desired` are ignored (apimachinery, `equality.Semantic.DeepDerivative`).
pub fn derives(desired: &Value, current: &Value) -> bool {
    match (desired, current) {
        (Value::Null | Value::Bool(false), _) => true,
        (Value::String(text), _) if text.is_empty() => true,
        (Value::Number(number), _) if number.as_f64() == Some(0.0) => true,
        (Value::Object(desired), Value::Object(current)) => {
            desired.iter().all(|(key, value)| derives(value, current.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Array(desired), Value::Array(current)) => {
            desired.len() <= current.len() && desired.iter().zip(current).all(|(d, c)| derives(d, c))
        }
        (desired, current) => desired == current,
    }
}

/// Whether the lists of the container have appended elements.
fn is_longer(desired: &Value, current: &Value) -> bool {
    let length = |deployment: &Value, list: &str| deployment.pointer(CONTAINER)?[list].as_array().map(Vec::len);
    ["env", "args", "command"].iter().any(|list| length(current, list) > length(desired, list))
}

/// The result of a reconcile.
pub struct Outcome {
    /// The current Deployment.
    pub current: Value,
    /// Why it was written, if it was.
    pub wrote: Option<Why>,
}

/// The client of an operator, its field manager and its behaviour.
#[derive(Clone)]
pub struct Hand {
    /// The client of the operator.
    pub client: Client,
    /// Its field manager.
    pub manager: &'static str,
}

impl Hand {
    /// The Deployment of this name, if it exists.
    ///
    /// # Errors
    ///
    /// If the request fails.
    pub async fn read(&self, cluster: &str, target: &str) -> Result<Option<Value>> {
        let current = self.api(&deployments::target(cluster, target, None, "="))?.get_opt(target).await?;
        Ok(current.map(serde_json::to_value).transpose()?)
    }

    /// Creates or fully updates a Deployment that differs from the desired one. With `greedy`, appended elements also count as a
    /// difference.
    ///
    /// # Errors
    ///
    /// If a request fails. After a conflict, the caller must reconcile again.
    pub async fn reconcile(&self, cluster: &str, target: &str, desired: Value, greedy: bool) -> Result<Outcome> {
        let params = PostParams { field_manager: Some(self.manager.to_owned()), dry_run: false };
        let api = self.api(&desired)?;
        let Some(current) = self.read(cluster, target).await? else {
            let created = api.create(&params, &serde_json::from_value(desired)?).await?;
            return Ok(Outcome { current: serde_json::to_value(created)?, wrote: Some(Why::Missing) });
        };
        let hash = |deployment: &Value| deployment["metadata"]["annotations"][HASH].clone();
        let wrote = if hash(&desired) != hash(&current) {
            Why::Changed
        } else if !derives(&desired, &current) || (greedy && is_longer(&desired, &current)) {
            Why::Reverted
        } else {
            return Ok(Outcome { current, wrote: None });
        };
        let updated = api.replace(target, &params, &merge_metadata(desired, &current)?).await?;
        Ok(Outcome { current: serde_json::to_value(updated)?, wrote: Some(wrote) })
    }

    fn api(&self, object: &Value) -> Result<Api<DynamicObject>> {
        let namespace = object["metadata"]["namespace"].as_str().context("a Deployment without a namespace")?;
        Ok(Api::namespaced_with(self.client.clone(), namespace, &objects::resource_of(object)?))
    }
}

/// The content of a full update. It preserves only annotations and labels of other clients on the Deployment itself.
fn merge_metadata(mut desired: Value, current: &Value) -> Result<DynamicObject> {
    desired["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone();
    for field in ["annotations", "labels"] {
        let mut merged = current["metadata"][field].as_object().cloned().unwrap_or_default();
        merged.extend(desired["metadata"][field].as_object().cloned().unwrap_or_default());
        desired["metadata"][field] = Value::Object(merged);
    }
    Ok(serde_json::from_value(desired)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Value {
        deployment("a", "ignition-server", "=", "=", 1)
    }

    fn with(change: impl FnOnce(&mut Value)) -> Value {
        let mut current = wanted();
        change(current.pointer_mut(CONTAINER).unwrap());
        current
    }

    #[test]
    fn appended_values_are_tolerated_and_changed_ones_are_not() {
        let appended = with(|container| {
            container["env"].as_array_mut().unwrap().push(json!({"name": "X", "value": "y"}));
            container["args"].as_array_mut().unwrap().push(json!("--more"));
            container["terminationMessagePath"] = json!("/dev/log");
        });
        assert!(derives(&wanted(), &appended));
        assert!(is_longer(&wanted(), &appended) && !is_longer(&wanted(), &wanted()));
        assert!(!derives(&wanted(), &with(|container| container["env"][1]["value"] = json!("a=b"))));
        assert!(!derives(&wanted(), &with(|container| container["args"] = json!(["--work-dir"]))));
    }

    #[test]
    fn every_version_is_another_deployment() {
        let digests: std::collections::BTreeSet<String> =
            (0..9).map(|version| digest(&deployment("a", "ignition-server", "=", "=", version))).collect();
        assert_eq!(digests.len(), 9);
    }

    #[test]
    fn an_update_keeps_annotations_of_the_deployment_and_no_other_addition() {
        let mut current = wanted();
        current["metadata"]["annotations"]["x"] = json!("y");
        current["metadata"]["resourceVersion"] = json!("7");
        current["spec"]["template"]["metadata"]["annotations"] = json!({"restarted": "now"});
        let update = serde_json::to_value(merge_metadata(wanted(), &current).unwrap()).unwrap();
        assert_eq!(update["metadata"]["annotations"]["x"], "y");
        assert_eq!(update["metadata"]["resourceVersion"], "7");
        assert_eq!(update["spec"], wanted()["spec"]);
    }
}
