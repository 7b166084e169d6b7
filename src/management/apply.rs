//! Writes to the management cluster. Each write has a deadline, is counted, and has only what changed.

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{ClusterKey, HostedClusterMirrors, HostedClusterMirrorsStatus, annotations, names};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::Status;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};
use thiserror::Error;

use super::index::reports::ReportVersion;
use crate::client::cause::Cause;
use crate::client::deadline::{DEADLINE, within};
use crate::hosted::observed::ObservedTarget;
use crate::hosted::target::TargetSpec;
use crate::telemetry::metrics::{ManagerMetrics, OutcomeLabels};

pub(crate) mod catalogs;
mod targets;

/// Why a read or write failed.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The object has changed since it was observed: reconcile again.
    #[error("{what}: another client changed the object at the same time")]
    Conflict {
        /// The object.
        what: String,
    },
    /// The object does not exist.
    #[error("{what}: not found")]
    Gone {
        /// The object.
        what: String,
    },
    /// The API server rejected the request, or failed.
    #[error("{what}: {}", Cause(source))]
    Failed {
        /// The object.
        what: String,
        /// The error.
        #[source]
        source: kube::Error,
    },
    /// The API server did not respond in time.
    #[error("{what}: no response within {} s", DEADLINE.as_secs())]
    Timeout {
        /// The object.
        what: String,
    },
}

impl WriteError {
    /// The outcome as the label of a metric.
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Conflict { .. } | Self::Gone { .. } => "conflict",
            Self::Failed { .. } => "error",
            Self::Timeout { .. } => "timeout",
        }
    }

    /// Whether the API server rejected the request, so that nothing was written. Other failures may have occurred after the write.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::Gone { .. } => true,
            Self::Failed { source: kube::Error::Api(status), .. } => (400..500).contains(&status.code),
            Self::Failed { .. } | Self::Timeout { .. } => false,
        }
    }

    fn of(what: &str, error: kube::Error) -> Self {
        let what = what.to_owned();
        match &error {
            kube::Error::Api(status) if status.code == 409 || is_failed_test(status) => Self::Conflict { what },
            kube::Error::Api(status) if status.code == 404 => Self::Gone { what },
            _ => Self::Failed { what, source: error },
        }
    }
}

/// Writes to the management cluster.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    metrics: ManagerMetrics,
}

impl Writer {
    /// Creates a writer.
    pub fn new(client: Client, metrics: ManagerMetrics) -> Self {
        Self { client, metrics }
    }

    async fn timed<T>(&self, what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, WriteError> {
        let call = async { call.await.map_err(|error| WriteError::of(what, error)) };
        within(DEADLINE, call, |_| WriteError::Timeout { what: what.to_owned() }).await
    }

    /// Writes one target and returns the new object.
    ///
    /// # Errors
    /// [`WriteError`]; `Conflict` if the target has changed since the patch was planned.
    pub async fn patch_target(
        &self,
        namespace: &str,
        spec: &TargetSpec,
        patch: &json_patch::Patch,
    ) -> Result<ObservedTarget, WriteError> {
        let what = format!("Deployment {namespace}/{}", spec.deployment);
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        // A JSON patch with tests fails where the Deployment is not as it was observed. Server-side apply would try to create it
        // again after its deletion, and a merge patch would replace the list of env vars that stock HyperShift writes, too.
        let body = Patch::Json::<()>(patch.clone());
        let call = async {
            let request = kube::core::Request::new(api.resource_url()).patch(&spec.deployment, &params, &body);
            self.client.request::<Value>(request.map_err(kube::Error::BuildRequest)?).await
        };
        // The response has the new generation. So the watch event about this write is no news, and nothing is read again.
        let answer = self.timed(&what, call).await;
        let outcome = answer.as_ref().map_or_else(WriteError::category, |_| "ok");
        self.metrics.patches.get_or_create(&OutcomeLabels { outcome }).inc();
        Ok(ObservedTarget::read(&answer?, spec))
    }

    /// Triggers the stock operators of one hosted cluster to read the mirrors, with an annotation. Without a value, removes the
    /// annotation.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn touch(&self, cluster: &ClusterKey, value: Option<&str>) -> Result<(), WriteError> {
        let api: Api<HostedCluster> = Api::namespaced(self.client.clone(), &cluster.namespace);
        // A merge patch of this annotation alone: the rest of the object is its owner's, and a policy in manifests/base denies the
        // manager any other change of it.
        let body = json!({"metadata": {"annotations": {annotations::MIRRORS_OBSERVED: value}}});
        let params = PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let body = Patch::Merge(&body);
        let call = api.patch_metadata(&cluster.name, &params, &body);
        self.timed(&format!("HostedCluster {cluster}"), call).await.map(|_| ())
    }

