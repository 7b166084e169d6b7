use std::sync::Arc;

use super::super::target::{TargetSpec, stock_targets};
use super::*;
use crate::mirrors::finding::FindingReason;

fn up_to_date() -> TargetPlan {
    TargetPlan { up_to_date: true, ..TargetPlan::default() }
}

fn condition(plans: &[Option<TargetPlan>], held: Option<&ConditionState>) -> ConditionState {
    let target = |(spec, plan): (TargetSpec, &Option<TargetPlan>)| Target {
        plan: plan.clone(),
        ..Target::new(Arc::new(spec), None)
    };
    let targets: Vec<Target> = stock_targets().into_iter().zip(plans).map(target).collect();
    control_plane_condition(&targets, held)
}

#[test]
fn the_control_plane_is_as_good_as_its_worst_target() {
    let behind =
        TargetPlan { reason: Some(Reason::ValueTooLarge), message: "too large".into(), ..TargetPlan::default() };
    for (plans, status, reason) in [
        ([Some(up_to_date()), Some(up_to_date()), Some(up_to_date())], "True", Reason::AsExpected),
        ([Some(up_to_date()), None, Some(up_to_date())], "True", Reason::TargetsIncomplete),
        ([None, None, None], "Unknown", Reason::TargetsMissing),
        ([Some(up_to_date()), Some(behind.clone()), None], "False", Reason::ValueTooLarge),
        ([Some(up_to_date()), Some(TargetPlan::default()), None], "False", Reason::Updating),
    ] {
        let condition = condition(&plans, None);
        assert_eq!((condition.status, condition.reason), (status, reason), "{plans:?}");
    }
}

#[test]
fn invalid_entries_are_named_with_object_field_and_message() {
    let entries = super::super::fixtures::idms(&[("s.example", &["m.example"], false)]);
    let finding = |severity, source: &str| Finding {
        severity,
        reason: FindingReason::InvalidSource,
        origin: entries[0].origin.clone(),
        field: "spec.imageDigestMirrors[0].source".to_owned(),
        value: source.to_owned(),
        message: format!("{source:?} is invalid"),
    };
    let (first, second) = (finding(Severity::Error, "S.example"), finding(Severity::Error, "a,b=c"));
    let warning = finding(Severity::Warning, "w.example");
    let state = sources_condition(&[&first, &warning, &second], &[], false);
    assert_eq!((state.status, state.reason), ("False", Reason::InvalidEntries));
    assert!(state.message.starts_with("2 invalid entries are ignored: "), "{}", state.message);
    for text in ["imageDigestMirrors[0].source: \"S.example\" is invalid", "\"a,b=c\" is invalid"] {
        assert!(state.message.contains(text), "{}", state.message);
    }
    assert_eq!(sources_condition(&[&warning], &[], false).status, "True", "warnings do not count");
}

#[test]
fn a_gate_is_reported_only_if_it_holds_a_change() {
    let held = ConditionState::new("False", Reason::Observing, "observes");
    let all = [Some(up_to_date()), Some(up_to_date()), Some(up_to_date())];
    assert_eq!(condition(&all, Some(&held)).reason, Reason::AsExpected);
    assert_eq!(condition(&[Some(TargetPlan::default()), None, None], Some(&held)).reason, Reason::Observing);
}

#[test]
fn a_transition_time_moves_with_the_status_alone() {
    let at = |second: i64| jiff::Timestamp::from_second(second).unwrap();
    let good = ConditionState::new("True", Reason::AsExpected, "a");
    let first = merge(&[], &[(ConditionType::Ready, &good)], 1, at(1));
    let reworded = ConditionState::new("True", Reason::TargetsIncomplete, "b");
    let second = merge(&first, &[(ConditionType::Ready, &reworded)], 2, at(2));
    assert_eq!((second[0].last_transition_time.0, second[0].observed_generation), (at(1), Some(2)));
    let bad = ConditionState::new("False", Reason::Updating, "c");
    let third = merge(&second, &[(ConditionType::Ready, &bad)], 2, at(3));
    assert_eq!(third[0].last_transition_time.0, at(3));
}

