use serde_json::json;

use super::super::settings::tests::build;
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn look(build: &Build, second: i64, outcome: Outcome) -> Look<'_> {
    let base_images = vec![BaseImage { name: "node:22".to_owned(), pinned: false }];
    Look { at: at(second), generation: 2, build_now: None, build: Some(build), base_images, outcome }
}

fn building() -> Outcome {
    Outcome::Building("amd64: its pod starts".to_owned())
}

fn built() -> Outcome {
    let of = |name: &str| ArchitectureStatus { architecture: name.to_owned(), ..ArchitectureStatus::default() };
    Outcome::Built { digest: "sha256:0".to_owned(), architectures: vec![of("amd64"), of("arm64")] }
}

fn failed(reason: ImageBuilderReason) -> Outcome {
    let log = BuildLog { architecture: "amd64".to_owned(), container: "build".to_owned(), text: "no".to_owned() };
    Outcome::Failed { failure: BuildFailure::new(reason, "why"), log: Some(log) }
}

fn states(status: &ImageBuilderStatus) -> Vec<&str> {
    status.conditions.iter().map(|condition| condition.status.as_str()).collect()
}

#[test]
fn a_build_from_its_beginning_to_its_end() {
    let build = build(&json!({})).unwrap();
    let nothing = ImageBuilderStatus::default();
    let first = after(&nothing, look(&build, 0, building()));
    assert_eq!((first.phase, states(&first)), (Some(BuildPhase::Building), vec!["False", "True", "False"]));
    assert_eq!(first.ran_jobs, build.job_names());
    assert_eq!(transition(&nothing, &first), Some((true, "Building", "amd64: its pod starts".to_owned())));
    assert_eq!(first.start_time, Some(Time(at(0))));

    let same = after(&first, look(&build, 5, building()));
    assert_eq!(patch(&first, &same), None, "a look that shows nothing new is not written");
    assert_eq!(transition(&first, &same), None);

    let last = after(&first, look(&build, 60, built()));
    assert_eq!((last.phase, states(&last)), (Some(BuildPhase::Completed), vec!["True", "False", "False"]));
    assert_eq!((last.start_time.clone(), last.completion_time.clone()), (Some(Time(at(0))), Some(Time(at(60)))));
    let (is_good, reason, message) = transition(&first, &last).unwrap();
    assert!(is_good && reason == "Built" && message.contains("r.example/team/node:22-updated, sha256:0"), "{message}");
    assert!(last.pushed && last.architectures.len() == 2);
}

#[test]
fn a_failure_has_a_log_that_the_next_build_removes() {
    let first = build(&json!({})).unwrap();
    let broken = after(&ImageBuilderStatus::default(), look(&first, 0, failed(ImageBuilderReason::BuildFailed)));
    assert_eq!((broken.phase, states(&broken)), (Some(BuildPhase::Failed), vec!["False", "False", "True"]));
    assert_eq!(broken.consecutive_failures, 1);
    let edited = build(&json!({"source": "FROM a\n"})).unwrap();
    let next = after(&broken, look(&edited, 9, building()));
    let patch = patch(&broken, &next).unwrap();
    assert!(patch["status"]["log"].is_null() && patch["status"].get("log").is_some(), "{patch}");
    assert!(patch["status"]["consecutiveFailures"].is_null(), "{patch}");
    assert_eq!(next.start_time, Some(Time(at(9))));
}

#[test]
fn what_may_pass_is_reconciling_and_the_rest_is_stalled() {
    let build = build(&json!({})).unwrap();
    for reason in ImageBuilderReason::ALL.iter().copied() {
        if matches!(reason, ImageBuilderReason::Built | ImageBuilderReason::Building) {
            continue;
        }
        let status = after(&ImageBuilderStatus::default(), look(&build, 0, failed(reason)));
        let wanted = if reason.is_transient() { ["False", "True", "False"] } else { ["False", "False", "True"] };
        assert_eq!(states(&status), wanted, "{reason:?}");
        assert_eq!(ready_reason(&status), Some(reason));
    }
}

#[test]
fn an_annotation_that_was_removed_stays_handled() {
    let build = build(&json!({})).unwrap();
    let asked = Look { build_now: Some("one"), ..look(&build, 0, built()) };
    let first = after(&ImageBuilderStatus::default(), asked);
    assert_eq!(first.last_handled_build_now.as_deref(), Some("one"));
    let later = after(&first, look(&build, 9, built()));
    assert_eq!(later.last_handled_build_now.as_deref(), Some("one"));
}

#[test]
fn a_spec_without_a_build_has_no_jobs() {
    let nothing = Look {
        at: at(0),
        generation: 1,
        build_now: None,
        build: None,
        base_images: Vec::new(),
        outcome: failed(ImageBuilderReason::InvalidSpec),
    };
    let status = after(&ImageBuilderStatus::default(), nothing);
    assert!(status.build.is_none() && status.ran_jobs.is_empty() && !status.pushed);
}
