//! Reads the audit log of a cluster as events.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use http::Request;
use jiff::Timestamp;
use kube::Client;
use serde::Deserialize;
use serde_json::Value;

use crate::eventually;

/// Bodies of writes are logged, so that tests can verify patches.
pub(crate) const POLICY: &str = r"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: Request
  verbs: [create, update, patch, delete, deletecollection]
- level: Metadata
";

/// Time until a request is logged: milliseconds, or more on a loaded machine.
const FENCE_LIMIT: Duration = Duration::from_secs(15);

/// Where the API server tells which token a request had.
const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

/// A request that no other client sends.
const FENCE: &str = "/version?fence=";

static FENCES: AtomicU64 = AtomicU64::new(0);

/// One request.
#[derive(Debug, Clone)]
pub struct Event {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural name of the resource. Empty for other URLs, such as `/version`.
    pub resource: String,
    /// Subresource, such as `status`. Empty for the object itself.
    pub subresource: String,
    /// Namespace. Empty for cluster-scoped objects.
    pub namespace: String,
    /// Name of the object. Empty for lists and for a create, which has the name in its body.
    pub name: String,
    /// The user.
    pub user: String,
    /// The token of the request, by its ID: processes with one ServiceAccount have a token each. Empty without a token.
    pub credential: String,
    /// The user agent of the client.
    pub user_agent: String,
    /// Path and query.
    pub uri: String,
    /// Status code of the response.
    pub code: u16,
    /// `ResponseComplete`, or `ResponseStarted` for a watch.
    pub stage: String,
    /// Body of a write. For a JSON patch, the list of operations.
    pub request_object: Option<Value>,
    /// When the server received the request.
    pub received: Timestamp,
    /// When the server reached this stage.
    pub at: Timestamp,
}

impl Event {
    /// Whether this is a request to change a stored object. Dry runs and virtual resources, such as access reviews and tokens,
    /// are not.
    pub fn is_write(&self) -> bool {
        let changes = matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection");
        let question = self.subresource == "token"
            || matches!(self.group.as_str(), "authentication.k8s.io" | "authorization.k8s.io");
        changes && !question && self.stage == "ResponseComplete" && !self.uri.contains("dryRun=All")
    }

    /// Whether the request was successful.
    pub fn succeeded(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// One line of text: `patch 200 deployments ns/name by user (agent)`.
    pub fn summary(&self) -> String {
        let slash = if self.subresource.is_empty() { "" } else { "/" };
        format!(
            "{} {} {}{slash}{} {}/{} by {} ({})",
            self.verb,
            self.code,
            self.resource,
            self.subresource,
            self.namespace,
            self.name,
            self.user,
            self.user_agent
        )
    }
}

/// A position in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

/// The audit log of one cluster. Its client belongs to the runtime of the test.
#[derive(Clone)]
pub struct Audit {
    path: PathBuf,
    client: Client,
}

impl Audit {
    pub(crate) fn new(path: PathBuf, client: Client) -> Self {
        Self { path, client }
    }

    /// The file, JSON lines.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The position after all completed requests.
    ///
    /// # Errors
    ///
    /// If the server does not answer or its log cannot be read.
    pub async fn mark(&self) -> Result<Mark> {
        self.fence().await
    }

    /// The events since the mark, in the order of the log. Includes all requests that completed before this call.
    ///
    /// # Errors
    ///
    /// If the server does not answer or its log cannot be read.
    pub async fn since(&self, mark: Mark) -> Result<Vec<Event>> {
        let end = self.fence().await?;
        let text = self.read(mark.0, end.0)?;
        let events: Result<Vec<Event>> = text.lines().map(parse).collect();
        Ok(events?.into_iter().filter(|event| !event.uri.starts_with(FENCE)).collect())
    }

    /// The writes since the mark by a user of this name or by a client whose user agent starts with it.
    ///
    /// # Errors
    ///
    /// As [`Audit::since`].
    pub async fn writes_by(&self, mark: Mark, who: &str) -> Result<Vec<Event>> {
        let mut events = self.since(mark).await?;
        events.retain(|event| event.is_write() && (event.user == who || event.user_agent.starts_with(who)));
        Ok(events)
    }

