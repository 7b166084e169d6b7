//! Answers and their bodies.

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::digest::Synthetic;
use super::record::Entry;
use super::server::Hangup;

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An answer with a body of this type.
pub(super) fn with_body(status: StatusCode, media_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    let body = body.into();
    let mut response = set(empty(status), header::CONTENT_LENGTH, &body.len().to_string());
    *response.body_mut() = Body::from(body);
    set(response, header::CONTENT_TYPE, media_type)
}

/// JSON.
pub(super) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    with_body(status, "application/json", value.to_string())
}

/// An error as the specification has it.
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    json(status, &json!({ "errors": [{ "code": code, "message": message, "detail": Value::Null }] }))
}

/// The same answer with a header more. A value that is none is a mistake of the test, and is left out.
pub(super) fn set(mut response: Response<Body>, name: HeaderName, value: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// The same answer to HEAD: its headers alone.
pub(super) fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut parts, _) = response.into_parts();
    // The server takes it from the body that is not there.
    parts.headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
    Response::from_parts(parts, Body::empty())
}

/// A part of synthetic content.
pub(super) fn synthetic(content: Synthetic, from: u64, to: u64) -> Body {
    Body::from_stream(stream::iter(content.blocks(from, to).map(Ok::<_, Hangup>)))
}

/// Counts what goes out.
pub(super) fn counted(response: Response<Body>, entry: Entry) -> Response<Body> {
    entry.status(response.status().as_u16());
    response.map(|body| {
        // An empty body stays one: a stream would be sent in chunks.
        if body.is_end_stream() {
            return body;
        }
        Body::from_stream(body.into_data_stream().inspect(move |part| {
            if let Ok(part) = part {
                entry.sent(part.len());
            }
        }))
    })
}
