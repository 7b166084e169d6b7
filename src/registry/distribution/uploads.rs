//! Uploads of blobs: one request each. What comes next is decided above.

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use url::Url;

use super::super::error::{Cause, RegistryError};
use super::super::transport::{Answer, Lane, Outgoing, Request, SendFailure};
use super::super::wire::digest::Digest;
use super::super::wire::location;
use super::super::wire::upload_range;
use super::{Api, Target, address, error};

const OPERATION: &str = "write the blob";
const CONTENT: &str = "application/octet-stream";
const LEAST_CHUNK: &str = "oci-chunk-min-length";

/// An upload that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    url: Url,
    /// The least bytes of a chunk that is not the last one.
    pub least: u64,
}

/// What became of the first request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The blob is there: the registry has it from another repository.
    Mounted,
    /// Send the bytes there.
    Session(Session),
}

/// What became of a blob that was sent with the first request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It is there.
    Finished,
    /// The registry wants an upload: this one, if nothing is in it yet.
    Begun(Option<Session>),
}

/// Which part of a blob a request has.
#[derive(Debug)]
pub struct Part<'a> {
    /// Of which upload.
    pub session: &'a Session,
    /// Where the part begins, where the registry is to know.
    pub offset: Option<u64>,
    /// The digest of the whole blob, with the last part.
    pub last: Option<&'a Digest>,
    /// The bytes.
    pub outgoing: Outgoing,
}

/// What became of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The blob is complete.
    Finished,
    /// The upload goes on; the registry holds so many bytes, if it says.
    Continues(Session, Option<u64>),
    /// The same part is wanted elsewhere.
    Moved(Session),
    /// The token had ended: the same part once more.
    Again(RegistryError),
}

