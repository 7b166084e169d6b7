//! What is built anew, and what is not.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::{consistently, endpoint};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::super::stage::{MIRROR, QUIET, ROBOT, Stage, USER, condition, secret};
use super::{End, allow, builder, end, jobs, names, objects, phase, push};

async fn stage(namespace: &str) -> Result<Stage> {
    let stage = Stage::new(namespace).await?;
    allow(&stage.fleet, namespace).await?;
    let [name, password] = ROBOT;
    let creds = secret(namespace, "creds", "Opaque", &json!({"username": name, "password": password}));
    stage.fleet.apply(&creds).await?;
    Ok(stage)
}

/// Pushes the image of each Job and ends it.
async fn succeed(stage: &Stage, found: &[Value], version: &str) -> Result<Vec<String>> {
    let mut digests = Vec::new();
    for (job, architecture) in found.iter().zip(["amd64", "arm64"]) {
        let repository = format!("{}/app", stage.namespace);
        let tag = format!("{version}-{architecture}");
        let digest = push(&stage.world.registries.mirror, &repository, &tag, architecture).to_string();
        end(&stage.fleet, job, &End::Pushed(&digest)).await?;
        digests.push(digest);
    }
    Ok(digests)
}

/// The digest of a tag, which names an index of both architectures.
fn index_of_both(stage: &Stage, tag: &str) -> Result<String> {
    let store = stage.world.registries.mirror.store();
    let (digest, manifest) = store.manifest(&format!("{}/app", stage.namespace), tag).context("no tag")?;
    let index: Value = serde_json::from_slice(&manifest.bytes)?;
    let platforms: Vec<&Value> = index["manifests"].as_array().unwrap().iter().map(|one| &one["platform"]).collect();
    let platform = |name: &str| json!({"architecture": name, "os": "linux"});
    assert_eq!(platforms, [&platform("amd64"), &platform("arm64")]);
    Ok(digest.to_string())
}

