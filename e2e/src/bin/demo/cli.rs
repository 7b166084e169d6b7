//! Runs `hypermirror` commands on the demo's cluster.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::binaries;
use hypermirror_e2e::fleet::{Fleet, objects};
use serde_json::json;

use crate::show::Show;

/// The `hypermirror` binary that was built with the demo.
pub struct Cli {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Cli {
    /// Runs commands with this kubeconfig.
    pub fn new(kubeconfig: PathBuf) -> Result<Self> {
        Ok(Self { program: binaries::operator()?, kubeconfig })
    }

    /// Shows a command and runs it. Exit code 1 means findings or differences, which the demo expects.
    pub fn run(&self, show: &Show, args: &[&str]) -> Result<()> {
        show.command(&format!("hypermirror {}", args.join(" ")));
        // Findings about other entries would distract; the reports list them.
        let status = Command::new(&self.program)
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .stderr(Stdio::null())
            .status()?;
        ensure!(matches!(status.code(), Some(0 | 1)), "hypermirror {}: {status}", args.join(" "));
        Ok(())
    }

    /// Resolves one image with the current mirror sets of the cluster.
    pub async fn explain(&self, show: &Show, fleet: &Fleet, image: &str) -> Result<()> {
        show.command(&format!("kubectl get imagedigestmirrorsets -o yaml | hypermirror explain -f - {image}"));
        let resource = objects::resource_of(&objects::idms("", &[]))?;
        let list = json!({"apiVersion": "v1", "kind": "List", "items": fleet.list(&resource).await?});
        let mut child = Command::new(&self.program)
            .args(["explain", "-f", "-", image])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        child.stdin.take().context("failed to open stdin")?.write_all(list.to_string().as_bytes())?;
        ensure!(child.wait()?.success(), "hypermirror explain failed");
        Ok(())
    }
}
