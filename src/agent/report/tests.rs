use super::*;

fn snapshot(applied: NodeReason, reloaded: NodeReason) -> Snapshot {
    Snapshot {
        applied: NodeConditionState::new(applied, "a"),
        reloaded: NodeConditionState::new(reloaded, "r"),
        observed_sets: Vec::new(),
        sources: 3,
        content_hash: "sha256:0".to_owned(),
        rejected: Vec::new(),
        warnings: Vec::new(),
        shadowed: Vec::new(),
    }
}

fn at(second: i64) -> Time {
    Time(jiff::Timestamp::from_second(second).unwrap())
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let first = status(&snapshot(NodeReason::AsExpected, NodeReason::Reloading), None, &at(1));
    let second = status(&snapshot(NodeReason::WriteFailed, NodeReason::NotRead), Some(&first), &at(2));
    let summary = |status: &NodeMirrorStatusStatus| {
        let conditions = status.conditions.iter();
        conditions
            .map(|c| format!("{} {} {} {}", c.type_, c.status, c.reason, c.last_transition_time.0.as_second()))
            .collect::<Vec<_>>()
    };
    assert_eq!(summary(&first), ["Applied True AsExpected 1", "Reloaded False Reloading 1"]);
    assert_eq!(summary(&second), ["Applied False WriteFailed 2", "Reloaded False NotRead 1"]);
    assert!(second.pending_reload);
}

#[test]
fn the_same_snapshot_is_the_same_status() {
    let reported = snapshot(NodeReason::AsExpected, NodeReason::NotAsked);
    let first = status(&reported, None, &at(1));
    assert_eq!(status(&reported, Some(&first), &at(9)), first);
    assert!(!first.pending_reload, "nobody is waited for");
}

#[test]
fn lists_are_cut_and_counted() {
    let mut reported = snapshot(NodeReason::AsExpected, NodeReason::AsExpected);
    reported.rejected = vec![FindingReport::default(); 70];
    reported.shadowed = vec![Shadowed::default(); 70];
    let status = status(&reported, None, &at(1));
    assert_eq!((status.rejected.len(), status.rejected_count, status.shadowed.len()), (50, 70, 50));
}