#[tokio::test]
async fn both_architectures_become_one_index_a_second_apply_builds_nothing_and_an_edit_builds_anew() -> Result<()> {
    let stage = stage("builders-edits").await?;
    let object = builder("builders-edits", "app", &json!({}));
    stage.fleet.apply(&object).await?;
    let found = jobs(&stage.fleet, "builders-edits", 2).await?;
    let digests = succeed(&stage, &found, "v1").await?;
    let done = phase(&stage, &object, "COMPLETED").await?;
    let of_status = |status: &Value| -> Vec<String> {
        let all = status["architectures"].as_array().into_iter().flatten();
        all.filter_map(|one| one["digest"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(of_status(&done), digests);
    assert_eq!(done["digest"], index_of_both(&stage, "v1")?);
    jobs(&stage.fleet, "builders-edits", 0).await?;

    let mark = stage.audit.mark().await?;
    stage.fleet.apply(&object).await?;
    consistently(QUIET, "nothing is built", async || {
        let writes = stage.audit.writes_by(mark, USER).await?;
        let own: Vec<_> = writes.iter().filter(|write| write.namespace == "builders-edits").collect();
        ensure!(own.is_empty(), "{own:#?}");
        Ok(())
    })
    .await?;

    let edited = builder("builders-edits", "app", &json!({"source": "FROM quay.io/base/app:2\n"}));
    stage.fleet.apply(&edited).await?;
    let second = jobs(&stage.fleet, "builders-edits", 2).await?;
    ensure!(names(&second) != names(&found), "another build has other Jobs");
    let config_maps = objects(&stage.fleet, "v1", "ConfigMap", "builders-edits").await?;
    ensure!(config_maps.iter().any(|map| map["data"]["Dockerfile"] == "FROM quay.io/base/app:2\n"), "{config_maps:#?}");

    // While it runs: what it makes obsolete goes only when its successor is there.
    let third = builder("builders-edits", "app", &json!({"image": {"version": "v2"}, "architecture": "amd64"}));
    stage.fleet.apply(&third).await?;
    let third_jobs =
        hypermirror_e2e::eventually(hypermirror_e2e::fleet::SOON, "only the Job of the last edit", async || {
            let found = objects(&stage.fleet, "batch/v1", "Job", "builders-edits").await?;
            ensure!(found.len() == 1 && !names(&second).contains(&names(&found)[0]), "{:?}", names(&found));
            Ok(Some(found))
        })
        .await?;
    let digests = succeed(&stage, &third_jobs, "v2").await?;
    let last = stage
        .wait_for_status(&object, "v2", |status| status["phase"] == "COMPLETED" && status["observedGeneration"] == 3);
    let last = last.await?;
    assert_eq!(
        (&last["digest"], last["image"].as_str()),
        (&json!(digests[0]), Some(&*format!("{MIRROR}/builders-edits/app:v2")))
    );

    let annotation = json!({"metadata": {"annotations": {"hypermirror.dev/build-now": "again"}}});
    stage.fleet.merge(&third, &annotation).await?;
    jobs(&stage.fleet, "builders-edits", 1).await?;
    let again = phase(&stage, &object, "BUILDING").await?;
    assert_eq!(again["lastHandledBuildNow"], "again");
    let metrics = endpoint::get(&stage.world.metrics).await?.body;
    ensure!(metrics.contains("image_operator_imagebuilder_build_count_total"), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_failed_build_is_reported_once_and_stays_until_an_edit_and_credentials_appear_only_in_secrets() -> Result<()>
{
    let stage = stage("builders-failed").await?;
    let object = builder("builders-failed", "app", &json!({}));
    stage.fleet.apply(&object).await?;
    let found = jobs(&stage.fleet, "builders-failed", 2).await?;
    let (amd64, arm64) = (&found[0], &found[1]);
    end(&stage.fleet, arm64, &End::Failed("build")).await?;
    let failed = phase(&stage, &object, "FAILED").await?;
    assert_eq!(condition(&failed, "Stalled"), Some(("True", "BuildFailed")));
    let message = failed["message"].as_str().unwrap_or_default();
    ensure!(message.contains("arm64: the build failed: container build ended with exit code 125"), "{message}");
    let left = jobs(&stage.fleet, "builders-failed", 1).await?;
    assert_eq!(names(&left), names(std::slice::from_ref(arm64)), "the other one is of no use any longer: {amd64}");
    let mark = stage.audit.mark().await?;
    consistently(QUIET, "nothing is tried again", async || {
        ensure!(stage.audit.writes_by(mark, USER).await?.iter().all(|write| write.namespace != "builders-failed"));
        Ok(())
    })
    .await?;

    let [_, password] = ROBOT;
    let events: Api<Event> = Api::namespaced(stage.fleet.client.clone(), "builders-failed");
    let events = events.list(&ListParams::default()).await?;
    let reasons: Vec<&str> = events.items.iter().filter_map(|event| event.reason.as_deref()).collect();
    ensure!(reasons.contains(&"Building") && reasons.contains(&"BuildFailed"), "{reasons:?}");
    let secrets = objects(&stage.fleet, "v1", "Secret", "builders-failed").await?;
    assert_eq!(secrets.len(), 3, "that of the user and one for each Job");
    for (place, text) in [
        ("Jobs", serde_json::to_string(&found)?),
        ("ConfigMaps", serde_json::to_string(&objects(&stage.fleet, "v1", "ConfigMap", "builders-failed").await?)?),
        ("events", serde_json::to_string(&events)?),
        ("status", stage.status(&object).await?.to_string()),
        ("log", stage.world.manager.log()?),
    ] {
        ensure!(!text.is_empty() && !text.contains(password), "{place} has the password");
    }

    stage.fleet.apply(&builder("builders-failed", "app", &json!({"source": "FROM scratch\n"}))).await?;
    hypermirror_e2e::eventually(hypermirror_e2e::fleet::SOON, "only the Jobs of the edit", async || {
        let all = objects(&stage.fleet, "batch/v1", "Job", "builders-failed").await?;
        let is_removed = !names(&all).contains(&names(std::slice::from_ref(arm64))[0]);
        ensure!(all.len() == 2 && is_removed, "{:?}", names(&all));
        Ok(Some(()))
    })
    .await?;
    let building = phase(&stage, &object, "BUILDING").await?;
    ensure!(building.get("log").is_none() && building.get("consecutiveFailures").is_none(), "{building}");
    Ok(())
}

#[tokio::test]
async fn what_a_pod_claims_to_have_pushed_is_verified() -> Result<()> {
    let stage = stage("builders-claims").await?;
    let object = builder("builders-claims", "app", &json!({"architecture": "arm64"}));
    stage.fleet.apply(&object).await?;
    let found = jobs(&stage.fleet, "builders-claims", 1).await?;
    let other = push(&stage.world.registries.mirror, "builders-claims/app", "v1-arm64", "amd64").to_string();
    end(&stage.fleet, &found[0], &End::Pushed(&other)).await?;
    let failed = phase(&stage, &object, "FAILED").await?;
    assert_eq!(condition(&failed, "Ready"), Some(("False", "WrongImage")));
    let tagged = super::super::images::digest(&stage.world.registries.mirror, "builders-claims/app", "v1");
    assert_eq!(tagged, None, "the tag is written last");
    Ok(())
}
