//! What a request is about.

use http::Method;

/// The parts of the distribution API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// `/v2/`.
    Ping,
    /// `/v2/_catalog`.
    Catalog,
    /// `/v2/NAME/tags/list`.
    Tags,
    /// `/v2/NAME/manifests/REFERENCE`.
    Manifest,
    /// `/v2/NAME/blobs/DIGEST`.
    Blob,
    /// `/v2/NAME/blobs/uploads/` and the sessions below.
    Upload,
    /// `/v2/NAME/referrers/DIGEST`.
    Referrers,
    /// The token server.
    Token,
    /// Anything else.
    Other,
}

/// A request's path in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) area: Area,
    /// Empty where there is none.
    pub(super) repository: String,
    /// The tag, digest or upload session; empty where there is none.
    pub(super) reference: String,
}

impl Route {
    pub(super) fn parse(path: &str) -> Self {
        let of = |area, repository: &str, reference: &str| Self {
            area,
            repository: repository.to_owned(),
            reference: reference.to_owned(),
        };
        let Some(path) = path.strip_prefix("/v2/") else {
            return if path == "/v2" { of(Area::Ping, "", "") } else { of(Area::Other, "", "") };
        };
        if path.is_empty() || path == "_catalog" {
            return of(if path.is_empty() { Area::Ping } else { Area::Catalog }, "", "");
        }
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return of(Area::Tags, repository, "");
        }
        // Before blobs: the session of an upload is no digest.
        let areas = [
            ("/blobs/uploads/", Area::Upload),
            ("/blobs/", Area::Blob),
            ("/manifests/", Area::Manifest),
            ("/referrers/", Area::Referrers),
        ];
        for (word, area) in areas {
            if let Some((repository, reference)) = path.rsplit_once(word) {
                return of(area, repository, reference);
            }
        }
        match path.strip_suffix("/blobs/uploads") {
            Some(repository) => of(Area::Upload, repository, ""),
            None => of(Area::Other, "", ""),
        }
    }

    /// What a token must allow for it: nothing for what concerns no repository.
    pub(super) fn actions(&self, method: &Method) -> &'static [&'static str] {
        match (self.area, method) {
            (Area::Ping | Area::Token | Area::Other, _) => &[],
            (Area::Upload, _) | (_, &Method::PUT) => &["pull", "push"],
            (_, &Method::DELETE) => &["delete"],
            _ => &["pull"],
        }
    }
}

/// A part of a query, decoded; none if it is not there.
pub(crate) fn query(query: Option<&str>, name: &str) -> Option<String> {
    queries(query, name).into_iter().next()
}

/// All parts of a query that have this name, decoded.
pub(super) fn queries(query: Option<&str>, name: &str) -> Vec<String> {
    let parts = query.unwrap_or_default().split('&').filter_map(|part| part.split_once('='));
    parts.filter(|(key, _)| *key == name).map(|(_, value)| decoded(value)).collect()
}

/// A part of a query or form without its escapes.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |rest: &std::str::Bytes<'_>| {
            let mut rest = rest.clone();
            let (high, low) = (char::from(rest.next()?).to_digit(16)?, char::from(rest.next()?).to_digit(16)?);
            u8::try_from(high * 16 + low).ok()
        };
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => match hex(&rest) {
                Some(byte) => {
                    bytes.push(byte);
                    _ = rest.nth(1);
                }
                None => bytes.push(byte),
            },
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_their_end() {
        let parsed = |path| {
            let route = Route::parse(path);
            (route.area, route.repository, route.reference)
        };
        let of = |area, repository: &str, reference: &str| (area, repository.to_owned(), reference.to_owned());
        assert_eq!(parsed("/v2/"), of(Area::Ping, "", ""));
        assert_eq!(parsed("/v2/a/tags/list"), of(Area::Tags, "a", ""));
        assert_eq!(parsed("/v2/a/blobs/blobs/sha256:1"), of(Area::Blob, "a/blobs", "sha256:1"));
        assert_eq!(parsed("/v2/a/b/blobs/uploads/"), of(Area::Upload, "a/b", ""));
        assert_eq!(parsed("/v2/a/b/blobs/uploads/7"), of(Area::Upload, "a/b", "7"));
        assert_eq!(parsed("/v2/manifests/manifests/v1"), of(Area::Manifest, "manifests", "v1"));
        assert_eq!(parsed("/v1/search"), of(Area::Other, "", ""));
    }

    #[test]
    fn queries_are_decoded() {
        let text = Some("scope=repository%3Aa%2Fb%3Apull&scope=x+y&n=%zz");
        assert_eq!(queries(text, "scope"), ["repository:a/b:pull", "x y"]);
        assert_eq!(query(text, "n").as_deref(), Some("%zz"));
        assert_eq!(query(None, "n"), None);
    }
}
