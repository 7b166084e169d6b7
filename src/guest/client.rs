//! The client of one guest cluster. It does not retry, and each call has a deadline and a size limit.

use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, USER_AGENT};
use http::request::Request;
use kube::Client;
use kube::api::ListParams;
use kube::client::{Body, ClientBuilder};
use kube::config::{AuthInfo, Config};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::error::GuestError;
use super::in_flight::{Answer, InFlight, KIB, MIB, ReadError};
use super::kubeconfig::{Credentials, GuestAccess};
use super::limits::Limits;
use super::page::{self, PageError};
use super::shape;
use crate::client::deadline::within;
use crate::client::pages::Pages;
use crate::telemetry::requests::{CountRequests, RequestMetrics};

/// Time to connect. A reachable API server accepts a connection within milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time without progress while a request is sent.
const SILENCE: Duration = Duration::from_secs(10);
/// Deadline of one call: longer than the other timeouts, so that these report the more specific error.
const DEADLINE: Duration = Duration::from_secs(12);
/// Objects per page. A page of nodes of usual size stays below [`MAX_PAGE_BYTES`].
const PAGE: u32 = 250;
/// Maximum number of objects of a kind: more nodes than OpenShift supports in one cluster.
const MAX_ITEMS: usize = 10_000;
/// The number of pages for these, including an incomplete one.
const MAX_PAGES: usize = MAX_ITEMS / PAGE as usize + 1;
/// Maximum size of one object. An API server stores at most 1.5 MiB, and objects of hypermirror are smaller.
pub(super) const MAX_OBJECT_BYTES: usize = MIB;
/// Maximum size of one page: 32 KiB for each item.
const MAX_PAGE_BYTES: usize = 8 * MIB;
/// Maximum size of a list. Nodes and statuses of 10,000 nodes have about 20 MiB.
const MAX_LIST_BYTES: usize = 32 * MIB;
/// Maximum size of an error or a version.
const MAX_WORD_BYTES: usize = 64 * KIB;
/// Maximum size of a continue token, because it becomes a part of a URL.
const MAX_TOKEN_BYTES: usize = 4 * KIB;

/// The API server of a guest cluster.
#[derive(Clone, Debug)]
pub struct GuestClient {
    http: Http,
    in_flight: InFlight,
    /// The limits of the current reconcile. Writes require one.
    limits: Option<Limits>,
}

#[derive(Clone)]
struct Http(Client);

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Http")
    }
}

/// A refusal, as far as it is passed on.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    message: String,
}

impl GuestClient {
    /// Creates a read-only client. [`Self::within`] allows writes.
    ///
    /// # Errors
    /// [`GuestError::Failed`] for invalid credentials or an invalid certificate authority.
    pub fn new(access: &GuestAccess, metrics: &RequestMetrics, in_flight: &InFlight) -> Result<Self, GuestError> {
        let failed = |error: &dyn std::fmt::Display| GuestError::Failed {
            what: "kubeconfig".to_owned(),
            message: super::error::words(&error.to_string()),
        };
        let config = config(access).map_err(|error| failed(&error))?;
        let builder = ClientBuilder::try_from(config).map_err(|error| failed(&error))?;
        let client = builder.with_layer(&CountRequests::new(metrics.clone())).build();
        Ok(Self::over(client, in_flight))
    }

    /// Creates a client for an existing connection.
    pub(crate) fn over(client: Client, in_flight: &InFlight) -> Self {
        Self { http: Http(client), in_flight: in_flight.clone(), limits: None }
    }

    /// A client with the limits of one reconcile.
    #[must_use]
    pub fn within(&self, limits: Limits) -> Self {
        Self { limits: Some(limits), ..self.clone() }
    }

    /// The limits of the current reconcile.
    pub(super) fn limits(&self) -> Option<&Limits> {
        self.limits.as_ref()
    }

    /// Awaits a call with a limit and the deadline of the reconcile. `what` is its name in errors.
    async fn call<T>(
        &self,
        what: &str,
        limit: Duration,
        call: impl Future<Output = Result<T, GuestError>>,
    ) -> Result<T, GuestError> {
        let left = self.limits.as_ref().map(|limits| limits.end.saturating_duration_since(Instant::now()));
        let ends_first = left.filter(|left| *left < limit);
        let what = what.to_owned();
        within(ends_first.unwrap_or(limit), call, |late| match ends_first {
            Some(_) => GuestError::Unfinished { what },
            None => GuestError::Down { what, message: late.to_string() },
        })
        .await
    }

