//! Watches whether the HostedCluster CRD has the field of the reference to a ConfigMap of mirrors.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use hypermirror_api::names::HOSTED_CLUSTERS_CRD;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::core::PartialObjectMeta;
use serde::Deserialize;
use serde_json::Value;

use super::Watcher;
use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::client::optional_kind::{crd_watch, standing};
use crate::client::watch::{Update, updates};
use crate::management::index::change::Change;

/// Pause after a failed read.
const RETRY: Duration = Duration::from_secs(5);
/// The path of the field in a CRD version.
const FIELD: &str = "/schema/openAPIV3Schema/properties/spec/properties/imageMirrorConfigRef";

/// The part of a CRD that shows whether it has the field.
#[derive(Deserialize)]
struct Definition {
    spec: DefinitionSpec,
}

#[derive(Deserialize)]
struct DefinitionSpec {
    versions: Vec<Value>,
}

/// Watches the CRD's metadata, and reads the whole CRD, which has some megabytes, only when its generation changes.
pub(super) async fn watch(watcher: Watcher) {
    let (api, config) = crd_watch(&watcher.client, HOSTED_CLUSTERS_CRD);
    let reduce = |crd: PartialObjectMeta<CustomResourceDefinition>| standing(&crd).map(|_| crd.metadata.generation);
    let mut events = pin!(updates(api, config, reduce));
    let (mut known, mut was_served) = (None, true);
    while let Some(update) = events.next().await {
        let now = match update {
            Update::Replaced(list) => list.into_iter().next().flatten(),
            Update::Applied(standing) => standing,
            // Without the CRD no field is pruned: the objects do not exist, and their last known state is kept.
            Update::Deleted(_) => None,
            Update::Failing(_) => continue,
        };
        if let Some(now) = now.filter(|now| known != Some(*now)) {
            let Some(is_served) = is_served(&watcher.client).await else { continue };
            known = Some(now);
            if is_served != was_served {
                tracing::info!(is_served, "detected whether the HostedCluster CRD has spec.imageMirrorConfigRef");
                was_served = is_served;
            }
            watcher.store.apply(Change::ReferenceField(is_served));
        }
        watcher.awaited.done();
    }
}

/// Whether all served versions have the field. `None` if the CRD does not exist.
async fn is_served(client: &Client) -> Option<bool> {
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{HOSTED_CLUSTERS_CRD}");
    // A failed read must not count as "no", which would make all references invalid, so it is repeated until it succeeds.
    loop {
        let request = http::Request::get(path.as_str()).body(Vec::new()).ok()?;
        match answered(client.request::<Definition>(request)).await {
            Ok(definition) => {
                let served = definition.spec.versions.iter().filter(|version| version["served"] == true);
                return Some(served.into_iter().all(|version| version.pointer(FIELD).is_some()));
            }
            Err(kube::Error::Api(status)) if status.code == 404 => return None,
            Err(error) => tracing::warn!(error = %Cause(&error), "failed to read the HostedCluster CRD; trying again"),
        }
        tokio::time::sleep(RETRY).await;
    }
}
