use serde_json::{Value, json};

use super::fixtures::Files;

const CATALOGS: &str = include_str!("fleet/catalogs.yaml");

fn files(content: &str) -> Files {
    Files::new(&[("c.yaml", content)])
}

#[test]
fn planned_writes_to_catalogs_have_their_golden_form() {
    let run = files(CATALOGS).run(&["diff", "-f", "."]);
    insta::assert_snapshot!("catalogs-diff.txt", run.stdout);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("skipped 1 document of other kinds: ImageStream (1)"), "{}", run.stderr);

    let json = files(CATALOGS).run(&["diff", "-f", ".", "-o", "json"]).stdout;
    let changes: Value = serde_json::from_str(&json).unwrap();
    let stream = &changes[1]["catalogs"][0];
    assert_eq!((&stream["kind"], stream["images"].as_array().unwrap().len()), (&json!("ImageStream"), 1));
    assert_eq!(stream["patch"][2]["value"], "m.example:5000/redhat/certified-operator-index:v4.20");
}

#[test]
fn a_manager_that_only_reports_changes_no_catalog() {
    let run = files(CATALOGS).run(&["diff", "-f", ".", "--olm-catalogs=report"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
}

#[test]
fn the_deployments_of_catalogs_are_rendered_as_they_would_be_and_then_nothing_differs() {
    let arguments = ["render", "control-plane", "-f", ".", "--hosted-cluster", "clusters/named"];
    let out = files(CATALOGS).run(&arguments).out();
    insta::assert_snapshot!("catalogs-control-plane.yaml", out);
    let clusters = CATALOGS.split("---\n").next().unwrap();
    let settled = Files::new(&[("1.yaml", clusters), ("2.yaml", &out)]);
    let run = settled.run(&["diff", "-f", "."]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);

    let untouched = files(CATALOGS).run(&[&arguments[..], &["--olm-catalogs=report"]].concat()).out();
    assert!(untouched.contains("image.openshift.io/triggers") && !untouched.contains("m.example/c@"), "{untouched}");
}

#[test]
fn findings_about_catalogs_have_their_golden_form() {
    let half = CATALOGS.replace("hypershift.openshift.io/community-operators-catalog-image", "other");
    let run = files(&half).run(&["check", "-f", "."]);
    insta::assert_snapshot!("catalogs-check.txt", run.stdout);
    assert_eq!(run.code, 1);
    let json = files(&half).run(&["check", "-f", ".", "-o", "json"]).stdout;
    let rows: Vec<Value> = serde_json::from_str(&json).unwrap();
    let row = rows.iter().find(|row| row["reason"] == "CatalogInvalid").unwrap();
    assert_eq!(row["field"], "metadata.annotations[hypershift.openshift.io/community-operators-catalog-image]");
    assert_eq!(
        (&row["object"], &row["hostedCluster"]),
        (&json!("HostedCluster/clusters/named"), &json!("clusters/named"))
    );
}
