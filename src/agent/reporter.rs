//! Writes the NodeMirrorStatus of this node: when it changed, and again when that failed. The file never waits for it.

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
use crate::client::deadline::answered;

/// A write of the file and the reload that follows it are one change to those who read the status.
const TOGETHER: Duration = Duration::from_millis(50);
/// The first pause after a failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How often it is looked whether the status is still there: somebody may delete or edit it.
const LOOK_AGAIN: Duration = Duration::from_mins(10);

/// Writes one status.
pub struct Reporter {
    api: Api<NodeMirrorStatus>,
    client: Client,
    node: String,
    inputs: Arc<Inputs>,
}

impl Reporter {
    /// For the node of this name.
    pub fn new(client: Client, node: String, inputs: Arc<Inputs>) -> Self {
        Self { api: Api::all(client.clone()), client, node, inputs }
    }

    /// Reports until it is aborted.
    pub async fn run(self, mut snapshots: watch::Receiver<Option<Snapshot>>) {
        let mut pause = FIRST_PAUSE;
        // What stands there, as far as it is known.
        let mut stands: Option<NodeMirrorStatusStatus> = None;
        loop {
            if snapshots.wait_for(Option::is_some).await.is_err() {
                return;
            }
            tokio::time::sleep(TOGETHER).await;
            let Some(snapshot) = snapshots.borrow_and_update().clone() else { continue };
            let wait = match self.write(&snapshot, &mut stands).await {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    LOOK_AGAIN
                }
                Err(error) => {
                    tracing::warn!(%error, "the status is not written yet");
                    stands = None;
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    wait
                }
            };
            if tokio::time::timeout(wait, snapshots.changed()).await.is_err() {
                // Nothing new: what stands there may have been changed by somebody.
                stands = None;
            }
        }
    }

    async fn write(&self, snapshot: &Snapshot, stands: &mut Option<NodeMirrorStatusStatus>) -> kube::Result<()> {
        if stands.is_none() {
            let found = answered(self.api.get_opt(&self.node)).await?;
            if found.is_none() {
                self.create().await?;
            }
            *stands = Some(found.and_then(|object| object.status).unwrap_or_default());
        }
        let wanted = status(snapshot, stands.as_ref(), &now());
        if stands.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let body = json!({
            "apiVersion": NodeMirrorStatus::api_version(&()),
            "kind": NodeMirrorStatus::kind(&()),
            "status": wanted,
        });
        let params = PatchParams::apply(names::AGENT_FIELD_MANAGER).force();
        answered(self.api.patch_status(&self.node, &params, &Patch::Apply(&body))).await?;
        *stands = Some(wanted);
        Ok(())
    }

    /// It goes with its node.
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

/// To the second, as the API server keeps it.
fn now() -> Time {
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}
