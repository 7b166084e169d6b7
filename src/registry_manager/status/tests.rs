use std::sync::Arc;

use super::*;
use crate::registry::scan::inventory::TagContent;
use crate::registry::wire::digest::Digest;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn tag(name: &str) -> ScannedTag {
    let content = Arc::new(TagContent { size: Some(142_857_392), ..TagContent::default() });
    let digest = Digest::parse(&format!("sha256:{}", "a".repeat(64))).ok();
    ScannedTag { digest, content, ..ScannedTag::new(name) }
}

fn unreadable(name: &str, message: &str) -> ScannedTag {
    let error = ScanError { reason: "Forbidden".to_owned(), message: message.to_owned() };
    ScannedTag {
        content: Arc::new(TagContent { error: Some(error), ..TagContent::default() }),
        ..ScannedTag::new(name)
    }
}

fn inventory(tags: Vec<ScannedTag>) -> Inventory {
    Inventory {
        repository: "r.example/a".to_owned(),
        revision: "sha256:r1".to_owned(),
        tag_count: tags.len(),
        excluded: 0,
        skipped: 0,
        unique_bytes: 0,
        tags,
    }
}

fn report<'a>(second: i64, result: Result<&'a Inventory, &'a ScanFailure>) -> Report<'a> {
    Report { at: at(second), generation: 1, scan_now: None, canonical_name: Some("r.example/a"), warning: None, result }
}

/// What an API server makes of a patch.
fn merged(status: &Value, patch: &Value) -> Value {
    let mut merged = json!({"status": status});
    json_patch::merge(&mut merged, patch);
    merged["status"].clone()
}

fn condition_of<'a>(status: &'a Value, kind: &str) -> (&'a str, &'a str) {
    let found = status["conditions"].as_array().unwrap().iter().find(|it| it["type"] == kind).unwrap();
    (found["status"].as_str().unwrap(), found["reason"].as_str().unwrap())
}

#[test]
fn a_good_scan_is_shown_as_the_first_operator_showed_it() {
    let found = inventory(vec![tag("latest"), tag("1.25.3")]);
    let (patch, known) = after(&Known::default(), report(0, Ok(&found)));
    let status = merged(&Value::Null, &patch);
    assert_eq!(status["lastScanStatus"], "Success");
    assert_eq!(status["lastScanTime"], "1970-01-12T13:46:40Z");
    let digest = format!("sha256:{}", "a".repeat(64));
    assert_eq!(status["images"][1], json!({"tag": "1.25.3", "digest": digest, "size": 142_857_392}));
    let (tags, result) = (json!(["latest", "1.25.3"]), &status["lastScanResult"]);
    assert_eq!((&result["tagCount"], &result["latestTags"]), (&json!(2), &tags));
    assert_eq!((status.get("message"), &status["canonicalImageName"]), (None, &json!("r.example/a")));
    assert_eq!(condition_of(&status, "Ready"), ("True", "Succeeded"));
    assert_eq!(condition_of(&status, "Stalled"), ("False", "Succeeded"));
    assert_eq!(known, Known::of(&serde_json::from_value(status).unwrap()), "what is written is what is read");
}

#[test]
fn a_failure_keeps_the_last_good_data_of_the_same_repository() {
    let found = inventory(vec![tag("v1")]);
    let (patch, good) = after(&Known::default(), report(0, Ok(&found)));
    let good_status = merged(&Value::Null, &patch);
    let failure = ScanFailure::new(RegistryReason::Unreachable, "no connection");
    let (patch, failed) = after(&good, report(60, Err(&failure)));
    let status = merged(&good_status, &patch);
    for kept in ["images", "lastScanResult", "canonicalImageName"] {
        assert_eq!(status[kept], good_status[kept], "{kept}");
    }
    assert_eq!((&status["lastScanStatus"], &status["message"]), (&json!("Failed"), &json!("no connection")));
    assert_eq!(
        (condition_of(&status, "Ready"), condition_of(&status, "Reconciling")),
        (("False", "Unreachable"), ("True", "Unreachable"))
    );
    assert_eq!((failed.failures, failed.revision.as_deref(), failed.is_stalled), (1, Some("sha256:r1"), false));
    assert_eq!(after(&failed, report(61, Err(&failure))).1.failures, 2);
    let again = merged(&status, &after(&failed, report(90, Ok(&found))).0);
    assert_eq!((again.get("consecutiveFailures"), again.get("message")), (None, None));
    let elsewhere = Report { canonical_name: Some("r.example/b"), ..report(60, Err(&failure)) };
    let other = merged(&good_status, &after(&good, elsewhere).0);
    assert_eq!((other.get("images"), &other["canonicalImageName"]), (None, &json!("r.example/b")));
    let invalid = Report { canonical_name: None, ..report(60, Err(&failure)) };
    let other = merged(&good_status, &after(&good, invalid).0);
    assert_eq!((&other["images"], &other["canonicalImageName"]), (&good_status["images"], &json!("r.example/a")));
}

