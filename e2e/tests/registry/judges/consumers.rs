//! Those who pull what was copied: skopeo, crane and podman.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use hypermirror_e2e::binaries::Servers;
use hypermirror_e2e::judge::Judge;
use hypermirror_e2e::mock::digest::sha256;
use tempfile::TempDir;
use tokio::process::Command;

/// The bytes of a manifest as skopeo reads them must have this digest.
pub async fn skopeo_reads(judge: &Judge, image: &str, digest: &str) -> Result<()> {
    let mut command = Command::new("skopeo");
    command.args(["--insecure-policy", "inspect", "--raw"]);
    match judge.authority() {
        None => command.arg("--tls-verify=false"),
        Some(_) => command.arg(format!("--cert-dir={}", judge.certificates().display())),
    };
    match judge.credentials() {
        None => command.arg("--no-creds"),
        Some((user, password)) => command.arg(format!("--creds={user}:{password}")),
    };
    let read = output(command.arg(format!("docker://{}/{image}", judge.host()))).await.context("skopeo")?;
    ensure!(digest == &*sha256(&read), "skopeo reads another {image}");
    Ok(())
}

/// crane reads every layer and compares digests, sizes and diff IDs.
pub async fn crane_validates(judge: &Judge, image: &str) -> Result<()> {
    let place = tempfile::tempdir()?;
    let crane = Servers::from_env().find_registry("crane")?;
    let mut command = Command::new(crane);
    command.args(["validate", "--remote", &format!("{}/{image}", judge.host())]);
    command.env("DOCKER_CONFIG", place.path()).env("SSL_CERT_FILE", judge.certificates().join("ca.crt"));
    if let Some((user, password)) = judge.credentials() {
        use base64::Engine as _;
        let auth = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
        let file = serde_json::json!({ "auths": { judge.host(): { "auth": auth } } });
        std::fs::write(place.path().join("config.json"), file.to_string())?;
    }
    output(&mut command).await.context("crane").map(|_| ())
}

/// podman pulls it, into a place of its own.
pub async fn podman_pulls(judge: &Judge, image: &str) -> Result<()> {
    let place: TempDir = tempfile::tempdir()?;
    let below = |name: &str| place.path().join(name);
    let mut command = Command::new("podman");
    command.arg("--root").arg(below("root")).arg("--runroot").arg(below("runroot")).arg("--tmpdir").arg(below("tmp"));
    command.args(["--storage-driver=vfs", "--events-backend=none", "--cgroup-manager=cgroupfs", "pull", "--quiet"]);
    match judge.authority() {
        None => command.arg("--tls-verify=false"),
        Some(_) => command.arg("--cert-dir").arg(judge.certificates()),
    };
    if let Some((user, password)) = judge.credentials() {
        command.arg(format!("--creds={user}:{password}"));
    }
    environment(&mut command, place.path());
    output(command.arg(format!("{}/{image}", judge.host()))).await.context("podman").map(|_| ())
}

/// Nothing of the machine's own.
fn environment(command: &mut Command, place: &Path) {
    command.env_clear().env("HOME", place).env("XDG_RUNTIME_DIR", place).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
}

async fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.kill_on_drop(true).output().await.context("is it installed? hack/setup test")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}
