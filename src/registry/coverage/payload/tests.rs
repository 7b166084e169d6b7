use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn stream(tags: &Value) -> Vec<u8> {
    serde_json::to_vec(&json!({"kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "spec": {"tags": tags}}))
        .unwrap()
}

fn tag(name: &str, image: &str) -> Value {
    json!({"name": name, "annotations": {}, "from": {"kind": "DockerImage", "name": image}, "generation": null})
}

#[test]
fn the_file_is_found_in_layers_with_gzip_and_without() {
    let long = format!("usr/{}", "x".repeat(300));
    let plain = layer(&[(&long, b"x"), ("release-manifests/other", b"y"), (FILE, b"content"), ("z", b"z")]);
    for stored in [plain.clone(), compressed(&plain)] {
        assert_eq!(find(&stored), Ok(InLayer::Found(b"content".to_vec())));
    }
    assert_eq!(find(&compressed(&layer(&[("a", b"")]))), Ok(InLayer::Absent));
    assert_eq!(find(&layer(&[("x/release-manifests/image-references", b"")])), Ok(InLayer::Absent));
}

#[test]
fn a_layer_may_remove_the_file_of_those_below() {
    for removed in [WHITEOUT, OPAQUE] {
        assert_eq!(find(&layer(&[(removed, b"")])), Ok(InLayer::Removed));
    }
    assert_eq!(find(&layer(&[(OPAQUE, b""), (FILE, b"new")])), Ok(InLayer::Found(b"new".to_vec())));
}

#[test]
fn what_is_no_archive_is_refused() {
    assert_eq!(find(&[&ZSTD[..], b"x"].concat()), Err(PayloadError::Zstd));
    let plain = layer(&[("a", &[7; 10_000]), (FILE, b"content")]);
    let cut = &compressed(&plain)[..50];
    assert!(matches!(find(cut), Err(PayloadError::Tar(_))));
    assert!(matches!(find(&plain[..5_000]), Err(PayloadError::Tar(_))));
    assert!(matches!(find(&[b'x'; 1_024]), Err(PayloadError::Tar(_))));
    assert!(matches!(find(&[]), Ok(InLayer::Absent)));
}

#[test]
fn a_layer_that_unpacks_to_more_than_any_is_refused() {
    let large = layer(&[(FILE, &vec![b' '; MAX_FILE_BYTES + 1])]);
    assert_eq!(find(&large), Err(PayloadError::TooLarge("4 MiB in that file")));
    let many: Vec<u8> = layer(&[("a", b"")])[..512].repeat(MAX_ENTRIES + 1);
    assert_eq!(find(&compressed(&many)), Err(PayloadError::TooLarge("500000 entries")));
}

#[test]
fn images_are_read_with_their_names() {
    let content =
        stream(&json!([tag("etcd", &format!("quay.io/ocp/release@{DIGEST}")), tag("cli", "quay.io/ocp/cli:v1")]));
    let found = images(&content).unwrap();
    assert_eq!(found.iter().map(|image| image.name.as_str()).collect::<Vec<_>>(), ["etcd", "cli"]);
    assert_eq!(found[0].image.digest.as_deref(), Some(DIGEST));
}

#[test]
fn a_payload_of_which_an_image_cannot_be_read_is_refused() {
    let local = json!({"name": "a", "from": {"kind": "ImageStreamTag", "name": "x:1"}});
    for tags in [json!([tag("a", "quay.io/A")]), json!([local]), json!([{"name": "a"}]), json!([tag("a", "")])] {
        assert!(matches!(images(&stream(&tags)), Err(PayloadError::Image { .. })), "{tags}");
    }
    let many: Vec<Value> = (0..=MAX_IMAGES).map(|number| tag(&number.to_string(), "quay.io/a:v1")).collect();
    for content in [
        stream(&json!([])),
        stream(&json!(many)),
        b"[]".to_vec(),
        b"{}".to_vec(),
        b"<html>".to_vec(),
        br#"{"kind": "Pod", "spec": {}}"#.to_vec(),
    ] {
        assert!(matches!(images(&content), Err(PayloadError::Json(_))));
    }
}
