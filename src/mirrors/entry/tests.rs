use super::*;

fn summary(entries: &[MirrorEntry]) -> Vec<String> {
    let line = |entry: &MirrorEntry| {
        let mirrors = entry.mirrors.join(" ");
        let policy = entry.policy.as_ref().map_or("-", DeclaredPolicy::as_str);
        format!("{:?} {} {} -> {mirrors} {policy} {}", entry.pull_by, entry.field(), entry.source, entry.origin)
    };
    entries.iter().map(line).collect()
}

fn spec<S: serde::de::DeserializeOwned>(json: serde_json::Value) -> S {
    serde_json::from_value(json).unwrap()
}

#[test]
fn each_kind_has_its_pulls_and_its_list() {
    let elements = serde_json::json!([
        {"source": "a.io", "mirrors": ["m.io", "n.io"], "mirrorSourcePolicy": "NeverContactSource"},
        {"source": "b.io"},
    ]);
    let digest_set: ImageDigestMirrorSetSpec = spec(serde_json::json!({"imageDigestMirrors": elements}));
    assert_eq!(
        summary(&of_object("set", &digest_set, Layer::Management)),
        [
            "Digest spec.imageDigestMirrors[0] a.io -> m.io n.io NeverContactSource ImageDigestMirrorSet/set[0]",
            "Digest spec.imageDigestMirrors[1] b.io ->  - ImageDigestMirrorSet/set[1]",
        ]
    );
    let tag_set: ImageTagMirrorSetSpec = spec(serde_json::json!({"imageTagMirrors": elements}));
    assert_eq!(
        summary(&of_object("set", &tag_set, Layer::Management))[0],
        "Tag spec.imageTagMirrors[0] a.io -> m.io n.io NeverContactSource ImageTagMirrorSet/set[0]"
    );
    let icsp: ImageContentSourcePolicySpec =
        spec(serde_json::json!({"repositoryDigestMirrors": [{"source": "a.io", "mirrors": ["m.io"]}]}));
    assert_eq!(
        summary(&of_object("set", &icsp, Layer::Management)),
        ["Digest spec.repositoryDigestMirrors[0] a.io -> m.io - ImageContentSourcePolicy/set[0]"]
    );
}

#[test]
fn an_image_mirror_digest_set_has_two_lists_and_the_newer_one_counts_first() {
    let set: ImageMirrorDigestSetSpec = spec(serde_json::json!({
        "mirrors": [{"source": "b.io", "mirrors": ["m.io"]}],
        "imageDigestMirrors": [{"source": "a.io", "mirrors": ["m.io"], "insecureSkipTLSVerify": true}],
    }));
    let entries = of_object("set", &set, Layer::NodePool);
    assert_eq!(
        summary(&entries),
        [
            "Digest spec.imageDigestMirrors[0] a.io -> m.io - ImageMirrorDigestSet/set[0]",
            "Digest spec.mirrors[0] b.io -> m.io - ImageMirrorDigestSet/set[0]",
        ]
    );
    assert_eq!(entries.iter().map(|entry| entry.insecure).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn image_content_sources_belong_to_their_hosted_cluster() {
    let sources = [ImageContentSource { source: "a.io".to_owned(), mirrors: vec!["m.io".to_owned()] }];
    let entries = of_image_content_sources("clusters", "prod", &sources, Layer::HostedCluster);
    assert_eq!(summary(&entries), ["Digest spec.imageContentSources[0] a.io -> m.io - HostedCluster/clusters/prod[0]"]);
    assert_eq!(entries[0].origin.layer, Layer::HostedCluster);
}

#[test]
fn a_document_keeps_its_place_and_an_empty_policy_is_none() {
    let set: ImageDigestMirrorSetSpec =
        spec(serde_json::json!({"imageDigestMirrors": [{"source": "a.io", "mirrorSourcePolicy": ""}]}));
    let place = Origin {
        kind: "ConfigMap".to_owned(),
        namespace: Some("clusters".to_owned()),
        name: "mirrors".to_owned(),
        key: Some("idms.yaml".to_owned()),
        document: Some(2),
        index: 7,
        layer: Layer::HostedCluster,
    };
    assert_eq!(
        summary(&of_document(&set, &place)),
        ["Digest spec.imageDigestMirrors[0] a.io ->  - ConfigMap/clusters/mirrors[idms.yaml#2][0]"]
    );
}
