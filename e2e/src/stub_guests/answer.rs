//! Responses of a stub.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::path::{Target, parse};
use super::store::{Conflict, SETS, Store, metadata_of};
use super::{State, locked};
use crate::mock::route::query;
use crate::mock::server::{Answered, Hangup};

/// Larger bodies are not read: an API server accepts 3 MiB.
const MAX_BODY: usize = 3 << 20;
/// How long a watch lasts that does not say so.
const WATCH: Duration = Duration::from_mins(30);

/// Answers a request. `on_set` gets each set that is written.
pub(super) async fn answer(
    store: &Arc<Mutex<Store>>,
    state: watch::Receiver<State>,
    request: Request<Body>,
    on_set: impl FnOnce(&Value),
) -> Answered {
    let (head, body) = request.into_parts();
    if head.uri.path() == "/version" {
        return Ok(object(StatusCode::OK, &json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0-stub"})));
    }
    let Some(target) = parse(head.uri.path()) else { return Ok(missing()) };
    let body = axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| Hangup)?;
    Ok(match (target, head.method) {
        (Target::Discovery(group), Method::GET) => discovery(&locked(store), &group),
        (Target::Collection { resource, namespace }, Method::GET) => {
            if !locked(store).serves(&resource) {
                return Ok(missing());
            }
            if query(head.uri.query(), "watch").is_some() {
                return Ok(watch_of(&mut locked(store), state, &resource, head.uri.query()));
            }
            list(&locked(store), &resource, namespace.as_deref(), head.uri.query(), &head.headers)
        }
        (Target::Object { resource, .. }, _) if !locked(store).serves(&resource) => missing(),
        (Target::Object { resource, namespace, name }, Method::GET) => {
            locked(store).get(&resource, &(namespace, name)).map_or_else(missing, |found| object(StatusCode::OK, found))
        }
        (Target::Object { resource, namespace, name }, Method::PATCH) => {
            let Ok(wanted) = serde_json::from_slice::<Value>(&body) else { return Ok(status(422, "Invalid")) };
            let applied = locked(store).apply(&resource, &(namespace, name), wanted);
            match applied {
                Ok((live, is_new)) => {
                    if resource == SETS {
                        on_set(&live);
                    }
                    object(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &live)
                }
                Err(Conflict) => status(409, "Conflict"),
            }
        }
        (Target::Object { resource, namespace, name }, Method::DELETE) => {
            if locked(store).delete(&resource, &(namespace, name)) { status(200, "") } else { missing() }
        }
        _ => status(405, "MethodNotAllowed"),
    })
}

/// The response of a load balancer without an API server.
pub(super) fn unavailable(pause: Option<u32>) -> Response<Body> {
    let mut answer = status(503, "ServiceUnavailable");
    if let Some(pause) = pause {
        answer.headers_mut().insert(RETRY_AFTER, pause.into());
    }
    answer
}

fn discovery(store: &Store, group: &str) -> Response<Body> {
    let resources: Vec<Value> = store.resources_of(group).iter().map(|plural| json!({"name": plural})).collect();
    if resources.is_empty() {
        return missing();
    }
    object(StatusCode::OK, &json!({"kind": "APIResourceList", "groupVersion": group, "resources": resources}))
}

fn list(
    store: &Store,
    resource: &str,
    namespace: Option<&str>,
    asked: Option<&str>,
    headers: &HeaderMap,
) -> Response<Body> {
    let selector = query(asked, "labelSelector").unwrap_or_default();
    let found = store.list(resource, namespace, &selector);
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let items: Vec<Value> = if accepted.contains("PartialObjectMetadataList") {
        found.into_iter().map(metadata_of).collect()
    } else {
        found.into_iter().cloned().collect()
    };
    let metadata = json!({"resourceVersion": store.version().to_string()});
    object(StatusCode::OK, &json!({"kind": "List", "metadata": metadata, "items": items}))
}

/// A watch ends at its time, or when the stub becomes unavailable. A silent one stays open.
fn watch_of(store: &mut Store, state: watch::Receiver<State>, resource: &str, asked: Option<&str>) -> Response<Body> {
    let selector = query(asked, "labelSelector").unwrap_or_default();
    let from = query(asked, "resourceVersion").and_then(|version| version.parse().ok()).unwrap_or_default();
    let lasts =
        query(asked, "timeoutSeconds").and_then(|seconds| seconds.parse().ok()).map_or(WATCH, Duration::from_secs);
    let events = store.watch(resource, &selector, from);
    let stream = stream::unfold((events, state, Instant::now() + lasts), |(mut events, mut state, end)| async move {
        let event = next(&mut events, &mut state, end).await?;
        Some((Ok::<_, Infallible>(event), (events, state, end)))
    });
    let answer = Response::builder().header(CONTENT_TYPE, "application/json").body(Body::from_stream(stream));
    answer.unwrap_or_default()
}

async fn next(events: &mut mpsc::Receiver<Bytes>, state: &mut watch::Receiver<State>, end: Instant) -> Option<Bytes> {
    tokio::select! {
        event = events.recv() => event,
        _ = state.wait_for(|state| matches!(state, State::Unavailable(_))) => None,
        () = sleep_until(end) => None,
    }
}

fn missing() -> Response<Body> {
    status(404, "NotFound")
}

fn status(code: u16, reason: &str) -> Response<Body> {
    let code = StatusCode::from_u16(code).unwrap_or_default();
    let status = if code.is_success() { "Success" } else { "Failure" };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": status, "reason": reason, "message": reason, "code": code.as_u16()
    });
    object(code, &body)
}

fn object(code: StatusCode, object: &Value) -> Response<Body> {
    let answer = Response::builder().status(code).header(CONTENT_TYPE, "application/json");
    answer.body(Body::from(object.to_string())).unwrap_or_default()
}
