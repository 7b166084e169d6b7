//! What a run costs, and what is copied again.

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::mock::{Fixed, On, Rule};
use hypermirror_e2e::{audit, endpoint, eventually};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use super::super::stage::{MIRROR, ROBOT, Stage, USER, add_image, condition, secret};
use super::{assert_same, digest, image, phase, requests, run, spec};

#[tokio::test]
async fn an_unchanged_image_costs_two_head_requests_and_an_emptied_destination_is_filled_again() -> Result<()> {
    let stage = Stage::new("images-recurrent").await?;
    let (quay, mirror) = (&stage.world.registries.quay, &stage.world.registries.mirror);
    add_image(quay, "recurrent/app", "v1", "one");
    let own = |write: &audit::Event| write.namespace == stage.namespace;
    let mark = stage.audit.mark().await?;
    let object = image(
        "images-recurrent",
        "app",
        &spec("Recurrent", "quay.io/recurrent/app", &format!("{MIRROR}/recurrent/app"), "v1"),
    );
    stage.fleet.apply(&object).await?;
    let first = phase(&stage, &object, "COMPLETED").await?;
    assert_same((quay, "recurrent/app"), (mirror, "recurrent/app"), &["v1"])?;
    ensure!(first["lastRunBytes"].as_i64() > Some(0) && first["totalBytes"] == first["lastRunBytes"], "{first}");
    // The event is sent after the status.
    let events = eventually(SOON, "the event of the copy", async || {
        let writes = stage.audit.writes_by(mark, USER).await?;
        Ok(writes.iter().any(|write| own(write) && write.resource == "events").then_some(writes))
    })
    .await?;
    let of_image = |resource: &str| events.iter().filter(|write| own(write) && write.resource == resource).count();
    assert_eq!(
        (of_image("images"), of_image("events")),
        (2, 1),
        "the plan before the first copy, the result, one event"
    );

    for registry in [quay, mirror] {
        registry.clear_requests();
    }
    let mark = stage.audit.mark().await?;
    let again = run(&stage, &object, "again").await?;
    assert_eq!((&again["phase"], again.get("lastRunBytes")), (&json!("COMPLETED"), None));
    let all: Vec<String> =
        [quay, mirror].into_iter().flat_map(|registry| requests(registry, "recurrent/app")).collect();
    assert_eq!((all.len(), all.iter().filter(|line| line.starts_with("HEAD ")).count()), (2, 2), "{all:#?}");
    let writes = stage.audit.writes_by(mark, USER).await?;
    assert_eq!(writes.iter().filter(|write| own(write)).count(), 1, "one status, no event");

    mirror.store().repositories.remove("recurrent/app");
    let refilled = run(&stage, &object, "refilled").await?;
    assert_same((quay, "recurrent/app"), (mirror, "recurrent/app"), &["v1"])?;
    assert_eq!(refilled["history"].as_array().map(Vec::len), Some(3));
    let metrics = endpoint::get(&stage.world.metrics).await?.body;
    ensure!(metrics.contains("image_operator_reload_total{image=\"app\"} "), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn once_by_tag_copies_what_appears_later_and_nothing_twice() -> Result<()> {
    let stage = Stage::new("images-once").await?;
    let (quay, mirror) = (&stage.world.registries.quay, &stage.world.registries.mirror);
    add_image(quay, "once/app", "1.0.0", "one");
    let object =
        image("images-once", "app", &spec("OnceByTag", "quay.io/once/app", &format!("{MIRROR}/once/app"), "1.0.x"));
    stage.fleet.apply(&object).await?;
    let first = phase(&stage, &object, "COMPLETED").await?;
    assert_eq!(first["tagAlreadySynced"], json!(["1.0.0"]));
    let before = digest(mirror, "once/app", "1.0.0");
    add_image(quay, "once/app", "1.0.0", "another one");
    add_image(quay, "once/app", "1.0.1", "two");
    add_image(quay, "once/app", "1.1.0", "three");
    quay.clear_requests();
    let later = run(&stage, &object, "later").await?;
    assert_eq!(later["tagAlreadySynced"], json!(["1.0.1", "1.0.0"]));
    assert_same((quay, "once/app"), (mirror, "once/app"), &["1.0.1"])?;
    assert_eq!((digest(mirror, "once/app", "1.0.0"), digest(mirror, "once/app", "1.1.0")), (before, None));
    ensure!(
        !requests(quay, "once/app").iter().any(|line| line.contains("/manifests/1.0.0")),
        "it is not looked at again"
    );
    Ok(())
}

#[tokio::test]
async fn each_side_has_credentials_of_its_own_and_they_appear_nowhere() -> Result<()> {
    let stage = Stage::new("images-secrets").await?;
    let registries = &stage.world.registries;
    let [name, password] = ROBOT;
    // Private at both sides: the mirror is the source, too.
    add_image(&registries.mirror, "secrets/private", "v1", "private");
    let creds =
        |password: &str| secret("images-secrets", "creds", "Opaque", &json!({"username": name, "password": password}));
    stage.fleet.apply(&creds("wrong")).await?;
    let mut private = spec("Recurrent", &format!("{MIRROR}/secrets/private"), &format!("{MIRROR}/secrets/copy"), "v1");
    for side in ["source", "destination"] {
        private[side]["credentialsSecret"] = json!({"name": "creds"});
    }
    let object = image("images-secrets", "private", &private);
    stage.fleet.apply(&object).await?;
    let refused = phase(&stage, &object, "FAILED").await?;
    assert_eq!(condition(&refused, "Stalled"), Some(("True", "Unauthorized")));
    stage.fleet.apply(&creds(password)).await?;
    run(&stage, &object, "rotated").await?;
    assert_same((&registries.mirror, "secrets/private"), (&registries.mirror, "secrets/copy"), &["v1"])?;
    // The process's own user is for destinations alone: a source is anonymous.
    private["source"] = json!({"name": format!("{MIRROR}/secrets/private"), "version": "v1"});
    let borrowed = image("images-secrets", "borrowed", &private);
    stage.fleet.apply(&borrowed).await?;
    let status = phase(&stage, &borrowed, "FAILED").await?;
    assert_eq!(condition(&status, "Ready"), Some(("False", "Unauthorized")));

    let events: Api<Event> = Api::namespaced(stage.fleet.client.clone(), "images-secrets");
    let events = serde_json::to_string(&events.list(&ListParams::default()).await?)?;
    let metrics = endpoint::get(&stage.world.metrics).await?.body;
    let statuses = stage.status(&object).await?.to_string();
    for (place, text) in
        [("log", stage.world.manager.log()?), ("events", events), ("metrics", metrics), ("status", statuses)]
    {
        ensure!(!text.is_empty() && !text.contains(password), "{place} has the password");
    }
    Ok(())
}

#[tokio::test]
async fn a_tag_that_cannot_be_copied_is_named_and_the_others_are_copied() -> Result<()> {
    let stage = Stage::new("images-partly").await?;
    let (quay, mirror) = (&stage.world.registries.quay, &stage.world.registries.mirror);
    for tag in ["1.0", "1.1", "1.2"] {
        add_image(quay, "partly/app", tag, tag);
    }
    let denied = On::any().method(http::Method::PUT).containing("/v2/partly/app/manifests/1.1");
    mirror.add(Rule::new(denied, Fixed::error(http::StatusCode::FORBIDDEN, "DENIED", "no")));
    let object =
        image("images-partly", "app", &spec("OneShot", "quay.io/partly/app", &format!("{MIRROR}/partly/app"), "1.x"));
    stage.fleet.apply(&object).await?;
    let failed = phase(&stage, &object, "FAILED").await?;
    assert_eq!(condition(&failed, "Reconciling"), Some(("True", "TagsFailed")));
    let tags = failed["tags"].as_array().unwrap();
    let named: Vec<_> = tags.iter().map(|tag| (tag["tag"].as_str().unwrap(), tag["reason"].as_str())).collect();
    assert_eq!(named, [("1.2", None), ("1.1", Some("Forbidden")), ("1.0", None)]);
    assert_same((quay, "partly/app"), (mirror, "partly/app"), &["1.0", "1.2"])?;
    assert_eq!(digest(mirror, "partly/app", "1.1"), None);
    Ok(())
}
