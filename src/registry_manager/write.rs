//! Writes a status: to the very object of the job, or not at all.

use std::time::Duration;

use hypermirror_api::names;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::agenda::Watched;
use crate::client::backoff::Backoff;
use crate::client::cause::Cause;
use crate::client::deadline::answered;

/// Pauses between attempts: an API server that restarts is back within a minute.
const PAUSE: Backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(20) };
/// Attempts. The next job writes a newer status anyway.
const MAX_ATTEMPTS: usize = 8;

/// Writes a merge patch of the status, as long as `may_write` says so. Returns the version of the object afterwards; nothing if
/// it could not be written, or if the object is not there any longer.
pub async fn status<K, S>(
    client: &Client,
    object: &Watched<S>,
    mut patch: Value,
    may_write: impl Fn() -> bool,
) -> Option<String>
where
    K: Resource<DynamicType = ()>,
{
    let resource = ApiResource::erase::<K>(&());
    let kind = K::kind(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &object.key.namespace, &resource);
    let mut pause = None;
    for _ in 0..MAX_ATTEMPTS {
        if !may_write() {
            return None;
        }
        match attempt(&api, object, &mut patch).await {
            Ok(version) => return version,
            // Users change annotations, other controllers labels.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(kube::Error::Api(status)) if [404, 422].contains(&status.code) => {
                tracing::warn!(%kind, object = %object.key, error = status.message, "a status was refused");
                return None;
            }
            Err(error) => {
                tracing::warn!(%kind, object = %object.key, error = %Cause(&error), "failed to write a status; trying again");
            }
        }
        sleep(PAUSE.next(&mut pause)).await;
    }
    None
}

/// The status subresource ignores a `uid` in a patch. So the version of the object with the right one is the precondition:
/// an object of the same name that was created meanwhile is another one.
async fn attempt<S>(api: &Api<DynamicObject>, object: &Watched<S>, patch: &mut Value) -> kube::Result<Option<String>> {
    let name = &object.key.name;
    let found: Option<PartialObjectMeta<DynamicObject>> = answered(api.get_metadata_opt(name)).await?;
    let Some(found) = found.filter(|found| found.uid().as_deref() == Some(object.uid.as_str())) else {
        return Ok(None);
    };
    patch["metadata"] = json!({"resourceVersion": found.resource_version()});
    let params =
        PatchParams { field_manager: Some(names::REGISTRY_FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let written = answered(api.patch_status(name, &params, &Patch::Merge(&*patch))).await?;
    Ok(written.metadata.resource_version)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Method;
    use hypermirror_api::Registry;

    use super::super::agenda::ObjectKey;
    use super::*;
    use crate::client::testing::{ApiServer, Step};

    const PATH: &str = "/apis/registry.kubecontroller.io/v1alpha1/namespaces/ns/registries/app";
    const STATUS: &str = "/apis/registry.kubecontroller.io/v1alpha1/namespaces/ns/registries/app/status";

    fn watched() -> Watched {
        let spec = json!({"url": "https://r", "repository": "a"});
        Watched {
            key: ObjectKey { namespace: "ns".to_owned(), name: "app".to_owned() },
            uid: "ours".to_owned(),
            generation: 1,
            scan_now: None,
            spec: Ok(Arc::new(serde_json::from_value(spec).unwrap())),
            hosts: vec!["r".to_owned()],
        }
    }

    fn object(uid: &str, version: &str) -> Value {
        json!({
            "apiVersion": "registry.kubecontroller.io/v1alpha1", "kind": "Registry",
            "metadata": {"name": "app", "namespace": "ns", "uid": uid, "resourceVersion": version},
        })
    }

    fn get(uid: &str, version: &str) -> Step {
        Step::new(Method::GET, PATH, 200, &object(uid, version))
    }

    /// The version after a write with these answers, and the versions that were preconditions.
    async fn written(steps: impl IntoIterator<Item = Step>) -> (Option<String>, Vec<Value>) {
        let (client, server) = ApiServer::new(steps);
        let version = status::<Registry, _>(&client, &watched(), json!({"status": {"message": "x"}}), || true).await;
        let bodies = server.end().await.into_iter().filter(|body| !body.is_null());
        (version, bodies.map(|body| body["metadata"]["resourceVersion"].clone()).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_is_written_to_the_object_as_it_is_now() {
        let steps = [
            get("ours", "1"),
            Step::refused(Method::PATCH, STATUS, 409),
            get("ours", "2"),
            Step::refused(Method::PATCH, STATUS, 503),
            get("ours", "2"),
            Step::new(Method::PATCH, STATUS, 200, &object("ours", "3")),
        ];
        assert_eq!(written(steps).await, (Some("3".to_owned()), vec![json!("1"), json!("2"), json!("2")]));
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_is_gone_or_another_one_gets_none() {
        for step in [get("another", "9"), Step::refused(Method::GET, PATH, 404)] {
            assert_eq!(written([step]).await, (None, vec![]));
        }
        let refused = [get("ours", "1"), Step::refused(Method::PATCH, STATUS, 422)];
        assert_eq!(written(refused).await.0, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_does_not_lead_writes_nothing() {
        let (client, server) = ApiServer::new([]);
        assert_eq!(status::<Registry, _>(&client, &watched(), json!({}), || false).await, None);
        assert!(server.end().await.is_empty());
    }
}
