use hypermirror_api::CoverageReason;

use super::*;
use crate::registry::Credential;
use crate::registry::coverage::lack::{Lack, Part};
use crate::registry::coverage::matrix::{Demand, Endpoint, Finding, Findings, Level, Question, TrustId};
use crate::registry::coverage::report::UnreadRelease;

const INTERVAL: Duration = Duration::from_hours(1);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn demand(image: &str, consumer: &str) -> Demand {
    let question = Question {
        reference: format!("mirror.example/{image}"),
        credential: Credential::Anonymous.id(),
        trust: TrustId::default(),
        level: Level::L1,
        is_insecure: false,
    };
    Demand {
        image: format!("quay.example/{image}"),
        group: "release 4.19.1".to_owned(),
        name: image.to_owned(),
        cluster: "clusters/west".to_owned(),
        consumer: consumer.to_owned(),
        endpoints: vec![Endpoint { question, is_blocked: false, origin: String::new() }],
        error: None,
        is_unordered: false,
        is_signed: false,
    }
}

/// The same finding for each of these images, which two consumers pull.
fn report(findings: &[(&str, Finding)]) -> report::Report {
    let demands: Vec<Demand> =
        findings.iter().flat_map(|(image, _)| ["workers", "edge"].map(|consumer| demand(image, consumer))).collect();
    let answers = demands.iter().zip(findings.iter().flat_map(|(_, finding)| [finding, finding]));
    let answers: Findings =
        answers.map(|(demand, finding)| (demand.endpoints[0].question.clone(), finding.clone())).collect();
    report::Report::new(Level::L1, "", &demands, &answers)
}

fn checked(findings: &[(&str, Finding)]) -> Checked {
    Checked { report: report(findings), updates: Vec::new(), trouble: None, proof: Proof::default() }
}

fn lacks_a_blob() -> Finding {
    let lack = Lack { part: Part::Blob, platform: Some("linux/arm64".to_owned()), ..Lack::pull("is missing") };
    Finding::Incomplete(vec![lack])
}

fn throttled() -> Finding {
    Finding::Unknown(crate::registry::Reason::Throttled, "too many requests".to_owned())
}

fn after_check(before: Option<&MirrorCoverageStatus>, outcome: &Outcome, second: i64) -> MirrorCoverageStatus {
    let (at, next) = (at(second), at(second + 3_600));
    after(
        before,
        &Report {
            outcome,
            generation: 3,
            inputs: "digest",
            check_now: None,
            level: "L1",
            fill: None,
            at,
            next,
            interval: INTERVAL,
        },
    )
}

fn of(checked: Checked) -> MirrorCoverageStatus {
    after_check(None, &Outcome::Checked(Box::new(checked)), 0)
}

/// `Type=Status` of each, and the reason of all.
fn states(status: &MirrorCoverageStatus) -> (Vec<String>, &str) {
    let states = status.conditions.iter().map(|it| format!("{}={}", it.type_, it.status)).collect();
    (states, &status.conditions[0].reason)
}

fn expected(held: &str, ready: &str, reconciling: &str, stalled: &str) -> Vec<String> {
    let all = [("Held", held), ("Ready", ready), ("Reconciling", reconciling), ("Stalled", stalled)];
    all.iter().map(|(kind, status)| format!("{kind}={status}")).collect()
}

#[test]
fn what_is_missing_is_named_once_with_platform_mirror_and_consumers() {
    let status = of(checked(&[("etcd", lacks_a_blob()), ("tools", Finding::Held)]));
    assert_eq!(states(&status), (expected("False", "False", "False", "True"), "ImagesMissing"));
    assert_eq!((status.summary.as_str(), status.counts.missing), ("2/4", 2));
    let [missing] = status.missing.as_slice() else { panic!("{:?}", status.missing) };
    assert_eq!((missing.consumer.as_str(), missing.platform.as_deref()), ("workers, edge", Some("linux/arm64")));
    assert_eq!(missing.mirror, "mirror.example/etcd");
    assert_eq!(missing.message, "blob (linux/arm64) is missing");
    let message = &status.conditions[0].message;
    assert!(
        message
            .starts_with("2 of 4 images are missing, the first: quay.example/etcd (release 4.19.1, etcd) for workers")
    );
}

#[test]
fn what_is_not_known_is_never_missing_and_is_asked_again() {
    let status = of(checked(&[("etcd", throttled()), ("tools", Finding::Held)]));
    assert_eq!(states(&status), (expected("Unknown", "False", "True", "False"), "RegistriesNotReadable"));
    assert!(status.missing.is_empty() && is_unknown(&status));
    assert_eq!((status.unknown[0].reason.as_str(), status.unknown[0].images), ("Throttled", 2));
    let held = of(checked(&[("etcd", Finding::Held)]));
    assert_eq!(states(&held), (expected("True", "True", "False", "False"), "AllHeld"));
    assert!(!is_unknown(&held));
}

