//! Uploads of blobs: sessions, chunks, mounts.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode, header};
use tokio::sync::Mutex;

use super::answer;
use super::behavior::{Behavior, Location, Mounts};
use super::desk::{Asked, Desk};
use super::digest::{Hash, is_digest};
use super::pull::with_digest;
use super::route::query;
use super::server::{Answered, Hangup};
use super::store::{Blob, Store};

/// Sessions by their name.
pub(super) type Sessions = BTreeMap<String, Arc<Mutex<Upload>>>;

/// A session of an upload.
#[derive(Default)]
pub(super) struct Upload {
    hash: Hash,
    /// None when there is too much of it to be held.
    held: Option<BytesMut>,
    received: u64,
}

impl Upload {
    fn new() -> Self {
        Self { held: Some(BytesMut::new()), ..Self::default() }
    }

    fn add(&mut self, part: &Bytes, most: u64) {
        self.hash.update(part);
        self.received += part.len() as u64;
        if self.received > most {
            self.held = None;
        }
        if let Some(held) = &mut self.held {
            held.extend_from_slice(part);
        }
    }

    fn range(&self) -> String {
        format!("0-{}", self.received.saturating_sub(1))
    }
}

/// Why a body was not read to its end.
enum Broken {
    TooLarge,
    Reset,
    /// The client went away.
    Gone,
}

impl Desk {
    /// Everything at `/v2/NAME/blobs/uploads/`.
    pub(super) async fn upload(&self, asked: &Asked<'_>, body: Body) -> Answered {
        let session = Some(asked.route.reference.clone()).filter(|name| !name.is_empty());
        let session = session.or_else(|| query(asked.parts.uri.query(), "session"));
        match (&asked.parts.method, session) {
            (&Method::POST, None) => self.begin(asked, body).await,
            (method, Some(name)) => match self.session(&name) {
                None => Ok(answer::error(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "no such upload")),
                Some(upload) => match *method {
                    Method::PATCH | Method::PUT => self.go_on(asked, body, &name, &upload).await,
                    Method::GET => Ok(progress(asked, StatusCode::NO_CONTENT, &name, &*upload.lock().await)),
                    Method::DELETE => {
                        self.forget(&name);
                        Ok(answer::empty(StatusCode::NO_CONTENT))
                    }
                    _ => Ok(answer::empty(StatusCode::METHOD_NOT_ALLOWED)),
                },
            },
            _ => Ok(answer::empty(StatusCode::METHOD_NOT_ALLOWED)),
        }
    }

    async fn begin(&self, asked: &Asked<'_>, body: Body) -> Answered {
        let repository = &asked.route.repository;
        if asked.behavior.needs_repository && !self.store().repositories.contains_key(repository) {
            return Ok(answer::error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "the repository does not exist"));
        }
        let text = asked.parts.uri.query();
        if let Some(digest) = query(text, "mount") {
            if let Mounts::Refused(status) = asked.behavior.mounts {
                return Ok(answer::error(status, "DENIED", "no mount from there"));
            }
            let from = query(text, "from");
            if asked.behavior.mounts == Mounts::Done && mount(&mut self.store(), repository, from.as_deref(), &digest) {
                return Ok(created(asked, &digest));
            }
        } else if let Some(digest) = query(text, "digest").filter(|_| !asked.behavior.uploads.ignores_posts) {
            let mut upload = Upload::new();
            if let Err(broken) = receive(asked, body, &mut upload).await {
                return refused(&broken);
            }
            return Ok(self.finish(asked, upload, &digest));
        }
        let (name, upload) = (self.next_session(), Upload::new());
        let response = progress(asked, StatusCode::ACCEPTED, &name, &upload);
        self.remember(name, upload);
        Ok(match asked.behavior.uploads.least {
            Some(least) => answer::set(response, HeaderName::from_static("oci-chunk-min-length"), &least.to_string()),
            None => response,
        })
    }

    async fn go_on(&self, asked: &Asked<'_>, body: Body, name: &str, upload: &Mutex<Upload>) -> Answered {
        let mut upload = upload.lock().await;
        if begins(&asked.parts.headers).is_some_and(|from| from != upload.received) {
            return Ok(progress(asked, StatusCode::RANGE_NOT_SATISFIABLE, name, &upload));
        }
        let is_last = asked.parts.method == Method::PUT;
        if asked.behavior.uploads.overwrites && !is_last {
            *upload = Upload::new();
        }
        if let Err(broken) = receive(asked, body, &mut upload).await {
            return refused(&broken);
        }
        if !is_last {
            return Ok(progress(asked, StatusCode::ACCEPTED, name, &upload));
        }
        let Some(digest) = query(asked.parts.uri.query(), "digest") else {
            return Ok(answer::error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "no digest"));
        };
        self.forget(name);
        Ok(self.finish(asked, std::mem::replace(&mut upload, Upload::new()), &digest))
    }

    fn finish(&self, asked: &Asked<'_>, upload: Upload, digest: &str) -> Response<Body> {
        if !is_digest(digest) || !upload.hash.is(digest) {
            return answer::error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "the digest is not that of the content");
        }
        let mut store = self.store();
        let blob = match (upload.held, store.known.get(digest)) {
            (Some(held), _) => Blob::Held(held.freeze()),
            (None, Some(content)) => Blob::Synthetic(*content),
            (None, None) => Blob::Dropped { size: upload.received },
        };
        store.repository(&asked.route.repository).blobs.insert(digest.into(), blob);
        drop(store);
        created(asked, digest)
    }
}

