//! Events about hosted clusters, on transitions only.

use hypermirror_api::names;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use super::ClusterKey;
use super::deadline::answered;

/// What an event is about: an object of HyperShift's.
pub struct About<'a> {
    /// `HostedCluster` or `NodePool`.
    pub kind: &'static str,
    /// Its namespace and name.
    pub key: &'a ClusterKey,
    /// Its uid.
    pub uid: &'a str,
}

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

    /// Tells one transition. A failure is logged: an event is never worth a retry.
    pub async fn tell(&self, about: &About<'_>, good: bool, reason: &str, message: &str) {
        let reference = ObjectReference {
            api_version: Some("hypershift.openshift.io/v1beta1".to_owned()),
            kind: Some(about.kind.to_owned()),
            namespace: Some(about.key.namespace.clone()),
            name: Some(about.key.name.clone()),
            uid: Some(about.uid.to_owned()),
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
            tracing::warn!(object = %about.key, reason, %error, "an event was not recorded");
        }
    }
}
