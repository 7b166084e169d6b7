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
fn no_report_at_all_is_told_with_what_to_do() {
    let run = Files::new(&[("c.yaml", CLUSTERS)]).run(&["status", "-f", "."]);
    assert_eq!(run.code, 0);
    assert!(
        run.stderr.contains("warning: there is no report: ") && run.stderr.contains("manifests/base"),
        "{}",
        run.stderr
    );
    assert!(
        run.stdout.ends_with("\n\nclusters/east.one no report yet\nclusters/lab no report yet\n"),
        "{}",
        run.stdout
    );
}
