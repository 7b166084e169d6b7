use super::super::plan::TagState;
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn tags(states: &[TagState]) -> Vec<TagPlan> {
    let tag = |(number, state): (usize, &TagState)| TagPlan {
        tag: format!("v{number}"),
        destination_tag: format!("v{number}"),
        digest: Some(format!("sha256:{}", "a".repeat(64))),
        state: state.clone(),
    };
    states.iter().enumerate().map(tag).collect()
}

fn report<'a>(second: i64, tags: Option<&'a [TagPlan]>, failure: Option<&'a RunFailure>) -> Report<'a> {
    let mode = Some(ImageMode::Recurrent);
    Report { at: at(second), generation: 1, copy_now: None, mode, tags, bytes: 100, failure }
}

/// What an API server makes of a patch.
fn merged(status: &Value, patch: &Value) -> Value {
    let mut merged = json!({"status": status});
    json_patch::merge(&mut merged, patch);
    merged["status"].clone()
}

fn ended(known: &Known, report: Report<'_>) -> (Value, Known) {
    after(known, report, |_| Some(at(900)))
}

fn condition<'a>(status: &'a Value, kind: &str) -> (&'a str, &'a str) {
    let found = status["conditions"].as_array().unwrap().iter().find(|it| it["type"] == kind).unwrap();
    (found["status"].as_str().unwrap(), found["reason"].as_str().unwrap())
}

#[test]
fn a_good_run_is_shown_as_the_earlier_operator_showed_it() {
    let tags = tags(&[TagState::Copied, TagState::Unchanged]);
    let (patch, known) = ended(&Known::default(), report(0, Some(&tags), None));
    let status = merged(&Value::Null, &patch);
    assert_eq!((&status["phase"], &status["lastGenerationSeen"]), (&json!("COMPLETED"), &json!(1)));
    assert_eq!(status["history"], json!([{"performedAt": "1970-01-12T13:46:40Z", "copiedTags": 1}]));
    assert_eq!(
        (&status["matchedTags"], &status["syncedTags"], &status["lastRunBytes"]),
        (&json!(2), &json!(2), &json!(100))
    );
    assert_eq!(status["message"], "copied 1 of 2 tags, 100 bytes: v0");
    assert_eq!(status["nextRunTime"], "1970-01-12T14:01:40Z");
    assert_eq!(
        (condition(&status, "Ready"), condition(&status, "Stalled")),
        (("True", "Succeeded"), ("False", "Succeeded"))
    );
    assert_eq!(known, Known::of(&serde_json::from_value(status).unwrap()), "what is written is what is read");
}

#[test]
fn the_history_has_the_last_20_good_runs() {
    let tags = tags(&[TagState::Unchanged]);
    let mut known = Known::default();
    for second in 0..25 {
        known = ended(&known, report(second, Some(&tags), None)).1;
    }
    let times: Vec<Timestamp> = known.history.iter().map(|run| run.performed_at.0).collect();
    assert_eq!((times.len(), times[0], times[19]), (20, at(5), at(24)));
    assert_eq!(known.total_bytes, 2_500);
    let failure = RunFailure::new(ImageReason::ServerError, "no");
    assert_eq!(ended(&known, report(30, None, Some(&failure))).1.history, known.history);
}

#[test]
fn a_failure_keeps_what_is_known_of_the_same_spec() {
    let tags = tags(&[TagState::Copied]);
    let once = Report { mode: Some(ImageMode::OnceByTag), ..report(0, Some(&tags), None) };
    let (patch, good) = ended(&Known::default(), once);
    let good_status = merged(&Value::Null, &patch);
    assert_eq!(good.already_synced, ["v0"]);
    let failure = RunFailure::new(ImageReason::Unreachable, "no connection");
    let (patch, failed) = ended(&good, report(60, None, Some(&failure)));
    let status = merged(&good_status, &patch);
    for kept in ["tags", "matchedTags", "syncedTags", "tagAlreadySynced", "history"] {
        assert_eq!(status[kept], good_status[kept], "{kept}");
    }
    assert_eq!((&status["phase"], &status["message"]), (&json!("FAILED"), &json!("no connection")));
    assert_eq!(
        (condition(&status, "Ready"), condition(&status, "Reconciling")),
        (("False", "Unreachable"), ("True", "Unreachable"))
    );
    assert_eq!((failed.failures, failed.already_synced.len(), failed.is_stalled), (1, 1, false));
    assert_eq!(failed, Known::of(&serde_json::from_value(status).unwrap()));
    let elsewhere = Report { generation: 2, ..report(60, None, Some(&failure)) };
    let (patch, other) = ended(&good, elsewhere);
    let other_status = merged(&good_status, &patch);
    assert_eq!((other_status.get("tags"), other.already_synced.len()), (None, 0), "another spec has other tags");
}

