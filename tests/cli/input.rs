use super::fixtures::{CLUSTERS, Files, MIRRORS};

fn refused(files: &Files, arguments: &[&str]) -> String {
    files.run(&[&["render", "overrides"], arguments].concat()).refused(1)
}

#[test]
fn files_directories_and_stdin_are_read_together() {
    let files = Files::new(&[("c.yaml", CLUSTERS), ("ignored.txt", "no: yaml: here")]);
    std::fs::create_dir(files.path().join("deeper")).unwrap();
    std::fs::write(files.path().join("deeper/m.yaml"), "kind: [").unwrap();
    let run = files.run_with(&["render", "overrides", "-f", ".", "-f", "-"], MIRRORS);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("own.example") && run.stdout.contains("icsp.example"), "{}", run.stdout);
}

#[test]
fn kinds_that_are_not_read_are_counted() {
    let others =
        "kind: Service\napiVersion: v1\n---\nkind: Secret\napiVersion: v1\n---\nkind: Service\napiVersion: v1\n---\n";
    let run = Files::new(&[("m.yaml", &format!("{others}{MIRRORS}"))]).run(&["render", "overrides", "-f", "m.yaml"]);
    assert_eq!(run.code, 0);
    assert!(
        run.stderr.contains("skipped 3 documents of kinds that are not read: Service (2), Secret (1)\n"),
        "{}",
        run.stderr
    );
}

#[test]
fn lists_and_json_are_read() {
    let item = r#"{"metadata": {"name": "a"}, "spec": {"imageDigestMirrors": [{"source": "s.example", "mirrors": ["m.example"]}]}}"#;
    let typed =
        format!(r#"{{"apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSetList", "items": [{item}]}}"#);
    let list = format!(
        r#"{{"apiVersion": "v1", "kind": "List", "items": [{}]}}"#,
        item.replacen('{', r#"{"apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSet", "#, 1)
    );
    for text in [typed, list] {
        let out = Files::new(&[("m.json", &text)]).run(&["render", "overrides", "-f", "m.json"]).out();
        assert!(out.contains(r#""env": "s.example=m.example""#), "{out}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let told = refused(&Files::new(&[]), &["-f", "nowhere.yaml"]);
    assert_eq!(
        told,
        "error: cannot read nowhere.yaml; check the path given with -f: No such file or directory (os error 2)\n"
    );
}

#[test]
fn bad_yaml_is_told_with_file_document_and_line() {
    let files = Files::new(&[("bad.yaml", "kind: A\napiVersion: v1\n---\nkind: B\n  x: 1\n")]);
    let told = refused(&files, &["-f", "bad.yaml"]);
    assert!(told.starts_with("error: bad.yaml, document 2: not valid YAML: "), "{told}");
    assert!(told.contains("line 5") && told.ends_with("; correct the file\n"), "{told}");
}

#[test]
fn a_known_kind_that_does_not_decode_is_told_with_field_and_line() {
    let bad = MIRRORS.replace("mirrors: [m.example/team]", "mirrors: {a: b}");
    let told = refused(&Files::new(&[("bad.yaml", &bad)]), &["-f", "bad.yaml"]);
    let expected = "error: bad.yaml, document 2 (line 10): ImageDigestMirrorSet release: spec.imageDigestMirrors[1].mirrors: \
                    invalid type: map, expected a sequence (line 21); correct the field, or leave the document out\n";
    assert_eq!(told, expected);
}

#[test]
fn a_file_with_nothing_for_us_is_an_error() {
    let files = Files::new(&[
        ("s.yaml", "kind: Service\napiVersion: v1\n"),
        ("m.yaml", MIRRORS),
        ("empty.yaml", "# nothing\n"),
    ]);
    for file in ["s.yaml", "empty.yaml"] {
        let told = refused(&files, &["-f", "m.yaml", "-f", file]);
        assert!(told.contains(&format!("error: {file} has no object that is read")), "{told}");
    }
    assert_eq!(files.run(&["render", "overrides", "-f", "."]).code, 0);
    std::fs::create_dir(files.path().join("void")).unwrap();
    assert!(refused(&files, &["-f", "void"]).contains("the directory void has no *.yaml"));
}

#[test]
fn what_is_no_object_is_an_error_in_a_file_and_skipped_in_a_directory() {
    let files = Files::new(&[("values.yaml", "replicas: 1\n"), ("m.yaml", MIRRORS)]);
    let told = refused(&files, &["-f", "values.yaml"]);
    assert!(told.contains("values.yaml, document 1 (line 1): this is no Kubernetes object"), "{told}");
    let run = files.run(&["render", "overrides", "-f", "."]);
    assert!(run.stderr.contains("skipped 1 document of kinds that are not read: no kind (1)"), "{}", run.stderr);
}

#[test]
fn an_object_that_comes_twice_is_told_with_both_places() {
    let files = Files::new(&[("a.yaml", MIRRORS), ("b.yaml", MIRRORS)]);
    let told = refused(&files, &["-f", "a.yaml", "-f", "b.yaml"]);
    let expected = "error: b.yaml, document 1 (line 1): ImageContentSourcePolicy old is there already: a.yaml, document 1 (line 1); \
                    leave one of them out\n";
    assert_eq!(told, expected);
}

#[test]
fn a_known_kind_in_an_unknown_version_is_an_error() {
    let bad = MIRRORS.replacen("config.openshift.io/v1\n", "operator.openshift.io/v1alpha1\n", 1);
    let told = refused(&Files::new(&[("bad.yaml", &bad)]), &["-f", "bad.yaml"]);
    assert!(told.contains("ImageDigestMirrorSet has apiVersion operator.openshift.io/v1alpha1, and is read as config.openshift.io/v1 only"), "{told}");
}

#[test]
fn names_are_required() {
    let nameless = MIRRORS.replace("  name: tools\n", "  labels: {}\n");
    let told = refused(&Files::new(&[("m.yaml", &nameless)]), &["-f", "m.yaml"]);
    assert!(told.contains("m.yaml, document 3 (line 24): ImageTagMirrorSet has no metadata.name; add it"), "{told}");
    let without_namespace = CLUSTERS.replace("  namespace: clusters\n", "");
    let told = refused(&Files::new(&[("c.yaml", &without_namespace)]), &["-f", "c.yaml"]);
    assert!(told.contains("HostedCluster east.one has no metadata.namespace"), "{told}");
}

#[test]
fn a_misspelt_field_is_told() {
    let misspelt = MIRRORS.replace("mirrors: [t.example/team]", "mirror: [t.example/team]");
    let run = Files::new(&[("m.yaml", &misspelt)]).run(&["render", "overrides", "-f", "m.yaml"]);
    let told = "warning: m.yaml, document 3 (line 24): ImageTagMirrorSet tools: spec.imageTagMirrors[0].mirror is no field of this kind";
    assert!(run.stderr.contains(told), "{}", run.stderr);
}

#[test]
fn manifests_and_a_cluster_exclude_each_other() {
    let files = Files::new(&[("m.yaml", MIRRORS)]);
    files.run(&["render", "overrides", "-f", "m.yaml", "--context", "x"]).refused(2);
    files.run(&["render", "overrides", "-f", "-", "-f", "-"]).refused(2);
}

#[test]
fn no_cluster_and_no_manifests_is_told_with_what_to_do() {
    let told = refused(&Files::new(&[]), &[]);
    assert!(
        told.starts_with(
            "error: there is no cluster to read; give manifests with -f, or a kubeconfig with --kubeconfig"
        ),
        "{told}"
    );
}
