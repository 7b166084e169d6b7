//! A fleet on one API server: creates hosted clusters, their control-plane Deployments and mirror sets, and reads the results.

pub mod admission;
pub mod deployments;
pub mod guests;
pub mod manager;
pub mod objects;
pub mod pods;
pub mod scene;
mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::kit::Kit;
use crate::{Cluster, Crds, eventually};

/// The three Deployments of a control plane, the parent first.
pub const TARGETS: [&str; 3] = ["control-plane-operator", "ignition-server", "hosted-cluster-config-operator"];
/// The namespace of the HostedClusters.
pub const NAMESPACE: &str = "clusters";
/// The hosted cluster in whose control-plane namespace the admission is tested.
pub const PROBES: &str = "probes";
/// The manager's own namespace.
pub const SYSTEM: &str = "hypermirror-system";
/// The manager's ServiceAccount.
pub const SERVICE_ACCOUNT: &str = "hypermirror-manager";
/// The manager's user name.
pub const MANAGER_USER: &str = "system:serviceaccount:hypermirror-system:hypermirror-manager";
/// Timeout of most waits: long enough for a loaded machine. A successful test does not reach it.
pub const SOON: Duration = Duration::from_secs(30);

/// The fleet of one cluster.
#[derive(Clone)]
pub struct Fleet {
    /// The client of the administrator.
    pub client: Client,
}

impl Fleet {
    /// What a management cluster has: CRDs, namespaces, and the manager's ServiceAccount, RBAC and policies.
    ///
    /// # Errors
    ///
    /// If a manifest is unreadable.
    pub fn kit(crds: &Crds) -> Result<Kit> {
        let manifests = crate::binaries::repository_root().join("manifests");
        let own = Crds::read(&[manifests.join("crd/management.yaml")])?;
        let namespace = |name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        Kit::of(crds.clone().and(own))
            .object(namespace(NAMESPACE))
            .object(namespace(SYSTEM))
            .object(deployments::namespace_of(PROBES))
            .file(&manifests.join("base/rbac.yaml"))?
            .file(&manifests.join("base/policies.yaml"))
    }

    /// Installs [`Fleet::kit`] in a cluster that runs.
    ///
    /// # Errors
    ///
    /// If a manifest is unreadable or the API server rejects a request.
    pub async fn install(cluster: &Cluster, crds: &Crds) -> Result<Self> {
        let fleet = Self::of(cluster).await?;
        Self::kit(crds)?.install(&fleet.client).await?;
        Ok(fleet)
    }

    /// The fleet of a cluster that has [`Fleet::kit`].
    ///
    /// # Errors
    ///
    /// If the client cannot be made.
    pub async fn of(cluster: &Cluster) -> Result<Self> {
        Ok(Self { client: cluster.admin_client().await? })
    }

    /// Applies every document of a file.
    ///
    /// # Errors
    ///
    /// If the file is unreadable or the server refuses a document.
    pub async fn apply_file(&self, path: &Path) -> Result<()> {
        for document in documents(path)? {
            self.apply(&document).await.with_context(|| format!("failed to apply a document of {}", path.display()))?;
        }
        Ok(())
    }

    /// Applies one object, server-side, as a user would.
    ///
    /// # Errors
    ///
    /// If the API server rejects it.
    pub async fn apply(&self, object: &Value) -> Result<DynamicObject> {
        self.apply_as("kubectl", object).await
    }

    /// Applies one object as this field manager.
    ///
    /// # Errors
    ///
    /// If the API server rejects it.
    pub async fn apply_as(&self, manager: &str, object: &Value) -> Result<DynamicObject> {
        let api = self.api_of(object)?;
        let name = object["metadata"]["name"].as_str().context("an object without a name")?;
        let params = PatchParams::apply(manager).force();
        api.patch(name, &params, &Patch::Apply(object))
            .await
            .with_context(|| format!("failed to apply {}", brief(object)))
    }

    /// Merges a patch into one object.
    ///
    /// # Errors
    ///
    /// If the API server rejects it.
    pub async fn merge(&self, object: &Value, patch: &Value) -> Result<DynamicObject> {
        let api = self.api_of(object)?;
        let name = object["metadata"]["name"].as_str().context("an object without a name")?;
        Ok(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?)
    }

    /// Applies a JSON patch to one object.
    ///
    /// # Errors
    ///
    /// If it is not a JSON patch, or if the API server rejects it.
    pub async fn json_patch(&self, object: &Value, patch: &Value) -> Result<DynamicObject> {
        let name = object["metadata"]["name"].as_str().context("an object without a name")?;
        let patch = Patch::Json::<()>(serde_json::from_value(patch.clone())?);
        Ok(self.api_of(object)?.patch(name, &PatchParams::default(), &patch).await?)
    }

    /// Deletes one object.
    ///
    /// # Errors
    ///
    /// If the API server rejects it.
    pub async fn delete(&self, object: &Value) -> Result<()> {
        let api = self.api_of(object)?;
        let name = object["metadata"]["name"].as_str().context("an object without a name")?;
        api.delete(name, &kube::api::DeleteParams::default()).await.with_context(|| brief(object))?;
        Ok(())
    }

