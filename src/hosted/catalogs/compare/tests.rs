use std::collections::BTreeMap;

use super::*;

const STOCK: &str = "registry.redhat.io/redhat/redhat-operator-index:v4.20";
const PINNED: &str = "registry.redhat.io/redhat/redhat-operator-index@sha256:0a";
const WANTED: &str = "m.example/redhat@sha256:0c";
const TRIGGERS: &str = r#"[{"from":{"kind":"ImageStreamTag","name":"catalogs:redhat-operators"}}]"#;

fn deployment(image: &str, triggers: bool) -> Value {
    let mut object = json!({
        "metadata": {"name": "redhat-operators-catalog", "uid": "u", "generation": 3, "annotations": {"other": "x"}},
        "spec": {"template": {"spec": {
            "initContainers": [{"name": "cache", "image": "x"}, {"name": "extract-content", "image": image}],
            "containers": [{"name": "sidecar", "image": "y"}, {"name": "registry", "image": image}],
        }}}
    });
    if triggers {
        object["metadata"]["annotations"][annotations::IMAGE_TRIGGERS] = json!(TRIGGERS);
    }
    object
}

fn stream(images: &[&str]) -> Value {
    let tags = images
        .iter()
        .enumerate()
        .map(|(n, image)| json!({"name": format!("t{n}"), "from": {"kind": "DockerImage", "name": image}}));
    json!({"metadata": {"name": "catalogs", "uid": "s"}, "spec": {"tags": tags.collect::<Vec<_>>()}})
}

fn objects(deployment: Value, image_stream: Option<Value>) -> CatalogObjects {
    CatalogObjects { deployments: vec![(Catalog::Redhat, deployment)], image_stream }
}

fn named() -> Wanted {
    Wanted::Images(BTreeMap::from([(Catalog::Redhat, WANTED.to_owned())]))
}

fn registries(list: &[&str]) -> Wanted {
    Wanted::Registries(list.iter().map(|registry| (*registry).to_owned()).collect())
}

fn patched(object: &Value, difference: &Difference) -> Value {
    let mut object = object.clone();
    json_patch::patch(&mut object, difference.patch.as_ref().unwrap()).unwrap();
    object
}

#[test]
fn annotated_images_are_set_in_both_containers_and_the_trigger_is_removed() {
    for image in [STOCK, "m.example/older@sha256:0b", ""] {
        let before = deployment(image, true);
        let found = compare(&named(), &objects(before.clone(), None));
        assert_eq!((found.len(), found[0].images.len(), found[0].is_triggered), (1, 2, true));
        let after = patched(&before, &found[0]);
        assert_eq!(after, deployment(WANTED, false));
        assert_eq!(compare(&named(), &objects(after, None)), [], "twice is once");
    }
}

#[test]
fn a_trigger_alone_is_a_difference_of_named_images_and_of_nothing_else() {
    let before = deployment(WANTED, true);
    let found = compare(&named(), &objects(before.clone(), None));
    assert_eq!((found[0].images.len(), found[0].is_triggered), (0, true));
    assert_eq!(patched(&before, &found[0]), deployment(WANTED, false));
    assert_eq!(compare(&registries(&["m.example"]), &objects(before, None)), []);
}

#[test]
fn a_patch_does_not_apply_to_a_changed_deployment() {
    let found = compare(&named(), &objects(deployment(STOCK, true), None));
    let patch = found[0].patch.as_ref().unwrap();
    let moved = [
        ("/spec/template/spec/containers/1/name", "another"),
        ("/spec/template/spec/containers/1/image", "another"),
        ("/metadata/uid", "another"),
        ("/metadata/annotations/image.openshift.io~1triggers", "another"),
    ];
    for (path, value) in moved {
        let mut object = deployment(STOCK, true);
        *object.pointer_mut(path).unwrap() = json!(value);
        assert!(json_patch::patch(&mut object, patch).is_err(), "{path}");
    }
}

#[test]
fn the_stock_image_moves_to_the_first_registry_with_its_tag_or_digest_and_others_stay() {
    let wanted = registries(&["first.example/r", "second.example"]);
    for (image, expected) in [
        (STOCK, Some("first.example/r/redhat-operator-index:v4.20")),
        (PINNED, Some("first.example/r/redhat-operator-index@sha256:0a")),
        ("first.example/r/redhat-operator-index:v4.19", None),
        ("second.example/redhat-operator-index@sha256:0a", None),
    ] {
        let before = deployment(image, true);
        let found = compare(&wanted, &objects(before.clone(), None));
        let after = found.first().map(|difference| patched(&before, difference));
        assert_eq!(after, expected.map(|image| deployment(image, true)), "{image}");
    }
}

