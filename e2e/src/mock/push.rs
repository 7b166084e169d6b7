//! Pushes of manifests, and deletions.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use super::answer;
use super::behavior::{Immutable, Referrers};
use super::desk::{Asked, Desk};
use super::digest::{Digest, is_digest, matches, sha256};
use super::pull::with_digest;
use super::route::{Area, queries};
use super::script;
use super::store::{Manifest, Store};

/// As registries have it: none takes a manifest of more.
const MOST: usize = 4 << 20;

impl Desk {
    pub(super) async fn put_manifest(&self, asked: &Asked<'_>, body: Body) -> Response<Body> {
        let Some(bytes) = script::read(body, MOST, asked.entry).await else {
            return answer::error(StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID", "the manifest is too large");
        };
        let Ok(value) = serde_json::from_slice::<Value>(&bytes) else {
            return answer::error(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", "the manifest is not JSON");
        };
        let mut store = self.store();
        match accept(&mut store, asked, bytes, &value) {
            Ok(digest) => pushed(asked, &digest, &value),
            Err(response) => *response,
        }
    }
}

/// Stores a manifest and its tags, or says why not.
fn accept(store: &mut Store, asked: &Asked<'_>, bytes: Bytes, value: &Value) -> Result<Digest, Box<Response<Body>>> {
    let refuse = |status, code, message: &str| Err(Box::new(answer::error(status, code, message)));
    let (repository, reference) = (asked.route.repository.as_str(), asked.route.reference.as_str());
    if asked.behavior.needs_repository && !store.repositories.contains_key(repository) {
        return refuse(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "the repository does not exist");
    }
    let by_digest = reference.contains(':');
    if by_digest && !(is_digest(reference) && matches(&bytes, reference)) {
        return refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "the digest is not that of the manifest");
    }
    if asked.behavior.refuses_nested && is_nested(store, repository, value) {
        return refuse(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", "nested indexes are not supported");
    }
    let (children, blobs) = store.missing(repository, value);
    if asked.behavior.demands_content && !(children.is_empty() && blobs.is_empty()) {
        let message = format!("unknown to this repository: {}", [children, blobs].concat().join(", "));
        return refuse(StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN", &message);
    }
    let digest: Digest = if by_digest { reference.into() } else { sha256(&bytes) };
    let tags = if by_digest { queries(asked.parts.uri.query(), "tag") } else { vec![reference.to_owned()] };
    for tag in &tags {
        let before = store.repositories.get(repository).and_then(|repository| repository.tags.get(tag));
        if let (Some(before), Some(immutable)) = (before, asked.behavior.immutable)
            && (*before != digest || immutable == Immutable::Ecr)
        {
            return Err(Box::new(immutable_tag(immutable, tag)));
        }
    }
    let reported = asked.parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = reported.or_else(|| value["mediaType"].as_str()).unwrap_or("application/json").to_owned();
    let repository = store.repository(repository);
    repository.manifests.insert(digest.clone(), Manifest { media_type, bytes });
    repository.tags.extend(tags.into_iter().map(|tag| (tag, digest.clone())));
    Ok(digest)
}

fn is_nested(store: &Store, repository: &str, value: &Value) -> bool {
    let children = value["manifests"].as_array().map(Vec::as_slice).unwrap_or_default();
    children.iter().any(|child| {
        let found = child["digest"].as_str().and_then(|digest| store.manifest(repository, digest));
        let kind = found.map(|(_, manifest)| manifest.media_type.as_str()).or_else(|| child["mediaType"].as_str());
        kind.is_some_and(|kind| kind.contains("index") || kind.contains("manifest.list"))
    })
}

fn immutable_tag(immutable: Immutable, tag: &str) -> Response<Body> {
    let (status, code, message) = match immutable {
        Immutable::Ecr => {
            let cause = "already exists in the repository and cannot be overwritten because the tag is immutable";
            (StatusCode::BAD_REQUEST, "TAG_INVALID", format!("The image tag '{tag}' {cause}."))
        }
        Immutable::Harbor => {
            (StatusCode::PRECONDITION_FAILED, "PRECONDITION", format!("the tag {tag} is configured as immutable"))
        }
        Immutable::Quay => (StatusCode::CONFLICT, "TAG_IMMUTABLE", format!("tag {tag} is immutable")),
        Immutable::Artifactory => (StatusCode::FORBIDDEN, "DENIED", format!("no permission to overwrite {tag}")),
    };
    answer::error(status, code, &message)
}

fn pushed(asked: &Asked<'_>, digest: &str, value: &Value) -> Response<Body> {
    let path = format!("{}/v2/{}/manifests/{digest}", asked.behavior.base_path, asked.route.repository);
    let response = answer::set(answer::empty(StatusCode::CREATED), header::LOCATION, &path);
    let mut response = with_digest(response, asked.behavior, digest);
    let has_referrers = matches!(asked.behavior.referrers, Referrers::Listed { .. });
    if let Some(subject) = value["subject"]["digest"].as_str().filter(|_| has_referrers) {
        response = answer::set(response, HeaderName::from_static("oci-subject"), subject);
    }
    if asked.route.reference == digest {
        for tag in queries(asked.parts.uri.query(), "tag") {
            if let Ok(tag) = HeaderValue::from_str(&tag) {
                response.headers_mut().append(HeaderName::from_static("oci-tag"), tag);
            }
        }
    }
    response
}

/// Deletes a blob, a tag, or a manifest with its tags.
pub(super) fn delete(store: &mut Store, asked: &Asked<'_>) -> Response<Body> {
    if asked.behavior.refuses_deletes {
        return answer::error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "deletion is not enabled");
    }
    let Some(repository) = store.repositories.get_mut(&asked.route.repository) else {
        return answer::error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known to registry");
    };
    let reference = asked.route.reference.as_str();
    let (is_gone, code) = if asked.route.area == Area::Blob {
        (repository.blobs.remove(reference).is_some(), "BLOB_UNKNOWN")
    } else if reference.contains(':') {
        repository.tags.retain(|_, digest| &**digest != reference);
        (repository.manifests.remove(reference).is_some(), "MANIFEST_UNKNOWN")
    } else {
        (repository.tags.remove(reference).is_some(), "MANIFEST_UNKNOWN")
    };
    if is_gone {
        answer::empty(StatusCode::ACCEPTED)
    } else {
        answer::error(StatusCode::NOT_FOUND, code, &format!("{reference} is unknown"))
    }
}
