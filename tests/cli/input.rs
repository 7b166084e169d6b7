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
    assert!(run.stderr.contains("skipped 3 documents of other kinds: Service (2), Secret (1)\n"), "{}", run.stderr);
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
    let stderr = refused(&Files::new(&[]), &["-f", "nowhere.yaml"]);
    assert_eq!(
        stderr,
        "error: failed to read nowhere.yaml (check the path passed with -f): No such file or directory (os error 2)\n"
    );
}

#[test]
fn invalid_yaml_is_reported_with_file_document_and_line() {
    let files = Files::new(&[("bad.yaml", "kind: A\napiVersion: v1\n---\nkind: B\n  x: 1\n")]);
    let stderr = refused(&files, &["-f", "bad.yaml"]);
    assert!(stderr.contains("document 2: not valid YAML: "), "{stderr}");
    assert!(stderr.contains("line 5") && stderr.starts_with("error: failed to read bad.yaml, document 2"), "{stderr}");
}

#[test]
fn a_known_kind_that_does_not_decode_is_reported_with_field_and_line() {
    let bad = MIRRORS.replace("mirrors: [m.example/team]", "mirrors: {a: b}");
    let stderr = refused(&Files::new(&[("bad.yaml", &bad)]), &["-f", "bad.yaml"]);
    let expected = "error: bad.yaml, document 2 (line 10): ImageDigestMirrorSet release: spec.imageDigestMirrors[1].mirrors: \
                    invalid type: map, expected a sequence (line 21); correct the field or remove the document\n";
    assert_eq!(stderr, expected);
}

#[test]
fn a_file_without_supported_objects_is_an_error() {
    let files = Files::new(&[
        ("s.yaml", "kind: Service\napiVersion: v1\n"),
        ("m.yaml", MIRRORS),
        ("empty.yaml", "# nothing\n"),
    ]);
    for file in ["s.yaml", "empty.yaml"] {
        let stderr = refused(&files, &["-f", "m.yaml", "-f", file]);
        assert!(stderr.contains(&format!("error: {file} has no supported object")), "{stderr}");
    }
    assert_eq!(files.run(&["render", "overrides", "-f", "."]).code, 0);
    std::fs::create_dir(files.path().join("void")).unwrap();
    assert!(refused(&files, &["-f", "void"]).contains("directory void has no *.yaml"));
}

#[test]
fn documents_that_are_no_objects_are_counted_and_an_error_if_there_are_no_others() {
    let files = Files::new(&[("values.yaml", "replicas: 1\n"), ("m.yaml", MIRRORS)]);
    let stderr = refused(&files, &["-f", "values.yaml"]);
    assert!(stderr.contains("values.yaml, document 1 (line 1): not a Kubernetes object"), "{stderr}");
    let both = format!("replicas: 1\n---\n{MIRRORS}");
    for (arguments, stdin) in [(["-f", "."], ""), (["-f", "-"], both.as_str())] {
        let run = files.run_with(&[&["render", "overrides"], &arguments[..]].concat(), stdin);
        assert_eq!(run.code, 0);
        assert!(run.stderr.contains("skipped 1 document of other kinds: no kind (1)"), "{}", run.stderr);
    }
}

#[test]
fn unreferenced_objects_are_not_checked() {
    let strangers = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\ndata: {x: [1]}\n---\n\
                     kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n---\n\
                     kind: Deployment\napiVersion: apps/v1\nmetadata: {name: b}\nspec: [1]\n---\n\
                     kind: Deployment\napiVersion: apps/v1\nmetadata: {name: b}\n---\n\
                     kind: Deployment\napiVersion: apps/v1beta1\n---\n\
                     kind: ImageStream\napiVersion: image.openshift.io/v1\n---\n";
    let run = Files::new(&[("m.yaml", &format!("{strangers}{MIRRORS}"))]).run(&["render", "overrides", "-f", "m.yaml"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let skipped = "skipped 4 documents of other kinds: ConfigMap (2), Deployment (1), ImageStream (1)\n";
    assert!(run.stderr.contains(skipped), "{}", run.stderr);
}

#[test]
fn referenced_objects_are_checked() {
    let cluster = "apiVersion: hypershift.openshift.io/v1beta1\nkind: HostedCluster\nmetadata: {name: a, namespace: n, \
                   annotations: {hypermirror.dev/image-mirror-config-ref: m}}\nspec: {}\n---\n";
    let config = |namespace: &str, text: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{namespace}}}\ndata: {{idms.yaml: {text:?}}}\n---\n"
        )
    };
    let (one, two) = (config(", namespace: n", "a: 1"), config(", namespace: n", "a: 2"));
    let stderr = |text: String| {
        let files = Files::new(&[("f.yaml", &text)]);
        files.run(&["render", "overrides", "-f", "f.yaml"]).stderr
    };
    assert!(stderr(format!("{cluster}{one}{two}")).contains("ConfigMap n/m is already in the input"));
    assert!(
        !stderr(format!("{cluster}{one}{one}")).contains("already in the input"),
        "two identical ConfigMaps are one"
    );
    assert!(stderr(format!("{cluster}{}", config("", "a: 1"))).contains("ConfigMap m has no metadata.namespace"));
}