#[test]
fn ready_repeats_the_first_condition_that_is_not_true() {
    let good = ConditionState::new("True", Reason::AsExpected, "");
    let unknown = ConditionState::new("Unknown", Reason::KindVanished, "gone");
    let bad = ConditionState::new("False", Reason::Updating, "later");
    let of = |sources: &ConditionState, control_plane: &ConditionState| {
        let parts = [(ConditionType::SourcesResolved, sources), (ConditionType::ControlPlaneUpToDate, control_plane)];
        let ready = ready_condition(&parts);
        (ready.status, ready.reason, ready.message)
    };
    assert_eq!(of(&good, &good).0, "True");
    assert_eq!(of(&unknown, &good), ("Unknown", Reason::KindVanished, "SourcesResolved: gone".to_owned()));
    assert_eq!(of(&unknown, &bad).1, Reason::Updating);
}

#[test]
fn a_failed_reconcile_is_reported_until_the_next_successful_one() {
    let at = |second: i64| jiff::Timestamp::from_second(second).unwrap();
    let reported = |report: &HostedClusterMirrorsStatus| -> Vec<(String, String, String)> {
        let reported = |it: &Condition| (it.type_.clone(), it.status.clone(), it.reason.clone());
        report.conditions.iter().map(reported).collect()
    };
    let owned = |reported: &[(&str, &str, &str)]| -> Vec<(String, String, String)> {
        reported.iter().map(|(kind, status, reason)| ((*kind).into(), (*status).into(), (*reason).into())).collect()
    };
    let failed = owned(&[("ControlPlaneUpToDate", "Unknown", "WorkFailed"), ("Ready", "Unknown", "WorkFailed")]);
    assert_eq!(reported(&work_failed(None, 1, at(1))), failed, "there was no report yet");

    let good = ConditionState::good("as it should be");
    let waits = ConditionState::new("Unknown", Reason::KubeconfigMissing, "no kubeconfig yet");
    let [sources, control_plane, guest, ready] = [
        ConditionType::SourcesResolved,
        ConditionType::ControlPlaneUpToDate,
        ConditionType::GuestSynced,
        ConditionType::Ready,
    ];
    let conditions = [(sources, &good), (control_plane, &good), (guest, &waits), (ready, &good)];
    let before = HostedClusterMirrorsStatus {
        conditions: merge(&[], &conditions, 1, at(1)),
        source_count: 7,
        ..HostedClusterMirrorsStatus::default()
    };
    let first = work_failed(Some(&before), 2, at(2));
    let expected = [
        ("SourcesResolved", "True", "AsExpected"),
        ("ControlPlaneUpToDate", "Unknown", "WorkFailed"),
        ("GuestSynced", "Unknown", "KubeconfigMissing"),
        ("Ready", "Unknown", "WorkFailed"),
    ];
    assert_eq!((reported(&first), first.source_count), (owned(&expected), 7));
    assert_eq!(work_failed(Some(&first), 2, at(3)), first, "the same again is not written again");
    let bad = ConditionState::new("False", Reason::InvalidEntries, "1 invalid entries are ignored");
    let invalid = [(sources, &bad), (control_plane, &good), (ready, &bad)];
    let invalid = HostedClusterMirrorsStatus { conditions: merge(&[], &invalid, 1, at(1)), ..before.clone() };
    assert_eq!(reported(&work_failed(Some(&invalid), 2, at(2)))[2], owned(&[("Ready", "False", "InvalidEntries")])[0]);
    let after = merge(&first.conditions, &conditions, 2, at(4));
    assert!(after.iter().all(|condition| condition.reason != "WorkFailed"), "{after:?}");
}
