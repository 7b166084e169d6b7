use serde_json::Value;

use super::fixtures::{CLUSTERS, DEPLOYMENTS, Files, MIRRORS};

const EAST: [&str; 6] = ["render", "control-plane", "-f", ".", "--hosted-cluster", "clusters/east.one"];

/// The fleet after the manager is done with it.
fn settled() -> Files {
    let deployments = Files::fleet().run(&EAST).out();
    Files::new(&[("1.yaml", CLUSTERS), ("2.yaml", MIRRORS), ("3.yaml", &deployments)])
}

fn diff(files: &Files, more: &[&str]) -> (Vec<Value>, i32) {
    let run = files.run(&[&["diff", "-f", ".", "-o", "json"], more].concat());
    (serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stderr)), run.code)
}

#[test]
fn the_changes_of_a_fleet_have_their_golden_form() {
    let run = Files::fleet().run(&["diff", "-f", "."]);
    insta::assert_snapshot!("diff.txt", run.stdout);
    assert_eq!(run.code, 1);
}

#[test]
fn an_up_to_date_fleet_has_no_changes_and_exit_code_0() {
    let run = settled().run(&["diff", "-f", "."]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
    assert!(run.stderr.ends_with("0 of 2 HostedClusters would change\n"), "{}", run.stderr);
}

#[test]
fn the_patches_have_the_result_of_rendering() {
    let (changes, code) = diff(&Files::fleet(), &[]);
    assert_eq!((code, changes.len()), (1, 1));
    let parse = |text: &str| -> Vec<Value> {
        text.split("---\n").map(|document| serde_yaml::from_str(document).unwrap()).collect()
    };
    let mut deployments = parse(DEPLOYMENTS);
    for target in changes[0]["targets"].as_array().unwrap() {
        let name = &target["name"];
        let deployment = deployments.iter_mut().find(|deployment| deployment["metadata"]["name"] == *name).unwrap();
        let patch: json_patch::Patch = serde_json::from_value(target["patch"].clone()).unwrap();
        json_patch::patch(deployment, &patch).unwrap();
    }
    assert_eq!(deployments, parse(&Files::fleet().run(&EAST).out()));
}

#[test]
fn an_edit_shows_added_and_removed_entries_and_keeps_foreign_ones() {
    let mut files = settled();
    let edited = MIRRORS.replace("m.example/team", "n.example/team");
    files.write("2.yaml", &edited);
    let (changes, _) = diff(&files, &[]);
    let parent = &changes[0]["targets"][0];
    assert_eq!(parent["overrides"].as_array().unwrap().len(), 1, "{parent}");
    let change = &parent["overrides"][0];
    assert_eq!(change["before"], serde_json::json!(["m.example/team", "t.example/team"]));
    assert_eq!(change["after"][0], "n.example/team");
    assert_eq!(parent["restarts"], true);
}

#[test]
fn a_paused_cluster_is_shown_and_counts_as_no_change() {
    let mut files = Files::fleet();
    files.write("1.yaml", &CLUSTERS.replacen("spec:\n", "spec:\n  pausedUntil: 'true'\n", 1));
    let run = files.run(&["diff", "-f", "."]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stdout.starts_with("HostedCluster clusters/east.one (not now: paused: spec.pausedUntil"),
        "{}",
        run.stdout
    );
}

#[test]
fn a_cluster_that_is_being_deleted_has_no_changes() {
    let mut files = Files::fleet();
    let deleted = CLUSTERS.replacen("  namespace:", "  deletionTimestamp: 2026-01-01T00:00:00Z\n  namespace:", 1);
    files.write("1.yaml", &deleted);
    assert_eq!(diff(&files, &[]), (Vec::new(), 0));
}

#[test]
fn stock_operators_are_triggered_if_they_manage_the_parent() {
    let mut files = Files::fleet();
    let hash = "hypershift.openshift.io/desired-state-hash: abc";
    let managed = DEPLOYMENTS.replacen("metadata:\n", &format!("metadata:\n  annotations: {{{hash}}}\n"), 1);
    files.write("3.yaml", &managed);
    let (changes, _) = diff(&files, &[]);
    assert_eq!(changes[0]["mirrorsObserved"].as_str().map(str::len), Some(33), "{changes:?}");
}

#[test]
fn a_removal_of_everything_at_once_is_held() {
    let fleet: Vec<(String, String)> = (0..10)
        .map(|n| {
            let (name, cluster) = (format!("c{n}"), "apiVersion: hypershift.openshift.io/v1beta1\nkind: HostedCluster");
            let cluster = format!("{cluster}\nmetadata: {{namespace: clusters, name: {name}}}\nspec: {{}}\n");
            let report = "apiVersion: hypermirror.dev/v1alpha1\nkind: HostedClusterMirrors";
            let report = format!("{report}\nmetadata: {{namespace: clusters, name: {name}}}\nspec: {{}}\n");
            let carries = "{hypermirror.dev/overrides: 'a.example=b.example'}";
            let deployment = format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{namespace: clusters-{name}, \
                 name: control-plane-operator, annotations: {carries}}}\nspec:\n  selector: {{}}\n  template:\n    spec:\n      \
                 containers:\n      - name: control-plane-operator\n        env:\n        - {{name: \
                 OPENSHIFT_IMG_OVERRIDES, value: '='}}\n        - {{name: OPENSHIFT_IMG_OVERRIDES, value: 'a.example=b.example'}}\n"
            );
            let digest = hypermirror::digest::short_digest("a.example=b.example");
            let status = format!(
                "status: {{sourceCount: 1, controlPlane: {{targets: [{{name: control-plane-operator, admitted: {digest}}}]}}}}\n"
            );
            (format!("{name}.yaml"), [cluster, format!("{report}{status}"), deployment].join("---\n"))
        })
        .collect();
    let files: Vec<(&str, &str)> = fleet.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let files = Files::new(&files);
    let (changes, code) = diff(&files, &[]);
    assert_eq!((changes.len(), code), (10, 0));
    assert!(
        changes.iter().all(|changes| changes["held"]
            .as_str()
            .is_some_and(|held| held.contains("too many maps would become empty")))
    );
    assert_eq!(diff(&files, &["--max-removal", "100"]).1, 1);
}
