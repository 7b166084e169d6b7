//! Where the requests of one mock registry are answered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderName, Method, Request, Response, StatusCode, header, request::Parts};

use super::behavior::Behavior;
use super::gate::{self, Auth};
use super::record::{Entry, Log, Recorded};
use super::route::{Area, Route};
use super::rule::Rule;
use super::server::{Answered, Connection, Service};
use super::store::Store;
use super::upload::{Sessions, Upload};
use super::{answer, discover, pull, push, script, token_server};

/// A request, and what it is answered by.
pub(super) struct Asked<'a> {
    pub(super) parts: &'a Parts,
    pub(super) route: &'a Route,
    pub(super) behavior: &'a Behavior,
    pub(super) entry: &'a Entry,
    /// Scheme and host as the client reached them.
    pub(super) scheme: &'static str,
    pub(super) host: String,
}

/// The state of one mock registry.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) auth: Mutex<Auth>,
    pub(super) behavior: Mutex<Behavior>,
    pub(super) rules: Mutex<Vec<Rule>>,
    pub(super) log: Log,
    store: Arc<Mutex<Store>>,
    sessions: Mutex<Sessions>,
    next: AtomicUsize,
}

/// What is held under a lock is whole, whatever a test did meanwhile.
pub(super) fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub(super) fn new(auth: Auth, behavior: Behavior, store: Arc<Mutex<Store>>) -> Self {
        Self { auth: Mutex::new(auth), behavior: Mutex::new(behavior), store, ..Self::default() }
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        locked(&self.store)
    }

    pub(super) fn shared_store(&self) -> Arc<Mutex<Store>> {
        self.store.clone()
    }

    pub(super) fn session(&self, name: &str) -> Option<Arc<tokio::sync::Mutex<Upload>>> {
        locked(&self.sessions).get(name).cloned()
    }

    pub(super) fn next_session(&self) -> String {
        format!("session-{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn remember(&self, name: String, upload: Upload) {
        locked(&self.sessions).insert(name, Arc::new(tokio::sync::Mutex::new(upload)));
    }

    pub(super) fn forget(&self, name: &str) {
        locked(&self.sessions).remove(name);
    }

    pub(super) fn open_sessions(&self) -> usize {
        locked(&self.sessions).len()
    }

    async fn usual(&self, asked: &Asked<'_>, body: Body) -> Answered {
        let Asked { parts, route, behavior, .. } = asked;
        if behavior.refuses_authorization && parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(answer::with_body(StatusCode::BAD_REQUEST, "application/xml", "<Error>two credentials</Error>"));
        }
        let auth = locked(&self.auth).clone();
        if route.area == Area::Token
            && let Auth::Bearer { tokens, .. } = &auth
        {
            return Ok(token_server::endpoint(tokens, parts, body, asked.entry).await);
        }
        let origin = format!("{}://{}{}", asked.scheme, asked.host, behavior.base_path);
        if let Some(refusal) = gate::check(&auth, parts, route, behavior, &origin) {
            return Ok(refusal);
        }
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        Ok(match (route.area, &parts.method) {
            (Area::Upload, _) => return self.upload(asked, body).await,
            (Area::Ping, _) if is_read => answer::json(StatusCode::OK, &serde_json::json!({})),
            (Area::Catalog, _) if is_read => discover::catalog(&self.store()),
            (Area::Tags, _) if is_read => discover::tags(&self.store(), behavior, route, parts),
            (Area::Referrers, _) if is_read => discover::referrers(&self.store(), behavior, route, parts),
            (Area::Manifest, _) if is_read => pull::manifest(&self.store(), behavior, route),
            (Area::Blob, _) if is_read => pull::blob(&self.store(), behavior, route, parts),
            (Area::Manifest, &Method::PUT) => self.put_manifest(asked, body).await,
            (Area::Manifest | Area::Blob, &Method::DELETE) => push::delete(&mut self.store(), asked),
            (Area::Token | Area::Other, _) => answer::error(StatusCode::NOT_FOUND, "UNSUPPORTED", "no such operation"),
            _ => answer::error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "no such operation"),
        })
    }

    async fn serve(&self, request: Request<Body>, connection: Connection) -> Answered {
        let (parts, body) = request.into_parts();
        let recorded = Recorded::new(&parts, connection);
        let host = recorded.host.clone();
        let entry = self.log.begin(recorded);
        let behavior = locked(&self.behavior).clone();
        let route = match parts.uri.path().strip_prefix(behavior.base_path.as_str()) {
            Some("/token") => Route { area: Area::Token, repository: String::new(), reference: String::new() },
            Some(path) => Route::parse(path),
            None => Route { area: Area::Other, repository: String::new(), reference: String::new() },
        };
        let scripted = locked(&self.rules).iter_mut().find_map(|rule| rule.take(&parts, &route));
        let is_head = parts.method == Method::HEAD;
        let scheme = if connection.is_tls { "https" } else { "http" };
        let asked = Asked { parts: &parts, route: &route, behavior: &behavior, entry: &entry, scheme, host };
        let usual = async |body| {
            let response = self.usual(&asked, body).await?;
            let name = HeaderName::from_static("docker-distribution-api-version");
            Ok(answer::set(response, name, "registry/2.0"))
        };
        let response: Response<Body> = script::play(scripted, body, &entry, usual).await?;
        Ok(if is_head { answer::without_body(response) } else { response })
    }
}

impl Service for Desk {
    fn answer(self: Arc<Self>, request: Request<Body>, connection: Connection) -> BoxFuture<'static, Answered> {
        async move { self.serve(request, connection).await }.boxed()
    }
}
