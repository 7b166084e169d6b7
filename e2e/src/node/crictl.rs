//! Runs crictl, a client of CRI-O and containerd.

use std::{
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// The error of a request for the size of images that crictl sends when it connects. CRI-O sometimes fails it because of
/// temporary files. The command has not been executed, so it can be repeated.
const FLAKE: &str = "validate CRI v1 image API";
const TRIES: usize = 10;
const LIMIT: Duration = Duration::from_mins(2);

/// crictl for one runtime.
#[derive(Debug, Clone)]
pub struct Crictl {
    program: PathBuf,
    config: PathBuf,
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it succeeded.
    pub success: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Crictl {
    /// Runs `program` for the runtime at `socket`. Its configuration is written to `directory`.
    ///
    /// # Errors
    ///
    /// If that cannot be written.
    pub fn new(program: PathBuf, socket: &Path, directory: &Path) -> Result<Self> {
        let config = directory.join("crictl.yaml");
        let endpoint = format!("unix://{}", socket.display());
        let text = format!("runtime-endpoint: {endpoint}\nimage-endpoint: {endpoint}\ntimeout: 60\n");
        std::fs::write(&config, text).with_context(|| format!("failed to write {}", config.display()))?;
        Ok(Self { program, config })
    }

    /// Runs a command and returns its result.
    ///
    /// # Errors
    ///
    /// If it cannot be started or does not end.
    pub async fn try_run(&self, args: &[&str]) -> Result<Outcome> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut command = Command::new(&self.program);
            command.arg("--config").arg(&self.config).args(args).kill_on_drop(true);
            let output = tokio::time::timeout(LIMIT, command.output())
                .await
                .with_context(|| format!("crictl {args:?} timed out"))?
                .with_context(|| format!("failed to start {}", self.program.display()))?;
            let outcome = Outcome::from(output);
            if outcome.success || tries == TRIES || !outcome.stderr.contains(FLAKE) {
                return Ok(outcome);
            }
        }
    }

    /// Runs a command and returns its standard output.
    ///
    /// # Errors
    ///
    /// If it fails. The error has its standard error.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        let outcome = self.try_run(args).await?;
        ensure!(outcome.success, "crictl {args:?}: {}", outcome.stderr.trim());
        Ok(outcome.stdout)
    }

    /// Pulls an image and returns its ID: [`Image::id`](crate::image::Image::id).
    ///
    /// # Errors
    ///
    /// If the pull fails.
    pub async fn pull(&self, reference: &str) -> Result<String> {
        let output = self.run(&["pull", reference]).await?;
        // "Image is up to date for ID"
        Ok(output.trim().rsplit(' ').next().unwrap_or_default().to_owned())
    }

    /// Removes an image, so that the next pull contacts a registry.
    ///
    /// # Errors
    ///
    /// If CRI-O refuses.
    pub async fn remove_image(&self, reference: &str) -> Result<()> {
        self.run(&["rmi", reference]).await.map(|_| ())
    }
}