    /// A line is written shortly after the response. This sends another request and waits for its line; the lines of all
    /// requests that completed before it are then in the log.
    async fn fence(&self) -> Result<Mark> {
        let start = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        let number = FENCES.fetch_add(1, Ordering::Relaxed);
        let uri = format!("{FENCE}{}-{number}", std::process::id());
        self.client
            .request_text(Request::get(&uri).body(Vec::new())?)
            .await
            .context("failed to send the fence request")?;
        let needle = format!("\"requestURI\":\"{uri}\"");
        eventually(FENCE_LIMIT, "the audit log contains the fence request", async || {
            let text = self.read(start, u64::MAX)?;
            let Some(found) = text.find(&needle) else { return Ok(None) };
            let end_of_line = text[found..].find('\n').map(|length| found + length + 1);
            Ok(end_of_line.map(|length| Mark(start + length as u64)))
        })
        .await
    }

    fn read(&self, from: u64, to: u64) -> Result<String> {
        let mut file = File::open(&self.path).with_context(|| format!("failed to open {}", self.path.display()))?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(to.saturating_sub(from)).read_to_end(&mut bytes)?;
        String::from_utf8(bytes).context("the audit log is not text")
    }
}

fn parse(line: &str) -> Result<Event> {
    let raw: RawEvent = serde_json::from_str(line).with_context(|| format!("audit line {line}"))?;
    Ok(raw.into())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEvent {
    stage: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: RawUser,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: RawObject,
    #[serde(default)]
    response_status: RawStatus,
    request_object: Option<Value>,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct RawUser {
    #[serde(default)]
    username: String,
    #[serde(default)]
    extra: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawObject {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawStatus {
    code: u16,
}

impl From<RawEvent> for Event {
    fn from(mut raw: RawEvent) -> Self {
        let credential = raw.user.extra.remove(CREDENTIAL).and_then(|mut ids| ids.pop());
        Self {
            verb: raw.verb,
            group: raw.object_ref.api_group,
            resource: raw.object_ref.resource,
            subresource: raw.object_ref.subresource,
            namespace: raw.object_ref.namespace,
            name: raw.object_ref.name,
            user: raw.user.username,
            credential: credential.unwrap_or_default(),
            user_agent: raw.user_agent,
            uri: raw.request_uri,
            code: raw.response_status.code,
            stage: raw.stage,
            request_object: raw.request_object,
            received: raw.request_received_timestamp,
            at: raw.stage_timestamp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(verb: &str, resource: &str, uri: &str) -> Event {
        let line = serde_json::json!({
            "stage": "ResponseComplete", "requestURI": uri, "verb": verb, "user": { "username": "somebody" },
            "userAgent": "agent/1", "objectRef": { "resource": resource, "namespace": "ns", "name": "name" },
            "responseStatus": { "code": 200 },
            "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z", "stageTimestamp": "2026-01-01T00:00:01.000000Z",
        });
        parse(&line.to_string()).unwrap()
    }

    #[test]
    fn writes_are_distinguished_from_reads_and_dry_runs() {
        assert!(event("patch", "configmaps", "/api/v1/namespaces/ns/configmaps/name").is_write());
        assert!(!event("patch", "configmaps", "/api/v1/namespaces/ns/configmaps/name?dryRun=All").is_write());
        assert!(!event("list", "configmaps", "/api/v1/configmaps").is_write());
    }

    #[test]
    fn an_event_reads_as_one_line() {
        let summary = event("patch", "configmaps", "/x").summary();
        assert_eq!(summary, "patch 200 configmaps ns/name by somebody (agent/1)");
    }

    #[test]
    fn a_line_that_is_no_event_is_an_error_that_shows_it() {
        assert!(format!("{:#}", parse("{}").unwrap_err()).contains("audit line {}"));
    }
}
