//! What people really have: small inputs after public reports, guides and the output of tools, and what is right for each.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that cannot go on has failed

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const DIGEST: &str = "@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// How a command ended.
struct Ran {
    code: i32,
    out: String,
    shown: String,
}

/// Runs a command in the folder of a case.
fn run(case: &str, arguments: &str) -> Ran {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(case);
    let arguments = arguments.replace("@D", DIGEST);
    let output = Command::new(env!("CARGO_BIN_EXE_hypermirror"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        shown: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The reasons that `check` finds, each with its severity, and its exit code.
#[track_caller]
fn found(case: &str, arguments: &str) -> (Vec<String>, i32) {
    let ran = run(case, &format!("check -o json {arguments}"));
    let rows: Vec<Value> = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.shown));
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    (rows.iter().map(|row| format!("{} {}", text(row, "severity"), text(row, "reason"))).collect(), ran.code)
}

/// Where each image is pulled from.
#[track_caller]
fn endpoints(case: &str, arguments: &str) -> Vec<Vec<String>> {
    let ran = run(case, &format!("explain -o json {arguments}"));
    let explained: Vec<Value> = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.shown));
    let references = |explanation: &Value| {
        let endpoints = explanation["endpoints"].as_array().unwrap().iter();
        endpoints.map(|endpoint| endpoint["reference"].as_str().unwrap().replace(DIGEST, "@D")).collect()
    };
    explained.iter().map(references).collect()
}

/// A command that fails and says these things.
#[track_caller]
fn fails(case: &str, arguments: &str, texts: &[&str]) {
    let ran = run(case, arguments);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.shown);
    for text in texts {
        assert!(ran.out.contains(text) || ran.shown.contains(text), "{text:?} is not in\n{}{}", ran.out, ran.shown);
    }
}

#[test]
fn a_folder_of_oc_mirror_is_read_although_it_has_one_config_map_twice() {
    let case = "release-with-signatures";
    let ran = run(case, "check -f cluster-resources");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.shown);
    assert!(
        ran.shown.contains("skipped 3 documents of other kinds: ConfigMap (2), CatalogSource (1)"),
        "{}",
        ran.shown
    );
    assert!(ran.shown.contains("0 errors, 0 warnings in 2 mirror sets"), "{}", ran.shown);
    let images = "quay.io/openshift-release-dev/ocp-release:4.20.0-x86_64 quay.io/openshift-release-dev/ocp-release@D";
    let pulled = endpoints(case, &format!("-f cluster-resources {images}"));
    assert_eq!(pulled[0][0], "mirror.site.example:8443/openshift/release-images:4.20.0-x86_64");
    assert_eq!(pulled[1][0], "mirror.site.example:8443/openshift/release-images@D");
    for command in ["render node", "render overrides", "diff", "migrate"] {
        assert_eq!(run(case, &format!("{command} -f cluster-resources")).code, 0, "{command}");
    }
}

#[test]
fn a_list_that_came_out_empty_is_no_list() {
    assert_eq!(found("null-lists", "-f mirrors.yaml"), (vec![], 0));
    let images = "quay.io/second/x@D quay.io/first/x@D";
    let pulled = endpoints("null-lists", &format!("-f mirrors.yaml {images}"));
    assert_eq!(pulled[0], ["m.example/second/x@D", "quay.io/second/x@D"]);
    assert_eq!(pulled[1], ["quay.io/first/x@D"]);
    assert_eq!(found("null-lists", "-f empty.yaml"), (vec![], 0));
    assert_eq!(found("null-everywhere", "-f all.yaml"), (vec![], 0));
}