    /// Sends a read request and returns a response of at most `bound` bytes.
    async fn fetch(&self, what: &str, request: Request<Vec<u8>>, bound: usize) -> Result<Answer, GuestError> {
        self.call(what, DEADLINE, self.send(what, request, bound)).await
    }

    async fn send(&self, what: &str, request: Request<Vec<u8>>, bound: usize) -> Result<Answer, GuestError> {
        let answer = self.http.0.send(request.map(Body::from)).await.map_err(|error| GuestError::of(what, &error))?;
        let (head, body) = answer.into_parts();
        let is_refusal = !head.status.is_success();
        let bound = if is_refusal { MAX_WORD_BYTES } else { bound };
        match self.in_flight.read(body, announced(&head.headers), bound).await {
            Ok(answer) if is_refusal => {
                let refusal = serde_json::from_slice::<Refusal>(&answer.bytes);
                let message =
                    refusal.map_or_else(|_| String::from_utf8_lossy(&answer.bytes).into_owned(), |it| it.message);
                Err(GuestError::of_status(what, head.status.as_u16(), &message))
            }
            Ok(answer) => Ok(answer),
            Err(ReadError::TooLarge) if is_refusal => Err(GuestError::of_status(what, head.status.as_u16(), "")),
            Err(ReadError::TooLarge) => Err(GuestError::TooLarge { what: what.to_owned() }),
            Err(ReadError::Failed(error)) => Err(GuestError::of(what, &error)),
        }
    }

