//! An image registry in the process of the test, which answers as the specification says, or as a test scripts it, and
//! records what it was asked.
//!
//! What a registry does on the whole is its [`Behavior`]; what happens to some requests only is a [`Rule`].

mod answer;
pub mod behavior;
pub mod cases;
mod desk;
pub mod digest;
mod discover;
mod gate;
mod pull;
mod push;
mod record;
pub mod recorded;
pub(crate) mod route;
mod rule;
mod script;
pub(crate) mod server;
pub mod store;
mod token;
mod token_server;
mod upload;
mod user;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::Result;
pub use behavior::Behavior;
pub use digest::Synthetic;
pub use record::{Presented, Recorded};
pub use route::Area;
pub use rule::{Answer, Change, Fixed, On, Rule};
pub use store::Store;
pub use token::{Expiry, Grant, ISSUER, SERVICE, TokenForm, Tokens};
pub use token_server::TokenServer;
pub use user::{Scope, User};

use crate::pki::Authority;
use desk::{Desk, locked};
use gate::Auth;
use server::{Bound, Listener, Tls};

/// How a mock registry is started.
#[must_use]
pub struct Builder<'a> {
    auth: Auth,
    behavior: Behavior,
    store: Arc<Mutex<Store>>,
    address: IpAddr,
    authority: Option<&'a Authority>,
    clients: Option<&'a Authority>,
    names: Vec<&'a str>,
}

impl<'a> Builder<'a> {
    /// Over TLS, with a certificate of this authority.
    pub fn tls(mut self, authority: &'a Authority) -> Self {
        self.authority = Some(authority);
        self
    }

    /// Its certificate is for this name, too.
    pub fn name(mut self, name: &'a str) -> Self {
        self.names.push(name);
        self
    }

    /// Only for clients with a certificate of this authority. Needs TLS.
    pub fn clients(mut self, authority: &'a Authority) -> Self {
        self.clients = Some(authority);
        self
    }

    /// Only for these users, by Basic authentication. One without a name is everybody.
    pub fn basic(mut self, users: impl IntoIterator<Item = User>) -> Self {
        self.auth = Auth::Basic(users.into_iter().collect());
        self
    }

    /// Only with a token of this server.
    pub fn tokens(mut self, server: &TokenServer) -> Self {
        self.auth = Auth::Bearer { tokens: server.tokens().clone(), realm: Some(server.realm()) };
        self
    }

    /// Only with a token, which the registry itself hands out at `/token`.
    pub fn own_tokens(mut self, tokens: Arc<Tokens>) -> Self {
        self.auth = Auth::Bearer { tokens, realm: None };
        self
    }

    /// Behaves like this.
    pub fn behavior(mut self, behavior: Behavior) -> Self {
        self.behavior = behavior;
        self
    }

    /// Holds what another one holds: one registry under two addresses.
    pub fn sharing(mut self, other: &MockRegistry) -> Self {
        self.store = other.desk.shared_store();
        self
    }

    /// Listens on this address instead of 127.0.0.1, such as `::1` or 127.0.0.2.
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = address;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// If there is no port or no certificate.
    pub async fn start(self) -> Result<MockRegistry> {
        let own = self.address.to_string();
        let names: Vec<&str> = ["127.0.0.1", "localhost"].into_iter().chain([own.as_str()]).chain(self.names).collect();
        let tls = self.authority.map(|authority| Tls::new(authority, &names, self.clients)).transpose()?;
        let is_tls = tls.is_some();
        let desk = Arc::new(Desk::new(self.auth, self.behavior, self.store));
        let listener = Bound::new(self.address).await?.serve(tls, desk.clone())?;
        Ok(MockRegistry { desk, listener, is_tls })
    }
}

/// A running mock registry. Dropping it ends it and its connections.
pub struct MockRegistry {
    desk: Arc<Desk>,
    listener: Listener,
    is_tls: bool,
}

impl MockRegistry {
    /// One to be configured.
    pub fn builder<'a>() -> Builder<'a> {
        Builder {
            auth: Auth::Open,
            behavior: Behavior::default(),
            store: Arc::default(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            authority: None,
            clients: None,
            names: Vec::new(),
        }
    }

    /// Starts one over HTTP for everybody.
    ///
    /// # Errors
    ///
    /// If there is no port.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// Host and port, as they stand in an image reference.
    pub fn host(&self) -> String {
        self.listener.address().to_string()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.listener.address().port()
    }

    /// Scheme, host and port.
    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.host())
    }

    /// What it holds. Requests wait as long as the guard lives.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.desk.store()
    }

    /// Changes how it behaves from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Behavior)) {
        change(&mut locked(&self.desk.behavior));
    }

    /// Lets in other users from now on, by Basic authentication.
    pub fn set_users(&self, users: impl IntoIterator<Item = User>) {
        *locked(&self.desk.auth) = Auth::Basic(users.into_iter().collect());
    }

    /// Adds a scripted answer. The first one that is for a request is taken.
    pub fn add(&self, rule: Rule) {
        locked(&self.desk.rules).push(rule);
    }

    /// Takes all scripted answers away.
    pub fn clear_rules(&self) {
        locked(&self.desk.rules).clear();
    }

    /// What it was asked, in the order in which it came.
    pub fn requests(&self) -> Vec<Recorded> {
        self.desk.log.all()
    }

    /// The requests as lines, such as `GET /v2/q/app/tags/list?n=2`.
    pub fn lines(&self) -> Vec<String> {
        self.requests().iter().map(Recorded::line).collect()
    }

    /// Forgets what it was asked.
    pub fn clear_requests(&self) {
        self.desk.log.clear();
    }

    /// How many connections it accepted, also those that never came to a request.
    pub fn connections(&self) -> usize {
        self.listener.accepted()
    }

    /// How many uploads were begun and neither finished nor cancelled.
    pub fn open_uploads(&self) -> usize {
        self.desk.open_sessions()
    }
}

impl std::fmt::Debug for MockRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("MockRegistry").field(&self.url()).finish()
    }
}

/// Adds an image of one layer with this content under a tag.
pub fn add_image(registry: &MockRegistry, repository: &str, tag: &str, content: &str) -> digest::Digest {
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let mut store = registry.store();
    let config = store.add_blob(repository, "{}");
    let layer = store.add_blob(repository, content.to_owned());
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": &*config, "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": &*layer, "size": content.len()}],
    });
    let digest = store.add_manifest(repository, media_type, manifest.to_string());
    store.tag(repository, tag, &digest);
    digest
}
