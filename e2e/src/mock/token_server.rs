//! The token endpoint: GET with Basic or no credentials, and POST with a password or a refresh token.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::body::Body;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, header, request::Parts};

use super::answer;
use super::desk::locked;
use super::record::{Entry, Log, Recorded, basic};
use super::route::{Area, Route, decoded, queries, query};
use super::rule::Rule;
use super::script;
use super::server::{Answered, Bound, Connection, Listener, Service, Tls};
use super::token::{Refresh, Tokens};
use crate::pki::Authority;

/// A token server of its own. Dropping it ends it.
#[derive(Debug)]
pub struct TokenServer {
    tokens: Arc<Tokens>,
    desk: Arc<Desk>,
    listener: Listener,
    is_tls: bool,
}

impl TokenServer {
    /// Starts one over HTTP on the loopback address.
    ///
    /// # Errors
    ///
    /// If there is no port.
    pub async fn start(tokens: Arc<Tokens>) -> Result<Self> {
        Self::launch(tokens, None).await
    }

    /// The same over TLS.
    ///
    /// # Errors
    ///
    /// If there is no port or no certificate.
    pub async fn start_tls(tokens: Arc<Tokens>, authority: &Authority) -> Result<Self> {
        let tls = Tls::new(authority, &["127.0.0.1", "localhost"], None)?;
        Self::launch(tokens, Some(tls)).await
    }

    async fn launch(tokens: Arc<Tokens>, tls: Option<Tls>) -> Result<Self> {
        let desk = Arc::new(Desk { tokens: tokens.clone(), log: Log::default(), rules: Mutex::default() });
        let is_tls = tls.is_some();
        let listener = Bound::new(IpAddr::V4(Ipv4Addr::LOCALHOST)).await?.serve(tls, desk.clone())?;
        Ok(Self { tokens, desk, listener, is_tls })
    }

    /// The address that a challenge names.
    pub fn realm(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}/token", self.listener.address())
    }

    /// What it issues.
    pub fn tokens(&self) -> &Arc<Tokens> {
        &self.tokens
    }

    /// Adds a scripted answer.
    pub fn add(&self, rule: Rule) {
        locked(&self.desk.rules).push(rule);
    }

    /// What it was asked.
    pub fn requests(&self) -> Vec<Recorded> {
        self.desk.log.all()
    }
}

#[derive(Debug)]
struct Desk {
    tokens: Arc<Tokens>,
    log: Log,
    rules: Mutex<Vec<Rule>>,
}

impl Service for Desk {
    fn answer(self: Arc<Self>, request: Request<Body>, connection: Connection) -> BoxFuture<'static, Answered> {
        async move {
            let (parts, body) = request.into_parts();
            let entry = self.log.begin(Recorded::new(&parts, connection));
            let route = Route { area: Area::Token, repository: String::new(), reference: String::new() };
            let scripted = locked(&self.rules).iter_mut().find_map(|rule| rule.take(&parts, &route));
            let usual = async |body| Ok(endpoint(&self.tokens, &parts, body, &entry).await);
            script::play(scripted, body, &entry, usual).await
        }
        .boxed()
    }
}

/// What the endpoint answers, wherever it is.
pub(super) async fn endpoint(tokens: &Tokens, parts: &Parts, body: Body, entry: &Entry) -> Response<Body> {
    let denied = || answer::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "wrong credentials");
    let (user, scopes, refresh) = if parts.method == Method::POST {
        let Some(form) = script::read(body, 1 << 16, entry).await else {
            return answer::empty(StatusCode::BAD_REQUEST);
        };
        let form = String::from_utf8_lossy(&form).into_owned();
        let field = |name| query(Some(&form), name).unwrap_or_default();
        let (user, refresh) = match field("grant_type").as_str() {
            "refresh_token" => (tokens.by_refresh(&field("refresh_token")), Refresh::Used),
            "password" => (tokens.by_password(&field("username"), &field("password")), Refresh::Wanted),
            _ => return answer::empty(StatusCode::BAD_REQUEST),
        };
        (user, queries(Some(&form), "scope"), refresh)
    } else {
        let asked = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let user = match asked {
            None => Some(tokens.anonymous()),
            Some(value) => basic(value).and_then(|(name, password)| tokens.by_password(&name, &password)),
        };
        let is_wanted = query(parts.uri.query(), "offline_token").is_some_and(|value| decoded(&value) == "true");
        let refresh = if is_wanted { Refresh::Wanted } else { Refresh::Unwanted };
        (user, queries(parts.uri.query(), "scope"), refresh)
    };
    let Some(user) = user else { return denied() };
    match tokens.issue(&user, scopes, refresh) {
        Ok(value) => answer::json(StatusCode::OK, &value),
        Err(error) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", &format!("{error:#}")),
    }
}
