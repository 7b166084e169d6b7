//! A real image registry on the loopback address: Debian's docker-registry, that of the distribution project, or that of
//! go-containerregistry. Over HTTP or TLS; for everybody, with a password, or with tokens.

mod config;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpStream;

use crate::mock::TokenServer;
use crate::pki::Authority;
use crate::process::{Launch, Process, tail};
use crate::{eventually, port};

const START_LIMIT: Duration = Duration::from_secs(20);

/// The user whom a registry with a password lets in.
pub const USER: &str = "alice";

/// The password of [`USER`].
pub const PASSWORD: &str = "s3cret";

/// The program of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Debian's docker-registry: version 2 of the distribution project.
    Docker,
    /// Version 3 of the distribution project.
    Distribution,
    /// go-containerregistry's `pkg/registry`, which holds everything in memory.
    PkgRegistry,
}

/// How a registry is started.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Which one.
    pub program: Program,
    /// Over TLS, with a certificate of this authority for the loopback address.
    pub authority: Option<&'a Authority>,
    /// Who is let in.
    pub access: Access<'a>,
}

/// Who is let in.
#[derive(Clone, Copy, Debug)]
pub enum Access<'a> {
    /// Everybody.
    Open,
    /// [`USER`] with [`PASSWORD`].
    Password,
    /// Who has a token of this server.
    Tokens(&'a TokenServer),
}

/// A running registry. Dropping it stops it. Its images are in the directory that was passed.
#[derive(Debug)]
pub struct Registry {
    host: String,
    process: Process,
}

impl Registry {
    /// Starts docker-registry on a free port, with images, configuration and log below `directory`.
    ///
    /// # Errors
    ///
    /// If docker-registry is not installed or does not respond.
    pub async fn start(directory: &Path) -> Result<Self> {
        let settings = Settings { program: Program::Docker, authority: None, access: Access::Open };
        Self::launch(directory, &settings).await
    }

    /// The same over TLS, with a certificate for the loopback address.
    ///
    /// # Errors
    ///
    /// As [`Registry::start`]; when the certificate cannot be made.
    pub async fn start_tls(directory: &Path, authority: &Authority) -> Result<Self> {
        let settings = Settings { program: Program::Docker, authority: Some(authority), access: Access::Open };
        Self::launch(directory, &settings).await
    }

    /// Starts any of them on a free port, with everything below `directory`.
    ///
    /// # Errors
    ///
    /// When the program is not there or does not listen; when the certificate cannot be made.
    pub async fn launch(directory: &Path, settings: &Settings<'_>) -> Result<Self> {
        let host = format!("127.0.0.1:{}", port::free()?);
        let (program, arguments) = config::write(directory, &host, settings)?;
        let mut process = Launch::new("registry", program, directory).args(arguments).spawn()?;
        // It listens only when it can answer: no client is needed that knows its certificate and its users.
        eventually(START_LIMIT, "the registry listens", async || {
            if let Some(status) = process.exit_status()? {
                bail!("it ended ({status}); its log:\n{}", tail(&process.log()?));
            }
            Ok(Some(TcpStream::connect(&host).await?))
        })
        .await?;
        Ok(Self { host, process })
    }

    /// Host and port, as they stand in an image reference.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port on the loopback address.
    ///
    /// # Errors
    ///
    /// When the host has none.
    pub fn port(&self) -> Result<u16> {
        let (_, port) = self.host.rsplit_once(':').context("no port")?;
        Ok(port.parse()?)
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
