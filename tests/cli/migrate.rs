use serde_json::Value;

use super::fixtures::{CLUSTERS, Files, MIRRORS};

const FIRST: &str = include_str!("oc-mirror/results-1.yaml");
const SECOND: &str = include_str!("oc-mirror/results-2.yaml");

/// Two result folders of oc-mirror.
fn results() -> Files {
    let files = Files::new(&[]);
    for (folder, content) in [("results-1", FIRST), ("results-2", SECOND)] {
        std::fs::create_dir(files.path().join(folder)).unwrap();
        std::fs::write(files.path().join(folder).join("imageContentSourcePolicy.yaml"), content).unwrap();
    }
    files
}

fn documents(text: &str) -> Vec<Value> {
    text.split("---\n").map(|document| serde_yaml::from_str(document).unwrap()).collect()
}

/// The map of the management layer, as it goes to control planes.
fn env(files: &Files, arguments: &[&str]) -> String {
    let out = files.run(&[&["render", "overrides"], arguments].concat()).out();
    serde_json::from_str::<Value>(&out).unwrap()[""]["env"].as_str().unwrap().to_owned()
}

#[test]
fn result_folders_of_oc_mirror_become_one_set_in_its_golden_form() {
    let run = results().run(&["migrate", "-f", "results-1", "-f", "results-2"]);
    insta::assert_snapshot!("migrate.yaml", run.stdout);
    insta::assert_snapshot!("migrate.stderr", run.stderr);
    assert_eq!(run.code, 0);
}

#[test]
fn with_tags_each_policy_also_becomes_a_tag_set_in_its_golden_form() {
    let run = results().run(&["migrate", "--tags", "-f", "results-2"]);
    insta::assert_snapshot!("migrate-tags.yaml", run.stdout);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stderr.contains(" sample images of all sources resolve identically before and after\n"),
        "{}",
        run.stderr
    );
}

#[test]
fn printed_objects_resolve_as_the_old_ones_for_control_planes() {
    let mut files = Files::new(&[("old.yaml", FIRST)]);
    let printed = files.run(&["migrate", "-f", "old.yaml"]).out();
    files.write("new.yaml", &printed);
    assert_eq!(env(&files, &["-f", "new.yaml"]), env(&files, &["-f", "old.yaml"]));
    let again = files.run(&["migrate", "-f", "new.yaml"]);
    assert_eq!((again.code, again.stdout.as_str()), (0, printed.as_str()), "what is migrated stays as it is");
    assert!(again.stderr.contains("nothing to convert: the input has no ImageContentSourcePolicy"), "{}", again.stderr);
}

#[test]
fn other_commands_still_refuse_the_same_object_twice() {
    let stderr = results().run(&["render", "overrides", "-f", "results-1", "-f", "results-2"]).refused(1);
    assert!(stderr.contains("ImageContentSourcePolicy operator-0 is already in the input (results-1/"), "{stderr}");
}

#[test]
fn an_entry_that_no_digest_set_can_hold_is_named_and_the_others_are_printed() {
    let tagged = MIRRORS.replace(
        "source: source.example/ocp/release\n    mirrors: [icsp",
        "source: source.example/ocp/release@sha256:1f\n    mirrors: [icsp",
    );
    let more = "  - source: other.example/x\n    mirrors: [m.example/x]\n";
    let policy = tagged.replacen("---\n", &format!("{more}---\n"), 1);
    let run = Files::new(&[("m.yaml", &policy)]).run(&["migrate", "-f", "m.yaml"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let error = "error: ImageContentSourcePolicy/old[0] spec.repositoryDigestMirrors[0].source: invalid format for source \
                 \"source.example/ocp/release@sha256:1f\": remove the tag and the digest; the entry is ignored (InvalidSource)\n";
    assert!(run.stderr.contains(error), "{}", run.stderr);
    let names: Vec<_> = documents(&run.stdout).iter().map(|set| set["metadata"]["name"].to_string()).collect();
    assert_eq!(names, [r#""old""#, r#""release""#, r#""tools""#]);
}

#[test]
fn sources_of_a_hosted_cluster_become_a_config_map_in_its_golden_form() {
    let clusters = CLUSTERS.replace("own.example/ocp/release]", "own.example/ocp/release, second.example/r]");
    let files = Files::new(&[("c.yaml", &clusters)]);
    let arguments = ["migrate", "-f", ".", "--to-config-map", "--tags", "--hosted-cluster", "clusters/east.one"];
    let run = files.run(&arguments);
    insta::assert_snapshot!("migrate-config-map.yaml", run.stdout);
    assert!(run.stderr.contains("hypermirror.dev/image-mirror-config-ref=east.one-mirrors"), "{}", run.stderr);
    let object = documents(&run.out()).remove(0);
    let idms: Value = serde_yaml::from_str(object["data"]["idms.yaml"].as_str().unwrap()).unwrap();
    assert_eq!(idms["spec"]["imageDigestMirrors"][0]["mirrors"][1], "second.example/r");

    let named = files.run(&[&arguments[..], &["--name", "west"]].concat()).out();
    assert_eq!(documents(&named)[0]["metadata"]["name"], "west");
}

#[test]
fn a_hosted_cluster_without_sources_has_nothing_to_convert() {
    let files = Files::new(&[("c.yaml", CLUSTERS)]);
    let run = files.run(&["migrate", "-f", ".", "--to-config-map", "--hosted-cluster", "clusters/lab"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""));
    assert!(run.stderr.contains("warning: HostedCluster/clusters/lab has no imageContentSources"), "{}", run.stderr);
}

#[test]
fn contradictory_arguments_are_exit_code_2() {
    let files = Files::new(&[("c.yaml", CLUSTERS), ("m.yaml", MIRRORS)]);
    let cases: [(&[&str], &str); 5] = [
        (&["--to-config-map", "-f", "c.yaml"], "select one with --hosted-cluster"),
        (&["--to-config-map", "-f", "m.yaml"], "the input has no HostedCluster"),
        (&["--hosted-cluster", "clusters/lab", "-f", "c.yaml"], "--to-config-map"),
        (&["--name", "x", "-f", "c.yaml"], "--to-config-map"),
        (&["--to-config-map", "--name", "A/B", "-f", "c.yaml"], "\"A/B\" is not a valid name for a ConfigMap"),
    ];
    for (arguments, message) in cases {
        let stderr = files.run(&[&["migrate"], arguments].concat()).refused(2);
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
    }
}
