use serde_json::Value;

use super::fixtures::{CLUSTERS, Files};

const REPORT: &str = include_str!("fleet/report.yaml");

#[test]
fn the_fleet_is_a_tree() {
    let run = Files::new(&[("c.yaml", CLUSTERS), ("r.yaml", REPORT)]).run(&["status", "-f", "."]);
    insta::assert_snapshot!("status.txt", run.out());
}

#[test]
fn programs_get_the_reports_and_clusters_without_one() {
    let files = Files::new(&[("c.yaml", CLUSTERS), ("r.yaml", REPORT)]);
    let fleet: Value = serde_json::from_str(&files.run(&["status", "-f", ".", "-o", "json"]).out()).unwrap();
    assert_eq!(fleet["clusters/east.one"]["controlPlane"]["summary"], "2/3");
    assert_eq!(fleet["clusters/lab"], Value::Null);
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
    assert_eq!(run.stdout, "clusters/east.one no report yet\nclusters/lab no report yet\n");
}
