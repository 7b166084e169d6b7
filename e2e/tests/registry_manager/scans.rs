//! When scans are made, and what is left of them when they fail.

use anyhow::{Result, ensure};
use http::StatusCode;
use hypermirror_e2e::audit::Event;
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::mock::{Answer, Fixed, On, Rule};
use hypermirror_e2e::{MockRegistry, consistently, eventually};
use serde_json::{Value, json};

use super::stage::{QUIET, Stage, USER, add_image, condition, tags};

/// How often the tags were listed.
fn lists(registry: &MockRegistry) -> usize {
    registry.lines().iter().filter(|line| line.contains("/tags/list")).count()
}

#[tokio::test]
async fn fifty_scans_write_fifty_statuses_and_none_starts_another() -> Result<()> {
    let stage = Stage::new("fifty").await?;
    let registry = MockRegistry::start().await?;
    add_image(&registry, "app", "v1", "one");
    let mark = stage.audit.mark().await?;
    let object = stage.object("app", &registry.url(), "app", &json!({}));
    stage.fleet.apply(&object).await?;
    stage.wait_for_status(&object, "Success", |status| status["lastScanStatus"] == "Success").await?;
    for number in 1..50 {
        stage.scan(&object, &format!("scan-{number}")).await?;
    }
    // Neither another annotation, nor a label, nor somebody else's status.
    let more = json!({"metadata": {"labels": {"a": "b"}, "annotations": {"x": "y"}}});
    stage.fleet.merge(&object, &more).await?;
    let api = stage.fleet.api_of(&object)?;
    let foreign = kube::api::Patch::Merge(json!({"status": {"message": "somebody else's"}}));
    api.patch_status("app", &kube::api::PatchParams::default(), &foreign).await?;
    let fifty = async || {
        ensure!(lists(&registry) == 50, "{} scans", lists(&registry));
        Ok(())
    };
    consistently(QUIET, "nothing starts a scan", fifty).await?;
    let writes = stage.audit.writes_by(mark, USER).await?;
    let statuses = writes.iter().filter(|write| write.namespace == stage.namespace && write.resource == "registries");
    assert_eq!(statuses.count(), 50);
    let events = writes.iter().filter(|write| write.namespace == stage.namespace && write.resource == "events");
    let events: Vec<String> = events.map(Event::summary).collect();
    assert_eq!(events.len(), 1, "the revision changed once: {events:#?}");

    stage.fleet.merge(&object, &json!({"spec": {"suspend": true}})).await?;
    stage
        .wait_for_status(&object, "Suspended", |status| {
            condition(status, "Reconciling") == Some(("False", "Suspended"))
        })
        .await?;
    let asked = json!({"metadata": {"annotations": {"hypermirror.dev/scan-now": "while suspended"}}});
    stage.fleet.merge(&object, &asked).await?;
    consistently(QUIET, "a suspended object is not scanned", fifty).await?;
    add_image(&registry, "app", "v2", "two");
    stage.fleet.merge(&object, &json!({"spec": {"suspend": false}})).await?;
    let resumed = stage.wait_for_status(&object, "v2", |status| tags(status) == ["v2", "v1"]).await?;
    assert_eq!(resumed["lastHandledScanNow"], "while suspended");
    Ok(())
}

#[tokio::test]
async fn a_failing_registry_keeps_the_last_good_data_and_delays_no_other() -> Result<()> {
    let stage = Stage::new("failing").await?;
    let (registry, silent) = (MockRegistry::start().await?, MockRegistry::start().await?);
    silent.add(Rule::new(On::any(), Answer::Silence));
    for number in 0..20 {
        let object = stage.object(&format!("silent-{number}"), &silent.url(), "app", &json!({}));
        stage.fleet.apply(&object).await?;
    }
    for tag in ["v2", "v1"] {
        add_image(&registry, "app", tag, tag);
    }
    let object = stage.object("app", &registry.url(), "app", &json!({"scanConfig": {"retryAttempts": 0}}));
    stage.fleet.apply(&object).await?;
    let good = stage.wait_for_status(&object, "Success", |status| status["lastScanStatus"] == "Success").await?;

    // One tag that cannot be read costs nothing but itself.
    let unreadable = On::any().containing("/manifests/v1");
    registry.add(Rule::new(unreadable, Fixed::error(StatusCode::FORBIDDEN, "DENIED", "\u{1b}[2Jno")));
    let partly = stage.scan(&object, "partly").await?;
    assert_eq!((&partly["lastScanStatus"], tags(&partly)), (&json!("Success"), vec!["v2", "v1"]));
    assert_eq!(partly["images"][1], json!({"tag": "v1", "reason": "Forbidden"}));
    assert_eq!(condition(&partly, "Ready"), Some(("True", "TagsUnreadable")));
    registry.clear_rules();
    let again = stage.scan(&object, "again").await?;
    assert_eq!(again["images"], good["images"]);

    let words = "\u{1b}[2J\u{202e}".to_owned() + &"x".repeat(100_000);
    registry.add(Rule::new(On::any(), Fixed::error(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", &words)));
    let failed = stage.scan(&object, "failed").await?;
    assert_eq!((&failed["lastScanStatus"], &failed["consecutiveFailures"]), (&json!("Failed"), &json!(1)));
    assert_eq!(condition(&failed, "Ready"), Some(("False", "ServerError")));
    assert_eq!(condition(&failed, "Reconciling"), Some(("True", "ServerError")));
    for kept in ["images", "lastScanResult", "canonicalImageName"] {
        let scanned_again = &again[kept];
        ensure!(failed[kept] == *scanned_again, "{kept}: {}", failed[kept]);
    }
    let message = failed["message"].as_str().unwrap();
    ensure!(message.contains("503") && message.len() < 2_048 && !message.contains(['\u{1b}', '\u{202e}']), "{message}");
    registry.clear_rules();
    let back = stage.scan(&object, "back").await?;
    assert_eq!((&back["lastScanStatus"], back.get("consecutiveFailures")), (&json!("Success"), None));

    // Another repository of the same object does not keep the images of the first one.
    stage.fleet.merge(&object, &json!({"spec": {"repository": "missing"}})).await?;
    let missing = stage
        .wait_for_status(&object, "NotFound", |status| condition(status, "Stalled") == Some(("True", "NotFound")))
        .await?;
    assert_eq!((tags(&missing), missing.get("lastScanResult")), (vec![], None));
    let waits = stage.status(&stage.object("silent-0", "", "", &Value::Null)).await?;
    assert_eq!(waits.get("lastScanStatus"), None, "the silent registry still keeps its own waiting");
    Ok(())
}

#[tokio::test]
async fn an_object_that_goes_in_the_middle_of_a_scan_leaves_nothing_behind() -> Result<()> {
    let stage = Stage::new("going").await?;
    let registry = MockRegistry::start().await?;
    add_image(&registry, "app", "v1", "one");
    let rule = Rule::new(On::any().containing("/tags/list"), Answer::Silence).times(1);
    registry.add(rule);
    let object = stage.object("app", &registry.url(), "app", &json!({}));
    stage.fleet.apply(&object).await?;
    eventually(SOON, "the scan has begun", async || Ok((lists(&registry) == 1).then_some(()))).await?;
    stage.fleet.delete(&object).await?;
    // One of the same name is another one: it is scanned at once, although the first scan never ended.
    stage.fleet.apply(&object).await?;
    let status = stage.wait_for_status(&object, "Success", |status| status["lastScanStatus"] == "Success").await?;
    assert_eq!(tags(&status), ["v1"]);
    Ok(())
}