impl Api {
    /// Begins an upload; with `from`, a repository that holds the blob, it may be over at once. A registry without mounts begins
    /// an upload all the same.
    ///
    /// # Errors
    /// The registry refuses, or does not say where to go on.
    pub async fn begin_upload(
        &self,
        target: Target<'_>,
        digest: &Digest,
        from: Option<&str>,
    ) -> Result<Begun, RegistryError> {
        let failed = |cause| error(OPERATION, target, Some(digest), cause);
        let registry = &target.repository.registry;
        let below = format!("{}/blobs/uploads/", target.repository.path());
        let mut url = address(registry, &below).map_err(failed)?;
        if let Some(from) = from {
            url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from);
        }
        let request = Request::new(Method::POST, url.clone()).with(CONTENT_LENGTH, "0");
        let answer =
            self.push(target, from.filter(|from| *from != target.repository.path()), request).await.map_err(failed)?;
        match answer.status.as_u16() {
            201 if from.is_some() => Ok(Begun::Mounted),
            200..300 => session(&url, &answer, None).map(Begun::Session).map_err(failed),
            _ => Err(failed(self.refused(registry, answer).await)),
        }
    }

    /// Sends a whole blob with the request that else begins an upload. Registries need not take it so.
    ///
    /// # Errors
    /// The registry refuses.
    pub async fn post_blob(&self, target: Target<'_>, digest: &Digest, bytes: Bytes) -> Result<Posted, RegistryError> {
        let failed = |cause| error(OPERATION, target, Some(digest), cause);
        let registry = &target.repository.registry;
        let below = format!("{}/blobs/uploads/", target.repository.path());
        let mut url = address(registry, &below).map_err(failed)?;
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let mut request = Request::new(Method::POST, url.clone()).with(CONTENT_TYPE, CONTENT);
        request.body = Some(bytes);
        let answer = self.push(target, None, request).await.map_err(failed)?;
        match answer.status.as_u16() {
            201 => named(&answer, digest).map_err(failed).map(|()| Posted::Finished),
            200..300 => {
                // What was taken for the beginning of the upload would be in it twice.
                let is_empty = answer.header("range").and_then(upload_range::received).unwrap_or(0) == 0;
                let session = is_empty.then(|| session(&url, &answer, None)).and_then(Result::ok);
                Ok(Posted::Begun(session))
            }
            _ => Err(failed(self.refused(registry, answer).await)),
        }
    }

    /// How many bytes of an upload the registry holds.
    ///
    /// # Errors
    /// The upload is not there any longer, or the registry does not say.
    pub async fn upload_offset(
        &self,
        target: Target<'_>,
        digest: &Digest,
        before: &Session,
    ) -> Result<(Session, u64), RegistryError> {
        let failed = |cause| error(OPERATION, target, Some(digest), cause);
        let request = Request::new(Method::GET, before.url.clone());
        let answer = self.push(target, None, request).await.map_err(failed)?;
        if !answer.status.is_success() {
            return Err(failed(self.refused(&target.repository.registry, answer).await));
        }
        let received = answer.header("range").and_then(upload_range::received).unwrap_or(0);
        let session = session(&before.url, &answer, Some(before)).map_err(failed)?;
        Ok((session, received))
    }

    /// Sends a part of a blob.
    ///
    /// # Errors
    /// The registry refuses, or the bytes ended: then the error is that of their source.
    pub async fn send_part(&self, target: Target<'_>, digest: &Digest, part: Part<'_>) -> Result<Sent, RegistryError> {
        let failed = |cause| error(OPERATION, target, Some(digest), cause);
        let mut url = part.session.url.clone();
        if let Some(last) = part.last {
            url.query_pairs_mut().append_pair("digest", &last.to_string());
        }
        let method = if part.last.is_some() { Method::PUT } else { Method::PATCH };
        let mut request = Request::new(method, url).with(CONTENT_TYPE, CONTENT);
        request.lane = Lane::Upload;
        let length = part.outgoing.length;
        if let Some(offset) = part.offset.filter(|_| length > 0) {
            // As the distribution specification has it: without the unit.
            let range = HeaderValue::from_str(&format!("{offset}-{}", offset + length - 1));
            let unusable = |_| failed(Cause::Invalid { what: "a range", message: "it has no text".to_owned() });
            request.headers.insert(CONTENT_RANGE, range.map_err(unusable)?);
        }
        let (answer, is_renewed) = match self.push_stream(target, request, part.outgoing).await {
            Ok(answered) => answered,
            Err(SendFailure::Source(error)) => return Err(*error),
            Err(SendFailure::Server(cause)) => return Err(failed(cause)),
        };
        match answer.status.as_u16() {
            200..300 if part.last.is_some() => named(&answer, digest).map_err(failed).map(|()| Sent::Finished),
            200..300 => {
                let received = answer.header("range").and_then(upload_range::received);
                let session = session(&part.session.url, &answer, Some(part.session)).map_err(failed)?;
                Ok(Sent::Continues(session, received))
            }
            307 | 308 => session(&part.session.url, &answer, None).map(Sent::Moved).map_err(failed),
            _ => {
                let refused = failed(self.refused(&target.repository.registry, answer).await);
                if is_renewed { Ok(Sent::Again(refused)) } else { Err(refused) }
            }
        }
    }
}

/// Where an upload goes on. Registries that do not say it again mean the same place.
fn session(asked: &Url, answer: &Answer, before: Option<&Session>) -> Result<Session, Cause> {
    let least = answer.header(LEAST_CHUNK).and_then(|text| text.trim().parse().ok());
    let least = least.or(before.map(|before| before.least)).unwrap_or(0);
    match (answer.header("location"), before) {
        (None, Some(before)) => Ok(Session { least, ..before.clone() }),
        (location, _) => Ok(Session { url: location::resolve(asked, location)?.url, least }),
    }
}

/// A registry that names another digest has other bytes.
fn named(answer: &Answer, digest: &Digest) -> Result<(), Cause> {
    let said = answer.header("docker-content-digest").and_then(|text| Digest::parse(text.trim()).ok());
    match said.filter(|said| said.algorithm() == digest.algorithm() && said != digest) {
        Some(actual) => Err(Cause::Digest { expected: digest.clone(), actual }),
        None => Ok(()),
    }
}
