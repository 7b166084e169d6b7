//! The client of one guest: never retries, never waits long, never reads without end.

use std::time::Duration;

use http::header::{HeaderValue, USER_AGENT};
use http_body_util::Limited;
use kube::Client;
use kube::api::ListParams;
use kube::client::ClientBuilder;
use kube::config::{AuthInfo, Config};
use kube::core::{ListMeta, PartialObjectMeta};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tower::util::MapResponseLayer;

use super::error::GuestError;
use super::kubeconfig::{Credentials, GuestAccess};
use crate::telemetry::requests::{CountRequests, RequestMetrics};

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(10);
/// How long one call may take, whatever happens.
const DEADLINE: Duration = Duration::from_secs(12);
/// How many objects of a kind are asked for at once.
const PAGE: u32 = 250;
/// How much of one answer is read.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// How many objects of a kind are read; more nodes than OpenShift supports in one cluster.
const MAX_ITEMS: usize = 10_000;

/// A guest's API server.
#[derive(Clone)]
pub struct GuestClient {
    client: Client,
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: ListMeta,
    /// Null where there are none, in a list of metadata.
    items: Option<Vec<T>>,
}

impl GuestClient {
    /// Makes the client of one guest.
    ///
    /// # Errors
    /// [`GuestError::Failed`] if the credentials or the authority do not make one.
    pub fn new(access: &GuestAccess, metrics: &RequestMetrics) -> Result<Self, GuestError> {
        let failed = |error: &dyn std::fmt::Display| GuestError::Failed {
            what: "kubeconfig".to_owned(),
            message: super::error::words(&error.to_string()),
        };
        let config = config(access).map_err(|error| failed(&error))?;
        let builder = ClientBuilder::try_from(config).map_err(|error| failed(&error))?;
        let bounded =
            MapResponseLayer::new(|answer: http::Response<_>| answer.map(|body| Limited::new(body, MAX_ANSWER_BYTES)));
        let builder = builder.with_layer(&CountRequests::new(metrics.clone())).with_layer(&bounded);
        Ok(Self { client: builder.build() })
    }

    /// The client for calls with a type of their own.
    pub fn inner(&self) -> &Client {
        &self.client
    }

    /// Awaits a call, but not long. `what` names it in errors.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn call<T>(&self, what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, GuestError> {
        match tokio::time::timeout(DEADLINE, call).await {
            Ok(answer) => answer.map_err(|error| GuestError::of(what, &error)),
            Err(_) => Err(GuestError::Down {
                what: what.to_owned(),
                message: format!("no answer in {} s", DEADLINE.as_secs()),
            }),
        }
    }

    /// Asks whether somebody is there. Every authenticated user may (`system:discovery`), so that it tells about the
    /// credentials, too.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn probe(&self) -> Result<(), GuestError> {
        self.call("GET /version", self.client.apiserver_version()).await.map(|_| ())
    }

    /// Reads one object; none if it or its kind is not there.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, GuestError> {
        let what = format!("GET {path}");
        let call = async {
            let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
            self.client.request::<T>(request).await
        };
        match self.call(&what, call).await {
            Ok(object) => Ok(Some(object)),
            Err(GuestError::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists the objects at a path, page by page; none if the kind is not there.
    ///
    /// # Errors
    /// [`GuestError`]; `TooLarge` above a bound that no honest guest reaches.
    pub async fn list<T: DeserializeOwned>(&self, path: &str, selector: &str) -> Result<Vec<T>, GuestError> {
        self.pages(path, selector, kube::core::Request::list).await
    }

    /// [`Self::list`], of metadata alone.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn list_metadata<K: kube::Resource>(
        &self,
        path: &str,
        selector: &str,
    ) -> Result<Vec<PartialObjectMeta<K>>, GuestError> {
        self.pages(path, selector, kube::core::Request::list_metadata).await
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        selector: &str,
        request: impl Fn(&kube::core::Request, &ListParams) -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Vec<T>, GuestError> {
        let what = format!("LIST {path}");
        let mut items = Vec::new();
        let mut params = ListParams::default().labels(selector).limit(PAGE);
        loop {
            let call = async {
                let request = request(&kube::core::Request::new(path), &params).map_err(kube::Error::BuildRequest)?;
                self.client.request::<Page<T>>(request).await
            };
            let page = match self.call(&what, call).await {
                Ok(page) => page,
                Err(GuestError::Gone { .. }) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            items.extend(page.items.into_iter().flatten());
            if items.len() > MAX_ITEMS {
                return Err(GuestError::TooLarge { what });
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(items),
            }
        }
    }
}

fn config(access: &GuestAccess) -> Result<Config, pem::PemError> {
    let mut config = Config::new(access.server.clone());
    let authorities = pem::parse_many(&access.authority)?;
    config.root_cert = Some(authorities.into_iter().map(pem::Pem::into_contents).collect());
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(SILENCE);
    config.write_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    config.tls_server_name.clone_from(&access.tls_server_name);
    config.auth_info = auth_info(&access.credentials);
    let agent = HeaderValue::from_static(concat!("hypermirror/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
    Ok(config)
}

/// The client wants them in base64, as a kubeconfig has them.
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
