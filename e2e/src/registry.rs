//! A real image registry: Debian's docker-registry on the loopback address, over HTTP.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};

use crate::{
    port,
    process::{Launch, Process},
};

const START_LIMIT: Duration = Duration::from_secs(20);

/// A running registry. Dropping it ends it; its images lie in the directory that it was given.
#[derive(Debug)]
pub struct Registry {
    host: String,
    process: Process,
}

impl Registry {
    /// Starts one on a free port, with images, configuration and log below `directory`.
    ///
    /// # Errors
    ///
    /// When docker-registry is not installed or does not answer.
    pub async fn start(directory: &Path) -> Result<Self> {
        let host = format!("127.0.0.1:{}", port::free()?);
        std::fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
        let config = serde_json::json!({
            "version": "0.1",
            "log": { "accesslog": { "disabled": false }, "level": "info", "formatter": "json" },
            "storage": { "filesystem": { "rootdirectory": directory.join("images") }, "delete": { "enabled": true } },
            "http": { "addr": host },
        });
        let config_path = directory.join("config.yml");
        std::fs::write(&config_path, serde_yaml::to_string(&config)?)?;
        let launch = Launch::new("docker-registry", "docker-registry", directory).arg("serve").arg(config_path);
        let mut process = launch.spawn().context("is Debian's docker-registry installed?")?;
        process.wait_until_ready(&format!("http://{host}/v2/"), START_LIMIT).await?;
        Ok(Self { host, process })
    }

    /// Host and port, as they stand in an image reference.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What it was asked: the lines of its access log that hold `text`, such as `GET /v2/q/app/manifests/v1`.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn requests(&self, text: &str) -> Result<Vec<String>> {
        Ok(self.process.log()?.lines().filter(|line| line.contains(text)).map(str::to_owned).collect())
    }

    /// Ends it; its port refuses connections afterwards.
    ///
    /// # Errors
    ///
    /// When it cannot be signalled.
    pub async fn stop(mut self) -> Result<()> {
        self.process.stop().await.map(|_| ())
    }
}
