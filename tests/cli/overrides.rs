use serde_json::{Value, json};

use super::fixtures::{Files, MIRRORS};

fn overrides(files: &Files, more: &[&str]) -> Value {
    let arguments = [&["render", "overrides", "-f", "."], more].concat();
    serde_json::from_str(&files.run(&arguments).out()).unwrap()
}

#[test]
fn the_maps_of_a_fleet_have_their_golden_form() {
    let run = Files::fleet().run(&["render", "overrides", "-f", "."]);
    insta::assert_snapshot!("overrides.json", run.stdout);
    insta::assert_snapshot!("overrides.stderr", run.stderr);
    assert_eq!(run.code, 0);
}

#[test]
fn an_empty_map_is_printed_with_empty_arrays() {
    let files = Files::new(&[("c.yaml", super::fixtures::CLUSTERS)]);
    let maps = overrides(&files, &[]);
    assert_eq!(maps[""], json!({"sources": [], "env": "=", "flag": "="}));
    assert_eq!(maps["clusters/lab"], json!({"sources": [], "env": "=", "flag": "="}));
    assert_eq!(maps["clusters/east.one"]["env"], "source.example/ocp/release=own.example/ocp/release");
}

#[test]
fn an_invalid_entry_is_ignored_and_reported_and_the_others_apply() {
    let mirrors = MIRRORS.replace("source: source.example/team", "source: 'source.example/team:v1'");
    let run = Files::new(&[("m.yaml", &mirrors)]).run(&["render", "overrides", "-f", "m.yaml"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(!run.stdout.contains("m.example/team"), "{}", run.stdout);
    assert!(run.stdout.contains("z-mirror.example"), "{}", run.stdout);
    let stderr = "error: ImageDigestMirrorSet/release[1] spec.imageDigestMirrors[1].source: ";
    assert!(run.stderr.contains(stderr), "{}", run.stderr);
}

#[test]
fn the_order_of_documents_changes_nothing() {
    let reversed: Vec<&str> = MIRRORS.split("---\n").collect::<Vec<_>>().into_iter().rev().collect();
    let files = Files::new(&[("m.yaml", &reversed.join("---\n"))]);
    assert_eq!(overrides(&files, &[]), overrides(&Files::new(&[("m.yaml", MIRRORS)]), &[]));
}

#[test]
fn yaml_has_the_same_values_and_quotes_the_empty_map() {
    let files = Files::new(&[("c.yaml", super::fixtures::CLUSTERS)]);
    let yaml = files.run(&["render", "overrides", "-f", "c.yaml", "-o", "yaml"]).out();
    assert!(yaml.contains("  env: \"=\"\n"), "{yaml}");
    assert_eq!(serde_yaml::from_str::<Value>(&yaml).unwrap(), overrides(&files, &[]));
}

#[test]
fn an_invalid_setting_is_reported() {
    let clusters = super::fixtures::CLUSTERS.replace(": Ignore", ": ignore");
    let run = Files::new(&[("c.yaml", &clusters)]).run(&["render", "overrides", "-f", "c.yaml"]);
    assert!(
        run.stderr.contains(
            r#"warning: HostedCluster/clusters/lab: annotation hypermirror.dev/management-mirrors has the invalid value "ignore""#
        ),
        "{}",
        run.stderr
    );
}