#[test]
fn a_name_without_registry_follows_the_files_of_the_node() {
    let image = "storage/driver:v1";
    let pulled = endpoints("short-names", &format!("--registries-conf registries.conf {image}"));
    assert_eq!(pulled, [["registry.access.redhat.com/storage/driver:v1", "docker.io/storage/driver:v1"]]);
    let pulled = endpoints("short-names", &format!("-f mirrors.yaml --registries-conf registries.conf {image}"));
    let expected = [
        "m.example/rh/storage/driver:v1",
        "registry.access.redhat.com/storage/driver:v1",
        "m.example/hub/storage/driver:v1",
        "docker.io/storage/driver:v1",
    ];
    assert_eq!(pulled, [expected]);
    let ran = run("short-names", &format!("explain -f mirrors.yaml {image}"));
    assert!(ran.code == 0 && ran.shown.contains("depend on the node's search list"), "{}", ran.shown);
    let pulled = endpoints("short-names", &format!("--registries-conf enforcing.conf {image}"));
    assert_eq!(pulled, [["quay.io/storage/driver:v1"]], "an alias");
    fails(
        "short-names",
        "explain --registries-conf enforcing.conf other:v1",
        &["short name mode is enforcing", "ambiguous list"],
    );
}

#[test]
fn a_file_that_the_pools_own_machine_config_writes_counts() {
    let case = "files-of-a-pool";
    let pulled = endpoints(case, "-f all.yaml --node-pool workers quay.io/platform/x:v1 quay.io/platform/x@D");
    assert_eq!(pulled[0], ["tags.example:5000/platform/x:v1", "quay.io/platform/x:v1"]);
    assert_eq!(pulled[1], ["tags.example:5000/platform/x@D", "quay.io/platform/x@D"]);
    let (rows, code) = found(case, "-f all.yaml");
    assert_eq!((rows, code), (vec!["Warning NodeFileUnknown".to_owned(), "Warning Shadowed".to_owned()], 0));
    let ran = run(case, "check -f all.yaml");
    assert!(
        ran.out.contains("99-tag-mirrors.conf takes precedence over that of hypermirror (written by ConfigMap tags)"),
        "{}",
        ran.out
    );
    let rendered = run(case, "render node -f all.yaml --node-pool workers");
    assert!(rendered.shown.contains("99-tag-mirrors.conf"), "{}", rendered.shown);
    let pulled = endpoints(case, "-f all.yaml quay.io/platform/x@D");
    assert_eq!(pulled[0][0], "digests.example:8443/platform/x@D", "other nodes do not have the file");
}

