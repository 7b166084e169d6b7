//! What the registry-manager copies to mirrors, and what it does not.

use std::time::Duration;

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::{NAMESPACE, SOON};
use hypermirror_e2e::mock::{Answer, On, Rule};
use hypermirror_e2e::{MockRegistry, consistently, eventually};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;

use super::stage::{Stage, condition, reader};

/// A while in which nothing is to happen.
const QUIET: Duration = Duration::from_millis(1_500);

/// With `--fill`, which may push to the mirror.
async fn set() -> Result<Stage> {
    let arguments = |mirror: &MockRegistry| vec!["--fill".to_owned(), format!("--destination-allow={}", mirror.host())];
    let stage = Stage::set_with(arguments).await?;
    stage.held("Unknown", "CredentialsNotReadable").await?;
    stage.share_pull_secret().await?;
    let status = stage.check("1").await?;
    ensure!(condition(&status, "Held") == Some(("False", "ImagesMissing")) && status["fill"].is_null(), "{status:#}");
    Ok(stage)
}

/// The requests of a registry that write.
fn writes(registry: &MockRegistry) -> Vec<String> {
    let is_write = |line: &String| ["POST ", "PUT ", "PATCH "].iter().any(|method| line.starts_with(method));
    registry.lines().into_iter().filter(is_write).collect()
}

/// The events about filling: reason and note.
async fn events(stage: &Stage) -> Result<Vec<(String, String)>> {
    let api: Api<Event> = Api::namespaced(stage.scene.fleet.client.clone(), NAMESPACE);
    let all = api.list(&ListParams::default()).await?.items;
    let ours = all.into_iter().map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default()));
    Ok(ours.filter(|(reason, _)| reason.starts_with("Mirror")).collect())
}

#[tokio::test]
async fn exactly_what_is_missing_is_copied_where_flag_annotation_and_list_of_destinations_agree() -> Result<()> {
    let stage = set().await?;
    let nothing = async || {
        ensure!(writes(&stage.mirror).is_empty() && events(&stage).await?.is_empty());
        Ok(())
    };
    consistently(QUIET, "nothing is copied without the annotation", nothing).await?;

    stage.allow_filling().await?;
    let status = stage.held("True", "AllHeld").await?;
    ensure!(stage.is_filled(), "{:#?}", stage.mirror.lines());
    ensure!(status["fill"]["copied"] == 1 && status["fill"]["remaining"] == 0, "{status:#}");
    let uploads = writes(&stage.mirror);
    let blobs: Vec<&String> = uploads.iter().filter(|line| line.contains(&stage.lost[7..])).collect();
    let begun = uploads.iter().filter(|line| line.starts_with("POST ")).count();
    ensure!(!blobs.is_empty() && begun == 1, "one blob and no other: {uploads:#?}");
    let told = events(&stage).await?;
    let [(reason, note)] = told.as_slice() else { panic!("{told:?}") };
    ensure!(reason == "MirrorFilled" && note.contains(&format!("to {}/ocp/art", stage.mirror.host())), "{note}");

    // A mirror that no list names is not filled.
    stage.full.store().repository("ocp/art").blobs.remove(&stage.lost);
    stage.mirror_to(&stage.full).await?;
    let is_refused = |status: &serde_json::Value| status["fill"]["unfilled"][0]["reason"] == "DestinationNotAllowed";
    let status = stage.wait_for("a refusal", is_refused).await?;
    let unfilled = &status["fill"]["unfilled"][0];
    ensure!(unfilled["mirror"].as_str().unwrap().starts_with(&stage.full.host()), "{unfilled}");
    ensure!(unfilled["message"].as_str().unwrap().contains("--destination-allow"), "{unfilled}");
    ensure!(status["fill"]["copied"] == 1 && writes(&stage.full).is_empty(), "{status:#}");
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_reported_and_not_repeated_at_once() -> Result<()> {
    let stage = set().await?;
    stage.mirror.set_users([reader()]);
    stage.allow_filling().await?;
    let is_refused = |status: &serde_json::Value| status["fill"]["unfilled"][0]["reason"] == "Unauthorized";
    let status = stage.wait_for("a refusal", is_refused).await?;
    ensure!(status["fill"]["copied"] == 0 && status["fill"]["remaining"] == 1, "{status:#}");
    let told = events(&stage).await?;
    let [(reason, note)] = told.as_slice() else { panic!("{told:?}") };
    ensure!(reason == "MirrorNotFilled" && note.contains("Unauthorized"), "{note}");
    let tried = stage.mirror.requests().len();
    let quiet = async || {
        ensure!(stage.mirror.requests().len() == tried);
        Ok(())
    };
    // The check that reports it asks once more.
    eventually(SOON, "the mirror is left alone", async || Ok((stage.mirror.requests().len() == tried).then_some(())))
        .await?;
    consistently(QUIET, "it is not tried again at once", quiet).await?;
    Ok(())
}

#[tokio::test]
async fn a_mirror_heals_from_another_one_while_the_source_is_down() -> Result<()> {
    let stage = set().await?;
    stage.source.add(Rule::new(On::any(), Answer::Hangup { after: 0 }));
    stage.full.clear_requests();
    stage.allow_filling().await?;
    // The source is asked some times before it counts as down.
    eventually(3 * SOON, "the mirror is filled", async || Ok(stage.is_filled().then_some(()))).await?;
    stage.held("True", "AllHeld").await?;
    let path = format!("GET /v2/ocp/art/blobs/{}", &*stage.lost);
    ensure!(
        stage.is_filled() && stage.full.lines().iter().any(|line| line.contains(&path)),
        "{:#?}",
        stage.full.lines()
    );
    Ok(())
}