#[test]
fn what_only_somebody_can_repair_is_stalled() {
    for (reason, is_stalled) in [
        (ImageReason::DestinationNotAllowed, true),
        (ImageReason::InvalidSpec, true),
        (ImageReason::TooManyTags, true),
        (ImageReason::Unauthorized, true),
        (ImageReason::Throttled, false),
        (ImageReason::TagsFailed, false),
    ] {
        let failure = RunFailure::new(reason, "no");
        let known = ended(&Known::default(), report(0, None, Some(&failure))).1;
        assert_eq!(
            (known.is_stalled, known.is_invalid),
            (is_stalled, reason == ImageReason::InvalidSpec),
            "{reason:?}"
        );
    }
}

#[test]
fn a_status_never_grows_beyond_its_budget() {
    let failure = RunFailure::new(ImageReason::Forbidden, "\u{1b}".repeat(10_000));
    let long = |number: usize| TagPlan {
        tag: format!("{number:0>128}"),
        destination_tag: "x".repeat(128),
        digest: Some(format!("sha512:{}", "a".repeat(128))),
        state: if number.is_multiple_of(2) { TagState::Unchanged } else { TagState::Failed(failure.clone()) },
    };
    let tags: Vec<TagPlan> = (0..1_000).map(long).collect();
    let once = Report { mode: Some(ImageMode::OnceByTag), ..report(0, Some(&tags), Some(&failure)) };
    let (patch, _) = ended(&Known::default(), once);
    let text = patch.to_string();
    assert!(text.len() < 256 * 1024 && patch["status"]["tagsTruncated"] == true, "{}", text.len());
    assert_eq!(patch["status"]["syncedTags"], 500);
    assert!(planned(&tags).to_string().len() < 256 * 1024);
}

#[test]
fn an_event_is_for_a_copy_or_another_result() {
    let (copied, same) = (tags(&[TagState::Copied]), tags(&[TagState::Unchanged]));
    let event = |before: &Known, report: Report<'_>| {
        let now = ended(before, report).1;
        (transition(before, &now, &report, "r.example/a").map(|(good, reason, _)| (good, reason)), now)
    };
    let (first, known) = event(&Known::default(), report(0, Some(&copied), None));
    assert_eq!(first, Some((true, "Copied")));
    let (none, known) = event(&known, report(1, Some(&same), None));
    assert_eq!(none, None, "nothing new");
    let failure = RunFailure::new(ImageReason::NotFound, "gone");
    let (lost, known) = event(&known, report(2, None, Some(&failure)));
    assert_eq!(lost, Some((false, "NotFound")));
    let (still, known) = event(&known, report(3, None, Some(&failure)));
    assert_eq!(still, None);
    assert_eq!(event(&known, report(4, Some(&same), None)).0, Some((true, "Succeeded")));
}

#[test]
fn a_suspended_image_keeps_its_result() {
    let tags = tags(&[TagState::Copied]);
    let (patch, known) = ended(&Known::default(), report(0, Some(&tags), None));
    let status = merged(&Value::Null, &patch);
    let (patch, settled) = suspended(&known, 2, at(10));
    let suspended = merged(&status, &patch);
    assert_eq!((&suspended["phase"], &suspended["tags"]), (&json!("SUSPENDED"), &status["tags"]));
    assert_eq!((condition(&suspended, "Ready"), suspended.get("nextRunTime")), (("True", "Succeeded"), None));
    assert_eq!(settled, Known::of(&serde_json::from_value(suspended).unwrap()));
}
