use serde::Deserialize;

use super::*;

fn places(text: &str) -> Vec<(usize, usize, Option<usize>, String)> {
    let documents = read("f.yaml", text).unwrap();
    let place = |document: &Document| {
        let place = &document.place;
        (place.document, place.line, place.item, document.text_at("/kind").unwrap_or_default().to_owned())
    };
    documents.iter().map(place).collect()
}

#[test]
fn documents_are_numbered_as_a_reader_counts_them() {
    let text = "# a comment\n---\nkind: A\n---\n# only a comment\n---\n\nkind: B\n--- # with a comment\nkind: C\n";
    let expected = [(1, 3, None, "A".to_owned()), (3, 8, None, "B".to_owned()), (4, 10, None, "C".to_owned())];
    assert_eq!(places(text), expected);
}

#[test]
fn a_separator_may_be_first_last_or_beside_content() {
    assert_eq!(places("---\nkind: A\n---\n"), [(1, 2, None, "A".to_owned())]);
    assert_eq!(places("--- {kind: A}\n--- {kind: B}"), [(1, 1, None, "A".to_owned()), (2, 2, None, "B".to_owned())]);
    assert_eq!(places("\u{feff}kind: A\r\n---\r\nkind: B\r\n").len(), 2);
    assert_eq!(places("%YAML 1.2\n---\nkind: A\n"), [(1, 3, None, "A".to_owned())]);
    assert_eq!(places("").len(), 0);
}

#[test]
fn dashes_inside_a_text_are_no_separator() {
    assert_eq!(places("kind: A\ntext: |\n  ---\n  x\n---x: 1\n").len(), 1);
}

#[test]
fn lists_are_split_and_their_items_have_a_kind() {
    let text = "kind: List\napiVersion: v1\nitems:\n- kind: A\n- kind: B\n";
    assert_eq!(places(text), [(1, 1, Some(1), "A".to_owned()), (1, 1, Some(2), "B".to_owned())]);
    let typed = read("f", "{\"kind\":\"ThingList\",\"apiVersion\":\"g/v1\",\"items\":[{\"metadata\":{}}]}").unwrap();
    assert_eq!(typed[0].value["kind"], "Thing");
    assert_eq!(typed[0].value["apiVersion"], "g/v1");
}

#[test]
fn json_documents_follow_one_another() {
    assert_eq!(
        places("{\"kind\": \"A\"}\n\n{\"kind\": \"B\"}\n"),
        [(1, 1, None, "A".to_owned()), (2, 3, None, "B".to_owned())]
    );
}

#[test]
fn flow_style_is_yaml_and_anchors_and_merges_count() {
    assert_eq!(places("{kind: A, x: [1, 2]}").len(), 1);
    let merged = read("f", "base: &b {x: 1}\nkind: A\nown:\n  <<: *b\n  y: 2\n").unwrap();
    assert_eq!(merged[0].value["own"], serde_json::json!({"x": 1, "y": 2}));
}

#[test]
fn errors_name_file_document_and_line() {
    let error = |text: &str| read("f.yaml", text).unwrap_err().to_string();
    let bad = error("kind: A\n---\n# c\nkind: B\nspec: [1\n");
    assert!(bad.starts_with("f.yaml, document 2: not valid YAML: "), "{bad}");
    assert!(bad.contains("line 5") || bad.contains("line 6"), "{bad}");
    let twice = error("kind: A\nkind: B\n");
    assert!(twice.contains("duplicate"), "{twice}");
    let json = read("f.json", "{\"kind\": \"A\"}\n{\"kind\": }\n").unwrap_err().to_string();
    assert!(json.contains("document 2: not valid JSON") && json.contains("line 2"), "{json}");
}

#[derive(Debug, Deserialize)]
struct Thing {
    #[allow(dead_code)] // only decoded
    spec: Spec,
}

#[derive(Debug, Deserialize)]
struct Spec {
    #[allow(dead_code)] // only decoded
    name: String,
}

#[test]
fn a_decoding_error_names_field_and_line() {
    let documents = read("f.yaml", "kind: A\n---\n\nkind: Thing\nspec:\n  name: [1]\n").unwrap();
    let error = documents[1].decode::<Thing>().unwrap_err().to_string();
    assert!(error.starts_with("spec.name: invalid type: sequence") && error.ends_with("(line 6)"), "{error}");
    let items = read("f.yaml", "kind: List\nitems:\n- kind: Thing\n  spec: {name: 5}\n").unwrap();
    let error = items[0].decode::<Thing>().unwrap_err().to_string();
    assert!(error.starts_with("spec.name: invalid type") && !error.contains("line"), "{error}");
}

#[derive(Debug, Deserialize)]
struct Lists {
    spec: Option<Vec<Thing>>,
    #[serde(default)]
    names: Vec<String>,
}

#[test]
fn null_is_the_same_as_a_field_that_is_left_out() {
    let read = read("f.yaml", "kind: A\nspec: null\nnames:\n---\nkind: A\nspec: [{spec: null}]\n").unwrap();
    let lists: Lists = read[0].decode().unwrap();
    assert!(lists.spec.is_none() && lists.names.is_empty());
    let error = read[1].decode::<Lists>().unwrap_err().to_string();
    assert!(error.starts_with("spec[0]: missing field `spec`"), "what may not be left out may not be null: {error}");
}

#[test]
fn a_list_without_items_is_empty() {
    for items in ["items:\n", "items: []\n", "items: null\n"] {
        assert!(places(&format!("kind: List\napiVersion: v1\n{items}")).is_empty(), "{items:?}");
    }
}

#[test]
fn three_dots_end_a_document() {
    assert!(places("---\n...\n---\n# c\n...\n").is_empty());
    assert_eq!(places("kind: A\n...\n"), [(1, 1, None, "A".to_owned())]);
    let two = [(1, 1, None, "A".to_owned()), (2, 4, None, "B".to_owned())];
    assert_eq!(places("kind: A\n...\n---\nkind: B\n...\n"), two);
    assert_eq!(places("kind: A\n...\n# c\nkind: B\n"), two, "a document needs no --- behind it");
    assert_eq!(places("...\n---\nkind: A\n"), [(1, 3, None, "A".to_owned())]);
    assert_eq!(places("text: |\n  ...\nkind: A\n").len(), 1);
}

#[test]
fn the_error_for_an_unparsable_text_names_its_probable_format() {
    let error = |text: &str| read("f.yaml", text).unwrap_err().to_string();
    for text in ["{{ if x }}\nkind: A\n", "kind: {{ x }}\n", "{% if x %}\nkind: A\n"] {
        let told = error(text);
        assert!(told.contains("not valid YAML") && told.contains("looks like a template"), "{told}");
    }
    assert!(error("kind: A\n\tx: 1\n").contains("not with tabs"));
    assert!(error("kind: A\n  x: 1\n").contains("check the indentation"));
    let json = read("f.json", "{{ x }}").unwrap_err().to_string();
    assert!(json.contains("not valid JSON"), "{json}");
}
