//! Credentials of a client, and kubeconfigs with them.

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use crate::pki::Certificate;

/// The credentials of a client.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A certificate of the cluster's certificate authority, or of another one.
    Certificate(Certificate),
    /// A token.
    Token(String),
}

/// A kubeconfig without references to files, so that it can be the value of a Secret.
///
/// # Errors
///
/// If it cannot be written as YAML.
pub fn kubeconfig(cluster: &str, server: &str, authority: &str, credentials: &Credentials) -> Result<String> {
    let base64 = |text: &str| ByteString(text.as_bytes().to_vec());
    let user = match credentials {
        Credentials::Certificate(certificate) => json!({
            "client-certificate-data": base64(&certificate.certificate),
            "client-key-data": base64(&certificate.key),
        }),
        Credentials::Token(token) => json!({ "token": token }),
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": cluster,
            "cluster": { "server": server, "certificate-authority-data": base64(authority) },
        }],
        "users": [{ "name": "user", "user": user }],
        "contexts": [{ "name": cluster, "context": { "cluster": cluster, "user": "user" } }],
        "current-context": cluster,
    });
    serde_yaml::to_string(&config).context("failed to write a kubeconfig")
}

/// A client for a kubeconfig. It belongs to the runtime on which it is created, so each test must create its own.
///
/// # Errors
///
/// If the kubeconfig cannot be used.
pub async fn client(kubeconfig: &str) -> Result<Client> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).context("failed to read a kubeconfig")?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // No retries, because a test must see the first response of the server.
    config.default_retry = false;
    Client::try_from(config).context("failed to create a client")
}
