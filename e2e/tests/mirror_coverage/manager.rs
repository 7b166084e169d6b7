//! The manager shows the coverage, and waits for nothing.

use anyhow::{Result, ensure};
use hypermirror_e2e::binaries;
use hypermirror_e2e::fleet::manager::Manager;
use hypermirror_e2e::fleet::objects::idms;

use super::stage::Stage;

#[tokio::test]
async fn the_report_of_a_hosted_cluster_and_the_status_command_show_whether_its_mirrors_are_proven() -> Result<()> {
    let stage = Stage::set().await?;
    let fleet = &stage.scene.fleet;
    // Also of a source without a fallback: `--require-proof=warn`, the default, holds nothing.
    let (source, mirror) = (format!("{}/ocp", stage.source.host()), format!("{}/ocp", stage.full.host()));
    fleet.apply(&idms("management", &[(&source, &[&mirror], Some("NeverContactSource"))])).await?;
    let _manager = Manager::start(stage.scene.management()).await?;
    let message = fleet.condition("west", "MirrorsProven", "Unknown", "CoverageUnknown").await?;
    ensure!(message.starts_with("CredentialsNotReadable: "), "{message}");
    // The map is applied although nothing is proven.
    fleet.condition("west", "ControlPlaneUpToDate", "True", "AsExpected").await?;

    stage.share_pull_secret().await?;
    stage.check("1").await?;
    let message = fleet.condition("west", "MirrorsProven", "False", "ImagesMissing").await?;
    ensure!(message.contains("etcd") && message.contains("linux/arm64"), "{message}");
    stage.fill();
    stage.check("2").await?;
    fleet.condition("west", "MirrorsProven", "True", "AsExpected").await?;

    let mut command = tokio::process::Command::new(binaries::operator()?);
    command.arg("status").env("KUBECONFIG", stage.scene.management().kubeconfig_path());
    let output = command.output().await?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().find(|line| line.contains("coverage ")).unwrap_or_default();
    ensure!(line.contains(" held, checked ") && line.contains("s ago, MirrorsProven=True"), "{text}");
    Ok(())
}
