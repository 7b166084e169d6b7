//! `copy` between layouts, and its arguments. Registries are asked in the scenarios.

use std::path::Path;
use std::process::Command;

use hypermirror::registry::wire::digest::hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::fixtures::Files;

/// A layout with one image, as skopeo writes it.
fn layout(at: &Path, name: &str) -> String {
    let blobs = at.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let add = |media_type: &str, bytes: &str| {
        let hex = hex(Sha256::digest(bytes).as_slice());
        std::fs::write(blobs.join(&hex), bytes).unwrap();
        json!({"mediaType": media_type, "digest": format!("sha256:{hex}"), "size": bytes.len()})
    };
    let diff = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
    let config = add("application/vnd.oci.image.config.v1+json", &diff.to_string());
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []}).to_string();
    let mut manifest = add(kind, &manifest);
    manifest["annotations"]["org.opencontainers.image.ref.name"] = name.into();
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    std::fs::write(at.join("index.json"), index.to_string()).unwrap();
    std::fs::write(at.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
    manifest["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_layout_is_copied_to_an_archive_and_back_and_skopeo_reads_both() {
    let files = Files::new(&[]);
    let digest = layout(&files.path().join("a"), "quay.io/org/app:v1");
    let dry = files.run(&["copy", "oci:a", "oci:b", "--dry-run", "-o", "json"]);
    let dry: Value = serde_json::from_str(&dry.out()).unwrap();
    assert_eq!((&dry["isDryRun"], &dry["images"][0]["state"]), (&true.into(), &"Planned".into()), "{dry}");
    assert!(!files.path().join("b").exists());
    let steps = [["copy", "oci:a", "oci-archive:a.tar"], ["copy", "oci-archive:a.tar", "oci:b"]];
    for step in steps {
        let report = files.run(&[&step[..], &["-o", "json"]].concat()).out();
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(
            (&report["images"][0]["state"], &report["images"][0]["digest"]),
            (&"Copied".into(), &digest.as_str().into())
        );
        assert_eq!(report["amount"]["blobs"], 1, "{report}");
    }
    let again = files.run(&["copy", "oci:a", "oci:b"]).out();
    assert!(again.contains("1 unchanged"), "{again}");
    for place in ["oci:b:quay.io/org/app:v1", "oci-archive:a.tar:quay.io/org/app:v1"] {
        let mut read = Command::new("skopeo");
        let read = read.args(["inspect", "--format", "{{.Digest}}", place]).current_dir(files.path()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&read.stdout).trim(), digest, "{place}: {read:?}");
    }
    // What skopeo writes is read.
    let mut write = Command::new("skopeo");
    write.args(["--insecure-policy", "copy", "oci:b:quay.io/org/app:v1", "oci:c:v2"]).current_dir(files.path());
    assert!(write.output().unwrap().status.success());
    let read = files.run(&["copy", "oci:c:v2", "oci:d:v3"]).out();
    assert!(read.contains("oci:d:v3"), "{read}");
}

#[test]
fn places_that_nobody_means_are_bad_usage() {
    let files = Files::new(&[("short.txt", "quay.io/a:1=team/app\n")]);
    for arguments in [
        &["copy"][..],
        &["copy", "quay.io/a:1"],
        &["copy", "quay.io/a:1", "team/app"],
        &["copy", "quay.io/a:1", "quay.io/b:1", "m.corp/x:1"],
        &["copy", "quay.io/a:1", "m.corp/x", "--platforms", "linux"],
        &["copy", "quay.io/a:1", "m.corp/x", "--anchor-tag", "x"],
        &["copy", "quay.io/a:1", "m.corp/x", "--jobs", "0"],
        &["copy", "--want", "none"],
        &["copy", "--want", "short.txt", "--dry-run"],
        &["copy", "oci:none", "m.corp/x"],
        &["copy", "quay.io/a:1", "m.corp/x", "--authfile", "none"],
        &["copy", "quay.io/a:1", "m.corp/x", "--certificate-authority", "short.txt"],
        &["copy", "quay.io/a:1", "m.corp/x", "--rate-from", "none"],
        &["copy", "quay.io/a:1", "m.corp/x", "--dry-run", "--rate-from", "none"],
    ] {
        files.run(arguments).refused(2);
    }
}

#[test]
fn data_follows_the_committed_schema() {
    let schema = Files::new(&[]).run(&["copy", "--schema"]).out();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/copy.schema.json");
    assert_eq!(schema, std::fs::read_to_string(path).unwrap(), "make manifests");
}