    /// The API of an object's kind, in its namespace.
    ///
    /// # Errors
    ///
    /// If the object has no kind.
    pub fn api_of(&self, object: &Value) -> Result<Api<DynamicObject>> {
        let resource = objects::resource_of(object)?;
        Ok(match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        })
    }

    /// One target Deployment.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub async fn deployment(&self, cluster: &str, target: &str) -> Result<Value> {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": target, "namespace": deployments::namespace(cluster)}
        });
        Ok(serde_json::to_value(self.api_of(&object)?.get(target).await?)?)
    }

    /// The effective value of one target: the last `OPENSHIFT_IMG_OVERRIDES`.
    ///
    /// # Errors
    ///
    /// If the Deployment is not there.
    pub async fn effective(&self, cluster: &str, target: &str) -> Result<Option<String>> {
        Ok(deployments::env_values(&self.deployment(cluster, target).await?).pop())
    }

    /// The effective values of all targets of one hosted cluster.
    ///
    /// # Errors
    ///
    /// If one is not there.
    pub async fn effective_values(&self, cluster: &str) -> Result<BTreeMap<&'static str, Option<String>>> {
        let mut values = BTreeMap::new();
        for target in TARGETS {
            values.insert(target, self.effective(cluster, target).await?);
        }
        Ok(values)
    }

    /// Waits until all targets of these hosted clusters have this effective value.
    ///
    /// # Errors
    ///
    /// If one does not in time. The error has its value.
    pub async fn reads(&self, clusters: &[&str], wanted: &str) -> Result<()> {
        for cluster in clusters {
            eventually(SOON, &format!("the targets of {cluster} have {wanted}"), async || {
                let values = self.effective_values(cluster).await?;
                anyhow::ensure!(values.values().all(|value| value.as_deref() == Some(wanted)), "{values:?}");
                Ok(Some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// The status of the report of one hosted cluster.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn report(&self, cluster: &str) -> Result<Value> {
        let object = objects::report(cluster);
        let report = self.api_of(&object)?.get(cluster).await?;
        Ok(report.data.get("status").cloned().unwrap_or_default())
    }

    /// Waits until a report matches a condition. Reports are written after the targets.
    ///
    /// # Errors
    ///
    /// If it does not in time. The error has the last observed state.
    pub async fn wait_for_report(&self, cluster: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        eventually(SOON, &format!("the report of {cluster} shows {what}"), async || {
            let report = self.report(cluster).await?;
            anyhow::ensure!(wanted(&report), "{report}");
            Ok(Some(report))
        })
        .await
    }

    /// Waits until a report has this map, as an override value. It is written after all targets.
    ///
    /// # Errors
    ///
    /// If it does not in time. The error has the last observed state.
    pub async fn wait_for_map(&self, cluster: &str, wanted: &str) -> Result<()> {
        let reported = |report: &Value| objects::reported_map(report) == wanted;
        self.wait_for_report(cluster, wanted, reported).await.map(|_| ())
    }

    /// Waits until a condition of the report has this status and reason, and returns its message.
    ///
    /// # Errors
    ///
    /// If it does not in time. The error has the last observed state.
    pub async fn condition(&self, cluster: &str, kind: &str, status: &str, reason: &str) -> Result<String> {
        self.condition_within(SOON, cluster, kind, status, reason).await
    }

    /// Like [`Self::condition`], with a longer timeout.
    ///
    /// # Errors
    ///
    /// If it does not in time. The error has the last observed state.
    pub async fn condition_within(
        &self,
        limit: Duration,
        cluster: &str,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> Result<String> {
        eventually(limit, &format!("{kind} of {cluster} is {status}/{reason}"), async || {
            let report = self.report(cluster).await?;
            let conditions = report["conditions"].as_array().context("no conditions")?;
            let found = conditions.iter().find(|condition| condition["type"] == kind).context("no such condition")?;
            anyhow::ensure!(found["status"] == status && found["reason"] == reason, "{found}");
            Ok(Some(found["message"].as_str().unwrap_or_default().to_owned()))
        })
        .await
    }

    /// All objects of a kind, everywhere.
    ///
    /// # Errors
    ///
    /// If they cannot be listed.
    pub async fn list(&self, resource: &ApiResource) -> Result<Vec<DynamicObject>> {
        Ok(Api::all_with(self.client.clone(), resource).list(&ListParams::default()).await?.items)
    }
}

fn brief(object: &Value) -> String {
    let meta = &object["metadata"];
    format!("{} {}/{}", object["kind"], meta["namespace"], meta["name"])
}

/// Every document of a YAML file.
pub(crate) fn documents(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let documents = serde_yaml::Deserializer::from_str(&text).map(Value::deserialize);
    documents.collect::<Result<_, _>>().with_context(|| format!("failed to parse {}", path.display()))
}
