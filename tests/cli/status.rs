use serde_json::Value;

use super::fixtures::{CLUSTERS, Files};

const REPORT: &str = include_str!("fleet/report.yaml");
const GUEST_REPORT: &str = include_str!("fleet/guest-report.yaml");

#[test]
fn the_fleet_is_a_tree() {
    let run = Files::new(&[("c.yaml", CLUSTERS), ("r.yaml", REPORT)]).run(&["status", "-f", "."]);
    insta::assert_snapshot!("status.txt", run.out());
}

#[test]
fn a_guest_and_its_nodes_hang_below_their_hosted_cluster() {
    let run = Files::new(&[("c.yaml", CLUSTERS), ("r.yaml", GUEST_REPORT)]).run(&["status", "-f", "."]);
    insta::assert_snapshot!("status-guest.txt", run.out());
}

#[test]
fn an_empty_fleet_has_no_columns() {
    let run = Files::new(&[("m.yaml", super::fixtures::MIRRORS)]).run(&["status", "-f", "."]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""));
}

#[test]
fn programs_get_the_reports_and_clusters_without_one() {
    let files = Files::new(&[("c.yaml", CLUSTERS), ("r.yaml", REPORT)]);
    let fleet: Value = serde_json::from_str(&files.run(&["status", "-f", ".", "-o", "json"]).out()).unwrap();
    assert_eq!(fleet["clusters/east.one"]["controlPlane"]["summary"], "2/3");
    assert_eq!(fleet["clusters/lab"], Value::Null);
    let yaml = files.run(&["status", "-f", ".", "-o", "yaml"]).out();
    assert_eq!(serde_yaml::from_str::<Value>(&yaml).unwrap(), fleet);
}

#[test]
fn without_reports_the_message_has_the_way_out() {
    let run = Files::new(&[("c.yaml", CLUSTERS)]).run(&["status", "-f", "."]);
    assert_eq!(run.code, 0);
    assert!(
        run.stderr.contains("warning: no reports found: ") && run.stderr.contains("manifests/base"),
        "{}",
        run.stderr
    );
    assert!(
        run.stdout.ends_with("\n\nclusters/east.one no report yet\nclusters/lab no report yet\n"),
        "{}",
        run.stdout
    );
}

/// A report whose rollout and reason of `ControlPlaneUpToDate` are these.
fn rollout_report(name: &str, state: Option<&str>, reason: &str) -> String {
    let rollout = state.map(|state| serde_json::json!({"started": "2026-01-01T00:00:00Z", "state": state, "limit": 2}));
    serde_json::json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "HostedClusterMirrors",
        "metadata": {"name": name, "namespace": "clusters"}, "spec": {},
        "status": {
            "conditions": [{
                "type": "ControlPlaneUpToDate", "status": "False", "reason": reason, "message": "m",
                "lastTransitionTime": "2026-01-01T00:00:00Z"
            }],
            "controlPlane": {"summary": "0/3", "targets": [], "rollout": rollout}
        }
    })
    .to_string()
}

#[test]
fn rollouts_are_one_line_as_long_as_there_are_any() {
    let line = |reports: &[(&str, Option<&str>, &str)]| {
        let texts: Vec<(String, String)> = reports
            .iter()
            .map(|(name, state, reason)| (format!("{name}.json"), rollout_report(name, *state, reason)))
            .collect();
        let files: Vec<(&str, &str)> = texts.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
        let out = Files::new(&files).run(&["status", "-f", "."]).out();
        out.lines().find_map(|line| line.strip_prefix("rollouts: ").map(str::to_owned))
    };
    assert_eq!(line(&[("a", Some("Done"), "AsExpected"), ("b", None, "Updating")]), None);
    let busy =
        [("a", Some("InFlight"), "Updating"), ("b", Some("Done"), "RolloutWaiting"), ("c", None, "RolloutWaiting")];
    assert_eq!(line(&busy).unwrap(), "1 of 2 in flight, 2 queued");
    let halted = [
        ("a", Some("Failed"), "RolloutFailed"),
        ("b", Some("InFlight"), "AsExpected"),
        ("c", None, "RolloutHalted"),
        ("d", None, "TargetsUnavailable"),
    ];
    assert_eq!(
        line(&halted).unwrap(),
        "2 of 2 in flight, 1 queued, 1 waiting for targets to become available, halted: not available in time: clusters/a"
    );
}