/// Whether the blob is in the repository afterwards.
fn mount(store: &mut Store, repository: &str, from: Option<&str>, digest: &str) -> bool {
    let Some(from) = from.or_else(|| store.holder(digest)) else { return false };
    let Some(blob) = store.blob(from, digest).cloned() else { return false };
    store.repository(repository).blobs.insert(digest.into(), blob);
    true
}

/// Reads a body into a session. What came before it broke off stays there.
async fn receive(asked: &Asked<'_>, body: Body, upload: &mut Upload) -> Result<(), Broken> {
    let limits = asked.behavior.uploads;
    let mut parts = body.into_data_stream();
    let mut read: u64 = 0;
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| Broken::Gone)?;
        asked.entry.received(part.len());
        read += part.len() as u64;
        if limits.most.is_some_and(|most| read > most) {
            return Err(Broken::TooLarge);
        }
        if limits.reset.is_some_and(|most| read > most) {
            return Err(Broken::Reset);
        }
        upload.add(&part, asked.behavior.held);
    }
    Ok(())
}

fn refused(broken: &Broken) -> Answered {
    match broken {
        Broken::TooLarge => Ok(answer::error(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", "the body is too large")),
        Broken::Reset | Broken::Gone => Err(Hangup),
    }
}

/// Where a chunk begins, if it says so.
fn begins(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    text.trim_start_matches("bytes ").split_once('-')?.0.parse().ok()
}

fn created(asked: &Asked<'_>, digest: &str) -> Response<Body> {
    let path = format!("{}/v2/{}/blobs/{digest}", asked.behavior.base_path, asked.route.repository);
    let response = answer::set(answer::empty(StatusCode::CREATED), header::LOCATION, &path);
    with_digest(response, asked.behavior, digest)
}

/// How far a session is, and where it goes on.
fn progress(asked: &Asked<'_>, status: StatusCode, name: &str, upload: &Upload) -> Response<Body> {
    let mut response = answer::set(answer::empty(status), header::RANGE, &upload.range());
    response = answer::set(response, HeaderName::from_static("docker-upload-uuid"), name);
    match location(asked, name, upload.received) {
        Some(location) => answer::set(response, header::LOCATION, &location),
        None => response,
    }
}

fn location(asked: &Asked<'_>, name: &str, received: u64) -> Option<String> {
    let Behavior { base_path, location, .. } = asked.behavior;
    // With a query of its own, as registries have it: a client adds to it.
    let path = format!("{base_path}/v2/{}/blobs/uploads/{name}?_state={received}", asked.route.repository);
    let (scheme, host) = (asked.scheme, asked.host.as_str());
    Some(match location {
        Location::Path => path,
        Location::Absolute => format!("{scheme}://{host}{path}"),
        Location::Query => format!("?session={name}&_state={received}"),
        Location::PlainHttp => format!("http://{host}{path}"),
        Location::DefaultPort => {
            let port = if scheme == "https" { 443 } else { 80 };
            let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
            format!("{scheme}://{bare}:{port}{path}")
        }
        Location::Elsewhere(to) => format!("{to}{path}"),
        Location::Missing => return None,
    })
}
