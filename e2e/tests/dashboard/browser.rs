//! What a real browser makes of it.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::Scene;
use hypermirror_e2e::binaries::{Servers, repository_root};
use hypermirror_e2e::fleet::objects::idms;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use super::served::Dashboard;

/// Where screenshots go, if somebody wants to look at them.
const SCREENSHOTS: &str = "HYPERMIRROR_SCREENSHOTS";

#[tokio::test]
async fn a_browser_opens_filters_explains_and_sees_an_edit() -> Result<()> {
    let scene = Scene::start().await?;
    for name in ["a", "b", "c"] {
        scene.fleet.hosted_cluster(name, &[], "=").await?;
    }
    scene.fleet.apply(&idms("one", &[("s.example", &["m.example"], None)])).await?;
    let registry = json!({
        "apiVersion": "registry.kubecontroller.io/v1alpha1", "kind": "Registry",
        "metadata": {"name": "nginx", "namespace": "default"},
        "spec": {"url": "https://quay.example", "repository": "nginx"}
    });
    scene.fleet.apply(&registry).await?;
    let _manager = scene.manager().await?;
    scene.fleet.condition("a", "Ready", "True", "AsExpected").await?;
    let dashboard = Dashboard::start(&scene.management().kubeconfig_path()).await?;

    let modules = Servers::from_env().find("browser/package.json").context("hack/browser/build installs it")?;
    let mut command = Command::new("node");
    command.arg(repository_root().join("e2e/browser/dashboard.mjs")).arg(&dashboard.address);
    command.arg(modules.parent().unwrap_or(Path::new(""))).args(std::env::var_os(SCREENSHOTS));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context("node does not start: hack/setup installs it")?;
    let stdout = child.stdout.take().context("no output")?;
    let mut stderr = child.stderr.take().context("no errors")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut steps = Vec::new();
    while let Some(line) = lines.next_line().await? {
        if line == "edit" {
            scene.fleet.apply(&idms("one", &[("s.example", &["edited.example/s", "m.example"], None)])).await?;
        }
        steps.push(line);
    }
    let mut errors = String::new();
    stderr.read_to_string(&mut errors).await?;
    let status = child.wait().await?;
    ensure!(status.success(), "{}\n{errors}", steps.join("\n"));
    assert_eq!(steps.last().map(String::as_str), Some("step no error"), "{steps:?}");
    Ok(())
}
