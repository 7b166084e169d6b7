//! The three control-plane Deployments, as stock HyperShift writes them.

use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use super::NAMESPACE;

/// The name of the environment variable.
pub const ENV: &str = "OPENSHIFT_IMG_OVERRIDES";

/// The control-plane namespace of a hosted cluster.
pub fn namespace(cluster: &str) -> String {
    format!("{NAMESPACE}-{}", cluster.replace('.', "-"))
}

/// The control-plane namespace with HyperShift's label.
pub fn namespace_of(cluster: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": namespace(cluster), "labels": {"hypershift.openshift.io/hosted-control-plane": "true"}}
    })
}

/// One target with these values of the environment variable and of `--registry-overrides`.
pub fn target(cluster: &str, name: &str, env: Option<&str>, argument: &str) -> Value {
    let mut container = json!({
        "name": name,
        "image": "quay.example/ocp/component@sha256:0000000000000000000000000000000000000000000000000000000000000001",
        "env": [{"name": "POD_NAMESPACE", "value": "x"}]
    });
    if let (Some(value), Some(list)) = (env, container["env"].as_array_mut()) {
        list.push(json!({"name": ENV, "value": value}));
        list.push(json!({"name": "METRICS_SET", "value": "Telemetry"}));
    }
    match name {
        "control-plane-operator" => {
            container["command"] = json!(["/usr/bin/control-plane-operator"]);
            container["args"] = json!(["run", format!("--registry-overrides={argument}"), "--image-overrides=="]);
        }
        "ignition-server" => {
            container["command"] = json!(["/usr/bin/control-plane-operator", "ignition-server"]);
            container["args"] =
                json!(["--work-dir", "/payloads", "--registry-overrides", argument, "--platform", "None"]);
        }
        _ => {
            container["command"] = json!([
                "/usr/bin/control-plane-operator",
                "hosted-cluster-config-operator",
                "--registry-overrides",
                argument
            ]);
        }
    }
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace(cluster), "labels": {"app": name}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
        }
    })
}

/// The values of all environment variables of this name in a Deployment's first container, in order.
pub fn env_values(deployment: &Value) -> Vec<String> {
    let env = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array();
    let ours = env.into_iter().flatten().filter(|entry| entry["name"] == ENV);
    ours.map(|entry| entry["value"].as_str().unwrap_or_default().to_owned()).collect()
}

/// One annotation of a Deployment.
pub fn annotation(deployment: &Value, key: &str) -> Option<String> {
    deployment["metadata"]["annotations"][key].as_str().map(str::to_owned)
}

impl super::Fleet {
    /// Creates a hosted cluster with its namespace and three Deployments, all with this stock value.
    ///
    /// # Errors
    ///
    /// If the API server rejects a request.
    pub async fn hosted_cluster(
        &self,
        name: &str,
        sources: &[super::objects::Entry<'_>],
        env: &str,
    ) -> anyhow::Result<()> {
        self.apply(&namespace_of(name)).await?;
        for deployment in super::TARGETS {
            self.apply(&target(name, deployment, Some(env), "=")).await?;
        }
        self.apply(&super::objects::hosted_cluster(name, sources)).await?;
        Ok(())
    }
    /// Creates many hosted clusters at once, all with this stock value.
    ///
    /// # Errors
    ///
    /// If the API server rejects a request.
    pub async fn hosted_clusters(&self, names: &[&str], env: &str) -> anyhow::Result<()> {
        let each = names.iter().map(|name| self.hosted_cluster(name, &[], env));
        futures::stream::iter(each).buffer_unordered(16).try_collect().await
    }
}
