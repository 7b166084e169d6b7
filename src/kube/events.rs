//! Events about hosted clusters, on transitions only.

use hypermirror_api::names;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use super::ClusterKey;
use super::deadline::answered;

/// Publishes events; made once, because the recorder counts series.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// Publishes as this instance.
    pub fn new(client: Client, instance: &str) -> Self {
        let reporter = Reporter { controller: names::EVENT_CONTROLLER.into(), instance: Some(instance.into()) };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Tells one transition of a hosted cluster. A failure is logged: an event is never worth a retry.
    pub async fn tell(&self, cluster: &ClusterKey, uid: &str, good: bool, reason: &str, message: &str) {
        let reference = ObjectReference {
            api_version: Some("hypershift.openshift.io/v1beta1".to_owned()),
            kind: Some("HostedCluster".to_owned()),
            namespace: Some(cluster.namespace.clone()),
            name: Some(cluster.name.clone()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        };
        let event = Event {
            type_: if good { EventType::Normal } else { EventType::Warning },
            reason: reason.to_owned(),
            note: Some(message.chars().take(1000).collect()), // the API takes 1,024 bytes
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = answered(self.recorder.publish(&event, &reference)).await {
            tracing::warn!(%cluster, reason, %error, "an event was not recorded");
        }
    }
}
