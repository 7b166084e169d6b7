//! The HTTP server: loopback only, GET only, for whoever has the token.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY,
    SET_COOKIE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Response, StatusCode};
use tokio::net::TcpListener;

use super::assets::ASSETS;
use super::guard::{Decision, Guard};
use super::query::Query;
use super::site::{Answer, answer};
use super::source::Source;
use crate::process::server::Server;
use crate::process::slots::Limits;

/// One person's browsers. A browser uses six connections for a host.
const CONNECTIONS: Limits = Limits { connections: 32, per_peer: 32 };

/// Nothing inline, nothing from elsewhere, no frames: a name that becomes markup by mistake could still do nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// htmx sends this with each of its requests.
const HTMX: HeaderName = HeaderName::from_static("hx-request");

/// And this, if it needs a whole page all the same, because somebody went back.
const RESTORE: HeaderName = HeaderName::from_static("hx-history-restore-request");

/// A server that is bound.
pub struct Bound {
    listener: TcpListener,
    port: u16,
    token: String,
}

struct App {
    source: Source,
    guard: Guard,
}

impl Bound {
    /// Binds a port of the loopback address; 0 is any free one.
    ///
    /// # Errors
    /// A port that is in use.
    pub async fn new(port: u16, token: String) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address).await;
        let listener =
            listener.with_context(|| format!("failed to listen on {address}; choose another port with --port"))?;
        let port = listener.local_addr().context("failed to read the address of the dashboard")?.port();
        Ok(Self { listener, port, token })
    }

    /// The address to open, with the token.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/?token={}", self.port, self.token)
    }

    /// Serves until it is dropped.
    pub async fn serve(self, source: Source) {
        let app = App { source, guard: Guard::new(self.token, self.port) };
        let router = Router::new().fallback(respond).with_state(Arc::new(app));
        Server::new(router, CONNECTIONS).run(self.listener).await;
    }
}

async fn respond(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let mut response = match app.guard.judge(&parts.method, &parts.uri, &parts.headers) {
        Decision::Refuse(status, text) => refused(status, text),
        Decision::Admit { cookie, location } => admitted(&cookie, &location),
        Decision::Serve => {
            let query = Query::parse(parts.uri.query().unwrap_or_default());
            serve(&app.source, parts.uri.path(), &query, &parts.headers).await
        }
    };
    protect(response.headers_mut());
    response
}

async fn serve(source: &Source, path: &str, query: &Query, headers: &HeaderMap) -> Response<Body> {
    if let Some(asset) = path.strip_prefix("/assets/").and_then(|name| ASSETS.iter().find(|asset| asset.name == name)) {
        return reply(StatusCode::OK, asset.media_type, asset.content);
    }
    let is_part = headers.contains_key(HTMX) && !headers.contains_key(RESTORE);
    match answer(source, path, query, is_part).await {
        Answer::Page(text) | Answer::Part(text) => reply(StatusCode::OK, HTML, text),
        Answer::Same => reply(StatusCode::NO_CONTENT, HTML, ""),
        Answer::Absent(text) => reply(StatusCode::NOT_FOUND, HTML, text),
        Answer::Unavailable(text) => reply(StatusCode::BAD_GATEWAY, HTML, text),
    }
}

fn reply(status: StatusCode, media_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn refused(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = reply(status, TEXT, text);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    }
    response
}

fn admitted(cookie: &str, location: &str) -> Response<Body> {
    let (Ok(cookie), Ok(location)) = (HeaderValue::from_str(cookie), HeaderValue::from_str(location)) else {
        return refused(StatusCode::BAD_REQUEST, "This address cannot be used.\n");
    };
    let mut response = reply(StatusCode::SEE_OTHER, TEXT, "");
    response.headers_mut().extend([(SET_COOKIE, cookie), (LOCATION, location)]);
    response
}

fn protect(headers: &mut HeaderMap) {
    let fixed = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (CACHE_CONTROL, "no-store"),
        (VARY, "HX-Request"),
    ];
    headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
}