    /// The body of a response of unlimited length, such as a watch. The caller limits it.
    pub(super) async fn open(
        &self,
        what: &str,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Body, GuestError> {
        let request = request.map_err(|error| GuestError::of(what, &kube::Error::BuildRequest(error)))?;
        let opened = async {
            let sent = self.http.0.send(request.map(Body::from)).await;
            let (head, body) = sent.map_err(|error| GuestError::of(what, &error))?.into_parts();
            match head.status.as_u16() {
                200 => Ok(body),
                code => Err(GuestError::of_status(what, code, "")),
            }
        };
        self.call(what, DEADLINE, opened).await
    }

    /// Sends a write request and returns the fields of the response that `shape` has. `None` if the object does not exist.
    ///
    /// The call ends before another replica can become the leader.
    pub(super) async fn write(
        &self,
        what: &str,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
        shape: &Value,
    ) -> Result<Option<Value>, GuestError> {
        let until = self.limits.as_ref().and_then(|limits| (limits.may_write)()).ok_or(GuestError::Stopped)?;
        let limit = until.saturating_duration_since(Instant::now()).min(DEADLINE);
        let request = request.map_err(|error| GuestError::of(what, &kube::Error::BuildRequest(error)))?;
        match self.call(what, limit, self.send(what, request, MAX_OBJECT_BYTES)).await {
            Ok(answer) => shaped(what, &answer, shape).map(Some),
            Err(GuestError::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Requests `/version`. Every authenticated user may do this (`system:discovery`), so it also verifies the credentials.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn probe(&self) -> Result<(), GuestError> {
        let what = "GET /version";
        let answer = self.fetch(what, get_request(what, "/version")?, MAX_WORD_BYTES).await?;
        let _: IgnoredAny =
            serde_json::from_slice(&answer.bytes).map_err(|error| GuestError::unreadable(what, &error))?;
        Ok(())
    }

    async fn read(&self, path: &str) -> Result<Option<(String, Answer)>, GuestError> {
        let what = format!("GET {path}");
        match self.fetch(&what, get_request(&what, path)?, MAX_OBJECT_BYTES).await {
            Ok(answer) => Ok(Some((what, answer))),
            Err(GuestError::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads one object, or `None` if it or its kind does not exist.
    ///
    /// `T` must have only the fields that are used and limit their size, so that a response of 1 MiB cannot take 100 MiB.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, GuestError> {
        let Some((what, answer)) = self.read(path).await? else { return Ok(None) };
        serde_json::from_slice(&answer.bytes).map(Some).map_err(|error| GuestError::unreadable(&what, &error))
    }

    /// Reads the fields of one object that `shape` has; see [`shape::read`].
    ///
    /// # Errors
    /// [`GuestError`].
    pub(super) async fn get_shaped(&self, path: &str, shape: &Value) -> Result<Option<Value>, GuestError> {
        let Some((what, answer)) = self.read(path).await? else { return Ok(None) };
        shaped(&what, &answer, shape).map(Some)
    }

    /// Calls `take` for each object of a list, page by page. The list is empty if the kind is not served.
    ///
    /// # Errors
    /// [`GuestError`]; `TooLarge` above limits that real clusters do not reach.
    pub async fn each<T: DeserializeOwned>(
        &self,
        path: &str,
        selector: &str,
        take: impl FnMut(T) + Send,
    ) -> Result<(), GuestError> {
        self.pages(path, selector, kube::core::Request::list, take).await
    }

    /// [`Self::each`] for metadata only.
    ///
    /// # Errors
    /// As [`Self::each`].
    pub async fn each_metadata<T: DeserializeOwned>(
        &self,
        path: &str,
        selector: &str,
        take: impl FnMut(T) + Send,
    ) -> Result<(), GuestError> {
        self.pages(path, selector, kube::core::Request::list_metadata, take).await
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        selector: &str,
        request: impl Fn(&kube::core::Request, &ListParams) -> Result<Request<Vec<u8>>, kube::core::request::Error>,
        mut take: impl FnMut(T) + Send,
    ) -> Result<(), GuestError> {
        let what = format!("LIST {path}");
        let too_large = || GuestError::TooLarge { what: what.clone() };
        let mut pages = Pages::of(ListParams::default().labels(selector), PAGE);
        let (mut count, mut items, mut bytes) = (0, 0, 0);
        while let Some(params) = pages.next() {
            count += 1;
            if count > MAX_PAGES {
                return Err(too_large());
            }
            let request = request(&kube::core::Request::new(path), params)
                .map_err(|error| GuestError::of(&what, &kube::Error::BuildRequest(error)))?;
            let answer = match self.fetch(&what, request, MAX_PAGE_BYTES.min(MAX_LIST_BYTES - bytes)).await {
                Ok(answer) => answer,
                Err(GuestError::Gone { .. }) => return Ok(()),
                Err(error) => return Err(error),
            };
            bytes += answer.bytes.len();
            let page = page::read(&answer.bytes, MAX_ITEMS - items, &mut take).map_err(|error| match error {
                PageError::TooMany => too_large(),
                PageError::Malformed(error) => GuestError::unreadable(&what, &error),
            })?;
            items += page.items;
            if let Some(token) = &page.next {
                if page.items == 0 {
                    let message = "the API server returned an empty page with a continue token".to_owned();
                    return Err(GuestError::Failed { what, message });
                }
                if token.len() > MAX_TOKEN_BYTES {
                    return Err(too_large());
                }
            }
            pages.go_on(page.next);
        }
        Ok(())
    }
}

fn shaped(what: &str, answer: &Answer, shape: &Value) -> Result<Value, GuestError> {
    shape::read(&answer.bytes, shape).map_err(|error| GuestError::unreadable(what, &error))
}

fn get_request(what: &str, path: &str) -> Result<Request<Vec<u8>>, GuestError> {
    let request = Request::get(path).body(Vec::new());
    request.map_err(|error| GuestError::of(what, &kube::Error::HttpError(error)))
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn config(access: &GuestAccess) -> Result<Config, pem::PemError> {
    let mut config = Config::new(access.server.clone());
    let authorities = pem::parse_many(&access.authority)?;
    config.root_cert = Some(authorities.into_iter().map(pem::Pem::into_contents).collect());
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // No read timeout, because a watch can be silent for minutes. All other calls have a deadline.
    config.read_timeout = None;
    config.write_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    config.tls_server_name.clone_from(&access.tls_server_name);
    config.auth_info = auth_info(&access.credentials);
    let agent = HeaderValue::from_static(concat!("hypermirror/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
    Ok(config)
}

/// The credentials in base64, as in a kubeconfig, which the client requires.
fn auth_info(credentials: &Credentials) -> AuthInfo {
    let encoded = |bytes: &[u8]| k8s_openapi::ByteString(bytes.to_vec());
    let fields = match credentials {
        Credentials::Certificate { certificate, key } => {
            json!({"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)})
        }
        Credentials::Token(token) => json!({"token": token}),
    };
    serde_json::from_value(fields).unwrap_or_default()
}

#[cfg(test)]
mod tests;
