//! Connections: which hosts, over what, with whose certificates. Redirects are followed here, by rules of our own.

mod answer;
mod failure;
pub mod handshake;
mod outgoing;
mod resolver;
pub mod tls;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use reqwest::{Client, Proxy, redirect};
use tokio::time::timeout;
use url::Url;

use super::address::TrustClass;
use super::error::{Cause, Failure};
use super::proxy::Proxies;
use super::secret::Secret;
use super::wire::location;
pub use answer::Answer;
use outgoing::Watch;
pub use outgoing::{Outgoing, Pieces, SendFailure};
use resolver::{ClassResolver, Known};
use tls::{TlsError, TlsOptions};

/// As skopeo and containerd.
const MAX_REDIRECTS: usize = 10;
const CONNECT: Duration = Duration::from_secs(10);
/// Until the first byte of an answer.
const FIRST_BYTE: Duration = Duration::from_secs(30);
/// Between two pieces of a body. A body as a whole has no limit: layers have gigabytes, lines have kilobits.
const STALL: Duration = Duration::from_mins(1);
/// Idle connections that are kept for each host.
const IDLE: usize = 32;
const USER_AGENT: &str = concat!("hypermirror/", env!("CARGO_PKG_VERSION"));
const FLOORS: [Option<TrustClass>; 4] =
    [None, Some(TrustClass::Loopback), Some(TrustClass::Private), Some(TrustClass::Public)];

/// Of [`Lane`].
const LANES: usize = 3;

/// Which connections a request takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lane {
    /// Small requests, many at once over one HTTP/2 connection.
    #[default]
    Control,
    /// Blobs: HTTP/1.1, because one HTTP/2 connection has one congestion window for all of them.
    Bulk,
    /// Blobs that are sent: an answer comes only after the last byte, so there is no limit for the time until then.
    Upload,
}

/// What a transport is made of.
#[derive(Debug, Default)]
pub struct TransportOptions {
    /// Authorities and certificates.
    pub tls: TlsOptions,
    /// Proxies.
    pub proxies: Proxies,
    /// Hosts to which registries may lead although they are in a narrower network.
    pub trusted_hosts: BTreeSet<String>,
    /// The narrowest network in which registries may be; [`TrustClass::Loopback`] if it is not set.
    pub narrowest: Option<TrustClass>,
    /// Whether the names of proxies are judged as those of registries are, because the same person gives both.
    pub judges_proxies: bool,
    /// Told of each request.
    pub observer: Option<Observer>,
}

/// One request and the status of its answer, if there was one.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The registry for whose sake it was sent.
    pub registry: &'a Url,
    /// The method.
    pub method: &'a Method,
    /// Where it was sent.
    pub url: &'a Url,
    /// The status.
    pub status: Option<StatusCode>,
}

/// A function that is told of each request, for metrics.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(Exchange<'_>) + Send + Sync>);

impl Observer {
    /// Calls this function.
    pub fn new(tell: impl Fn(Exchange<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The address.
    pub url: Url,
    /// Which connections.
    pub lane: Lane,
    /// Headers without secrets.
    pub headers: HeaderMap,
    /// The body, of a token request.
    pub body: Option<Bytes>,
    /// `Authorization`, for the host of `url` alone.
    pub authorization: Option<Secret>,
    /// `Authorization` for a host, with its port, that a redirect leads to: never one of ours.
    pub foreign_authorization: Option<(String, Secret)>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: Method, url: Url) -> Self {
        let mut headers = HeaderMap::new();
        // Digests are those of the bytes as they are stored.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Self { method, url, lane: Lane::Control, headers, body: None, authorization: None, foreign_authorization: None }
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }
}

/// The connections of one set of authorities, certificates and proxies. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Transport {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    tls: TlsOptions,
    known: Arc<Known>,
    observer: Option<Observer>,
    /// For each floor and lane; made when first used.
    clients: [[OnceLock<Client>; LANES]; FLOORS.len()],
}