    /// Reads a ConfigMap, if it exists.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn read_config_map(&self, namespace: &str, name: &str) -> Result<Option<Value>, WriteError> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &config_maps());
        let read = self.timed(&format!("ConfigMap {namespace}/{name}"), api.get_opt(name)).await?;
        Ok(read.and_then(|found| serde_json::to_value(found).ok()))
    }

    /// Writes a ConfigMap of hypermirror.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn apply_config_map(&self, object: &Value) -> Result<(), WriteError> {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let (namespace, name) = (text("namespace"), text("name"));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &config_maps());
        // Server-side apply with force: the whole object belongs to hypermirror, and an edit by anybody else is reverted.
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        let body = Patch::Apply(object);
        self.timed(&format!("ConfigMap {namespace}/{name}"), api.patch(name, &params, &body)).await.map(|_| ())
    }

    /// Deletes a ConfigMap of hypermirror.
    ///
    /// # Errors
    /// [`WriteError`], except if it does not exist.
    pub async fn delete_config_map(&self, namespace: &str, name: &str) -> Result<(), WriteError> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &config_maps());
        let params = kube::api::DeleteParams::default();
        match self.timed(&format!("ConfigMap {namespace}/{name}"), api.delete(name, &params)).await {
            Ok(_) | Err(WriteError::Gone { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Creates the report of one hosted cluster, owned by it, and returns its version.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn create_report(
        &self,
        cluster: &ClusterKey,
        owner: &HostedCluster,
    ) -> Result<ReportVersion, WriteError> {
        let api: Api<HostedClusterMirrors> = Api::namespaced(self.client.clone(), &cluster.namespace);
        let reference = OwnerReference {
            api_version: HostedCluster::api_version(&()).into_owned(),
            kind: HostedCluster::kind(&()).into_owned(),
            name: cluster.name.clone(),
            uid: owner.uid().unwrap_or_default(),
            ..OwnerReference::default()
        };
        // Owned by the HostedCluster, so that it is deleted with it although the manager then knows nothing of it any more.
        let mut report = HostedClusterMirrors::new(&cluster.name, hypermirror_api::report::HostedClusterMirrorsSpec {});
        report.metadata.owner_references = Some(vec![reference]);
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        let body = Patch::Apply(&report);
        let call = api.patch(&cluster.name, &params, &body);
        self.timed(&format!("HostedClusterMirrors {cluster}"), call).await.map(|report| ReportVersion::of(&report))
    }

    /// Deletes the report of a hosted cluster that is no longer managed.
    ///
    /// # Errors
    /// [`WriteError`], except if it does not exist.
    pub async fn delete_report(&self, cluster: &ClusterKey) -> Result<(), WriteError> {
        let api: Api<HostedClusterMirrors> = Api::namespaced(self.client.clone(), &cluster.namespace);
        let params = kube::api::DeleteParams::default();
        let call = api.delete(&cluster.name, &params);
        match self.timed(&format!("HostedClusterMirrors {cluster}"), call).await {
            Ok(_) | Err(WriteError::Gone { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes the complete status of a report, and returns its version.
    ///
    /// # Errors
    /// [`WriteError`]; `Gone` if the report does not exist.
    pub async fn write_report(
        &self,
        cluster: &ClusterKey,
        status: &HostedClusterMirrorsStatus,
    ) -> Result<ReportVersion, WriteError> {
        let api: Api<HostedClusterMirrors> = Api::namespaced(self.client.clone(), &cluster.namespace);
        let body = json!({
            "apiVersion": HostedClusterMirrors::api_version(&()),
            "kind": HostedClusterMirrors::kind(&()),
            "status": status,
        });
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        let body = Patch::Apply(&body);
        let call = api.patch_status(&cluster.name, &params, &body);
        self.timed(&format!("HostedClusterMirrors {cluster}"), call).await.map(|report| ReportVersion::of(&report))
    }
}

/// Whether a `test` of a JSON patch failed: the response is 422 without causes. If the patched object is invalid, the response
/// is 422 with causes (measured with 1.36).
fn is_failed_test(status: &Status) -> bool {
    status.code == 422 && status.details.as_ref().is_none_or(|details| details.causes.is_empty())
}

fn config_maps() -> ApiResource {
    ApiResource::erase::<ConfigMap>(&())
}

#[cfg(test)]
mod tests;
