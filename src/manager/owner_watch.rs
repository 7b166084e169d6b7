//! The watch of HostedControlPlanes, as metadata: their annotation names the owner of a control-plane namespace.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use hypermirror_api::hypershift::HostedControlPlane;
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;

use super::context::Context;
use crate::client::watch::{Update, updates};
use crate::management::index::claims::ControlPlaneMeta;
use crate::process::first_look::Awaited;

/// Watches until it is aborted. If the CRD is removed, the last known owners are kept.
pub async fn control_planes(ctx: Arc<Context>, awaited: Awaited) {
    let api: Api<PartialObjectMeta<HostedControlPlane>> = Api::all(ctx.client.clone());
    let slim = |control_plane: PartialObjectMeta<HostedControlPlane>| ControlPlaneMeta::of(&control_plane);
    let mut stream = pin!(updates(api, watcher::Config::default(), slim));
    while let Some(update) = stream.next().await {
        let changed = match update {
            Update::Replaced(control_planes) => {
                let changed = ctx.index().replace_control_planes(control_planes);
                awaited.done();
                changed
            }
            Update::Applied(control_plane) => ctx.index().apply_control_plane(control_plane),
            Update::Deleted(control_plane) => ctx.index().remove_control_plane(&control_plane),
            Update::Failing(failure) => {
                let (code, error) = (failure.code, failure.message);
                tracing::warn!(
                    code,
                    error,
                    "failed to watch HostedControlPlanes; the last known owners of namespaces stay in use"
                );
                continue;
            }
        };
        ctx.queue_changed(changed);
    }
}
