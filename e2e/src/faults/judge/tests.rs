use jiff::SignedDuration;
use jiff::Timestamp;
use serde_json::json;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
}

fn event(second: i64, resource: &str, namespace: &str, name: &str, object: Value) -> Event {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Event {
        verb: "patch".to_owned(),
        group: String::new(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        user: MANAGER_USER.to_owned(),
        credential: "first".to_owned(),
        user_agent: String::new(),
        uri: String::new(),
        code: 200,
        stage: "ResponseComplete".to_owned(),
        request_object: Some(object),
        received: at(second),
        at: at(second),
    }
}

/// A write of the only target.
fn patch(second: i64, value: &str) -> Event {
    let value = json!({"name": "OPENSHIFT_IMG_OVERRIDES", "value": value});
    let operations = json!([
        {"op": "test", "path": "/spec/template/spec/containers/0/env/1", "value": "old.example=x"},
        {"op": "replace", "path": "/spec/template/spec/containers/0/env/1", "value": value},
    ]);
    event(second, "deployments", "clusters-a", "x", operations)
}

fn state(own: u32, shared: u32) -> String {
    State { own, shared }.value()
}

/// The verdict about one hosted cluster with one target. Edit 1 of all mirrors comes at second 10, edit 2 of the hosted cluster's
/// own at second 20.
fn verdict(events: &[Event], value: &str, generation: i64) -> Verdict {
    let mut ledger = Ledger::default();
    assert_eq!((ledger.next(None), ledger.next(Some("a"))), (1, 2));
    for (edit, second) in ledger.edits.iter_mut().zip([10, 20]) {
        edit.sent = at(second);
    }
    let target = Target {
        cluster: "a".to_owned(),
        name: "x".to_owned(),
        generation_before: 1,
        before: State::default(),
        generation,
        value: value.to_owned(),
    };
    let last = BTreeMap::from([("a".to_owned(), state(2, 1))]);
    judge(&Evidence {
        events,
        is_log_complete: true,
        ledger: &ledger,
        targets: &[target],
        reports: &last,
        rendered: &last,
    })
}

/// A renewal, or the acquisition, of the Lease.
fn lease(second: i64, credential: &str, spec: &Value) -> Event {
    let event = event(second, "leases", "system", "hypermirror-manager", json!({"spec": spec}));
    Event { credential: credential.to_owned(), ..event }
}

#[test]
fn a_run_in_which_every_edit_is_written_once_is_right() {
    let found = verdict(&[patch(11, &state(0, 1)), patch(21, &state(2, 1))], &state(2, 1), 3);
    assert_eq!(found.complaint(), None);
    assert_eq!((found.needed, found.patches, found.rollouts, found.at_most), (1, 2, 2, 2));
    let together = verdict(&[patch(21, &state(2, 1))], &state(2, 1), 2);
    assert_eq!((together.complaint(), together.patches), (None, 1));
}

#[test]
fn a_lost_edit_is_found() {
    let found = verdict(&[patch(11, &state(0, 1))], &state(0, 1), 2);
    assert!(found.complaint().is_some_and(|text| text.contains("an edit is lost")), "{found:?}");
}

#[test]
fn an_entry_that_vanishes_for_a_moment_is_found() {
    let pruned = "keep.example=m.example/keep,src.example=m.example/e1";
    let found = verdict(&[patch(11, pruned), patch(21, &state(2, 1))], &state(2, 1), 3);
    assert!(found.complaint().is_some_and(|text| text.contains("an entry is missing")), "{found:?}");
    let emptied = event(15, "deployments", "clusters-a", "x", json!([{"op": "remove", "path": "/spec/template/x"}]));
    let found = verdict(&[emptied, patch(21, &state(2, 1))], &state(2, 1), 3);
    assert!(found.complaint().is_some_and(|text| text.contains("a write without mirrors")), "{found:?}");
}

#[test]
fn superfluous_writes_are_found() {
    for (writes, what) in [
        (vec![state(0, 1), state(0, 1), state(2, 1)], "is written again"),
        (vec![state(2, 1), state(0, 1), state(2, 1)], "takes back"),
        (vec![state(9, 1), state(2, 1)], "was not declared"),
    ] {
        let events: Vec<Event> = writes.iter().zip(30..).map(|(value, second)| patch(second, value)).collect();
        let generation = i64::try_from(events.len()).unwrap() + 1;
        let found = verdict(&events, &state(2, 1), generation);
        assert!(found.complaint().is_some_and(|text| text.contains(what)), "{what}: {found:?}");
    }
    // By nobody's request in the log.
    let found = verdict(&[patch(21, &state(2, 1))], &state(2, 1), 4);
    assert!(found.complaint().is_some_and(|text| text.contains("3 rollouts for 2 edits")), "{found:?}");
}

#[test]
fn a_request_that_was_not_answered_counts_as_what_it_did() {
    let unanswered = Event { code: 504, ..patch(21, &state(2, 1)) };
    let found = verdict(std::slice::from_ref(&unanswered), &state(2, 1), 2);
    assert_eq!((found.complaint(), found.patches, found.rollouts), (None, 0, 1));
    let again = verdict(&[unanswered.clone(), patch(40, &state(2, 1))], &state(2, 1), 2);
    assert_eq!((again.complaint(), again.patches), (None, 1));
    let refused = Event { code: 422, ..unanswered };
    let found = verdict(&[refused], &state(2, 1), 2);
    assert!(found.complaint().is_some_and(|text| text.contains("1 rollouts, and 0 writes")), "{found:?}");
}

#[test]
fn an_edit_that_is_written_before_it_is_declared_is_found() {
    let found = verdict(&[patch(15, &state(2, 1))], &state(2, 1), 2);
    assert!(found.complaint().is_some_and(|text| text.contains("was not declared")), "{found:?}");
}

#[test]
fn a_status_that_changes_nothing_and_a_removed_report_are_found() {
    let last = patch(21, &state(2, 1));
    let status = |second, text: &str| {
        event(second, "hostedclustermirrors/status", "clusters", "a", json!({"status": {"message": text}}))
    };
    let found = verdict(&[last.clone(), status(22, "one"), status(23, "two"), status(24, "one")], &state(2, 1), 2);
    assert_eq!((found.complaint(), found.statuses), (None, 3));
    let found = verdict(&[last.clone(), status(22, "one"), status(23, "one")], &state(2, 1), 2);
    assert!(found.complaint().is_some_and(|text| text.contains("the same status")), "{found:?}");
    let removed = Event { verb: "delete".to_owned(), ..event(23, "hostedclustermirrors", "clusters", "a", json!({})) };
    let found = verdict(&[last, removed], &state(2, 1), 2);
    assert!(found.complaint().is_some_and(|text| text.contains("removed")), "{found:?}");
}

#[test]
fn a_write_of_a_replica_that_does_not_lead_is_found() {
    let (acquired, renewed) =
        (|n| json!({"holderIdentity": "x", "renewTime": "t", "leaseTransitions": n}), json!({"renewTime": "t"}));
    let events = |by_first: i64| {
        vec![
            lease(1, "first", &acquired(1)),
            lease(12, "first", &renewed),
            lease(30, "second", &acquired(2)),
            patch(by_first, &state(2, 1)),
        ]
    };
    let found = verdict(&events(29), &state(2, 1), 2);
    assert_eq!((found.complaint(), found.terms), (None, 2));
    let found = verdict(&events(31), &state(2, 1), 2);
    assert!(found.complaint().is_some_and(|text| text.contains("without the Lease")), "{found:?}");
    let mut released = events(29);
    released.insert(2, lease(25, "first", &json!({"holderIdentity": null, "renewTime": null})));
    let found = verdict(&released, &state(2, 1), 2);
    assert!(found.complaint().is_some_and(|text| text.contains("without the Lease")), "{found:?}");
}
