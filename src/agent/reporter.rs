//! Writes the NodeMirrorStatus of this node when it changes, and retries failed writes. It never delays the file.

use std::sync::Arc;
use std::time::Duration;

use hypermirror_api::node_mirror_status::{NodeMirrorStatusSpec, NodeMirrorStatusStatus};
use hypermirror_api::{NodeMirrorStatus, names};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde_json::json;
use tokio::sync::watch;

use super::inputs::Inputs;
use super::report::{Snapshot, status};
use crate::client::backoff::Backoff;
use crate::client::cause::Cause;
use crate::client::deadline::answered;

/// Delay that combines a write of the file and the following reload into one status update.
const TOGETHER: Duration = Duration::from_millis(50);
/// Pauses after failed writes: an overloaded API server can recover, and a status is current soon after one is available again.
const RETRY: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_mins(1) };
/// Interval at which the status is read again, to restore it if it was deleted or edited.
const RESYNC: Duration = Duration::from_mins(10);

/// Writes the status of one node.
pub struct Reporter {
    api: Api<NodeMirrorStatus>,
    client: Client,
    node: String,
    inputs: Arc<Inputs>,
}

impl Reporter {
    /// Creates a reporter for a node.
    pub fn new(client: Client, node: String, inputs: Arc<Inputs>) -> Self {
        Self { api: Api::all(client.clone()), client, node, inputs }
    }

    /// Writes the status after each change, until the task is aborted.
    pub async fn run(self, mut snapshots: watch::Receiver<Option<Snapshot>>) {
        let mut pause = None;
        // The current status on the server, if it is known.
        let mut current: Option<NodeMirrorStatusStatus> = None;
        // Each change of the status is one request of each node, so snapshots in quick succession, such as those of a write and of its
        // reload, are combined. The status on the server is read only if it may differ from the last write: after a failure, and
        // after a long time without a new snapshot.
        loop {
            if snapshots.wait_for(Option::is_some).await.is_err() {
                return;
            }
            tokio::time::sleep(TOGETHER).await;
            let Some(snapshot) = snapshots.borrow_and_update().clone() else { continue };
            let wait = match self.write(&snapshot, &mut current).await {
                Ok(()) => {
                    pause = None;
                    RESYNC
                }
                Err(error) => {
                    tracing::warn!(error = %Cause(&error), "failed to write the NodeMirrorStatus; trying again");
                    current = None;
                    RETRY.next(&mut pause)
                }
            };
            if tokio::time::timeout(wait, snapshots.changed()).await.is_err() {
                // No new snapshot: read the status again, because another client may have changed it.
                current = None;
            }
        }
    }

    async fn write(&self, snapshot: &Snapshot, current: &mut Option<NodeMirrorStatusStatus>) -> kube::Result<()> {
        if current.is_none() {
            let found = answered(self.api.get_opt(&self.node)).await?;
            if found.is_none() {
                self.create().await?;
            }
            *current = Some(found.and_then(|object| object.status).unwrap_or_default());
        }
        let wanted = status(snapshot, current.as_ref(), &now());
        if current.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let body = json!({
            "apiVersion": NodeMirrorStatus::api_version(&()),
            "kind": NodeMirrorStatus::kind(&()),
            "status": wanted,
        });
        let params = PatchParams::apply(names::AGENT_FIELD_MANAGER).force();
        answered(self.api.patch_status(&self.node, &params, &Patch::Apply(&body))).await?;
        *current = Some(wanted);
        Ok(())
    }

    /// Creates the NodeMirrorStatus with the Node as its owner, so that it is deleted with the node.
    async fn create(&self) -> kube::Result<()> {
        let mut object = NodeMirrorStatus::new(&self.node, NodeMirrorStatusSpec {});
        let mut uid = self.inputs.sets().node_uid().map(str::to_owned);
        if uid.is_none() {
            let nodes: Api<Node> = Api::all(self.client.clone());
            uid = answered(nodes.get_metadata_opt(&self.node)).await?.and_then(|node| node.metadata.uid);
        }
        object.metadata.owner_references = uid.map(|uid| {
            let (api_version, kind) = (Node::api_version(&()).into_owned(), Node::kind(&()).into_owned());
            vec![OwnerReference { api_version, kind, name: self.node.clone(), uid, ..OwnerReference::default() }]
        });
        let params = PatchParams::apply(names::AGENT_FIELD_MANAGER).force();
        answered(self.api.patch(&self.node, &params, &Patch::Apply(&object))).await.map(|_| ())
    }
}

/// The current time in seconds, the precision of the API.
fn now() -> Time {
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}