#[test]
fn findings_about_control_planes_follow_hypershifts_own_look_ups() {
    let case = "control-plane-look-ups";
    let ran = run(case, "check -f mirrors.yaml -o json");
    let rows: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let of = |field: &str| {
        let row = rows.iter().find(|row| {
            row["field"].as_str().unwrap().starts_with(field) && row["consumers"] == serde_json::json!(["ControlPlane"])
        });
        row.map(|row| (row["reason"].as_str().unwrap(), row["severity"].as_str().unwrap())).unwrap_or_default()
    };
    assert_eq!(of("spec.imageDigestMirrors[0].mirrors[0]"), ("MirrorPathDropped", "Warning"));
    assert_eq!(of("spec.imageDigestMirrors[1].source"), ("SourceNotLookedUp", "Warning"));
    assert_eq!(of("spec.imageDigestMirrors[2].mirrors[0]"), ("MirrorNotLookedUp", "Warning"));
    assert_eq!(of("spec.imageDigestMirrors[3].mirrors[0]"), ("MirrorNotLookedUp", "Warning"));
    let image = "quay.io/openshift-release-dev/ocp-release:4.20";
    let looked = endpoints(case, &format!("-f mirrors.yaml --consumer control-plane {image}"));
    assert_eq!(looked[0][0], "m.example:5000/openshift-release-dev/ocp-release:4.20");
    let ran = run(case, &format!("explain -f mirrors.yaml --consumer control-plane {image} quay.io/hypershift/x:1"));
    assert!(
        ran.out.contains("if it is a release image:\n  1. m.example:5000/ocp/openshift-release-dev/ocp-release:4.20"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("skips mirror host.example:6001 of quay.io/hypershift: invalid reference format"),
        "{}",
        ran.out
    );
    let usage = run(case, &format!("explain -f mirrors.yaml --consumer control-plane --node-pool x {image}"));
    assert_eq!(usage.code, 2, "{}", usage.shown);
}

#[test]
fn a_misspelt_field_is_a_finding_in_every_format_and_in_the_counts() {
    let (rows, code) = found("misspelt-policy", "-f mirrors.yaml");
    assert_eq!((rows.iter().filter(|row| *row == "Warning UnknownField").count(), code), (3, 0), "{rows:?}");
    let ran = run("misspelt-policy", "check -f mirrors.yaml");
    assert!(ran.shown.contains(&format!("0 errors, {} warnings", rows.len())), "{}", ran.shown);
    assert!(ran.out.contains("did you mean mirrorSourcePolicy?"), "{}", ran.out);
}

#[test]
fn an_invalid_mirror_comes_with_its_reason_and_the_way_out() {
    let ran = run("placeholders", "check -f mirrors.yaml");
    let hints = [
        "placeholder that was not replaced",
        "a component between slashes is empty",
        "IPv6 addresses are not allowed",
        "remove the scheme",
    ];
    for hint in hints {
        assert!(ran.out.contains(hint), "{hint}: {}", ran.out);
    }
    assert_eq!((ran.code, ran.out.matches("placeholder").count()), (1, 3), "{}", ran.out);
}

#[test]
fn lists_of_sources_that_are_no_objects_are_read() {
    let release = "quay.io/openshift-release-dev/ocp-release@D";
    let pulled = endpoints("image-content-sources", &format!("-f ics.yaml {release}"));
    assert_eq!(pulled[0][0], "m.example:5000/ocp/release@D");
    assert_eq!(found("image-content-sources", "-f ics.yaml"), (vec![], 0));
    let pulled = endpoints("install-config", &format!("-f install-config.yaml {release}"));
    assert_eq!(pulled[0], ["m.example:5000/ocp/release-images@D", release]);
    let ran = run("install-config", "migrate -f install-config.yaml");
    assert!(ran.code == 0 && ran.out.contains("mirrorSourcePolicy: NeverContactSource"), "{}{}", ran.out, ran.shown);
    let ran = run("image-content-sources", "migrate --tags -f ics.yaml");
    assert!(
        ran.out.contains("kind: ImageDigestMirrorSet") && ran.out.contains("kind: ImageTagMirrorSet"),
        "{}",
        ran.out
    );
}

#[test]
fn a_file_without_supported_objects_does_not_pass_as_checked() {
    let texts =
        ["custom.yaml has no supported object", "has the keys ca-bundle.crt, registries.conf", "--registries-conf"];
    fails("assisted-service", "check -f custom.yaml", &texts);
    fails("assisted-service", "explain -f custom.yaml registry.redhat.io/openshift4/x@D", &texts);
    fails(
        "assisted-service",
        "explain --registries-conf custom.yaml registry.redhat.io/openshift4/x@D",
        &["custom.yaml"],
    );
}

#[test]
fn mirrors_that_hypershift_writes_to_nodes_itself_are_mentioned() {
    let case = "hosted-management-cluster";
    assert!(run(case, "render overrides -f idms.yaml").out.contains("registry.redhat.io=m.example"));
    let ran = run(case, "explain -f idms.yaml registry.redhat.io/rhel9/x@D");
    assert_eq!(ran.code, 0);
    let text = "HyperShift itself writes the mirrors of ImageDigestMirrorSet/cluster to the nodes; pass the node's files with --registries-conf";
    assert!(ran.out.contains(text), "{}", ran.out);
    assert!(
        !run(case, "explain -f idms.yaml quay.io/x@D").out.contains("HyperShift"),
        "of other images there is nothing to say"
    );
}

#[test]
fn a_template_is_recognised() {
    for file in ["policy.yaml", "values.yaml"] {
        fails(
            "chart-template",
            &format!("check -f {file}"),
            &["not valid YAML", "it looks like a template", "helm template"],
        );
    }
}

#[test]
fn an_image_is_accepted_in_the_format_of_skopeo_and_oc_mirror() {
    let pulled = endpoints("image-with-transport", "-f mirrors.yaml docker://quay.io/team/b:1");
    assert_eq!(pulled, [["m.example/team/b:1", "quay.io/team/b:1"]]);
    fails("image-with-transport", "explain -f mirrors.yaml https://quay.io/team/b:1", &["remove the scheme"]);
    fails("image-with-transport", "explain -f mirrors.yaml ${REGISTRY}/b:1", &["placeholder"]);
}

#[test]
fn documents_without_a_kind_are_skipped_and_counted() {
    let ran = run("rendered-by-the-cli", "check -f rendered.yaml");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.shown);
    assert!(ran.shown.contains("skipped 2 documents of other kinds: Namespace (1), no kind (1)"), "{}", ran.shown);
}

