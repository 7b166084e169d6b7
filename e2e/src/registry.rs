//! A real image registry: Debian's docker-registry on the loopback address, over HTTP or TLS.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use tokio::net::TcpStream;

use crate::{
    eventually,
    pki::{Authority, Certificate},
    port,
    process::{Launch, Process},
};

const START_LIMIT: Duration = Duration::from_secs(20);

/// A running registry. Dropping it stops it. Its images are in the directory that was passed.
#[derive(Debug)]
pub struct Registry {
    host: String,
    process: Process,
}

impl Registry {
    /// Starts a registry on a free port, with images, configuration and log below `directory`.
    ///
    /// # Errors
    ///
    /// If docker-registry is not installed or does not respond.
    pub async fn start(directory: &Path) -> Result<Self> {
        Self::launch(directory, None).await
    }

    /// The same over TLS, with a certificate for the loopback address.
    ///
    /// # Errors
    ///
    /// As [`Registry::start`]; when the certificate cannot be made.
    pub async fn start_tls(directory: &Path, authority: &Authority) -> Result<Self> {
        Self::launch(directory, Some(authority.server(&["127.0.0.1"])?)).await
    }

    async fn launch(directory: &Path, certificate: Option<Certificate>) -> Result<Self> {
        let host = format!("127.0.0.1:{}", port::free()?);
        std::fs::create_dir_all(directory).with_context(|| format!("failed to create {}", directory.display()))?;
        let mut config = serde_json::json!({
            "version": "0.1",
            "log": { "accesslog": { "disabled": false }, "level": "info", "formatter": "json" },
            "storage": { "filesystem": { "rootdirectory": directory.join("images") }, "delete": { "enabled": true } },
            "http": { "addr": host },
        });
        let is_tls = certificate.is_some();
        if let Some(certificate) = certificate {
            let (own, key) = (directory.join("tls.crt"), directory.join("tls.key"));
            std::fs::write(&own, certificate.certificate)?;
            std::fs::write(&key, certificate.key)?;
            config["http"]["tls"] = serde_json::json!({ "certificate": own, "key": key });
        }
        let config_path = directory.join("config.yml");
        std::fs::write(&config_path, serde_yaml::to_string(&config)?)?;
        let launch = Launch::new("docker-registry", "docker-registry", directory).arg("serve").arg(config_path);
        let mut process = launch.spawn().context("is Debian's docker-registry installed?")?;
        if is_tls {
            // Checking that the port is open avoids a dependency on a TLS client.
            let listens = async || Ok(Some(TcpStream::connect(&host).await?));
            eventually(START_LIMIT, "the registry listens", listens).await?;
        } else {
            process.wait_until_ready(&format!("http://{host}/v2/"), START_LIMIT).await?;
        }
        Ok(Self { host, process })
    }

    /// Host and port, as in an image reference.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The lines of its access log that contain `text`, such as `GET /v2/q/app/manifests/v1`.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn requests(&self, text: &str) -> Result<Vec<String>> {
        Ok(self.process.log()?.lines().filter(|line| line.contains(text)).map(str::to_owned).collect())
    }

    /// Stops it. Its port then refuses connections.
    ///
    /// # Errors
    ///
    /// If it cannot be signalled.
    pub async fn stop(mut self) -> Result<()> {
        self.process.stop().await.map(|_| ())
    }
}