#[test]
fn what_only_somebody_can_repair_is_stalled() {
    for (reason, is_stalled) in [
        (RegistryReason::NotFound, true),
        (RegistryReason::Unauthorized, true),
        (RegistryReason::SecretMissing, true),
        (RegistryReason::InvalidSpec, true),
        (RegistryReason::Throttled, false),
        (RegistryReason::ServerError, false),
    ] {
        let failure = ScanFailure::new(reason, "x");
        assert_eq!(after(&Known::default(), report(0, Err(&failure))).1.is_stalled, is_stalled, "{reason:?}");
    }
}

#[test]
fn one_unreadable_tag_costs_nothing_but_itself_and_all_of_them_are_a_failure() {
    let found = inventory(vec![tag("v2"), unreadable("v1", "403 Forbidden")]);
    let found = judged(found).unwrap();
    let (patch, _) = after(&Known::default(), report(0, Ok(&found)));
    let status = merged(&Value::Null, &patch);
    assert_eq!(status["images"][1], json!({"tag": "v1", "reason": "Forbidden"}));
    assert_eq!(status["message"], "1 of 2 tags could not be read completely (Forbidden: 1), the first: 403 Forbidden");
    assert_eq!(condition_of(&status, "Ready"), ("True", "TagsUnreadable"));
    let failure = judged(inventory(vec![unreadable("v1", "403 Forbidden")])).unwrap_err();
    assert_eq!((failure.reason, failure.message.as_str()), (RegistryReason::Forbidden, "403 Forbidden"));
    assert!(judged(inventory(Vec::new())).is_ok(), "an empty repository");
}

#[test]
fn twenty_thousand_tags_stay_within_the_budget_and_the_first_ones_are_kept() {
    let found = inventory((0..20_000).map(|number| tag(&format!("v1.{number}"))).collect());
    let (patch, _) = after(&Known::default(), report(0, Ok(&found)));
    let status = merged(&Value::Null, &patch);
    assert!(serde_json::to_string(&status).unwrap().len() < 256 * 1024);
    let images = status["images"].as_array().unwrap();
    assert!(images.len() > 1_000, "{}", images.len());
    assert_eq!((&images[0]["tag"], &status["imagesTruncated"]), (&json!("v1.0"), &json!(true)));
    assert_eq!(status["lastScanResult"]["tagCount"], 20_000);
    assert!(serde_json::to_string(&status["images"]).unwrap().len() <= IMAGES_BYTES + 2);
    let whole = merged(&status, &after(&Known::default(), report(1, Ok(&inventory(vec![tag("v1")])))).0);
    assert_eq!(whole.get("imagesTruncated"), None);
}

#[test]
fn words_of_a_registry_cannot_control_a_terminal_or_fill_a_status() {
    let hostile = format!("\u{1b}[2J\n\u{202e}{}", "ü\u{1}".repeat(10_000));
    let failure = ScanFailure::new(RegistryReason::ServerError, hostile.clone());
    let (patch, _) = after(&Known::default(), report(0, Err(&failure)));
    let text = serde_json::to_string(&patch).unwrap();
    assert!(text.len() < 16 * 1024, "{}", text.len());
    assert!(!patch["status"]["message"].as_str().unwrap().contains(printable::is_control));
    let found = inventory(vec![tag("v2"), unreadable("v1", &hostile)]);
    let (patch, _) = after(&Known::default(), report(0, Ok(&found)));
    assert!(!patch["status"]["message"].as_str().unwrap().contains(printable::is_control));
}

#[test]
fn an_annotation_is_acknowledged_also_one_of_any_length() {
    let failure = ScanFailure::new(RegistryReason::NotFound, "x");
    let asked = Report { scan_now: Some("now"), ..report(0, Err(&failure)) };
    assert_eq!(after(&Known::default(), asked).0["status"]["lastHandledScanNow"], "now");
    let (long, longer) = ("x".repeat(200_000), "x".repeat(200_001));
    assert!(handled(&long).len() <= HANDLED_BYTES && handled(&long) != handled(&longer));
    assert_eq!(handled("now"), "now");
}

#[test]
fn a_suspended_object_keeps_its_result_and_is_ready_as_before() {
    let found = inventory(vec![tag("v1")]);
    let (patch, good) = after(&Known::default(), report(0, Ok(&found)));
    let good_status = merged(&Value::Null, &patch);
    let (patch, known) = suspended(&good, 2, at(60));
    let status = merged(&good_status, &patch);
    assert_eq!(
        (condition_of(&status, "Ready"), condition_of(&status, "Reconciling")),
        (("True", "Succeeded"), ("False", "Suspended"))
    );
    assert_eq!((&status["images"], &status["observedGeneration"]), (&good_status["images"], &json!(2)));
    assert_eq!((known.observed_generation, known.last_scan), (Some(2), good.last_scan));
}

#[test]
fn a_transition_has_the_time_of_the_change() {
    let (found, failure) = (inventory(vec![tag("v1")]), ScanFailure::new(RegistryReason::Timeout, "x"));
    let (_, one) = after(&Known::default(), report(0, Ok(&found)));
    let (_, two) = after(&one, report(60, Ok(&found)));
    let (_, three) = after(&two, report(120, Err(&failure)));
    let of_ready = |known: &Known| known.conditions[0].last_transition_time.0;
    assert_eq!([of_ready(&one), of_ready(&two), of_ready(&three)], [at(0), at(0), at(120)]);
}
