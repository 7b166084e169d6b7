//! Events about objects, only on transitions.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::printable;

/// Maximum length of a message: the API's limit for events (1,024 bytes).
const NOTE_BYTES: usize = 1000;

/// The object of an event.
pub struct About<'a> {
    /// Its group and version.
    pub api_version: &'static str,
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
}

/// Publishes events. Created once, because the recorder aggregates events into series.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// Creates the publisher of this replica.
    pub fn new(client: Client, controller: &str, instance: &str) -> Self {
        let reporter = Reporter { controller: controller.into(), instance: Some(instance.into()) };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Publishes one transition, with a related object if that failed. An error is logged without a retry, because the report
    /// has the same content.
    pub async fn record(
        &self,
        about: &About<'_>,
        good: bool,
        reason: &str,
        message: &str,
        related: Option<ObjectReference>,
    ) {
        let reference = ObjectReference {
            api_version: Some(about.api_version.to_owned()),
            kind: Some(about.kind.to_owned()),
            namespace: Some(about.namespace.to_owned()),
            name: Some(about.name.to_owned()),
            uid: Some(about.uid.to_owned()),
            ..ObjectReference::default()
        };
        let event = Event {
            type_: if good { EventType::Normal } else { EventType::Warning },
            reason: reason.to_owned(),
            note: Some(note(message)),
            action: "Reconcile".to_owned(),
            secondary: related,
        };
        // One attempt: a retry could arrive after the event of a later transition, and would delay the reports behind it.
        if let Err(error) = answered(self.recorder.publish(&event, &reference)).await {
            let object = format!("{}/{}", about.namespace, about.name);
            tracing::warn!(object, reason, error = %Cause(&error), "failed to record an event");
        }
    }
}

/// A message on one line, truncated to the API's limit.
fn note(message: &str) -> String {
    let mut note = printable::line(message).into_owned();
    if note.len() > NOTE_BYTES {
        note.truncate(note.floor_char_boundary(NOTE_BYTES));
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_one_printable_line_that_the_api_takes() {
        assert_eq!(note("a\n\u{1b}[2J\u{202e}b"), "a\\n\\u001b[2J\\u202eb");
        let long = note(&"ü\u{1b}".repeat(1000));
        assert!(long.len() <= NOTE_BYTES && long.starts_with("ü\\u001bü"), "{long}");
    }
}
