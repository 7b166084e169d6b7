//! Scripted answers: which requests they are for, and what happens instead of the usual answer, or to it.

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header, request::Parts};

use super::route::{Area, Route};

/// Which requests a rule is for.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct On {
    methods: Vec<Method>,
    area: Option<Area>,
    text: Option<String>,
    has_credentials: Option<bool>,
}

impl On {
    /// All requests.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests to one part of the API.
    pub fn area(area: Area) -> Self {
        Self { area: Some(area), ..Self::default() }
    }

    /// Only with this method; said twice: with either.
    pub fn method(mut self, method: Method) -> Self {
        self.methods.push(method);
        self
    }

    /// Only where path and query contain this text.
    pub fn containing(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    /// Only with an `Authorization` header, or only without.
    pub fn with_credentials(mut self, has: bool) -> Self {
        self.has_credentials = Some(has);
        self
    }

    fn is_for(&self, parts: &Parts, route: &Route) -> bool {
        let target = parts.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        (self.methods.is_empty() || self.methods.contains(&parts.method))
            && self.area.is_none_or(|area| area == route.area)
            && self.text.as_deref().is_none_or(|text| target.contains(text))
            && self.has_credentials.is_none_or(|has| has == parts.headers.contains_key(header::AUTHORIZATION))
    }
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Answer {
    /// This answer instead of the usual one.
    Fixed(Fixed),
    /// The usual answer, changed.
    Changed(Vec<Change>),
    /// No answer, and the connection stays open.
    Silence,
    /// The connection is closed without an answer, after so many bytes of the request's body.
    Hangup {
        /// How many bytes are read before, at least.
        after: u64,
    },
}

/// An answer that has nothing to do with what was asked.
#[derive(Clone, Debug)]
#[must_use]
pub struct Fixed {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: Bytes,
    /// How much of the request's body is read before.
    pub(super) after: u64,
}

impl Fixed {
    /// A status without a body.
    pub fn status(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), after: 0 }
    }

    /// An error as the specification has it.
    pub fn error(status: StatusCode, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
        Self::status(status).body("application/json", body.to_string())
    }

    /// With this body.
    pub fn body(mut self, media_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header(header::CONTENT_TYPE, media_type)
    }

    /// With this header.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// After so many bytes of the request's body.
    pub fn after(mut self, bytes: u64) -> Self {
        self.after = bytes;
        self
    }
}

impl From<Fixed> for Answer {
    fn from(fixed: Fixed) -> Self {
        Self::Fixed(fixed)
    }
}

/// What is changed of the usual answer.
#[derive(Clone, Debug)]
pub enum Change {
    /// Another status.
    Status(StatusCode),
    /// This header, instead of those of its name.
    Header(HeaderName, String),
    /// No header of this name.
    Without(HeaderName),
    /// Another body; `Content-Length` follows.
    Body(Bytes),
    /// One bit of this byte of the body is another; the length stays.
    Flip(u64),
    /// The connection is closed after so many bytes of the body.
    CutAfter(u64),
    /// Nothing comes after so many bytes of the body, and the connection stays open.
    StallAfter(u64),
    /// A body of this part so many times, without `Content-Length`; for ever if there is no number.
    Repeat {
        /// What is repeated.
        part: Bytes,
        /// How often.
        times: Option<u64>,
    },
}

impl From<Change> for Answer {
    fn from(change: Change) -> Self {
        Self::Changed(vec![change])
    }
}

/// A scripted answer and when it is given.
#[derive(Clone, Debug)]
#[must_use]
pub struct Rule {
    on: On,
    answer: Answer,
    skip: usize,
    times: usize,
}

impl Rule {
    /// This answer for these requests, always.
    pub fn new(on: On, answer: impl Into<Answer>) -> Self {
        Self { on, answer: answer.into(), skip: 0, times: usize::MAX }
    }

    /// Only for so many requests.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Not for the first so many requests.
    pub fn skip(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    /// Its answer to this request, if it has one. Counts.
    pub(super) fn take(&mut self, parts: &Parts, route: &Route) -> Option<Answer> {
        if self.times == 0 || !self.on.is_for(parts, route) {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.times -= 1;
        Some(self.answer.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: Method, path: &str) -> Parts {
        http::Request::builder().method(method).uri(path).body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_rule_is_for_some_requests_and_so_many_of_them() {
        let mut rule = Rule::new(On::area(Area::Tags).method(Method::GET), Answer::Silence).skip(1).times(1);
        let asked = parts(Method::GET, "/v2/a/tags/list?n=2");
        let route = Route::parse("/v2/a/tags/list");
        assert!(rule.take(&parts(Method::HEAD, "/v2/a/tags/list"), &route).is_none());
        assert!(rule.take(&asked, &route).is_none(), "the first is skipped");
        assert!(rule.take(&asked, &route).is_some());
        assert!(rule.take(&asked, &route).is_none(), "once only");
        let mut rule = Rule::new(On::any().containing("n=2").with_credentials(false), Answer::Silence);
        assert!(rule.take(&asked, &route).is_some());
    }
}
