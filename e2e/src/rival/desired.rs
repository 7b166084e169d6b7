//! What the rival wants of a Deployment, and how it brings it about (HyperShift, `support/upsert/apply.go`).

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use anyhow::{Context as _, Result};
use kube::api::{DynamicObject, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::writes::Why;
use crate::fleet::{deployments, objects};

/// The annotation with the hash of what was wanted last.
pub const HASH: &str = "hypershift.openshift.io/desired-state-hash";

/// Where the one container is.
pub const CONTAINER: &str = "/spec/template/spec/containers/0";

/// A whole Deployment as its operator wants it. `version` stands for everything that is not about mirrors: an odd one
/// brings another image, an even one another env var.
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

/// Whether `current` has everything of `desired`: more keys and more elements at the end of a list are nothing to it, nor
/// is what is empty in `desired` (apimachinery, `equality.Semantic.DeepDerivative`).
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

/// Whether somebody appended to the lists of the container.
fn is_longer(desired: &Value, current: &Value) -> bool {
    let length = |deployment: &Value, list: &str| deployment.pointer(CONTAINER)?[list].as_array().map(Vec::len);
    ["env", "args", "command"].iter().any(|list| length(current, list) > length(desired, list))
}

/// What became of it.
pub struct Outcome {
    /// The Deployment as it is now.
    pub current: Value,
    /// Why it was written, if it was.
    pub wrote: Option<Why>,
}

/// An operator's hand: its client, its name as a field manager, and its manners.
#[derive(Clone)]
pub struct Hand {
    /// Its own.
    pub client: Client,
    /// Its field manager.
    pub manager: &'static str,
}

impl Hand {
    /// The Deployment of this name, if it is there.
    ///
    /// # Errors
    ///
    /// When the server refuses to tell.
    pub async fn read(&self, cluster: &str, target: &str) -> Result<Option<Value>> {
        let current = self.api(&deployments::target(cluster, target, None, "="))?.get_opt(target).await?;
        Ok(current.map(serde_json::to_value).transpose()?)
    }

    /// Creates it or updates it whole, if it is not as wanted. `greedy`: what is appended is not tolerated either.
    ///
    /// # Errors
    ///
    /// When the server refuses something: a conflict, too, after which the caller looks again.
    pub async fn bring_about(&self, cluster: &str, target: &str, desired: Value, greedy: bool) -> Result<Outcome> {
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

/// A full update keeps other people's annotations and labels on the Deployment itself, and nothing else of theirs.
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
    fn what_is_appended_is_tolerated_and_what_is_changed_is_not() {
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