#[test]
fn a_secret_that_cannot_be_read_waits_for_somebody_and_a_release_that_cannot_be_read_does_not() {
    let trouble = Some((CoverageReason::CredentialsNotReadable, "Secret pull-secret does not exist".to_owned()));
    let status = of(Checked { trouble, ..checked(&[("etcd", throttled())]) });
    assert_eq!(states(&status), (expected("Unknown", "False", "False", "True"), "CredentialsNotReadable"));
    let mut unread = checked(&[("etcd", Finding::Held)]);
    unread.report.unread_releases = vec![UnreadRelease { image: "r".to_owned(), errors: vec!["503".to_owned()] }];
    let status = of(unread);
    assert_eq!(states(&status), (expected("Unknown", "False", "True", "False"), "ReleaseNotReadable"));
    assert_eq!(status.unknown[0].message, "failed to read what release r needs: 503");
}

#[test]
fn each_update_has_a_verdict_of_its_own() {
    let update = |version: &str, finding: Finding| UpdateReport {
        version: version.to_owned(),
        image: "r".to_owned(),
        report: report(&[("etcd", finding)]),
    };
    let updates = vec![update("1", Finding::Held), update("2", Finding::Absent), update("3", throttled())];
    let status = of(Checked { updates, ..checked(&[("etcd", Finding::Held)]) });
    let verdicts: Vec<&str> = status.available_updates.iter().map(|update| update.verdict.as_str()).collect();
    assert_eq!((verdicts, status.updates_summary.as_str()), (vec!["Held", "Missing", "Unknown"], "1/3"));
    assert_eq!(states(&status).1, "AllHeld", "an update is no need of today");
    assert!(is_unknown(&status), "but it is asked about again");
}

#[test]
fn times_alone_are_written_once_in_an_interval() {
    let held = Outcome::Checked(Box::new(checked(&[("etcd", Finding::Held)])));
    let first = after_check(None, &held, 0);
    let again = |second| after_check(Some(&first), &held, second);
    assert!(is_worth_writing(None, &first, INTERVAL));
    assert!(!is_worth_writing(Some(&first), &again(600), INTERVAL));
    assert!(is_worth_writing(Some(&first), &again(3_500), INTERVAL));
    let missing = Outcome::Checked(Box::new(checked(&[("etcd", Finding::Absent)])));
    let changed = after_check(Some(&first), &missing, 600);
    assert!(is_worth_writing(Some(&first), &changed, INTERVAL));
    assert_eq!(again(600).conditions[0].last_transition_time.0, at(0));
    assert_eq!(changed.conditions[0].last_transition_time.0, at(600));
}

#[test]
fn what_was_found_before_stays_when_nothing_could_be_checked() {
    let before = of(checked(&[("etcd", lacks_a_blob())]));
    let outcome = Outcome::NotChecked(CoverageReason::SourcesNotReadable, "a kind cannot be listed".to_owned());
    let status = after_check(Some(&before), &outcome, 60);
    assert_eq!((states(&status).1, &status.missing), ("SourcesNotReadable", &before.missing));
    assert!(is_unknown(&status));
}

#[test]
fn a_list_that_does_not_fit_is_truncated() {
    let images: Vec<String> = (0..2_000).map(|number| format!("component-{number}-{}", "x".repeat(200))).collect();
    let findings: Vec<(&str, Finding)> = images.iter().map(|image| (image.as_str(), lacks_a_blob())).collect();
    let status = of(checked(&findings));
    assert!(status.missing_truncated && status.missing.len() > 50);
    assert!(serde_json::to_string(&status).unwrap().len() < 128 * 1024);
    assert_eq!(status.counts.missing, 4_000);
}

#[test]
fn copies_are_added_up_and_what_is_not_copied_is_named() {
    let outcome = Outcome::Checked(Box::new(checked(&[("etcd", Finding::Held)])));
    let unfilled = |place: usize| UnfilledImage {
        mirror: format!("mirror.example/{place}"),
        reason: "DestinationNotAllowed".to_owned(),
        message: "no\n".repeat(2_000),
        ..UnfilledImage::default()
    };
    let first =
        Progress { copied: 2, last_copy: Some(at(1)), remaining: 30, unfilled: (0..30).map(unfilled).collect() };
    let report = Report {
        outcome: &outcome,
        generation: 3,
        inputs: "digest",
        check_now: None,
        level: "L1",
        fill: Some(&first),
        at: at(2),
        next: at(3_600),
        interval: INTERVAL,
    };
    let status = after(None, &report);
    let fill = status.fill.as_ref().unwrap();
    assert_eq!((fill.copied, fill.remaining, fill.unfilled.len()), (2, 30, MAX_UNFILLED));
    assert!(fill.unfilled[0].message.len() < 1_100 && !fill.unfilled[0].message.contains('\n'));
    let second = Progress { copied: 1, ..Progress::default() };
    let later = after(Some(&status), &Report { fill: Some(&second), ..report });
    let fill = later.fill.as_ref().unwrap();
    assert_eq!((fill.copied, fill.last_copy_time.as_ref().map(|time| time.0)), (3, Some(at(1))));
    assert_eq!((fill.remaining, fill.unfilled.len()), (0, 0));
    assert_eq!(after(Some(&later), &Report { fill: None, ..report }).fill, None, "the annotation was removed");
}
