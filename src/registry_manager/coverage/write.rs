//! Writes a MirrorCoverage, and records an event when it changes.

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::mirror_coverage::MirrorCoverageSpec;
use hypermirror_api::{ClusterKey, CoverageConditionType, MirrorCoverage, MirrorCoverageStatus, names};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::json;

use super::context::Context;
use super::schedule::Known;
use crate::client::deadline::answered;
use crate::management::events::About;

const API_VERSION: &str = "hypermirror.dev/v1alpha1";
const KIND: &str = "MirrorCoverage";

/// The replica does not lead any longer.
#[derive(Debug, thiserror::Error)]
#[error("this replica does not lead any longer")]
struct TermEnded;

/// Writes the complete status, and creates the object before if it does not exist. Returns the object's UID.
///
/// # Errors
/// The API server refuses a write, or another replica leads.
pub async fn status(
    ctx: &Context,
    key: &ClusterKey,
    owner: &HostedCluster,
    known: Option<&Known>,
    status: &MirrorCoverageStatus,
) -> kube::Result<String> {
    if known.is_none() {
        create(ctx, key, owner).await?;
    }
    match patch(ctx, key, status).await {
        // Deleted since.
        Err(kube::Error::Api(error)) if error.code == 404 && known.is_some() => {
            create(ctx, key, owner).await?;
            patch(ctx, key, status).await
        }
        result => result,
    }
}

/// Owned by the HostedCluster, so that it is deleted with it, also if no registry-manager runs then.
async fn create(ctx: &Context, key: &ClusterKey, owner: &HostedCluster) -> kube::Result<()> {
    let reference = OwnerReference {
        api_version: HostedCluster::api_version(&()).into_owned(),
        kind: HostedCluster::kind(&()).into_owned(),
        name: key.name.clone(),
        uid: owner.uid().unwrap_or_default(),
        ..OwnerReference::default()
    };
    let mut coverage = MirrorCoverage::new(&key.name, MirrorCoverageSpec {});
    coverage.metadata.owner_references = Some(vec![reference]);
    lasts(ctx)?;
    let params = PatchParams::apply(names::REGISTRY_FIELD_MANAGER).force();
    answered(api(ctx, key).patch_metadata(&key.name, &params, &Patch::Apply(&coverage))).await.map(|_| ())
}

async fn patch(ctx: &Context, key: &ClusterKey, status: &MirrorCoverageStatus) -> kube::Result<String> {
    lasts(ctx)?;
    let body = json!({"apiVersion": API_VERSION, "kind": KIND, "status": status});
    let params = PatchParams::apply(names::REGISTRY_FIELD_MANAGER).force();
    let written = answered(api(ctx, key).patch_status(&key.name, &params, &Patch::Apply(&body))).await?;
    Ok(written.uid().unwrap_or_default())
}

fn api(ctx: &Context, key: &ClusterKey) -> Api<MirrorCoverage> {
    Api::namespaced(ctx.client.clone(), &key.namespace)
}

fn lasts(ctx: &Context) -> kube::Result<()> {
    if ctx.term.lasts() { Ok(()) } else { Err(kube::Error::Service(Box::new(TermEnded))) }
}

/// Records an event if the condition `Held` has changed. A hosted cluster that is held from the start is none.
pub async fn announce(
    ctx: &Context,
    key: &ClusterKey,
    owner: &HostedCluster,
    uid: &str,
    before: Option<&MirrorCoverageStatus>,
    now: &MirrorCoverageStatus,
) {
    let Some(held) = now.condition(CoverageConditionType::Held) else { return };
    let is_good = held.status == "True";
    let before = before.and_then(|before| before.condition(CoverageConditionType::Held));
    let has_moved = before.map_or(!is_good, |before| before.status != held.status || before.reason != held.reason);
    if !has_moved {
        return;
    }
    let about = About { api_version: API_VERSION, kind: KIND, namespace: &key.namespace, name: &key.name, uid };
    let related = ObjectReference {
        api_version: Some(HostedCluster::api_version(&()).into_owned()),
        kind: Some(HostedCluster::kind(&()).into_owned()),
        namespace: Some(key.namespace.clone()),
        name: Some(key.name.clone()),
        uid: owner.uid(),
        ..ObjectReference::default()
    };
    ctx.events.record(&about, is_good, &held.reason, &held.message, Some(related)).await;
}
