//! A real containerd without a kubelet: it pulls images and runs nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use crate::binaries::Servers;
use crate::eventually;
use crate::node::Crictl;
use crate::process::{Launch, Process, tail};

const START_LIMIT: Duration = Duration::from_secs(30);
const PULL_LIMIT: Duration = Duration::from_mins(1);
const PROGRAM: &str = "/usr/bin/containerd";
/// Debian's containerd requires no more for pulls. It is linked with a library of runc's package.
const CTR: &str = "/usr/bin/ctr";

/// A running containerd. Dropping it stops it.
#[derive(Debug)]
pub struct Containerd {
    directory: PathBuf,
    process: Process,
    crictl: Crictl,
}

impl Containerd {
    /// Why containerd cannot run on this machine, if so.
    pub fn unavailable() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("containerd needs root".to_owned());
        }
        if let Some(program) = [PROGRAM, CTR].into_iter().find(|program| !Path::new(program).is_file()) {
            return Some(format!("no {program} (Debian: containerd; hack/setup installs it)"));
        }
        Servers::from_env().find("crictl").err().map(|error| error.to_string())
    }

    /// Starts it with all its files below `directory`, where `certs.d` has the configuration of registries.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn start(directory: &Path) -> Result<Self> {
        let at = |name: &str| directory.join(name).display().to_string();
        std::fs::create_dir_all(directory)?;
        let cri = "[plugins.\"io.containerd.grpc.v1.cri\"";
        let text = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n[grpc]\naddress = {:?}\n{cri}]\nsandbox_image = \"none\"\n{cri}.containerd]\n\
             snapshotter = \"native\"\n{cri}.registry]\nconfig_path = {:?}\n",
            at("root"),
            at("state"),
            at("containerd.sock"),
            at("certs.d"),
        );
        std::fs::write(Self::config_in(directory), text)?;
        let config = Self::config_in(directory);
        let mut process =
            Launch::new("containerd", PROGRAM, directory).args([Path::new("--config"), &config]).spawn()?;
        let socket = directory.join("containerd.sock");
        let crictl = Crictl::new(Servers::from_env().find("crictl")?, &socket, directory)?;
        eventually(START_LIMIT, "containerd responds", async || {
            if let Some(status) = process.exit_status()? {
                anyhow::bail!("it ended ({status}); its log:\n{}", tail(&process.log()?));
            }
            crictl.run(&["version"]).await.map(Some)
        })
        .await?;
        Ok(Self { directory: directory.to_owned(), process, crictl })
    }

    fn config_in(directory: &Path) -> PathBuf {
        directory.join("config.toml")
    }

    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        Self::config_in(&self.directory)
    }

    /// The directory with the configuration of registries.
    pub fn hosts(&self) -> PathBuf {
        self.directory.join("certs.d")
    }

    /// Its process ID.
    pub fn id(&self) -> u32 {
        self.process.handle().id()
    }

    /// Pulls an image through the runtime interface, as a kubelet does, removes it, and returns its ID or why the pull failed.
    ///
    /// # Errors
    ///
    /// If containerd does not respond.
    pub async fn pull(&self, reference: &str) -> Result<Result<String, String>> {
        let outcome = self.crictl.try_run(&["pull", reference]).await?;
        if !outcome.success {
            return Ok(Err(outcome.stderr));
        }
        self.crictl.remove_image(reference).await?;
        let id = outcome.stdout.trim().rsplit(' ').next().unwrap_or_default();
        Ok(Ok(id.trim_start_matches("sha256:").to_owned()))
    }

    /// Pulls an image with `ctr images pull --hosts-dir`.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub async fn pull_with_ctr(&self, reference: &str) -> Result<()> {
        let mut command = Command::new(CTR);
        command.arg("--address").arg(self.directory.join("containerd.sock"));
        command.args(["--namespace", "ctr", "images", "pull", "--snapshotter", "native", "--hosts-dir"]);
        command.arg(self.hosts()).arg(reference).kill_on_drop(true);
        let output = tokio::time::timeout(PULL_LIMIT, command.output()).await.context("ctr timed out")??;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}
