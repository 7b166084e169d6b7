//! The gate for sources without a fallback: they go live when the registry-manager has proven their mirrors.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::audit::Mark;
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::fleet::manager::Manager;
use hypermirror_e2e::fleet::objects::{hosted_cluster, idms};
use hypermirror_e2e::{consistently, eventually};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::stage::{Stage, coverage};

/// A while in which nothing is to happen.
const QUIET: Duration = Duration::from_millis(1_500);
/// An image that HyperShift's operators look up, and whose layer the mirrors lack.
const LOOKED_UP: &str = "hypershift";

async fn manager(stage: &Stage, name: &str) -> Result<Manager> {
    stage.scene.launch(name).arg("--require-proof=enforce").start_ready(stage.scene.management()).await
}

/// Mirrors of the management cluster: of the source, which may not be contacted, and of another one, which may.
async fn declare(stage: &Stage, mirrors: &[&str]) -> Result<()> {
    let source = format!("{}/ocp", stage.source.host());
    let entries =
        [(source.as_str(), mirrors, Some("NeverContactSource")), ("s.example", &["m.example/s"] as &[&str], None)];
    stage.scene.fleet.apply(&idms("management", &entries)).await.map(|_| ())
}

async fn nothing_is_patched(stage: &Stage, mark: Mark) -> Result<()> {
    consistently(QUIET, "nothing is patched", async || {
        let patches = stage.scene.patches(mark).await?;
        ensure!(patches.is_empty(), "{patches:#?}");
        Ok(())
    })
    .await
}

/// Makes the last check an old one, as if the registry-manager did not run any more.
async fn outdate(stage: &Stage) -> Result<()> {
    let hour_ago = Timestamp::from_second(Timestamp::now().as_second() - 3_600)?.to_string();
    let patch = json!({"status": {"lastCheckTime": hour_ago, "checkIntervalSeconds": 60}});
    let api = stage.scene.fleet.api_of(&coverage())?;
    api.patch_status("west", &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

async fn has_argument(stage: &Stage, wanted: bool) -> Result<()> {
    eventually(SOON, "ignition-server has the argument", async || {
        let deployment: Value = stage.scene.fleet.deployment("west", "ignition-server").await?;
        let annotation = &deployment["metadata"]["annotations"]["hypermirror.dev/registry-overrides-argument"];
        ensure!(annotation.is_string() == wanted, "{annotation}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn a_source_without_a_fallback_goes_live_when_it_is_proven_and_then_stays_whatever_happens_to_the_proof()
-> Result<()> {
    let stage = Stage::set().await?;
    let fleet = &stage.scene.fleet;
    let (source, mirror) = (format!("{}/ocp", stage.source.host()), format!("{}/ocp", stage.mirror.host()));
    stage.lose(LOOKED_UP);
    declare(&stage, &[&mirror]).await?;
    let first = manager(&stage, "first").await?;

    // The rest of the map goes on. What registries cannot be asked for is one reason, which names the Secret.
    let message = fleet.condition("west", "ControlPlaneUpToDate", "False", "ProofMissing").await?;
    ensure!(message.contains(&format!("{source} -> {mirror}")), "{message}");
    fleet.reads(&["west"], "s.example=m.example/s").await?;
    let mark = stage.scene.audit.mark().await?;
    let message = eventually(SOON, "the message names what to do", async || {
        let message = fleet.condition("west", "ControlPlaneUpToDate", "False", "ProofMissing").await?;
        Ok(message.contains("CredentialsNotReadable: ").then_some(message))
    })
    .await?;
    ensure!(message.matches("CredentialsNotReadable").count() == 1, "{message}");
    stage.share_pull_secret().await?;
    stage.check("1").await?;
    eventually(SOON, "the message names the mirror and the image", async || {
        let message = fleet.condition("west", "ControlPlaneUpToDate", "False", "ProofMissing").await?;
        ensure!(message.contains("look-ups: ") && message.contains("is missing"), "{message}");
        Ok(Some(()))
    })
    .await?;
    has_argument(&stage, false).await?;
    let held = "hypermirror_proofs_held";
    eventually(SOON, "the metric counts it", async || Ok((first.metric(held).await? > 0.5).then_some(()))).await?;
    nothing_is_patched(&stage, mark).await?;

    // Proven.
    stage.find(LOOKED_UP);
    stage.fill();
    stage.check("2").await?;
    let value = format!("{source}={mirror},s.example=m.example/s");
    fleet.reads(&["west"], &value).await?;
    has_argument(&stage, true).await?;
    fleet.condition("west", "ControlPlaneUpToDate", "True", "AsExpected").await?;
    fleet.condition("west", "MirrorsProven", "True", "AsExpected").await?;

    // The proof is lost: an event, a metric, and no write.
    let mark = stage.scene.audit.mark().await?;
    stage.lose(LOOKED_UP);
    stage.check("3").await?;
    fleet.condition("west", "MirrorsProven", "False", "ImagesMissing").await?;
    let of_missing = "hypermirror_mirrors_proven{state=\"Missing\"}";
    eventually(SOON, "the metric follows", async || Ok((first.metric(of_missing).await? > 0.5).then_some(()))).await?;
    eventually(SOON, "an event tells of it", async || {
        let events = fleet.list(&kube::api::ApiResource::erase::<k8s_openapi::api::events::v1::Event>(&())).await?;
        let is_it = |event: &Value| event["reason"] == "ImagesMissing" && event["regarding"]["kind"] == "HostedCluster";
        Ok(events.iter().any(|event| is_it(&event.data)).then_some(()))
    })
    .await?;
    nothing_is_patched(&stage, mark).await?;

    // Whoever leads next finds the same.
    drop(first);
    let second = manager(&stage, "second").await?;
    second.leads().await?;
    fleet.condition("west", "ControlPlaneUpToDate", "True", "AsExpected").await?;
    nothing_is_patched(&stage, mark).await?;
    outdate(&stage).await?;
    fleet.condition("west", "MirrorsProven", "Unknown", "CoverageStale").await?;
    nothing_is_patched(&stage, mark).await?;

    an_edit_waits_and_is_let_through(&stage, mark, &value).await
}

/// Other mirrors of a live source are new ones. The old ones stay, until a person lets the new ones through.
async fn an_edit_waits_and_is_let_through(stage: &Stage, mark: Mark, value: &str) -> Result<()> {
    let fleet = &stage.scene.fleet;
    let (mirror, full) = (format!("{}/ocp", stage.mirror.host()), format!("{}/ocp", stage.full.host()));
    declare(stage, &[&mirror, &full]).await?;
    let message = fleet.condition("west", "ControlPlaneUpToDate", "False", "ProofMissing").await?;
    ensure!(message.contains(&format!("({mirror} stays in use)")), "{message}");
    nothing_is_patched(stage, mark).await?;
    let token = message.split_once("hypermirror.dev/allow-unproven=").context("no token")?.1;
    let token = token.split_once(' ').context("no end of the token")?.0;
    let annotation = json!({"metadata": {"annotations": {"hypermirror.dev/allow-unproven": token}}});
    fleet.merge(&hosted_cluster("west", &[]), &annotation).await?;
    let (source, rest) = value.split_once(&format!("={mirror},")).context("no mirror")?;
    fleet.reads(&["west"], &format!("{source}={mirror},{source}={full},{rest}")).await
}