#[test]
fn an_unreferenced_config_map_is_skipped_and_the_message_has_the_fix() {
    let custom =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: n}\ndata: {registries.conf: '', ca.crt: ''}\n";
    let stderr = refused(&Files::new(&[("c.yaml", custom)]), &["-f", "c.yaml"]);
    assert!(stderr.contains("error: c.yaml has no supported object"), "{stderr}");
    assert!(
        stderr.contains("ConfigMap c has the keys ca.crt, registries.conf; only idms.yaml and itms.yaml"),
        "{stderr}"
    );
    assert!(stderr.contains("save it as a file and run explain --registries-conf FILE"), "{stderr}");
}

#[test]
fn null_is_as_good_as_nothing_where_a_list_or_a_map_may_be_left_out() {
    let null = "apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nmetadata:\n  name: a\n  labels:\nspec:\n  \
                imageDigestMirrors:\n---\napiVersion: hypershift.openshift.io/v1beta1\nkind: HostedCluster\nmetadata:\n  \
                name: a\n  namespace: n\n  annotations:\nspec:\n  imageContentSources:\n  configuration:\n---\n\
                apiVersion: hypershift.openshift.io/v1beta1\nkind: NodePool\nmetadata: {name: p, namespace: n}\nspec:\n  \
                clusterName: a\n  config:\n---\napiVersion: v1\nkind: List\nitems:\n";
    let run = Files::new(&[("n.yaml", null)]).run(&["check", "-f", "n.yaml"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
    let without_spec = null.replacen("spec:\n  imageDigestMirrors:\n", "spec:\nimageDigestMirrors:\n", 1);
    let stderr = refused(&Files::new(&[("n.yaml", &without_spec)]), &["-f", "n.yaml"]);
    assert!(stderr.contains("missing field `spec`") && stderr.contains("indent it below spec"), "{stderr}");
}

#[test]
fn a_template_and_a_lost_indentation_are_recognised() {
    let template = "{{- if .Values.mirrors }}\napiVersion: config.openshift.io/v1\n{{- end }}\n";
    let stderr = refused(&Files::new(&[("t.yaml", template)]), &["-f", "t.yaml"]);
    assert!(stderr.contains("not valid YAML") && stderr.contains("it looks like a template"), "{stderr}");
    let lost = "apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nmetadata:\nname: a\nspec: {}\n";
    let stderr = refused(&Files::new(&[("l.yaml", lost)]), &["-f", "l.yaml"]);
    assert!(stderr.contains("has no metadata.name; name is at the top level"), "{stderr}");
}

#[test]
fn empty_documents_are_skipped_however_they_are_spelt() {
    let files = Files::new(&[("e.yaml", &format!("---\n...\n---\n# nothing\n...\n{MIRRORS}---\n...\n"))]);
    let run = files.run(&["render", "overrides", "-f", "e.yaml"]);
    assert!(run.code == 0 && !run.stderr.contains("skipped"), "{}", run.stderr);
    assert!(run.stdout.contains("icsp.example"), "{}", run.stdout);
}

#[test]
fn lists_that_are_no_objects_are_read() {
    let list = "- source: quay.io/a\n  mirrors:\n  - m.example/a\n";
    let config = format!("apiVersion: v1\nbaseDomain: example.com\npullSecret: '{{}}'\nimageDigestSources:\n{list}");
    let files = Files::new(&[("ics.yaml", list), ("install-config.yaml", &config)]);
    for (file, kind, name) in
        [("ics.yaml", "ImageContentSources", "ics"), ("install-config.yaml", "InstallConfig", "install-config")]
    {
        let out = files.run(&["render", "overrides", "-f", file]).out();
        assert!(
            out.contains("\"env\": \"quay.io/a=m.example/a\"") && out.contains(&format!("\"kind\": {kind:?}")),
            "{out}"
        );
        let out = files
            .run(&[
                "explain",
                "-f",
                file,
                "quay.io/a/x@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ])
            .out();
        assert!(out.contains(&format!("m.example/a/x@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa   {kind}/{name}[0]")), "{out}");
        let out = files.run(&["migrate", "-f", file]).out();
        assert!(out.contains("kind: ImageDigestMirrorSet") && out.contains(&format!("name: {name}\n")), "{out}");
    }
}

#[test]
fn a_repeated_object_is_reported_with_both_places() {
    let files = Files::new(&[("a.yaml", MIRRORS), ("b.yaml", MIRRORS)]);
    let stderr = refused(&files, &["-f", "a.yaml", "-f", "b.yaml"]);
    let expected = "error: b.yaml, document 1 (line 1): ImageContentSourcePolicy old is already in the input (a.yaml, document 1 (line 1)); \
                    remove one of them\n";
    assert_eq!(stderr, expected);
}

#[test]
fn a_known_kind_in_an_unknown_version_is_an_error() {
    let bad = MIRRORS.replacen("config.openshift.io/v1\n", "operator.openshift.io/v1alpha1\n", 1);
    let stderr = refused(&Files::new(&[("bad.yaml", &bad)]), &["-f", "bad.yaml"]);
    assert!(stderr.contains("ImageDigestMirrorSet has the unsupported apiVersion operator.openshift.io/v1alpha1; change it to config.openshift.io/v1"), "{stderr}");
}

#[test]
fn names_are_required() {
    let nameless = MIRRORS.replace("  name: tools\n", "  labels: {}\n");
    let stderr = refused(&Files::new(&[("m.yaml", &nameless)]), &["-f", "m.yaml"]);
    assert!(
        stderr.contains("m.yaml, document 3 (line 24): ImageTagMirrorSet has no metadata.name; add it"),
        "{stderr}"
    );
    let without_namespace = CLUSTERS.replace("  namespace: clusters\n", "");
    let stderr = refused(&Files::new(&[("c.yaml", &without_namespace)]), &["-f", "c.yaml"]);
    assert!(stderr.contains("HostedCluster east.one has no metadata.namespace"), "{stderr}");
}

#[test]
fn a_misspelt_field_is_reported() {
    let misspelt = MIRRORS.replace("mirrors: [t.example/team]", "mirror: [t.example/team]");
    let run = Files::new(&[("m.yaml", &misspelt)]).run(&["render", "overrides", "-f", "m.yaml"]);
    let stderr = "warning: ImageTagMirrorSet/tools[0] spec.imageTagMirrors[0].mirror: is not a field of ImageTagMirrorSet and is \
                ignored; did you mean mirrors? (m.yaml, document 3 (line 24)) (UnknownField)\n";
    assert!(run.stderr.contains(stderr), "{}", run.stderr);
    let run = Files::new(&[("m.yaml", &misspelt)]).run(&["check", "-f", "m.yaml", "-o", "json"]);
    let findings: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let unknown: Vec<_> = findings.as_array().unwrap().iter().filter(|row| row["reason"] == "UnknownField").collect();
    assert_eq!((unknown.len(), &unknown[0]["field"]), (1, &serde_json::json!("spec.imageTagMirrors[0].mirror")));
}

#[test]
fn manifests_and_a_cluster_exclude_each_other() {
    let files = Files::new(&[("m.yaml", MIRRORS)]);
    files.run(&["render", "overrides", "-f", "m.yaml", "--context", "x"]).refused(2);
    files.run(&["render", "overrides", "-f", "-", "-f", "-"]).refused(2);
}

#[test]
fn without_cluster_and_manifests_the_error_has_the_fix() {
    let stderr = refused(&Files::new(&[]), &[]);
    assert!(
        stderr.starts_with("error: no cluster to read (pass manifests with -f, or a kubeconfig with --kubeconfig)"),
        "{stderr}"
    );
}