#[test]
fn an_object_of_another_group_is_an_error_that_names_the_right_one() {
    let text = "ImageDigestMirrorSet has the unsupported apiVersion operator.openshift.io/v1alpha1; change it to config.openshift.io/v1";
    fails("wrong-group", "check -f mirrors.yaml", &[text]);
}

#[test]
fn a_slash_at_the_end_is_an_error_of_an_object_and_none_of_a_file() {
    fails("slash-at-the-end", "check -f policy.yaml", &["remove the slash at the end"]);
    let pulled = endpoints("slash-at-the-end", "--registries-conf registries.conf store.example/repo/app:1");
    assert_eq!(pulled, [["m.example/repo/app:1", "store.example/repo/app:1"]]);
}

#[test]
fn the_longest_source_wins_and_a_mirror_without_a_path_fails_the_repository_itself() {
    let images = "vendor.example/suite/data/olm@D vendor.example/suite/db@D";
    let pulled = endpoints("nested-sources", &format!("-f policy.yaml {images}"));
    assert_eq!(pulled[0], ["m.example:5000/olm@D", "m.example:5000/suite/olm@D", "vendor.example/suite/data/olm@D"]);
    assert_eq!(pulled[1], ["m.example:5000/db@D", "vendor.example/suite/db@D"]);
    fails("nested-sources", "explain -f policy.yaml vendor.example/suite/data@D", &["rewriting reference"]);
    assert!(found("nested-sources", "-f policy.yaml").0.contains(&"Warning MirrorWithoutPath".to_owned()));
}

#[test]
fn a_blocked_repository_inside_a_mirrored_host_keeps_the_mirrors() {
    let case = "blocked-repository";
    let rendered = run(case, "render node -f mirrors.yaml --registries-conf registries.conf").out;
    assert!(
        rendered.contains("location = \"one.example/payload\"") && rendered.contains("blocked = true"),
        "{rendered}"
    );
    let pulled = endpoints(case, "-f mirrors.yaml --registries-conf registries.conf host.example/payload/x@D");
    assert_eq!(pulled[0], ["one.example/payload/x@D", "two.example/payload/x@D", "host.example/payload/x@D"]);
}

#[test]
fn files_of_nodes_are_checked_as_nodes_read_them() {
    let explain = |file: &str, image: &str| format!("explain --registries-conf {file} {image}");
    fails("reported-files", &explain("mixed.conf", "docker.io/a/b:1"), &["mixed.conf"]);
    fails(
        "reported-files",
        &explain("without-quotes.conf", "private.registry/a:1"),
        &["without-quotes.conf", "line 2"],
    );
    fails("reported-files", &explain("star.conf", "ghcr.io/x/y:1"), &["star.conf", "*.example.com"]);
    let pulled = endpoints("reported-files", "--registries-conf key-of-a-mirror.conf docker.io/library/alpine:3");
    assert_eq!(pulled[0][0], "localhost:5000/library/alpine:3");
    let pulled = endpoints("reported-files", "--registries-conf with-a-tag.conf docker.io/library/alpine:latest");
    assert_eq!(pulled, [["docker.io/library/alpine:latest"]]);
}

