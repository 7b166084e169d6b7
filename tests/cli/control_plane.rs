use serde::Deserialize as _;
use serde_json::Value;

use super::fixtures::{CLUSTERS, DEPLOYMENTS, Files, MIRRORS};

const EAST: [&str; 4] = ["render", "control-plane", "--hosted-cluster", "clusters/east.one"];

fn documents(yaml: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(yaml).map(|document| Value::deserialize(document).unwrap()).collect()
}

fn east(files: &Files, more: &[&str]) -> String {
    files.run(&[&EAST[..], more].concat()).out()
}

#[test]
fn deployments_of_all_three_forms_have_their_golden_form() {
    insta::assert_snapshot!("control-plane.yaml", east(&Files::fleet(), &["-f", "."]));
}

#[test]
fn rendering_again_changes_nothing() {
    for mode in ["none", "strict"] {
        let flags = ["-f", ".", "--registry-overrides-argument", mode];
        let first = east(&Files::fleet(), &flags);
        let again = Files::new(&[("1.yaml", CLUSTERS), ("2.yaml", MIRRORS), ("3.yaml", &first)]);
        assert_eq!(east(&again, &flags), first);
    }
}

#[test]
fn other_objects_pass_through() {
    let rendered = documents(&east(&Files::fleet(), &["-f", "."]));
    let given = documents(DEPLOYMENTS);
    let names: Vec<_> = rendered.iter().map(|deployment| deployment["metadata"]["name"].clone()).collect();
    assert_eq!(names, given.iter().map(|deployment| deployment["metadata"]["name"].clone()).collect::<Vec<_>>());
    assert_eq!(rendered[1], given[1]);
    let lab = ["render", "control-plane", "--hosted-cluster", "clusters/lab", "-f", "."];
    assert_eq!(documents(&Files::fleet().run(&lab).out()), given);
}

#[test]
fn several_hosted_clusters_need_a_choice() {
    let stderr = Files::fleet().run(&["render", "control-plane", "-f", "."]).refused(2);
    assert!(stderr.contains("error: the input has several HostedClusters; select one with --hosted-cluster: clusters/east.one, clusters/lab"), "{stderr}");
    let stderr = Files::fleet().run(&["render", "control-plane", "-f", ".", "--hosted-cluster", "a/b"]).refused(2);
    assert!(
        stderr.contains("error: HostedCluster a/b is not in the input (available: clusters/east.one, clusters/lab)"),
        "{stderr}"
    );
    let stderr = Files::fleet().run(&["render", "control-plane", "-f", ".", "--hosted-cluster", "a"]).refused(2);
    assert!(stderr.contains("NAMESPACE/NAME"), "{stderr}");
}

#[test]
fn no_hosted_cluster_means_no_change() {
    let run = Files::new(&[("d.yaml", DEPLOYMENTS)]).run(&["render", "control-plane", "-f", "d.yaml"]);
    assert_eq!((run.code, documents(&run.stdout)), (0, documents(DEPLOYMENTS)));
    assert!(run.stderr.contains("warning: the input has no HostedCluster"), "{}", run.stderr);
}

#[test]
fn entries_are_removed_from_a_cluster_that_is_not_managed() {
    let first = east(&Files::fleet(), &["-f", "."]);
    let again = Files::new(&[("1.yaml", CLUSTERS), ("2.yaml", MIRRORS), ("3.yaml", &first)]);
    let left = documents(&east(&again, &["-f", ".", "--hosted-cluster-selector", "env=none"]));
    for (left, given) in left.iter().zip(documents(DEPLOYMENTS)) {
        assert_eq!(left["spec"], given["spec"], "{}", given["metadata"]["name"]);
        assert!(left["metadata"]["annotations"].as_object().is_none_or(serde_json::Map::is_empty), "{left}");
    }
}

#[test]
fn readers_of_yaml_1_1_understand_the_output() {
    let rendered = east(&Files::fleet(), &["-f", "."]);
    assert!(rendered.contains("- \"=\"\n") && rendered.contains("value: \"yes\"\n"), "{rendered}");
    let Ok(mut python) = std::process::Command::new("python3")
        .args(["-c", "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
    else {
        return; // no Python here: the quotes above are what it needs
    };
    let _ = std::io::Write::write_all(&mut python.stdin.take().unwrap(), rendered.as_bytes());
    let output = python.wait_with_output().unwrap();
    if output.status.success() {
        assert_eq!(serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap(), documents(&rendered));
    }
}
