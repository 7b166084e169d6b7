//! An answer whose body is read within a limit.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use reqwest::Response;

use super::super::error::Cause;
use super::failure;

/// Status, headers and a body that is not read yet.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Who answered, with its port.
    pub host: String,
    /// Whether that is the registry itself.
    pub is_own: bool,
    response: Response,
}

impl Answer {
    pub(super) fn new(response: Response, host: String, is_own: bool) -> Self {
        Self { status: response.status(), host, is_own, response }
    }

    pub(super) fn is_redirect(&self) -> bool {
        matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308)
    }

    /// Of redirects: whether the same request, with its method and body, is to be sent elsewhere.
    pub fn keeps_method(&self) -> bool {
        matches!(self.status.as_u16(), 307 | 308)
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The first header of a name that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// All headers of a name that are text.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers().get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// The next piece of the body.
    ///
    /// # Errors
    /// The connection ended or was silent.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Cause> {
        self.response.chunk().await.map_err(|error| failure::cause(error, &self.host))
    }

    /// The whole body, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`Cause::TooLarge`] as soon as there is more; the rest is not read.
    pub async fn body(mut self, what: &'static str, limit: usize) -> Result<Bytes, Cause> {
        let too_large = Cause::TooLarge { what, limit };
        if self.response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(too_large);
        }
        let mut whole = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            if whole.len() + piece.len() > limit {
                return Err(too_large);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// As much of the body as is there, up to `limit`: for messages of errors.
    pub async fn beginning(mut self, limit: usize) -> Bytes {
        let mut whole = BytesMut::new();
        while let Ok(Some(piece)) = self.chunk().await {
            let room = limit - whole.len();
            whole.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() >= room {
                break;
            }
        }
        whole.freeze()
    }
}