impl Transport {
    /// Makes one. Nothing is connected yet.
    ///
    /// # Errors
    /// [`TlsError`], for certificates that cannot be used.
    pub fn new(options: TransportOptions) -> Result<Self, TlsError> {
        // Here, so that a bad certificate is found before the first request.
        options.tls.config(true, &[])?;
        let known = Known {
            trusted: options.trusted_hosts,
            proxies: options.proxies,
            judges_proxies: options.judges_proxies,
            narrowest: options.narrowest,
            ..Known::default()
        };
        let (tls, observer) = (options.tls, options.observer);
        let inner = Inner { tls, known: Arc::new(known), observer, clients: Default::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Sends a request on behalf of a registry, and follows redirects.
    ///
    /// # Errors
    /// No answer, or a rule was broken. A status such as 404 is an answer.
    pub async fn exchange(&self, registry: &Url, request: &Request) -> Result<Answer, Cause> {
        let mut url = request.url.clone();
        let mut is_asked_host = true;
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.send(registry, &url, request, is_asked_host).await?;
            // A manifest is not sent a second time; a token request is never redirected; other redirects than these two turn
            // a request into a GET.
            let is_read = matches!(request.method, Method::GET | Method::HEAD);
            let is_followed = answer.is_redirect() && (is_read || answer.keeps_method());
            if !is_followed || request.body.is_some() {
                return Ok(answer);
            }
            let next = location::resolve(&url, answer.header("location"))?;
            // Once left, it is not trusted again: the other host chose the address.
            is_asked_host &= next.is_same_host;
            url = next.url;
        }
        Err(Cause::Redirects(MAX_REDIRECTS))
    }

    /// Sends a request with a body that cannot be sent a second time. Redirects are answers.
    ///
    /// # Errors
    /// No answer, a rule was broken, or the body ended.
    pub async fn send_stream(
        &self,
        registry: &Url,
        request: &Request,
        outgoing: Outgoing,
    ) -> Result<Answer, SendFailure> {
        let url = &request.url;
        let length = HeaderValue::from(outgoing.length);
        let (watch, body) = Watch::over(outgoing);
        let sent = self.prepare(registry, url, request, true)?;
        let sent = sent.header(header::CONTENT_LENGTH, length).body(reqwest::Body::wrap_stream(body));
        let host = host_and_port(url);
        let sent = tokio::select! {
            sent = sent.send() => sent.map_err(|error| failure::cause(error, &host)),
            limit = watch.stalled() => Err(silent(host.clone(), limit)),
        };
        self.tell(registry, (&request.method, url), sent.as_ref().ok());
        match sent {
            Ok(response) => Ok(Answer::new(response, host, location::is_same_host(registry, url))),
            Err(cause) => Err(watch.failure().map_or(SendFailure::Server(cause), SendFailure::Source)),
        }
    }

    async fn send(&self, registry: &Url, url: &Url, request: &Request, is_asked: bool) -> Result<Answer, Cause> {
        let host = host_and_port(url);
        let mut sent = self.prepare(registry, url, request, is_asked)?;
        if let Some(body) = &request.body {
            sent = sent.body(body.clone());
        }
        let is_own = location::is_same_host(registry, url);
        let sent = timeout(FIRST_BYTE, sent.send()).await;
        self.tell(registry, (&request.method, url), sent.as_ref().ok().and_then(|answer| answer.as_ref().ok()));
        match sent {
            Ok(Ok(response)) => Ok(Answer::new(response, host, is_own)),
            Ok(Err(error)) => Err(failure::cause(error, &host)),
            Err(_) => Err(silent(host, FIRST_BYTE)),
        }
    }

    /// A request with its headers, over the connections that it may take.
    fn prepare(
        &self,
        registry: &Url,
        url: &Url,
        request: &Request,
        is_asked: bool,
    ) -> Result<reqwest::RequestBuilder, Cause> {
        let floor = self.floor(registry, url)?;
        let client = self.client(floor, request.lane)?;
        let mut headers = request.headers.clone();
        let authorization = match (&request.authorization, &request.foreign_authorization) {
            (own, _) if is_asked => own.as_ref(),
            (_, Some((foreign, token))) if *foreign == host_and_port(url) => Some(token),
            _ => None,
        };
        if let Some(secret) = authorization {
            let unusable = |_| Cause::Credentials("the credentials have characters that no header can have".to_owned());
            let mut value = HeaderValue::from_str(secret.reveal()).map_err(unusable)?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        Ok(client.request(request.method.clone(), url.clone()).headers(headers))
    }

    fn tell(&self, registry: &Url, (method, url): (&Method, &Url), answer: Option<&reqwest::Response>) {
        if let Some(Observer(tell)) = &self.inner.observer {
            tell(Exchange { registry, method, url, status: answer.map(reqwest::Response::status) });
        }
    }

    /// Which networks may be reached for this address, and whether it is in one if it is a literal.
    fn floor(&self, registry: &Url, url: &Url) -> Result<Option<TrustClass>, Cause> {
        let host = url.host_str().unwrap_or_default();
        let known = &self.inner.known;
        let is_own = location::is_same_host(registry, url);
        let floor = (!is_own && !known.trusted.contains(host)).then(|| self.class(registry));
        if let Some(class) = TrustClass::of_literal(url).filter(|_| !known.trusted.contains(host)) {
            let from = floor.unwrap_or_else(|| known.narrowest());
            if !from.may_lead_to(class) {
                return Err(Cause::address(host, class, from));
            }
        }
        Ok(floor)
    }

    /// The class of a registry: of its address, or of those that its name had. Behind a proxy nobody knows: the strictest.
    fn class(&self, registry: &Url) -> TrustClass {
        let by_name = || self.inner.known.class(registry.host_str().unwrap_or_default());
        TrustClass::of_literal(registry).or_else(by_name).unwrap_or(TrustClass::Public)
    }

    fn client(&self, floor: Option<TrustClass>, lane: Lane) -> Result<&Client, Cause> {
        let place = FLOORS.iter().position(|known| *known == floor).unwrap_or(FLOORS.len() - 1);
        let slot = &self.inner.clients[place][lane as usize];
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let made = self.make(floor, lane)?;
        Ok(slot.get_or_init(|| made))
    }

    fn make(&self, floor: Option<TrustClass>, lane: Lane) -> Result<Client, Cause> {
        let protocols: &[&str] = if lane == Lane::Control { &["h2", "http/1.1"] } else { &["http/1.1"] };
        let tls = self.inner.tls.config(floor.is_none(), protocols);
        let tls = tls.map_err(|error| Cause::Credentials(error.to_string()))?;
        let known = self.inner.known.clone();
        let proxies = known.proxies.clone();
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(USER_AGENT)
            .redirect(redirect::Policy::none())
            // None but ours: the library would also read the environment.
            .no_proxy()
            .proxy(Proxy::custom(move |url| proxies.of(url).cloned()))
            .dns_resolver(Arc::new(ClassResolver { known, floor }))
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(IDLE);
        if lane != Lane::Control {
            builder = builder.http1_only();
        }
        if lane != Lane::Upload {
            builder = builder.read_timeout(STALL);
        }
        builder.build().map_err(|error| failure::cause(error, "the HTTP client"))
    }
}

fn silent(host: String, limit: Duration) -> Cause {
    let message = format!("no answer within {} s", limit.as_secs());
    Cause::Unreachable { host, failure: Failure::Timeout, message }
}

/// `host:port`, as it is in messages and as it separates hosts.
pub(super) fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests;