#[test]
fn an_image_of_another_owner_is_reported_and_kept() {
    for image in ["registry.redhat.io/redhatx/i:v1", "internal:5000/ns/catalogs@sha256:0a", "first.example/rx/i:v1"] {
        let found = compare(&registries(&["first.example/r"]), &objects(deployment(image, false), None));
        assert_eq!((found.len(), &found[0].patch), (1, &None), "{image}");
        assert!(found[0].to_string().contains("neither the stock image nor that of the annotation"), "{}", found[0]);
    }
}

#[test]
fn where_there_is_an_image_stream_it_decides_about_registries() {
    let other = "quay.example/own/index:v1";
    let before = stream(&[STOCK, other, "first.example/r/i:v1"]);
    let found = compare(&registries(&["first.example/r"]), &objects(deployment(STOCK, true), Some(before.clone())));
    assert_eq!((found.len(), found[0].object, found[0].images.len()), (1, CatalogObject::ImageStream, 2));
    let expected = stream(&["first.example/r/redhat-operator-index:v4.20", other, "first.example/r/i:v1"]);
    assert_eq!(patched(&before, &found[0]), expected);
    assert_eq!(compare(&named(), &objects(deployment(WANTED, false), Some(before))), [], "named images need none");
}

#[test]
fn nothing_wanted_and_nothing_there_is_no_difference() {
    assert_eq!(compare(&Wanted::Nothing, &objects(deployment(STOCK, true), Some(stream(&[STOCK])))), []);
    assert_eq!(compare(&named(), &CatalogObjects::default()), []);
    assert_eq!(compare(&named(), &objects(json!({"metadata": {}}), None)), []);
}

#[test]
fn a_difference_reads_as_a_sentence() {
    let found = compare(&named(), &objects(deployment(STOCK, true), None));
    let expected = format!(
        "Deployment redhat-operators-catalog: container registry has {STOCK}, not {WANTED}, container extract-content has \
         {STOCK}, not {WANTED}; annotation image.openshift.io/triggers makes an ImageStream select the image"
    );
    assert_eq!(found[0].to_string(), expected);
}

#[test]
fn a_stock_image_moves_to_its_proven_mirror_and_without_one_stays() {
    let wanted = |proven: &[(&str, &str)]| {
        Wanted::Proven(proven.iter().map(|(stock, mirror)| ((*stock).to_owned(), (*mirror).to_owned())).collect())
    };
    let (proven, moved) = (wanted(&[(STOCK, "m.example/redhat:v4.20")]), "m.example/redhat:v4.20");
    let before = deployment(STOCK, true);
    let found = compare(&proven, &objects(before.clone(), None));
    assert_eq!((found.len(), found[0].images.len(), found[0].is_triggered), (1, 2, false));
    let after = patched(&before, &found[0]);
    assert_eq!(after, deployment(moved, true));
    for (what, proven) in [("twice is once", &proven), ("the proof is lost", &wanted(&[]))] {
        assert_eq!(compare(proven, &objects(after.clone(), None)), [], "{what}");
    }
    let found = compare(&wanted(&[]), &objects(before.clone(), None));
    assert!(found[0].patch.is_none() && found[0].to_string().contains("is proven to hold"), "{}", found[0]);
    let stream = stream(&[STOCK, PINNED, "other.example/x:1"]);
    let found = compare(&proven, &objects(before, Some(stream.clone())));
    let tags = &patched(&stream, &found[0])["spec"]["tags"];
    assert_eq!((&tags[0]["from"]["name"], &tags[1]["from"]["name"]), (&json!(moved), &json!(PINNED)));
}

#[test]
fn stock_images_are_those_of_the_stream_or_else_of_the_deployments() {
    let all = objects(deployment(STOCK, false), Some(stream(&[PINNED, "other.example/x:1", PINNED])));
    assert_eq!(stock_images(&all), [PINNED]);
    assert_eq!(stock_images(&CatalogObjects { image_stream: None, ..all }), [STOCK]);
    assert!(stock_images(&objects(deployment(WANTED, false), None)).is_empty());
}
