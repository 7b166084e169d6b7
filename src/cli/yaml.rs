//! Prints YAML that all parsers interpret identically.
//!
//! Parsers of YAML 1.1 (`PyYAML`, Go's yaml.v2) do not interpret `=`, `yes`, `1e3`, `12:30` or `2001-01-01` as strings, and
//! `PyYAML` rejects `value: =`, the empty override map. The serializer therefore quotes for YAML 1.1.

use std::borrow::Cow;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::printable;

/// Prints one value, with a line feed at the end.
pub fn print(value: &impl Serialize) -> Result<String> {
    // No block scalars, because some parsers reject those that start with a tab.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let mut text = serde_saphyr::to_string_with_options(value, options)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    // Plain and single-quoted strings cannot have escapes. JSON is valid YAML and has them.
    if let Cow::Owned(_) = printable::lines(&text) {
        text = printable::lines(&(serde_json::to_string_pretty(value)? + "\n")).into_owned();
    }
    Ok(text)
}

/// Prints several values as documents, separated by `---`.
pub fn print_documents<'v, T: Serialize + 'v>(values: impl IntoIterator<Item = &'v T>) -> Result<String> {
    let documents: Vec<String> = values.into_iter().map(print).collect::<Result<_>>()?;
    Ok(documents.join("---\n"))
}

/// Prints a value with an additional field of texts, each as a readable block scalar.
///
/// The texts must be output of [`print()`], which does not start with a space and has no characters that a block scalar
/// cannot represent.
pub fn print_with_texts(value: &impl Serialize, field: &str, texts: &[(&str, String)]) -> Result<String> {
    let mut out = print(value)?;
    ensure!(!out.starts_with('{'), "a name with control characters is not valid");
    out.extend([field, ":\n"]);
    for (key, text) in texts {
        out.extend(["  ", key, ": |\n"]);
        out.extend(text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use serde_json::Value;

    use super::*;

    #[test]
    fn texts_that_yaml_1_1_reads_as_other_types_are_quoted() {
        for text in [
            "=",
            "yes",
            "On",
            "y",
            "1e3",
            "0777",
            "12:30",
            "2001-01-01",
            "~",
            "<<",
            ".5",
            "null",
            "",
            "-",
            "!x",
            "&a",
            ".nan",
        ] {
            let printed = print(&json!({"value": text})).unwrap();
            let quoted = [
                format!(
                    "value: '{text}'
"
                ),
                format!(
                    "value: \"{text}\"
"
                ),
            ];
            assert!(quoted.contains(&printed), "{printed}");
        }
        assert_eq!(print(&json!({"y": 1, "=": true})).unwrap(), "\"=\": true\n\"y\": 1\n");
    }

    #[test]
    fn usual_texts_of_deployments_stay_bare() {
        for text in [
            "quay.io/a/b:v1",
            "--registry-overrides=a=b,c=d",
            "$(POD_NAMESPACE)",
            "/usr/bin/x",
            "Always",
            ".status",
            "it's [a]",
        ] {
            assert_eq!(print(&json!({"value": text})).unwrap(), format!("value: {text}\n"));
        }
    }

    #[test]
    fn maps_and_lists_have_the_format_of_kubectl() {
        let value = json!({"b": [{"y": [], "x": "l1\nl2\n"}, ["p", {"q": {}}], "s"], "a": {"n": null, "t": "x: y"}});
        let expected =
            "a:\n  \"n\": null\n  t: \"x: y\"\nb:\n- x: \"l1\\nl2\\n\"\n  \"y\": []\n- - p\n  - q: {}\n- s\n";
        assert_eq!(print(&value).unwrap(), expected);
    }

    #[test]
    fn control_characters_are_escaped_and_read_back() {
        for text in ["\u{1b}[2J", "\u{9b}2J", "a\u{202e}b", "\u{2028}", "x\u{7f}", "\u{85}"] {
            let value = json!({"key": text, text: ["a: b", null]});
            let printed = print(&value).unwrap();
            assert!(!printed.contains(|letter| printable::is_control(letter) && letter != '\n'), "{printed:?}");
            assert_eq!(serde_yaml::from_str::<Value>(&printed).unwrap(), value, "{printed}");
        }
    }

    #[test]
    fn documents_are_apart() {
        assert_eq!(print_documents([&json!({"a": 1}), &json!({"a": 2})]).unwrap(), "a: 1\n---\na: 2\n");
    }

    #[test]
    fn texts_are_blocks_that_read_back_as_they_are() {
        let text = print(&json!({"a": [{"b": "=", "c": "x: y"}], "d": "l1\nl2\n"})).unwrap();
        let printed = print_with_texts(&json!({"k": "v"}), "data", &[("x.yaml", text.clone())]).unwrap();
        assert!(printed.starts_with("k: v\ndata:\n  x.yaml: |\n    a:\n"), "{printed}");
        let read: Value = serde_yaml::from_str(&printed).unwrap();
        assert_eq!(read, json!({"k": "v", "data": {"x.yaml": text}}));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "[ -~]{0,12}",
            "[a-z=:#' \n\t-]{0,16}",
            any::<String>(),
            proptest::sample::select(vec![
                "=",
                "---",
                "- a",
                "? b",
                "a: b",
                "[x",
                "%z",
                "\u{85}",
                "\u{feff}",
                "x\u{2028}y"
            ])
            .prop_map(str::to_owned),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(text.clone(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn printed_values_read_back_as_the_same(value in any_value()) {
            let printed = print(&value).unwrap();
            let read: Value = serde_yaml::from_str(&printed).map_err(|error| TestCaseError::fail(format!("{error}\n{printed}")))?;
            prop_assert_eq!(read, value, "{}", printed);
        }
    }
}
