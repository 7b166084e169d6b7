//! Reading manifests and blobs.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, Method, Response, StatusCode, header, request::Parts};

use super::answer;
use super::behavior::{Behavior, DigestHeader};
use super::digest::{is_digest, sha256};
use super::route::{Route, query};
use super::store::{Blob, Store};

pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// With the digest of the content, as far as the registry tells it.
pub(super) fn with_digest(response: Response<Body>, behavior: &Behavior, digest: &str) -> Response<Body> {
    match behavior.digest_header {
        DigestHeader::Right => answer::set(response, CONTENT_DIGEST, digest),
        DigestHeader::Wrong => answer::set(response, CONTENT_DIGEST, &sha256(b"something else")),
        DigestHeader::Missing => response,
    }
}

pub(super) fn manifest(store: &Store, behavior: &Behavior, route: &Route) -> Response<Body> {
    let Some((digest, manifest)) = store.manifest(&route.repository, &route.reference) else {
        return unknown(store, route, "MANIFEST_UNKNOWN");
    };
    let response = answer::with_body(StatusCode::OK, &manifest.media_type, manifest.bytes.clone());
    with_digest(response, behavior, &digest)
}

fn unknown(store: &Store, route: &Route, code: &str) -> Response<Body> {
    if store.repositories.contains_key(&route.repository) {
        answer::error(StatusCode::NOT_FOUND, code, &format!("{} is unknown", route.reference))
    } else {
        answer::error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known to registry")
    }
}

pub(super) fn blob(store: &Store, behavior: &Behavior, route: &Route, parts: &Parts) -> Response<Body> {
    if !is_digest(&route.reference) {
        return answer::error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "not a digest");
    }
    let Some(blob) = store.blob(&route.repository, &route.reference) else {
        return unknown(store, route, "BLOB_UNKNOWN");
    };
    if parts.method == Method::GET
        && let Some(response) = redirected(behavior, parts)
    {
        return response;
    }
    let wanted = parts.headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let (status, from, to) = match wanted.and_then(|text| range(text, blob.size())) {
        None => (StatusCode::OK, 0, blob.size()),
        Some(Ok((from, to))) => (StatusCode::PARTIAL_CONTENT, from, to),
        Some(Err(())) => {
            let response = answer::error(StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID", "no such bytes");
            return answer::set(response, header::CONTENT_RANGE, &format!("bytes */{}", blob.size()));
        }
    };
    let mut response = answer::set(answer::empty(status), header::CONTENT_LENGTH, &(to - from).to_string());
    *response.body_mut() = match blob {
        Blob::Held(bytes) => Body::from(slice(bytes, from, to)),
        Blob::Synthetic(content) => answer::synthetic(*content, from, to),
        Blob::Dropped { .. } if parts.method == Method::GET => {
            return answer::error(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "the mock did not keep this blob");
        }
        Blob::Dropped { .. } => Body::empty(),
    };
    if status == StatusCode::PARTIAL_CONTENT {
        let value = format!("bytes {from}-{}/{}", to - 1, blob.size());
        response = answer::set(response, header::CONTENT_RANGE, &value);
    }
    response = answer::set(response, header::CONTENT_TYPE, "application/octet-stream");
    response = answer::set(response, header::ACCEPT_RANGES, "bytes");
    with_digest(response, behavior, &route.reference)
}

fn slice(bytes: &Bytes, from: u64, to: u64) -> Bytes {
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(index(from)..index(to))
}

/// The answer of a registry whose blobs are elsewhere. It redirects to itself for as many hops as instructed.
fn redirected(behavior: &Behavior, parts: &Parts) -> Option<Response<Body>> {
    let redirect = behavior.redirect.as_ref()?;
    let hop = query(parts.uri.query(), "hop").and_then(|hop| hop.parse().ok()).unwrap_or(0);
    let path = parts.uri.path();
    let to = if hop < redirect.hops {
        format!("{path}?hop={}", hop + 1)
    } else {
        format!("{}{path}?signature=s3cret", redirect.to)
    };
    Some(answer::set(answer::empty(redirect.status), header::LOCATION, &to))
}

/// The bytes of `bytes=A-B`, `bytes=A-` or `bytes=-N`: from, and up to but without. None where it is to be ignored.
fn range(text: &str, size: u64) -> Option<Result<(u64, u64), ()>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (from, to) = if first.is_empty() {
        let count: u64 = last.parse().ok()?;
        if count == 0 {
            return Some(Err(()));
        }
        (size.saturating_sub(count), size)
    } else {
        let from: u64 = first.parse().ok()?;
        let last: u64 = if last.is_empty() { u64::MAX - 1 } else { last.parse().ok()? };
        if last < from {
            return None;
        }
        (from, size.min(last + 1))
    };
    Some(if from < to { Ok((from, to)) } else { Err(()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_http() {
        assert_eq!(range("bytes=0-3", 10), Some(Ok((0, 4))));
        assert_eq!(range("bytes=4-", 10), Some(Ok((4, 10))));
        assert_eq!(range("bytes=-3", 10), Some(Ok((7, 10))));
        assert_eq!(range("bytes=8-99", 10), Some(Ok((8, 10))));
        assert_eq!(range("bytes=10-", 10), Some(Err(())));
        assert_eq!(range("bytes=-0", 10), Some(Err(())));
        assert_eq!(range("bytes=5-2", 10), None);
        assert_eq!(range("lines=1-2", 10), None);
    }
}
