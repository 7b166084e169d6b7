//! The client of the management cluster: time limits, a name for the audit log, and a count of every request.

use std::path::PathBuf;
use std::time::Duration;

use http::header::{HeaderValue, USER_AGENT};
use kube::Client;
use kube::client::ClientBuilder;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use thiserror::Error;

use crate::telemetry::requests::{CountRequests, RequestMetrics};

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no client.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Neither `KUBECONFIG` nor a pod's ServiceAccount gives a configuration.
    #[error("no cluster is configured: KUBECONFIG is not set, and this is not a pod with a ServiceAccount")]
    Infer(#[source] kube::config::InferConfigError),
    /// The kubeconfig that was named cannot be used.
    #[error("failed to load the kubeconfig")]
    Kubeconfig(#[source] kube::config::KubeconfigError),
    /// The configuration does not make a client.
    #[error("failed to create a client for the cluster")]
    Build(#[source] kube::Error),
}

/// Makes the client from `KUBECONFIG` or the pod's ServiceAccount.
///
/// It never retries by itself: a retry inside would hold a worker for minutes, and the queue has a backoff for each
/// hosted cluster.
///
/// # Errors
/// [`ClientError`] if there is no configuration, or none that works.
pub async fn connect(metrics: &RequestMetrics) -> Result<Client, ClientError> {
    connect_to(&Origin::default(), metrics).await
}

/// What a person chose; nothing is the same as for [`connect`].
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// A kubeconfig.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it, or of the one in `KUBECONFIG`.
    pub context: Option<String>,
}

impl Origin {
    async fn config(&self) -> Result<Config, ClientError> {
        let file = match (&self.kubeconfig, &self.context) {
            (None, None) => return Config::infer().await.map_err(ClientError::Infer),
            (Some(path), _) => Kubeconfig::read_from(path),
            (None, Some(_)) => Kubeconfig::read(),
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        Config::from_custom_kubeconfig(file.map_err(ClientError::Kubeconfig)?, &options)
            .await
            .map_err(ClientError::Kubeconfig)
    }
}

/// [`connect`], to the cluster that a person chose.
///
/// # Errors
/// [`ClientError`] if there is no configuration, or none that works.
pub async fn connect_to(origin: &Origin, metrics: &RequestMetrics) -> Result<Client, ClientError> {
    let mut config = origin.config().await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.default_retry = false;
    let agent = HeaderValue::from_static(concat!("hypermirror/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
    let builder = ClientBuilder::try_from(config).map_err(ClientError::Build)?;
    Ok(builder.with_layer(&CountRequests::new(metrics.clone())).build())
}
