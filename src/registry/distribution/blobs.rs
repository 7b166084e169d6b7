//! Blobs: whether they are there, and their bytes, checked as they pass.

use bytes::{Bytes, BytesMut};
use http::Method;
use http::header::{HeaderValue, RANGE};

use super::super::error::{Cause, RegistryError};
use super::super::transport::{Answer, Lane, Request};
use super::super::wire::digest::{Digest, Hasher};
use super::content::checked;
use super::{Api, Target, address, error};

const OPERATION: &str = "read the blob";
const BODY: &str = "blob";

impl Api {
    /// Asks whether a blob is there. `size` is what its descriptor says; 0 says nothing.
    ///
    /// # Errors
    /// It is not, has another size, or nobody can say.
    pub async fn head_blob(&self, target: Target<'_>, digest: &Digest, size: u64) -> Result<(), RegistryError> {
        let failed = |cause| error("find the blob", target, Some(digest), cause);
        let head = self.ask_blob(target, digest, Method::HEAD, false).await.map_err(failed)?;
        // Proxies answer 200 with a page of their own, and some registries send lengths with HEAD that are not those of the
        // blob. The length of a part is the last word.
        let is_other = |length: &u64| size > 0 && *length > 0 && *length != size;
        let announced = head.header("content-length").and_then(|length| length.trim().parse().ok());
        let is_doubtful = head.status.is_success() && announced.as_ref().is_some_and(is_other);
        let answer = if is_no_answer(&head) || is_doubtful {
            self.ask_blob(target, digest, Method::GET, true).await.map_err(failed)?
        } else {
            head
        };
        if is_doubtful
            && answer.status.is_success()
            && let Some(actual) = whole_length(&answer).filter(is_other)
        {
            return Err(failed(Cause::Size { expected: size, actual }));
        }
        // A range of an empty blob cannot be satisfied: it is there.
        if answer.status.is_success() || answer.status.as_u16() == 416 {
            return Ok(());
        }
        Err(failed(self.refused(&target.repository.registry, answer).await))
    }

    /// Begins to read a blob. `size` is what its descriptor says: more bytes are not read.
    ///
    /// # Errors
    /// It is not there.
    pub async fn blob(
        &self,
        target: Target<'_>,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<BlobStream, RegistryError> {
        let failed = |cause| error(OPERATION, target, Some(digest), cause);
        let answer = self.ask_blob(target, digest, Method::GET, false).await.map_err(failed)?;
        if !answer.status.is_success() {
            return Err(failed(self.refused(&target.repository.registry, answer).await));
        }
        let hasher = Some(Hasher::new(digest.algorithm()));
        Ok(BlobStream { answer, expected: digest.clone(), hasher, seen: 0, size })
    }

    /// Begins to read a blob at an offset. Registries that know no ranges send it whole: what comes before is left out. Nothing is
    /// checked: who reads in parts hashes the whole.
    ///
    /// # Errors
    /// It is not there.
    pub async fn blob_from(&self, target: Target<'_>, digest: &Digest, offset: u64) -> Result<BlobTail, RegistryError> {
        let failed = |cause| error(OPERATION, target, Some(digest), cause);
        let range = (offset > 0).then(|| format!("bytes={offset}-"));
        let answer = self.ask_blob_part(target, digest, Method::GET, range.as_deref()).await.map_err(failed)?;
        if !answer.status.is_success() {
            return Err(failed(self.refused(&target.repository.registry, answer).await));
        }
        let begins = if answer.status.as_u16() == 206 { first_byte(&answer).unwrap_or(offset) } else { 0 };
        if begins > offset {
            let message = format!("it begins at byte {begins}, and {offset} was asked for");
            return Err(failed(Cause::Invalid { what: "that part of the blob", message }));
        }
        Ok(BlobTail { answer, skip: offset - begins })
    }