#[test]
fn a_list_is_accepted_as_printed_and_the_order_of_entries_has_no_effect() {
    let pulled =
        endpoints("list-as-printed", "-f list.yaml quay.io/openshift-release-dev/ocp-release@D quay.io/other/x@D");
    assert_eq!(pulled[0][0], "m.example:8443/ocp/release@D");
    assert_eq!(pulled[1][0], "m.example:8443/quay/other/x@D");
    assert_eq!(run("list-as-printed", "migrate -f list.yaml").code, 0);
}

#[test]
fn a_mirror_of_the_wrong_depth_is_seen_in_explain() {
    let pulled = endpoints("wrong-depth", "-f mirrors.yaml quay.io/openshift-release-dev/ocp-release@D");
    assert_eq!(pulled[0][0], "m.example:5000/openshift-release-dev/ocp-release/openshift/ocp-release@D");
}

#[test]
fn empty_documents_are_no_documents() {
    let ran = run("empty-documents", "check -f mirrors.yaml");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.shown);
}

#[test]
fn the_message_for_a_lost_indentation_names_the_place_of_the_field() {
    fails(
        "lost-indentation",
        "check -f mirrors.yaml",
        &["imageDigestMirrors is at the top level", "indent it below spec"],
    );
    let ran = run("lost-indentation", "check -f entry.yaml");
    assert!(ran.out.contains("indent it below its entry of spec.imageDigestMirrors"), "{}{}", ran.out, ran.shown);
}

#[test]
fn two_objects_for_one_source_are_named_with_the_resulting_order() {
    let (rows, code) = found("two-objects-one-source", "-f mirrors.yaml");
    assert_eq!((rows, code), (vec!["Warning RepeatedMirror".to_owned(), "Info MergedOrder".to_owned()], 0));
    let ran = run("two-objects-one-source", "check -f mirrors.yaml");
    assert!(
        ran.out.contains("in the order one.example/team, zero.example/team, two.example/team")
            || ran.out.contains("in the order one.example/team, two.example/team, zero.example/team"),
        "{}",
        ran.out
    );
    assert!(ran.shown.contains("0 errors, 1 warning, 1 note in 2 mirror sets"), "{}", ran.shown);
    let pulled = endpoints("two-objects-one-source", "-f mirrors.yaml quay.io/team/x@D");
    assert_eq!(pulled[0][0], "one.example/team/x@D", "the first place counts");
}

#[test]
fn the_output_of_oc_mirror_gets_no_needless_warning() {
    let (rows, code) = found("oc-mirror", "-f mirrors.yaml");
    assert!(code == 0 && rows.iter().all(|row| row.starts_with("Info ")), "{rows:?}");
}

#[test]
fn containerd_gets_what_hosts_toml_can_express_and_the_rest_is_named() {
    let case = "containerd";
    let ran = run(case, "render node -f mirrors.yaml --runtime containerd");
    let golden =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/containerd/hosts.txt"));
    assert_eq!((ran.code, ran.out), (0, golden.unwrap()), "{}", ran.shown);
    for text in ["registry.example/team: not used by containerd: ", "mirror tags.example: "] {
        assert!(ran.shown.contains(text), "{}", ran.shown);
    }
    let pulled = endpoints(
        case,
        "-f mirrors.yaml --runtime containerd quay.io/a:v1 docker.io/library/a@D registry.example/team/a:v1",
    );
    assert_eq!(pulled[0], ["mirror.example:5000/quay/a:v1", "quay.io/a:v1"]);
    assert_eq!(pulled[1][0], "mirror.example:5000/hub/library/a@D");
    assert_eq!(pulled[2], ["registry.example/team/a:v1"]);
    let both = run(case, "render node -f mirrors.yaml --runtime containerd --registries-conf mirrors.yaml");
    assert_eq!((both.code, both.out.as_str()), (2, ""), "{}", both.shown);
    assert!(both.shown.contains("cannot be used with --registries-conf"), "{}", both.shown);
}
