//! The Secrets of a rule: read for each import, and named where they fail.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::mock::User;
use hypermirror_e2e::{MockRegistry, endpoint};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::super::images::digest;
use super::super::stage::{MIRROR, ROBOT, Stage, add_image, condition, secret};
use super::{failing_pod, rule};

const NAMESPACE: &str = "imports-secrets";
const READER: [&str; 2] = ["reader", "canary-71c2aa"];
const ROTATED: &str = "canary-71c2aa-rotated";

async fn put(stage: &Stage, name: &str, data: &Value) -> Result<()> {
    stage.fleet.apply(&secret(NAMESPACE, name, "Opaque", data)).await.map(|_| ())
}

fn pair([name, password]: [&str; 2]) -> Value {
    json!({"username": name, "password": password})
}

/// Another pod of another image, which is imported at once, and what the rule shows then.
async fn another(stage: &Stage, object: &Value, image: &str, result: &str) -> Result<Value> {
    failing_pod(stage, image, &format!("{MIRROR}/secrets/{image}:1.0")).await?;
    let destination = format!("{MIRROR}/secrets/{image}:1.0");
    let ended = |status: &Value| {
        let lines = status["imports"].as_array().into_iter().flatten();
        lines.filter(|line| line["destination"] == destination).any(|line| line["result"] == result)
    };
    stage.wait_for_status(object, &format!("{result} of {image}"), ended).await
}

fn is_trouble(status: &Value, reason: &str, message: &str) -> Result<()> {
    for (kind, value) in [("Ready", "False"), ("Stalled", "True")] {
        assert_eq!(condition(status, kind), Some((value, reason)));
    }
    let own = status["conditions"][0]["message"].as_str().context("no message")?;
    ensure!(own.contains(message), "{own}");
    Ok(())
}

#[tokio::test]
async fn a_rules_secrets_are_read_for_each_import_and_one_that_is_missing_or_wrong_is_a_condition_with_its_field()
-> Result<()> {
    let stage = Stage::new(NAMESPACE).await?;
    let source = MockRegistry::builder().basic([User::new(READER[0], READER[1])]).start().await?;
    for image in ["one", "two", "three", "four", "five", "six"] {
        add_image(&source, &format!("team/{image}"), "1.0", image);
    }
    let ends = json!({
        "source": {
            "prefix": format!("{}/team", source.host()), "plainHttp": true, "credentialsSecret": {"name": "reader"},
        },
        "destination": {"prefix": format!("{MIRROR}/secrets"), "credentialsSecret": {"name": "writer"}},
    });
    let object = rule(NAMESPACE, "secrets", "quay.io/x", MIRROR, &ends);
    stage.fleet.apply(&object).await?;

    let status = another(&stage, &object, "one", "SecretMissing").await?;
    is_trouble(&status, "SecretMissing", "source.credentialsSecret: Secret reader does not exist")?;
    put(&stage, "reader", &json!({"user": READER[0]})).await?;
    let status = another(&stage, &object, "two", "SecretInvalid").await?;
    is_trouble(&status, "SecretInvalid", "source.credentialsSecret: Secret reader: it has no key \"username\"")?;
    put(&stage, "reader", &pair(READER)).await?;
    let status = another(&stage, &object, "three", "SecretMissing").await?;
    is_trouble(&status, "SecretMissing", "destination.credentialsSecret: Secret writer does not exist")?;
    // A registry that refuses a password says nothing about other repositories: this one is only in the line of the image.
    put(&stage, "writer", &pair([ROBOT[0], READER[1]])).await?;
    let status = another(&stage, &object, "four", "Unauthorized").await?;
    assert_eq!(condition(&status, "Ready"), Some(("True", "InForce")));
    put(&stage, "writer", &pair(ROBOT)).await?;
    let status = another(&stage, &object, "five", "Imported").await?;
    assert_eq!(condition(&status, "Ready"), Some(("True", "InForce")));

    source.set_users([User::new(READER[0], ROTATED)]);
    put(&stage, "reader", &pair([READER[0], ROTATED])).await?;
    another(&stage, &object, "six", "Imported").await?;
    // What failed is tried again at once after an edit.
    stage.fleet.merge(&object, &json!({"spec": {"importsPerHour": 29}})).await?;
    stage.wait_for_status(&object, "the others", |status| status["imported"] == 6).await?;
    for image in ["one", "four", "six"] {
        let name = format!("secrets/{image}");
        assert_eq!(
            digest(&stage.world.registries.mirror, &name, "1.0"),
            digest(&source, &format!("team/{image}"), "1.0")
        );
    }
    let events: Api<Event> = Api::namespaced(stage.fleet.client.clone(), NAMESPACE);
    for (place, text) in [
        ("status", stage.status(&object).await?.to_string()),
        ("log", stage.world.manager.log()?),
        ("events", serde_json::to_string(&events.list(&ListParams::default()).await?)?),
        ("metrics", endpoint::get(&stage.world.metrics).await?.body),
        ("traces", stage.world.traces.text()),
    ] {
        let has_secret = [READER[1], ROTATED, ROBOT[1]].iter().any(|password| text.contains(password));
        ensure!(!text.is_empty() && !has_secret, "{place} has a password, or is empty");
    }
    Ok(())
}