    /// Reads a small blob into memory, such as a config.
    ///
    /// # Errors
    /// It is not there, has more than `limit` bytes, or others than its digest says.
    pub async fn small_blob(&self, target: Target<'_>, digest: &Digest, limit: usize) -> Result<Bytes, RegistryError> {
        let failed = |cause| error(OPERATION, target, Some(digest), cause);
        let answer = self.blob(target, digest, None).await?.answer;
        let encoding = answer.header("content-encoding").map(str::to_owned);
        let body = answer.body(BODY, limit).await.map_err(failed)?;
        checked(body, digest, encoding.as_deref(), BODY, limit).map_err(failed)
    }

    async fn ask_blob(
        &self,
        target: Target<'_>,
        digest: &Digest,
        method: Method,
        is_first_byte: bool,
    ) -> Result<Answer, Cause> {
        self.ask_blob_part(target, digest, method, is_first_byte.then_some("bytes=0-0")).await
    }

    async fn ask_blob_part(
        &self,
        target: Target<'_>,
        digest: &Digest,
        method: Method,
        range: Option<&str>,
    ) -> Result<Answer, Cause> {
        let url = address(&target.repository.registry, &format!("{}/blobs/{digest}", target.repository.path()))?;
        let mut request = Request::new(method.clone(), url);
        if method == Method::GET {
            request.lane = Lane::Bulk;
        }
        if let Some(range) = range.and_then(|range| HeaderValue::from_str(range).ok()) {
            request.headers.insert(RANGE, range);
        }
        self.ask(target, request).await
    }
}

/// Registries that refuse HEAD, and object stores whose signed addresses are for GET alone.
fn is_no_answer(answer: &Answer) -> bool {
    let status = answer.status.as_u16();
    matches!(status, 405 | 501) || !answer.is_own && matches!(status, 400 | 401 | 403)
}

/// The length of the whole, of which an answer may be a part.
fn whole_length(answer: &Answer) -> Option<u64> {
    let length = match answer.status.as_u16() {
        206 => answer.header("content-range")?.rsplit('/').next()?,
        _ => answer.header("content-length")?,
    };
    length.trim().parse().ok()
}

/// The first byte of a part.
fn first_byte(answer: &Answer) -> Option<u64> {
    answer.header("content-range")?.trim().strip_prefix("bytes")?.trim().split('-').next()?.trim().parse().ok()
}

/// The bytes of a blob from an offset on, as they come.
#[derive(Debug)]
pub struct BlobTail {
    answer: Answer,
    skip: u64,
}

impl BlobTail {
    /// The next piece; nothing at the end.
    ///
    /// # Errors
    /// The connection ended.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Cause> {
        while let Some(mut piece) = self.answer.chunk().await? {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(piece.len());
            self.skip -= skipped as u64;
            let piece = piece.split_off(skipped);
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

/// The bytes of a blob.
#[derive(Debug)]
pub struct BlobStream {
    answer: Answer,
    expected: Digest,
    /// Nothing once the end was checked.
    hasher: Option<Hasher>,
    seen: u64,
    size: Option<u64>,
}

impl BlobStream {
    /// The next piece; nothing at the end, and only if all pieces together match the digest.
    ///
    /// # Errors
    /// The connection ended, or the content is another one.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Cause> {
        let Some(hasher) = &mut self.hasher else { return Ok(None) };
        if let Some(piece) = self.answer.chunk().await? {
            self.seen += piece.len() as u64;
            if let Some(size) = self.size.filter(|size| self.seen > *size) {
                return Err(Cause::TooLarge { what: BODY, limit: usize::try_from(size).unwrap_or(usize::MAX) });
            }
            hasher.update(&piece);
            return Ok(Some(piece));
        }
        let Some(hasher) = self.hasher.take() else { return Ok(None) };
        let actual = hasher.finish();
        if actual == self.expected {
            return Ok(None);
        }
        Err(Cause::Digest { expected: self.expected.clone(), actual })
    }

    /// The rest, of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Self::next`], and more bytes than `limit`.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, Cause> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next().await? {
            if whole.len() + piece.len() > limit {
                return Err(Cause::TooLarge { what: BODY, limit });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}
