use hypermirror_api::hypershift::{HostedClusterSpec, LocalObjectReference};
use hypermirror_api::report::MirrorConfigReport;

use super::*;
use crate::mirrors::PullBy;

const IDMS: &str = "apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nmetadata:\n  name: a\nspec:\n  imageDigestMirrors:\n  - source: registry.example\n    mirrors: [mirror.example/r]\n";

fn config(data: &[(&str, &str)]) -> MirrorConfig {
    let data = data.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    read("clusters", "mirrors", &data)
}

fn only_trouble(data: &[(&str, &str)]) -> (Reason, String) {
    let mut problems = config(data).problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    let trouble = problems.remove(0);
    (trouble.reason, trouble.message)
}

#[test]
fn both_keys_count_and_several_documents() {
    let tags = IDMS.replace("Digest", "Tag");
    let config = config(&[("itms.yaml", &tags), ("idms.yaml", &format!("{IDMS}---\n{IDMS}"))]);
    let found: Vec<(PullBy, String)> =
        config.entries.iter().map(|entry| (entry.pull_by, entry.origin.to_string())).collect();
    let origin = |place: &str| format!("ConfigMap/clusters/mirrors[{place}][0]");
    let expected = [
        (PullBy::Digest, origin("idms.yaml#0")),
        (PullBy::Digest, origin("idms.yaml#1")),
        (PullBy::Tag, origin("itms.yaml#0")),
    ];
    assert_eq!(found.len(), 3);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert!(config.problems.is_empty() && config.findings.is_empty());
}

#[test]
fn errors_name_the_config_map_the_key_the_document_and_the_line() {
    let bad = format!("{IDMS}---\n# c\nkind: [\n");
    let (reason, message) = only_trouble(&[("idms.yaml", &bad)]);
    assert_eq!(reason, Reason::ConfigMapInvalid);
    assert!(
        message.starts_with("ConfigMap clusters/mirrors, key idms.yaml, document 2: not valid YAML: "),
        "{message}"
    );
    assert!(message.contains("line 1"), "{message}");

    let typed = IDMS.replace("[mirror.example/r]", "mirror.example/r");
    let (_, message) = only_trouble(&[("idms.yaml", &typed)]);
    let expected =
        "ConfigMap clusters/mirrors, key idms.yaml, document 1 (line 1): spec.imageDigestMirrors[0].mirrors: ";
    assert!(message.starts_with(expected) && message.ends_with("(line 8)"), "{message}");

    let (_, message) = only_trouble(&[("itms.yaml", IDMS)]);
    let expected = "ConfigMap clusters/mirrors, key itms.yaml, document 1 (line 1): kind is ImageDigestMirrorSet, \
                        but this key requires ImageTagMirrorSet";
    assert_eq!(message, expected);
}

#[test]
fn a_config_map_without_documents_is_not_an_empty_list() {
    for data in [&[][..], &[("idms.yaml", "")], &[("idms.yaml", "# later\n"), ("itms.yaml", "---\n")]] {
        let (reason, message) = only_trouble(data);
        assert_eq!(reason, Reason::ConfigMapKeyMissing);
        assert_eq!(message, "ConfigMap clusters/mirrors has neither idms.yaml nor itms.yaml with a document in it");
    }
    let empty = "apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nspec:\n  imageDigestMirrors: []\n";
    let config = config(&[("idms.yaml", empty)]);
    assert!(config.entries.is_empty() && config.problems.is_empty() && !config.contributes);
}

#[test]
fn misspelt_keys_and_fields_are_reported_and_the_rest_applies() {
    let config = config(&[("idms.yml", IDMS), ("idms.yaml", &IDMS.replace("mirrors: [", "mirror: ["))]);
    let fields: Vec<&str> = config.findings.iter().map(|finding| finding.field.as_str()).collect();
    assert_eq!(fields, ["spec.imageDigestMirrors[0].mirror", "data[idms.yml]"]);
    assert_eq!(config.entries.len(), 1);
}

fn cluster(field: Option<&str>, annotation: Option<&str>) -> HostedCluster {
    let reference = field.map(|name| LocalObjectReference { name: name.to_owned() });
    let spec = HostedClusterSpec { image_mirror_config_ref: reference, ..HostedClusterSpec::default() };
    let mut cluster = HostedCluster::new("west", spec);
    if let Some(name) = annotation {
        cluster.annotations_mut().insert(annotations::IMAGE_MIRROR_CONFIG_REF.to_owned(), name.to_owned());
    }
    cluster
}

#[test]
fn the_field_precedes_the_annotation_and_a_conflict_is_reported() {
    let of = |field, annotation| {
        let (reference, trouble) = reference(&cluster(field, annotation), true, None);
        (reference.map(|reference| reference.name), trouble.map(|trouble| trouble.reason))
    };
    assert_eq!(of(None, None), (None, None));
    assert_eq!(of(Some("a"), None), (Some("a".into()), None));
    assert_eq!(of(None, Some("b")), (Some("b".into()), None));
    assert_eq!(of(Some("a"), Some("a")), (Some("a".into()), None));
    assert_eq!(of(Some("a"), Some("b")), (Some("a".into()), Some(Reason::ReferenceConflict)));
}

fn report(place: ReferencePlace) -> HostedClusterMirrorsStatus {
    let reference = MirrorConfigReport { name: "mirrors".into(), place, ..MirrorConfigReport::default() };
    HostedClusterMirrorsStatus {
        hosted_cluster_generation: 4,
        mirror_config: Some(reference),
        ..HostedClusterMirrorsStatus::default()
    }
}

#[test]
fn a_field_that_its_crd_lost_is_no_removal() {
    let mut none = cluster(None, None);
    none.metadata.generation = Some(5);
    let kept = |cluster: &HostedCluster, served, place| reference(cluster, served, Some(&report(place))).0.is_some();
    assert!(kept(&none, false, ReferencePlace::Field));
    assert!(!kept(&none, true, ReferencePlace::Field), "its owner took it away");
    assert!(kept(&none, true, ReferencePlace::Pruned), "nobody has decided yet");
    assert!(!kept(&none, false, ReferencePlace::Annotation));
    none.metadata.generation = Some(4);
    assert!(kept(&none, true, ReferencePlace::Field), "nobody changed the spec, and the CRD is read later");
    let (found, trouble) = reference(&none, false, Some(&report(ReferencePlace::Field)));
    assert_eq!(found.unwrap(), MirrorReference { name: "mirrors".into(), place: ReferencePlace::Pruned });
    let trouble = trouble.unwrap();
    assert_eq!(trouble.reason, Reason::FieldPruned);
    assert!(trouble.message.contains("crd hostedcluster-patch"), "{}", trouble.message);
    let decided = cluster(None, Some(""));
    assert_eq!(reference(&decided, false, Some(&report(ReferencePlace::Pruned))), (None, None));
}
