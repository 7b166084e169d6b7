use serde_json::{Value, json};

use super::fixtures::{Files, MIRRORS};

const BASE: &str =
    "[[registry]]\nlocation = \"source.example/other\"\n\n[[registry.mirror]]\nlocation = \"base.example/other\"\n";

fn explain(files: &Files, arguments: &[&str]) -> (Value, i32) {
    let run = files.run(&[&["explain", "-o", "json"], arguments].concat());
    (serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stderr)), run.code)
}

fn references(explanation: &Value) -> Vec<&str> {
    let endpoints = explanation["endpoints"].as_array().unwrap();
    endpoints.iter().map(|endpoint| endpoint["reference"].as_str().unwrap()).collect()
}

fn digest() -> String {
    format!("sha256:{}", "a".repeat(64))
}

#[test]
fn the_text_output_has_endpoints_in_order_with_their_origins() {
    let files = Files::new(&[("m.yaml", MIRRORS)]);
    let by_digest = format!("source.example/ocp/release@{}", digest());
    let run = files.run(&["explain", &by_digest, "source.example/team/app:v1", "quay.io/free", "-f", "m.yaml"]);
    insta::assert_snapshot!("explain.txt", run.out());
}

#[test]
fn programs_get_every_key() {
    let files = Files::new(&[("m.yaml", MIRRORS)]);
    let (explained, code) = explain(&files, &["source.example/team/app:v1", "quay.io/free/app:v2", "-f", "m.yaml"]);
    let origin = |kind: &str, name: &str, index: usize| json!({"kind": kind, "namespace": null, "name": name, "key": null, "document": null, "index": index, "layer": "Management"});
    let expected = json!([
        {"image": "source.example/team/app:v1", "prefix": "source.example/team", "error": null, "endpoints": [
            {"reference": "t.example/team/app:v1", "insecure": false, "blocked": false,
             "origin": origin("ImageTagMirrorSet", "tools", 0)},
            {"reference": "source.example/team/app:v1", "insecure": false, "blocked": true,
             "origin": origin("ImageDigestMirrorSet", "release", 1)}]},
        {"image": "quay.io/free/app:v2", "prefix": null, "error": null, "endpoints": [
            {"reference": "quay.io/free/app:v2", "insecure": false, "blocked": false, "origin": null}]}
    ]);
    assert_eq!((explained, code), (expected, 0));
}

#[test]
fn files_without_objects_are_explained() {
    let files = Files::new(&[("registries.conf", BASE)]);
    let image = format!("source.example/other/x@{}", digest());
    let (explained, code) = explain(&files, &[&image, "--registries-conf", "registries.conf"]);
    assert_eq!(code, 0);
    assert_eq!(references(&explained[0])[0], format!("base.example/other/x@{}", digest()));
    assert_eq!(explained[0]["endpoints"][0]["origin"], json!({"file": "registries.conf"}));
}

#[test]
fn with_objects_and_files_the_drop_in_is_added() {
    let files = Files::new(&[("registries.conf", BASE), ("m.yaml", MIRRORS)]);
    let images = ["source.example/other/x:v1", "source.example/team/x:v1"];
    let arguments = [&images[..], &["--registries-conf", "registries.conf", "-f", "m.yaml"]].concat();
    let (explained, _) = explain(&files, &arguments);
    assert_eq!(references(&explained[0])[0], "base.example/other/x:v1");
    assert_eq!(references(&explained[1])[0], "t.example/team/x:v1");
    assert_eq!(explained[0]["endpoints"][0]["origin"], json!({"file": "registries.conf"}));
    assert_eq!(explained[1]["endpoints"][0]["origin"]["kind"], "ImageTagMirrorSet");
}

#[test]
fn an_image_resolves_identically_through_objects_and_through_the_written_file() {
    let files = Files::new(&[("m.yaml", MIRRORS)]);
    std::fs::create_dir(files.path().join("conf.d")).unwrap();
    let file = files.run(&["render", "node", "-f", "m.yaml"]).out();
    std::fs::write(files.path().join("conf.d/50-hypermirror.conf"), file).unwrap();
    let by_digest = format!("source.example/ocp/release@{}", digest());
    for image in [by_digest.as_str(), "source.example/team/a/b:v1", "source.example/team", "other.example/x"] {
        let (objects, _) = explain(&files, &[image, "-f", "m.yaml"]);
        let (written, _) = explain(&files, &[image, "--registries-conf-dir", "conf.d"]);
        assert_eq!(references(&objects[0]), references(&written[0]), "{image}");
    }
}

#[test]
fn an_unusable_file_is_an_error_of_every_image() {
    let files = Files::new(&[("registries.conf", "unqualified-search-registries = 5\n")]);
    let (explained, code) = explain(&files, &["a.example/x", "b.example/y", "--registries-conf", "registries.conf"]);
    assert_eq!(code, 1);
    for explanation in explained.as_array().unwrap() {
        assert!(explanation["error"].as_str().unwrap().contains("registries.conf"), "{explanation}");
        assert_eq!(explanation["endpoints"], json!([]));
    }
}

#[test]
fn a_name_that_is_none_is_an_error_of_that_image_alone() {
    let files = Files::new(&[("m.yaml", MIRRORS)]);
    let (explained, code) = explain(&files, &["Upper/Case", "source.example/team/x:v1", "-f", "m.yaml"]);
    assert_eq!(code, 1);
    assert!(explained[0]["error"].is_string() && explained[1]["error"].is_null());
    let run = files.run(&["explain", "Upper/Case", "-f", "m.yaml"]);
    assert!(run.code == 1 && run.stdout.contains("must be lowercase"), "{}", run.stdout);
}

#[test]
fn a_missing_file_and_a_missing_image_are_errors() {
    let files = Files::new(&[]);
    let stderr = files.run(&["explain", "a.example/x", "--registries-conf", "nowhere.conf"]).refused(1);
    assert!(stderr.contains("failed to read nowhere.conf"), "{stderr}");
    files.run(&["explain"]).refused(2);
}
