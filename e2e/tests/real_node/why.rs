//! `why` about a pod of a real kubelet.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::{MockRegistry, binaries, needs_node};
use serde_json::Value;
use tokio::process::Command;

use super::pods;
use super::stage::Stage;

const POD: &str = "why";

#[tokio::test]
async fn why_says_of_a_pod_of_a_real_kubelet_which_place_lacks_its_image() -> Result<()> {
    needs_node!();
    let stage = Stage::enter().await?;
    let (source, mirror) = (MockRegistry::start().await?, MockRegistry::start().await?);
    let (from, to) = (format!("{}/app", source.host()), format!("{}/app", mirror.host()));
    stage.declare(&[(&from, &[&to], None)]).await?;
    let image = format!("{from}@sha256:{}", "a".repeat(64));
    pods::create(&stage.guest, POD, &image).await?;
    pods::waits_for_image(&stage.guest, POD).await?;
    let mut why = Command::new(binaries::operator()?);
    why.args(["why", POD, "--hosted-cluster", "clusters/west", "--plain-http", "-o", "json"]);
    let ran = why.env("KUBECONFIG", stage.kubeconfig()).kill_on_drop(true).output().await?;
    let report: Value =
        serde_json::from_slice(&ran.stdout).with_context(|| String::from_utf8_lossy(&ran.stderr).into_owned())?;
    let container = &report["containers"][0];
    ensure!(
        container["pull"]["state"] == "Failing" && container["hops"].as_array().map(Vec::len) == Some(2),
        "{report}"
    );
    ensure!(container["hops"][0]["reference"].as_str().is_some_and(|it| it.starts_with(&to)), "{report}");
    ensure!(container["causes"][0]["kind"] == "ImageMissing" && ran.status.code() == Some(1), "{report}");
    pods::delete(&stage.guest, &[POD.to_owned()]).await?;
    stage.declare(&[]).await.map(|_| ())
}
