//! The binary as a person runs it.

use std::path::Path;

use anyhow::{Context as _, Result};
use hypermirror_e2e::{Scene, binaries};
use serde_json::Value;

/// How a command ended.
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

impl Ran {
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| self.stderr.clone())
    }
}

pub async fn run_with(kubeconfig: &Path, arguments: &[&str]) -> Result<Ran> {
    let mut command = tokio::process::Command::new(binaries::operator()?);
    command.args(arguments).env_remove("POD_NAMESPACE").env("KUBECONFIG", kubeconfig);
    let output = command.output().await?;
    Ok(Ran {
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
        code: output.status.code(),
    })
}

pub async fn run(scene: &Scene, arguments: &[&str]) -> Result<Ran> {
    run_with(&scene.management().kubeconfig_path(), arguments).await
}
