//! Who may see the pages: requests of this machine's browser that came by the printed address. Pure.

use axum::http::header::{COOKIE, HOST};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use subtle::ConstantTimeEq as _;
use url::form_urlencoded;

/// The names of this machine. Any other name in a request is that of a site whose DNS points here.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Judges requests.
pub struct Guard {
    token: String,
    /// Browsers send the cookies of a host to all of its ports: each dashboard needs a name of its own.
    cookie: String,
    hosts: Vec<String>,
}

/// What to do with a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Answer it.
    Serve,
    /// Have the browser keep the token, and go on without it in the address.
    Admit {
        /// The value of `Set-Cookie`.
        cookie: String,
        /// Where to go on.
        location: String,
    },
    /// Refuse it.
    Refuse(StatusCode, &'static str),
}

impl Guard {
    /// For a server on this port.
    pub fn new(token: String, port: u16) -> Self {
        let hosts = NAMES.map(|name| format!("{name}:{port}")).to_vec();
        Self { token, cookie: format!("hypermirror-{port}"), hosts }
    }

    /// Judges a request by everything but its body, which is never read.
    pub fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Decision {
        if !self.is_for_us(uri, headers) {
            return Decision::Refuse(
                StatusCode::MISDIRECTED_REQUEST,
                "This dashboard answers only to the names of its own machine.\n",
            );
        }
        if method != Method::GET {
            return Decision::Refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "The dashboard only reads: GET is the only method.\n",
            );
        }
        if let Some(token) = token_in(uri) {
            return if self.is_token(&token) {
                let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, self.token);
                Decision::Admit { cookie, location: without_token(uri) }
            } else {
                Decision::Refuse(
                    StatusCode::FORBIDDEN,
                    "The token in this address is not that of the running dashboard: open the address that it printed.\n",
                )
            };
        }
        if self.has_cookie(headers) {
            return Decision::Serve;
        }
        Decision::Refuse(
            StatusCode::UNAUTHORIZED,
            "Open the address that hypermirror dashboard printed: it has a token.\n",
        )
    }

    fn is_for_us(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let is_ours = |host: &str| self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host));
        let mut hosts = headers.get_all(HOST).iter();
        let is_host_ours = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().is_ok_and(is_ours),
            _ => false,
        };
        // An absolute address in the request line takes precedence over the header.
        is_host_ours && uri.authority().is_none_or(|authority| is_ours(authority.as_str()))
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = texts.flat_map(|text| text.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        cookies.any(|(name, value)| name == self.cookie && self.is_token(value))
    }

    /// Compares in constant time, so that nobody learns the token piece by piece.
    fn is_token(&self, found: &str) -> bool {
        found.as_bytes().ct_eq(self.token.as_bytes()).into()
    }
}

const TOKEN: &str = "token";

fn token_in(uri: &Uri) -> Option<String> {
    let query = uri.query()?;
    form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == TOKEN).map(|(_, value)| value.into_owned())
}

fn without_token(uri: &Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != TOKEN);
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    // Two slashes at the start would name another host.
    let path = format!("/{}", uri.path().trim_start_matches('/'));
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn judge(method: &Method, uri: &str, headers: &[(&str, &str)]) -> Decision {
        let guard = Guard::new("secret".into(), 8080);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        guard.judge(method, &uri.parse().unwrap(), &map)
    }

    fn code(uri: &str, headers: &[(&str, &str)]) -> u16 {
        match judge(&Method::GET, uri, headers) {
            Decision::Serve => 200,
            Decision::Admit { .. } => 303,
            Decision::Refuse(code, _) => code.as_u16(),
        }
    }

    const HERE: (&str, &str) = ("host", "127.0.0.1:8080");
    const KNOWN: (&str, &str) = ("cookie", "a=b; hypermirror-8080=secret");

    #[test]
    fn the_token_becomes_a_cookie_and_leaves_the_address() {
        let expected = Decision::Admit {
            cookie: "hypermirror-8080=secret; Path=/; HttpOnly; SameSite=Strict".into(),
            location: "/explain?image=a%2Fb".into(),
        };
        assert_eq!(judge(&Method::GET, "/explain?token=secret&image=a%2Fb", &[HERE]), expected);
        let Decision::Admit { location, .. } = judge(&Method::GET, "//evil.example/?token=secret", &[HERE]) else {
            panic!()
        };
        assert_eq!(location, "/evil.example/");
    }

    #[test]
    fn only_the_cookie_of_this_dashboard_opens_it() {
        assert_eq!(code("/", &[HERE, KNOWN]), 200);
        assert_eq!(code("/", &[HERE]), 401);
        assert_eq!(code("/?token=wrong", &[HERE, KNOWN]), 403);
        for cookie in
            ["hypermirror-8080=secre", "hypermirror-8080=secrets", "hypermirror-8081=secret", "hypermirror-8080"]
        {
            assert_eq!(code("/", &[HERE, ("cookie", cookie)]), 401, "{cookie}");
        }
    }

    #[test]
    fn names_of_other_machines_are_refused_before_anything_else() {
        for host in ["localhost:8080", "[::1]:8080", "LOCALHOST:8080"] {
            assert_eq!(code("/", &[("host", host), KNOWN]), 200, "{host}");
        }
        for host in ["evil.example:8080", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8080.evil.example", ""] {
            assert_eq!(code("/?token=secret", &[("host", host), KNOWN]), 421, "{host}");
        }
        assert_eq!(code("/", &[KNOWN]), 421);
        assert_eq!(code("/", &[HERE, ("host", "evil.example"), KNOWN]), 421);
        assert_eq!(code("http://evil.example/", &[HERE, KNOWN]), 421);
    }

    #[test]
    fn only_get_is_answered() {
        for method in [Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let Decision::Refuse(code, _) = judge(&method, "/", &[HERE, KNOWN]) else { panic!("{method}") };
            assert_eq!(code, StatusCode::METHOD_NOT_ALLOWED);
        }
    }
}
