#![expect(clippy::needless_pass_by_value, reason = "values are made where they are used")]

use serde_json::json;

use super::*;

type Node = (String, BTreeMap<String, String>);

fn node(name: &str, pool: &str) -> Node {
    (name.to_owned(), [("hypershift.openshift.io/nodePool".to_owned(), pool.to_owned())].into())
}

fn summarize(nodes: &[Node], sets: &[GuestSet], statuses: &[AgentStatus]) -> Summary {
    let mut tally = Tally::new(sets);
    for (name, labels) in nodes {
        tally.node(name, labels);
    }
    for status in statuses {
        tally.status(status);
    }
    tally.finish()
}

fn set(name: &str, generation: i64, pool: Option<&str>) -> GuestSet {
    let selector = pool.map(|pool| LabelSelector {
        match_labels: Some([("hypershift.openshift.io/nodePool".to_owned(), pool.to_owned())].into()),
        ..LabelSelector::default()
    });
    GuestSet { name: name.to_owned(), uid: format!("uid-{name}"), generation, selector }
}

/// A status that has seen these sets.
fn status(node: &str, sets: &[GuestSet], applied: &str, reloaded: &str) -> AgentStatus {
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "Why", "message": "because", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let sets: Vec<ObservedSet> = sets.iter().map(observed).collect();
    let conditions = [condition("Applied", applied), condition("Reloaded", reloaded)];
    let status = json!({"metadata": {"name": node}, "status": {"conditions": conditions, "observedSets": sets}});
    serde_json::from_value(status).unwrap()
}

fn change(status: &mut AgentStatus, place: usize, change: impl Fn(&mut AgentCondition)) {
    let report = status.status.as_mut().unwrap();
    let mut conditions = report.conditions.to_vec();
    change(&mut conditions[place]);
    report.conditions = conditions.into_iter().collect();
}

fn sum(nodes: Vec<Node>, sets: Vec<GuestSet>, statuses: Vec<AgentStatus>) -> (String, Reason, String) {
    let summary = summarize(&nodes, &sets, &statuses);
    (summary.report.summary, summary.verdict.reason, summary.verdict.message)
}

#[test]
fn a_node_counts_when_it_has_exactly_its_sets_and_the_runtime_has_read_them() {
    let sets = vec![set("cluster", 2, None), set("nodepool-a", 1, Some("a"))];
    let good = status("n1", &sets, "True", "True");
    let (summary, reason, _) = sum(vec![node("n1", "a")], sets.clone(), vec![good.clone()]);
    assert_eq!((summary.as_str(), reason), ("1/1", Reason::AsExpected));
    let relabelled = sum(vec![node("n1", "b")], sets.clone(), vec![good.clone()]);
    assert_eq!((relabelled.0.as_str(), relabelled.1), ("0/1", Reason::NodesUpdating));
    let newer = vec![set("cluster", 3, None), set("nodepool-a", 1, Some("a"))];
    let (_, reason, message) = sum(vec![node("n1", "a")], newer, vec![good]);
    assert_eq!(reason, Reason::NodesUpdating);
    assert!(message.contains("cluster of generation 3"), "{message}");
    let reloading = status("n1", &sets, "True", "Unknown");
    assert_eq!(sum(vec![node("n1", "a")], sets, vec![reloading]).1, Reason::NodesUpdating);
}

#[test]
fn a_reload_that_is_on_its_way_is_no_failure() {
    let sets = vec![set("cluster", 1, None)];
    let mut reloading = status("n1", &sets, "True", "False");
    let of = |status: &AgentStatus| sum(vec![node("n1", "a")], sets.clone(), vec![status.clone()]).1;
    assert_eq!(of(&reloading), Reason::NodesFailing);
    change(&mut reloading, 1, |condition| NodeReason::Reloading.as_str().clone_into(&mut condition.reason));
    assert_eq!(of(&reloading), Reason::NodesUpdating);
}

#[test]
fn a_set_that_a_person_put_there_does_not_keep_a_node_from_counting() {
    let given = vec![set("cluster", 1, None)];
    let seen = vec![set("cluster", 1, None), set("by-hand", 7, None)];
    let (summary, reason, _) = sum(vec![node("n1", "a")], given.clone(), vec![status("n1", &seen, "True", "True")]);
    assert_eq!((summary.as_str(), reason), ("1/1", Reason::AsExpected));
    let gone = vec![set("cluster", 1, None), set("nodepool-gone", 7, None)];
    let (_, reason, message) = sum(vec![node("n1", "a")], given, vec![status("n1", &gone, "True", "True")]);
    assert_eq!(reason, Reason::NodesUpdating);
    assert!(message.contains("no longer selects this node"), "{message}");
}

#[test]
fn what_a_person_has_to_look_at_is_told_first() {
    let sets = vec![set("cluster", 1, None)];
    let nodes = vec![node("n1", "a"), node("n2", "a"), node("n3", "a")];
    let statuses = vec![status("n1", &sets, "True", "True"), status("n2", &sets, "True", "False")];
    let (summary, reason, message) = sum(nodes.clone(), sets.clone(), statuses);
    assert_eq!((summary.as_str(), reason), ("1/3", Reason::NodesFailing));
    assert!(message.contains("n2") && message.contains("because"), "{message}");
    let (_, reason, message) = sum(nodes, sets.clone(), vec![status("n1", &sets, "True", "True")]);
    assert_eq!(reason, Reason::AgentsMissing);
    assert!(message.contains("2 of 3 nodes: n2 and 1 more"), "{message}");
    assert_eq!(sum(Vec::new(), sets, Vec::new()).0, "0/0");
}

#[test]
fn what_a_guest_says_is_cut() {
    let sets = vec![set("cluster", 1, None)];
    let nodes: Vec<Node> = (0..100).map(|n| node(&format!("n{n:03}"), "a")).collect();
    let summary = summarize(&nodes, &sets, &[]);
    assert_eq!((summary.report.behind.len(), summary.report.total, summary.silent.len()), (20, 100, 100));
    let mut loud = status("n1", &sets, "False", "True");
    change(&mut loud, 0, |condition| condition.message = "x\n".repeat(100_000));
    let summary = summarize(&[node("n1", "a")], &sets, &[loud]);
    assert!(summary.report.behind[0].message.chars().count() < 1000);
    assert!(!summary.verdict.message.contains('\n'));
}
