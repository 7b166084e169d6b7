use super::fixtures::{CLUSTERS, Files, MIRRORS};

#[test]
fn without_a_hosted_cluster_the_objects_are_the_nodes_own() {
    let files = Files::new(&[("m.yaml", MIRRORS)]);
    insta::assert_snapshot!("node.conf", files.run(&["render", "node", "-f", "m.yaml"]).out());
}

#[test]
fn only_a_hosted_clusters_own_sets_reach_its_nodes() {
    let east = ["render", "node", "-f", ".", "--hosted-cluster", "clusters/east.one"];
    let run = Files::fleet().run(&east);
    insta::assert_snapshot!("node-east.conf", run.stdout);
    assert!(run.stderr.contains("3 mirror sets of the management cluster are ignored"), "{}", run.stderr);
}

#[test]
fn nothing_to_say_is_no_output() {
    let run = Files::fleet().run(&["render", "node", "-f", ".", "--hosted-cluster", "clusters/lab"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""));
    let stderr = Files::fleet().run(&["render", "node", "-f", "."]).refused(2);
    assert!(stderr.contains("select one with --hosted-cluster"), "{stderr}");
}

#[test]
fn settings_of_the_nodes_files_are_merged() {
    let base = "[[registry]]\nlocation = \"source.example/ocp/release\"\nblocked = true\n\n[[registry.mirror]]\nlocation = \
                \"base.example/release\"\n";
    let files = Files::new(&[("m.yaml", MIRRORS), ("registries.conf", base)]);
    std::fs::create_dir(files.path().join("conf.d")).unwrap();
    let arguments =
        ["render", "node", "-f", "m.yaml", "--registries-conf", "registries.conf", "--registries-conf-dir", "conf.d"];
    let out = files.run(&arguments).out();
    assert!(out.contains("base.example/release") && out.matches("blocked = true").count() == 2, "{out}");

    std::fs::write(files.path().join("conf.d/50-hypermirror.conf"), &out).unwrap();
    assert_eq!(files.run(&arguments).out(), out, "our own file is not folded into itself");
}

#[test]
fn an_entry_that_a_node_cannot_use_is_ignored_and_reported() {
    let digest = format!("source.example/ocp/release@sha256:{}", "a".repeat(64));
    let mirrors = MIRRORS.replacen("source: source.example/ocp/release", &format!("source: {digest}"), 1);
    let run = Files::new(&[("m.yaml", &mirrors)]).run(&["render", "node", "-f", "m.yaml"]);
    assert_eq!(run.code, 0);
    assert!(!run.stdout.contains("icsp.example") && run.stdout.contains("z-mirror.example"), "{}", run.stdout);
    assert!(
        run.stderr.contains("warning: ImageContentSourcePolicy/old[0]") && run.stderr.contains("(TagOrDigest)"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_set_of_the_platform_is_no_set_of_the_nodes_own() {
    let managed =
        MIRRORS.replace("  name: tools\n", "  name: tools\n  labels: {hypershift.openshift.io/managed: 'true'}\n");
    let run = Files::new(&[("m.yaml", &managed)]).run(&["render", "node", "-f", "m.yaml"]);
    assert!(!run.stdout.contains("t.example"), "{}", run.stdout);
    assert!(run.stderr.contains("ImageTagMirrorSet/tools is ignored: it is labelled"), "{}", run.stderr);
}

#[test]
fn a_node_set_reaches_nodes_and_no_control_plane() {
    let set = "apiVersion: config.openshift.io/v1alpha1\nkind: ImageMirrorDigestSet\nmetadata: {name: s}\nspec:\n  mirrors:\n  \
               - source: source.example/x\n    mirrors: [m.example/x]\n    insecureSkipTLSVerify: true\n";
    let files = Files::new(&[("s.yaml", set), ("c.yaml", CLUSTERS)]);
    let out = files.run(&["render", "node", "-f", "s.yaml"]).out();
    assert!(out.contains("location = \"m.example/x\"") && out.contains("insecure = true"), "{out}");
    assert!(!files.run(&["render", "overrides", "-f", "."]).out().contains("m.example/x"));
}

#[test]
fn files_that_break_every_pull_are_refused() {
    let files = Files::new(&[("m.yaml", MIRRORS), ("registries.conf", "[[registry]\n")]);
    let stderr = files.run(&["render", "node", "-f", "m.yaml", "--registries-conf", "registries.conf"]).refused(1);
    assert!(
        stderr.contains("error: the node's own files already break every pull: ") && stderr.contains("registries.conf"),
        "{stderr}"
    );
}
