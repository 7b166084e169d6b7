//! Who a client is, and the kubeconfig that says so.

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use crate::pki::Certificate;

/// How a client identifies itself.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// By a certificate of the cluster's own authority, or of another one.
    Certificate(Certificate),
    /// By a token.
    Token(String),
}

/// A kubeconfig with everything in it and no path to a file, so that it can be the value of a Secret.
///
/// # Errors
///
/// When it cannot be written as YAML.
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
    serde_yaml::to_string(&config).context("write a kubeconfig")
}

/// A client for a kubeconfig. It belongs to the runtime that it is made on: each test makes its own.
///
/// # Errors
///
/// When the kubeconfig cannot be used.
pub async fn client(kubeconfig: &str) -> Result<Client> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).context("read a kubeconfig")?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // A test wants to see what the server answers, not what it answers after minutes of retries.
    config.default_retry = false;
    Client::try_from(config).context("make a client")
}
