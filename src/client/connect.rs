//! Creates the client of the management cluster, with timeouts, a user agent and a counter of requests.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use http::header::{HeaderValue, USER_AGENT};
use kube::Client;
use kube::client::ClientBuilder;
use kube::config::{Config, InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use thiserror::Error;

use crate::telemetry::requests::{CountRequests, RequestMetrics};

/// Time to connect. A reachable API server accepts a connection within milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the client could not be created.
#[derive(Debug, Error)]
pub enum ClientError {
    /// There is neither a kubeconfig nor a pod's ServiceAccount.
    #[error("no cluster is configured: there is no kubeconfig, and this is not a pod with a ServiceAccount")]
    Absent,
    /// The usual kubeconfig or the ServiceAccount of this pod is invalid.
    #[error("failed to load the configuration of the cluster")]
    Infer(#[source] InferConfigError),
    /// A kubeconfig cannot be read.
    #[error("failed to read the kubeconfig {}", .path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The selected kubeconfig is invalid.
    #[error("failed to load the kubeconfig")]
    Kubeconfig(#[source] KubeconfigError),
    /// The configuration is invalid.
    #[error("failed to create a client for the cluster")]
    Build(#[source] kube::Error),
}

impl ClientError {
    /// The library reports a file that does not exist in the same way as one that is broken.
    fn inferred(error: InferConfigError) -> Self {
        let is_absent = match error.source().and_then(|source| source.downcast_ref()) {
            Some(KubeconfigError::ReadConfig(cause, _)) => cause.kind() == std::io::ErrorKind::NotFound,
            Some(KubeconfigError::FindPath) => true,
            _ => false,
        };
        // In a pod the ServiceAccount is what failed.
        if is_absent && !is_set("KUBERNETES_SERVICE_HOST") { Self::Absent } else { Self::Infer(error) }
    }

    fn kubeconfig(error: KubeconfigError) -> Self {
        match error {
            KubeconfigError::ReadConfig(cause, path) => Self::Read { path, cause },
            error => Self::Kubeconfig(error),
        }
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Creates the client from `KUBECONFIG` or the pod's ServiceAccount.
///
/// It does not retry: a retry would block a worker for minutes, and the queue has a back-off for each hosted cluster.
///
/// # Errors
/// [`ClientError`] if there is no valid configuration.
pub async fn connect(metrics: &RequestMetrics) -> Result<Client, ClientError> {
    connect_to(&Origin::default(), metrics).await
}

/// The cluster that a user selected. The default is that of [`connect`].
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// A kubeconfig.
    pub kubeconfig: Option<PathBuf>,
    /// A context in it, or in the one of `KUBECONFIG`.
    pub context: Option<String>,
}

impl Origin {
    async fn config(&self) -> Result<Config, ClientError> {
        let file = match (&self.kubeconfig, &self.context) {
            (None, None) if is_set("KUBECONFIG") => Kubeconfig::read(),
            (None, None) => return Config::infer().await.map_err(ClientError::inferred),
            (Some(path), _) => Kubeconfig::read_from(path),
            (None, Some(_)) => Kubeconfig::read(),
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(file.map_err(ClientError::kubeconfig)?, &options).await;
        config.map_err(ClientError::kubeconfig)
    }
}

/// [`connect`] to the cluster that a user selected.
///
/// # Errors
/// [`ClientError`] if there is no valid configuration.
pub async fn connect_to(origin: &Origin, metrics: &RequestMetrics) -> Result<Client, ClientError> {
    let mut config = origin.config().await?;
    // kube reads HTTPS_PROXY for every address. Go's programs connect to their own machine without a proxy.
    if is_loopback(&config.cluster_url) {
        config.proxy_url = None;
    }
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // The default retries 15 times with growing pauses: a server that answers 503 would block a worker for five minutes.
    config.default_retry = false;
    let agent = HeaderValue::from_static(concat!("hypermirror/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
    let builder = ClientBuilder::try_from(config).map_err(ClientError::Build)?;
    Ok(builder.with_layer(&CountRequests::new(metrics.clone())).build())
}

fn is_loopback(url: &http::Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn api_servers_of_this_machine_are_told_from_others() {
        for (url, expected) in [
            ("https://127.0.0.1:6443", true),
            ("https://[::1]:6443", true),
            ("https://localhost", true),
            ("https://api.example:6443", false),
            ("https://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
