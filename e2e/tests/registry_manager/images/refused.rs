//! What is not copied, and which condition says so.

use anyhow::{Result, ensure};
use hypermirror_e2e::consistently;
use serde_json::{Value, json};

use super::super::stage::{MIRROR, QUIET, Stage, add_image, condition};
use super::{image, phase, requests, spec};

fn merged(more: &Value) -> Value {
    let mut spec = spec("OneShot", "quay.io/refused/app", &format!("{MIRROR}/refused/app"), "v1");
    for (field, value) in more.as_object().unwrap() {
        match (spec[field].as_object_mut(), value.as_object()) {
            (Some(end), Some(more)) => end.extend(more.clone()),
            _ => spec[field] = value.clone(),
        }
    }
    spec
}

#[tokio::test]
async fn patterns_frequencies_and_destinations_that_cannot_be_used_are_conditions_and_nothing_is_copied() -> Result<()>
{
    let stage = Stage::new("images-refused").await?;
    let registries = &stage.world.registries;
    let first = add_image(&registries.quay, "refused/app", "v1", "app");
    for number in 0..10_000 {
        registries.quay.store().tag("refused/app", &format!("2.13.{number}"), &first);
    }
    let version = |text: &str| json!({"source": {"version": text}, "destination": {"version": text}});
    for (name, more, reason, text) in [
        ("paren", version("("), "InvalidSpec", "source.version: \"(\""),
        ("dot-star", version(".*"), "InvalidSpec", "source.version: \".*\""),
        ("many", version("2.13.x"), "TooManyTags", "10000 tags match 2.13.x"),
        ("none", version("3.x"), "NoTagMatches", "no tag of quay.io/refused/app matches 3.x"),
        ("soon", json!({"frequency": "soon"}), "InvalidSpec", "frequency: \"soon\""),
        ("missing", version("v2"), "NotFound", "quay.io/refused/app:v2"),
        (
            "elsewhere",
            json!({"destination": {"name": "elsewhere.example/app"}}),
            "DestinationNotAllowed",
            "--destination-allow",
        ),
        ("hub", json!({"destination": {"name": "other/app"}}), "DestinationNotAllowed", "docker.io/other/app"),
        ("one-tag", json!({"source": {"version": "2.13.x"}}), "InvalidSpec", "destination.version: "),
        ("secret", json!({"source": {"credentialsSecret": {"name": "gone"}}}), "SecretMissing", "gone"),
        ("ecr", json!({"destination": {"useAwsIRSA": true}}), "InvalidSpec", "destination.useAwsIRSA: "),
    ] {
        let object = image("images-refused", name, &merged(&more));
        stage.fleet.apply(&object).await?;
        let status = phase(&stage, &object, "FAILED").await?;
        assert_eq!(condition(&status, "Stalled"), Some(("True", reason)), "{name}: {status}");
        ensure!(status["message"].as_str().is_some_and(|message| message.contains(text)), "{name}: {status}");
    }
    let suspended = image("images-refused", "suspended", &merged(&json!({"suspend": true})));
    stage.fleet.apply(&suspended).await?;
    phase(&stage, &suspended, "SUSPENDED").await?;
    consistently(QUIET, "nothing is written", async || {
        let requests = requests(&registries.mirror, "refused/app");
        let is_write =
            |line: &&String| ["POST", "PUT", "PATCH", "DELETE"].iter().any(|method| line.starts_with(method));
        ensure!(!requests.iter().any(|line| is_write(&line)), "{requests:#?}");
        Ok(())
    })
    .await?;
    stage.fleet.merge(&suspended, &json!({"spec": {"suspend": false}})).await?;
    phase(&stage, &suspended, "COMPLETED").await?;
    Ok(())
}

#[tokio::test]
async fn what_no_image_can_mean_is_refused_with_the_way_out() -> Result<()> {
    let stage = Stage::new("images-invalid").await?;
    for (more, why) in [
        (json!({"mode": "Sometimes"}), "mode"),
        (json!({"source": {"name": "https://quay.io/a"}}), "without https://"),
        (json!({"source": {"name": "quay.io/a@sha256:00"}}), "must not contain a user, a password or a digest"),
        (json!({"destination": {"name": ""}}), "name"),
        (json!({"maxTags": 0}), "maxTags"),
        (json!({"maxTags": 100_000}), "maxTags"),
        (json!({"platforms": ["amd64"]}), "platforms must be OS/ARCHITECTURE"),
        (json!({"source": {"credentialsSecret": {"name": "../x"}}}), "must be the name of a Secret"),
    ] {
        let answer = stage.fleet.apply(&image("images-invalid", "x", &merged(&more))).await;
        let error = format!("{:#}", answer.err().ok_or_else(|| anyhow::anyhow!("{more} is accepted"))?);
        ensure!(error.contains(why), "{more}: {error}");
    }
    Ok(())
}
