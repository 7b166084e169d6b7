//! Watches the metadata of managed objects of one kind in a guest cluster, to restore them immediately after a change by
//! another client.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hypermirror_api::names::MANAGED_LABEL;
use kube::api::WatchParams;
use kube::client::Body;
use serde::Deserialize;

use super::client::GuestClient;
use super::error::GuestError;
use super::in_flight::{KIB, MIB};
use super::path;
use super::seen::Edition;

/// Time after which the client ends the watch, because a broken connection delivers no event.
const GRACE: Duration = Duration::from_secs(15);
/// Maximum size of an event. The metadata of managed objects has a few KiB.
const MAX_EVENT_BYTES: usize = 64 * KIB;
/// Maximum size of all events of one watch: a bookmark each minute, and few other events.
const MAX_WATCH_BYTES: usize = MIB;

/// A watch event about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub name: String,
    /// `None` if it was deleted.
    pub edition: Option<Edition>,
}

#[derive(Deserialize)]
struct Event {
    r#type: String,
    #[serde(default)]
    object: Object,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    metadata: Meta,
    code: Option<u16>,
    message: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    name: String,
    uid: String,
    generation: i64,
    resource_version: String,
}

/// Splits the body of a watch into events.
#[derive(Debug, Default)]
struct Lines {
    /// An incomplete line.
    rest: Vec<u8>,
    bytes: usize,
}

impl Lines {
    /// Adds received bytes. `None` above the size limit.
    fn push<'d>(&mut self, data: &'d [u8], mut line: impl FnMut(&[u8])) -> Option<()> {
        self.bytes += data.len();
        if self.bytes > MAX_WATCH_BYTES {
            return None;
        }
        let mut parts = data.split(|byte| *byte == b'\n');
        let last: &'d [u8] = parts.next_back().unwrap_or_default();
        for part in parts {
            self.rest.extend_from_slice(part);
            line(&self.rest);
            self.rest = Vec::new();
        }
        self.rest.extend_from_slice(last);
        (self.rest.len() <= MAX_EVENT_BYTES).then_some(())
    }
}

impl GuestClient {
    /// Watches from a resourceVersion, or from now on without one, until the server ends the watch.
    ///
    /// # Errors
    /// [`GuestError`]; `Gone` if the version is too old or the kind is not served.
    pub async fn watch(
        &self,
        kind: &str,
        lasts: Duration,
        from: &mut Option<String>,
        mut report: impl FnMut(Edit) + Send,
    ) -> Result<(), GuestError> {
        let collection = path::collection(kind);
        let what = format!("WATCH {collection}");
        let params = WatchParams {
            timeout: u32::try_from(lasts.as_secs()).ok(),
            label_selector: Some(format!("{MANAGED_LABEL}=true")),
            bookmarks: true,
            ..WatchParams::default()
        };
        let request =
            kube::core::Request::new(&collection).watch_metadata(&params, from.as_deref().unwrap_or_default());
        let body = self.open(&what, request).await?;
        let listen = listen(kind, body, from, &mut report);
        tokio::time::timeout(lasts + GRACE, listen).await.unwrap_or(Ok(()))
    }
}

async fn listen(
    kind: &str,
    mut body: Body,
    from: &mut Option<String>,
    report: &mut (impl FnMut(Edit) + Send),
) -> Result<(), GuestError> {
    let what = &format!("WATCH {}", path::collection(kind));
    let mut lines = Lines::default();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| GuestError::of(what, &error))?.into_data() else { continue };
        let mut failure = None;
        let pushed = lines.push(&data, |line| {
            if let Err(error) = event(kind, what, line, from, report) {
                failure.get_or_insert(error);
            }
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        pushed.ok_or_else(|| GuestError::TooLarge { what: what.to_owned() })?;
    }
    Ok(())
}

fn event(
    kind: &str,
    what: &str,
    line: &[u8],
    from: &mut Option<String>,
    report: &mut impl FnMut(Edit),
) -> Result<(), GuestError> {
    let Event { r#type, object } =
        serde_json::from_slice(line).map_err(|error| GuestError::unreadable(what, &error))?;
    let Meta { name, uid, generation, resource_version } = object.metadata;
    let edition = match r#type.as_str() {
        "ADDED" | "MODIFIED" => Some(Edition::new(kind, uid, generation, &resource_version)),
        "DELETED" => None,
        "BOOKMARK" => {
            *from = Some(resource_version);
            return Ok(());
        }
        _ if object.code == Some(410) => return Err(GuestError::Gone { what: what.to_owned() }),
        _ => return Err(GuestError::of_status(what, object.code.unwrap_or(500), &object.message.unwrap_or_default())),
    };
    if path::is_name(&name) {
        report(Edit { name, edition });
    }
    *from = Some(resource_version);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(kind: &str, name: &str, version: &str) -> String {
        format!(
            "{}\n",
            json!({"type": kind, "object": {"metadata": {"name": name, "uid": "u", "resourceVersion": version}}})
        )
    }

    async fn heard(text: &str) -> (Result<(), GuestError>, Vec<Edit>, Option<String>) {
        let (mut edits, mut from) = (Vec::new(), None);
        let body = Body::from(text.as_bytes().to_vec());
        let end = listen("NodeMirrorSet", body, &mut from, &mut |edit| edits.push(edit)).await;
        (end, edits, from)
    }

    #[tokio::test]
    async fn events_are_reported_and_a_watch_goes_on_where_it_was() {
        let text = [line("ADDED", "cluster", "1"), line("DELETED", "cluster", "2"), line("BOOKMARK", "", "9")].concat();
        let (end, edits, from) = heard(&text).await;
        let edition = Some(Edition::new("NodeMirrorSet", "u".to_owned(), 0, "1"));
        let name = || "cluster".to_owned();
        assert_eq!(edits, [Edit { name: name(), edition }, Edit { name: name(), edition: None }]);
        assert_eq!((end, from.as_deref()), (Ok(()), Some("9")));
        let odd = line("ADDED", "../x", "3");
        assert!(heard(&odd).await.1.is_empty(), "no object of an API server");
    }

    #[tokio::test]
    async fn a_watch_ends_with_an_error_and_at_its_bounds() {
        let expired = json!({"type": "ERROR", "object": {"code": 410, "message": "too old"}});
        assert!(matches!(heard(&format!("{expired}\n")).await.0, Err(GuestError::Gone { .. })));
        assert!(matches!(heard("{}\n").await.0, Err(GuestError::Failed { .. })));
        let long = line("ADDED", &"x".repeat(MAX_EVENT_BYTES), "1");
        assert!(matches!(heard(&long[..long.len() - 1]).await.0, Err(GuestError::TooLarge { .. })));
        let many = line("ADDED", "cluster", "1").repeat(MAX_WATCH_BYTES / 50);
        assert!(matches!(heard(&many).await.0, Err(GuestError::TooLarge { .. })));
    }

    #[test]
    fn lines_come_in_any_pieces() {
        for size in [1, 3, 7, 100] {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for piece in b"one\ntwo\n\nthree\nfo".chunks(size) {
                lines.push(piece, |line| found.push(String::from_utf8_lossy(line).into_owned())).unwrap();
            }
            assert_eq!(found, ["one", "two", "", "three"], "{size}");
        }
    }
}
