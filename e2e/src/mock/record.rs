//! What the mock was asked, so that a test can count it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, Method, header, request::Parts};

/// What a request carried to say who sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// Nothing.
    Nothing,
    /// A user with a password, right or wrong.
    Basic {
        /// The user's name.
        user: String,
    },
    /// A token, valid or not.
    Bearer(String),
    /// A header that is neither.
    Other(String),
}

/// One request. It is there from the moment that it arrives; status and bytes follow.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The method.
    pub method: Method,
    /// The host and port that the client asked for.
    pub host: String,
    /// The path, without the query.
    pub path: String,
    /// The query, empty without one.
    pub query: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The credential.
    pub presented: Presented,
    /// The number of the connection, counted from 0: requests of one connection share it.
    pub connection: usize,
    /// Whether it came over TLS.
    pub is_tls: bool,
    /// How many bytes of its body were read.
    pub received: u64,
    /// The status of the answer; none before it, and none if the connection was closed instead.
    pub status: Option<u16>,
    /// How many bytes of body the answer had so far.
    pub sent: u64,
}

impl Recorded {
    pub(super) fn new(parts: &Parts, connection: super::server::Connection) -> Self {
        let host = parts.uri.authority().map(ToString::to_string);
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self {
            method: parts.method.clone(),
            host: host.unwrap_or_else(|| text(header::HOST).to_owned()),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers.clone(),
            presented: presented(text(header::AUTHORIZATION)),
            connection: connection.number,
            is_tls: connection.is_tls,
            received: 0,
            status: None,
            sent: 0,
        }
    }

    /// A header as text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Method, path and query, as `GET /v2/q/app/tags/list?n=2`.
    pub fn line(&self) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{} {}{mark}{}", self.method, self.path, self.query)
    }
}

fn presented(authorization: &str) -> Presented {
    if authorization.is_empty() {
        return Presented::Nothing;
    }
    match basic(authorization) {
        Some((user, _)) => Presented::Basic { user },
        None => match bearer(authorization) {
            Some(token) => Presented::Bearer(token.to_owned()),
            None => Presented::Other(authorization.to_owned()),
        },
    }
}

/// User and password of a Basic `Authorization` header.
pub(super) fn basic(authorization: &str) -> Option<(String, String)> {
    use base64::Engine as _;
    let (scheme, text) = authorization.split_once(' ')?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(text.trim()).ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    scheme.eq_ignore_ascii_case("basic").then(|| (user.to_owned(), password.to_owned()))
}

/// The token of a Bearer `Authorization` header.
pub(super) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// All requests in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<Requests>>);

#[derive(Debug, Default)]
struct Requests {
    kept: Vec<Recorded>,
    /// How many were there before those that are kept.
    forgotten: usize,
}

impl Log {
    pub(super) fn begin(&self, recorded: Recorded) -> Entry {
        let mut all = self.locked();
        all.kept.push(recorded);
        Entry { log: self.clone(), number: all.forgotten + all.kept.len() - 1 }
    }

    pub(super) fn all(&self) -> Vec<Recorded> {
        self.locked().kept.clone()
    }

    /// Forgets what was there until now.
    pub(super) fn clear(&self) {
        let mut all = self.locked();
        all.forgotten += all.kept.len();
        all.kept.clear();
    }

    fn locked(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one request in the log.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    log: Log,
    number: usize,
}

impl Entry {
    pub(super) fn status(&self, status: u16) {
        self.update(|recorded| recorded.status = Some(status));
    }

    pub(super) fn received(&self, bytes: usize) {
        self.update(|recorded| recorded.received += bytes as u64);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.update(|recorded| recorded.sent += bytes as u64);
    }

    fn update(&self, change: impl FnOnce(&mut Recorded)) {
        let mut all = self.log.locked();
        let index = self.number.checked_sub(all.forgotten);
        if let Some(recorded) = index.and_then(|index| all.kept.get_mut(index)) {
            change(recorded);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_distinguished() {
        assert_eq!(presented(""), Presented::Nothing);
        assert_eq!(presented("Basic YTpiOmM="), Presented::Basic { user: "a".to_owned() });
        assert_eq!(basic("basic YTpiOmM="), Some(("a".to_owned(), "b:c".to_owned())));
        assert_eq!(presented("bearer x.y"), Presented::Bearer("x.y".to_owned()));
        assert_eq!(presented("AWS4 x"), Presented::Other("AWS4 x".to_owned()));
    }
}
