use serde_json::{Value, json};

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn parse(value: &Value, content_type: Option<&str>) -> Result<Manifest, ManifestError> {
    Manifest::parse(&serde_json::to_vec(value).unwrap(), content_type)
}

fn blob() -> Value {
    json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 3})
}

#[test]
fn b14_the_type_is_that_of_the_body_where_the_header_is_general() {
    let image = json!({"schemaVersion": 2, "mediaType": ManifestType::DockerImage.name(), "config": blob(), "layers": [blob()]});
    for header in
        [None, Some("application/json"), Some("text/plain; charset=utf-8"), Some(ManifestType::DockerImage.name())]
    {
        assert_eq!(parse(&image, header).unwrap().kind, ManifestType::DockerImage, "{header:?}");
    }
    let with_charset = format!("{}; charset=utf-8", ManifestType::DockerImage.name());
    assert_eq!(parse(&image, Some(&with_charset)).unwrap().kind, ManifestType::DockerImage);
}

#[test]
fn b14_types_that_contradict_each_other_are_refused() {
    let image = json!({"mediaType": ManifestType::DockerImage.name(), "config": blob(), "layers": []});
    let wrong = parse(&image, Some(ManifestType::OciImage.name()));
    assert!(matches!(wrong, Err(ManifestError::Contradiction(..))), "{wrong:?}");
    let both = json!({"manifests": [], "layers": [], "config": blob()});
    assert!(matches!(parse(&both, None), Err(ManifestError::Contradiction(..))));
    let index = json!({"manifests": []});
    assert!(matches!(parse(&index, Some(ManifestType::OciImage.name())), Err(ManifestError::Contradiction(..))));
}

#[test]
fn without_any_type_the_fields_decide() {
    assert_eq!(parse(&json!({"config": blob(), "layers": []}), None).unwrap().kind, ManifestType::OciImage);
    assert_eq!(parse(&json!({"manifests": []}), None).unwrap().kind, ManifestType::OciIndex);
    assert_eq!(parse(&json!({"blobs": [blob()]}), None).unwrap().kind, ManifestType::OciArtifact);
    assert_eq!(parse(&json!({}), None), Err(ManifestError::UnknownType));
    assert_eq!(parse(&json!({"manifests": null}), None), Err(ManifestError::UnknownType));
}

#[test]
fn b15_schema_1_is_recognised_and_nothing_of_it_is_read() {
    let old = json!({"schemaVersion": 1, "name": "a", "fsLayers": [{"blobSum": DIGEST}], "signatures": []});
    let manifest = parse(&old, Some("application/vnd.docker.distribution.manifest.v1+prettyjws")).unwrap();
    assert_eq!(manifest.kind, ManifestType::Schema1);
    assert_eq!(manifest.blobs().count(), 0);
    assert_eq!(parse(&old, None).unwrap().kind, ManifestType::Schema1);
    let with_children = json!({"schemaVersion": 1, "manifests": [blob()]});
    assert!(parse(&with_children, None).unwrap().children.is_empty());
}

#[test]
fn b16_foreign_layers_are_not_among_the_blobs_that_a_registry_holds() {
    let foreign =
        json!({"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": DIGEST, "size": 1});
    let with_urls = json!({"mediaType": "x", "digest": DIGEST, "size": 1, "urls": ["ftp://169.254.169.254/x"]});
    let image = json!({"config": blob(), "layers": [blob(), foreign, with_urls]});
    let manifest = parse(&image, Some(ManifestType::OciImage.name())).unwrap();
    assert_eq!(manifest.layers.len(), 3);
    assert_eq!(manifest.blobs().count(), 2);
}

#[test]
fn b17_unusual_manifests_are_read() {
    let sha512 = format!("sha512:{}", "0".repeat(128));
    let artifact = json!({
        "schemaVersion": 2, "mediaType": ManifestType::OciImage.name(), "artifactType": "application/x", "layers": [],
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": DIGEST, "size": 2, "data": "e30="},
        "subject": {"mediaType": ManifestType::OciImage.name(), "digest": sha512, "size": 0},
        "annotations": null, "unheardOf": {"a": []},
    });
    let manifest = parse(&artifact, None).unwrap();
    assert_eq!(manifest.artifact_type.as_deref(), Some("application/x"));
    assert_eq!(manifest.subject.unwrap().digest.to_string(), sha512);
    let nested = json!({"manifests": [{"mediaType": ManifestType::OciIndex.name(), "digest": DIGEST, "size": 9}]});
    assert_eq!(parse(&nested, None).unwrap().children[0].media_type, ManifestType::OciIndex.name());
}

#[test]
fn b18_attestations_are_told_from_images() {
    let child = |more: Value| {
        let mut child = json!({"mediaType": ManifestType::OciImage.name(), "digest": DIGEST, "size": 1});
        child.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        child
    };
    let index = json!({"manifests": [
        child(json!({"platform": {"os": "linux", "architecture": "arm", "variant": "v7"}})),
        child(json!({"platform": {"os": "unknown", "architecture": "unknown"}})),
        child(json!({"annotations": {"vnd.docker.reference.type": "attestation-manifest"}})),
        child(json!({"platform": null})),
    ]});
    let manifest = parse(&index, None).unwrap();
    assert_eq!(
        manifest.children.iter().map(|child| child.is_attestation).collect::<Vec<_>>(),
        [false, true, true, false]
    );
    assert_eq!(manifest.children[0].platform.as_ref().unwrap().name(), "linux/arm/v7");
}

#[test]
fn what_is_no_manifest_is_refused() {
    for text in ["", "null", "[]", "\"a\"", "{", "<html>", r#"{"layers": {}}"#, r#"{"layers": [], "layers": []}"#] {
        assert!(matches!(Manifest::parse(text.as_bytes(), None), Err(ManifestError::Json(_))), "{text}");
    }
    let negative = json!({"layers": [{"digest": DIGEST, "size": -1}]});
    assert!(matches!(parse(&negative, None), Err(ManifestError::Json(_))));
    let unchecked = json!({"layers": [{"digest": "md5:0", "size": 1}]});
    assert!(matches!(parse(&unchecked, None), Err(ManifestError::Digest(_))));
    assert_eq!(Manifest::parse(&vec![b' '; MAX_MANIFEST_BYTES + 1], None), Err(ManifestError::TooLarge));
    let deep = "[".repeat(100_000);
    assert!(matches!(Manifest::parse(format!("{{\"a\":{deep}").as_bytes(), None), Err(ManifestError::Json(_))));
}
