//! YAML that every reader takes for the same: block style, keys ascending, and each text quoted that some version of YAML
//! reads as something else.
//!
//! The readers of YAML 1.1 (`PyYAML`, Go's yaml.v2) take `=`, `yes`, `on`, `1e3`, `0777`, `12:30` or `2001-01-01` for other
//! things than text; `value: =`, which an empty override map prints as, even stops `PyYAML`. Our YAML library quotes for
//! YAML 1.2 alone, and its style cannot be chosen.

use std::fmt::Write as _;

use serde_json::Value;

/// Words that YAML 1.1 or 1.2 reads as a boolean, null or number, in lower case.
const RESERVED: [&str; 11] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", ".inf", ".nan"];

/// Prints one value as the content of a document, with a line end.
pub fn print(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block(&mut out, value, 0),
        Value::Array(list) if !list.is_empty() => block(&mut out, value, 0),
        _ => {
            scalar(&mut out, value);
            out.push('\n');
        }
    }
    out
}

/// Prints several values as documents, each but the first behind a `---`.
pub fn print_documents<'v>(values: impl IntoIterator<Item = &'v Value>) -> String {
    values.into_iter().map(print).collect::<Vec<_>>().join("---\n")
}

fn block(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) => {
            let mut sorted: Vec<_> = map.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            for (place, (key, inner)) in sorted.into_iter().enumerate() {
                // The first key of a list's element stands behind its dash.
                if place > 0 || !out.ends_with("- ") {
                    indent(out, depth);
                }
                text(out, key);
                out.push(':');
                nested(out, inner, depth, matches!(inner, Value::Array(_)));
            }
        }
        Value::Array(list) => {
            for (place, inner) in list.iter().enumerate() {
                if place > 0 || !out.ends_with("- ") {
                    indent(out, depth);
                }
                out.push('-');
                if is_block(inner) {
                    out.push(' ');
                    block(out, inner, depth + 1);
                } else {
                    nested(out, inner, depth, false);
                }
            }
        }
        _ => scalar(out, value),
    }
}

/// What follows a colon, or a dash before a scalar. Lists stand as deep as the key that holds them.
fn nested(out: &mut String, inner: &Value, depth: usize, is_list: bool) {
    if is_block(inner) {
        out.push('\n');
        block(out, inner, if is_list { depth } else { depth + 1 });
        return;
    }
    out.push(' ');
    match inner {
        Value::String(lines) if is_literal(lines) => literal(out, lines, depth + 1),
        _ => {
            scalar(out, inner);
            out.push('\n');
        }
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    }
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn scalar(out: &mut String, value: &Value) {
    match value {
        Value::String(value) => text(out, value),
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        _ => out.push_str(&value.to_string()),
    }
}

/// Several lines that a literal block (`|`) says without any loss.
fn is_literal(value: &str) -> bool {
    value.contains('\n')
        && !value.starts_with([' ', '\n'])
        && value.chars().all(|c| c == '\n' || is_printable(c))
        && value.lines().all(|line| !line.ends_with(' '))
        && !value.ends_with("\n\n")
}

fn literal(out: &mut String, value: &str, depth: usize) {
    out.push_str(if value.ends_with('\n') { "|\n" } else { "|-\n" });
    for line in value.lines() {
        if !line.is_empty() {
            indent(out, depth);
            out.push_str(line);
        }
        out.push('\n');
    }
}

fn text(out: &mut String, value: &str) {
    if is_plain(value) {
        out.push_str(value);
    } else if value.chars().all(is_printable) {
        out.push('\'');
        out.push_str(&value.replace('\'', "''"));
        out.push('\'');
    } else {
        escaped(out, value);
    }
}

/// Whether the text needs no quotes, in any version: fewer are left out than could be, but no doubt about any.
fn is_plain(value: &str) -> bool {
    let begins_plain = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic() || "/_$(".contains(c));
    let rest = value.strip_prefix("--").or(value.strip_prefix('.')).unwrap_or(value);
    begins_plain(rest)
        && value.chars().all(is_printable)
        && !value.ends_with([' ', ':'])
        && !value.contains(": ")
        && !value.contains(" #")
        && !RESERVED.contains(&value.to_ascii_lowercase().as_str())
}

fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(c, '\u{2028}' | '\u{2029}')
}

fn escaped(out: &mut String, value: &str) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            _ if is_printable(c) => out.push(c),
            _ => {
                let _ = write!(out, "\\u{:04X}", u32::from(c)); // writing to a String cannot fail
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_yaml_1_1_reads_as_something_else_is_quoted() {
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
            assert_eq!(print(&json!({"value": text})), format!("value: '{text}'\n"));
        }
        assert_eq!(print(&json!({"y": 1, "=": true})), "'=': true\n'y': 1\n");
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
            assert_eq!(print(&json!({"value": text})), format!("value: {text}\n"));
        }
    }

    #[test]
    fn maps_and_lists_look_as_kubectl_prints_them() {
        let value = json!({"b": [{"y": [], "x": "l1\nl2\n"}, ["p", {"q": {}}], "s"], "a": {"n": null, "t": "x: y"}});
        let expected = "a:\n  'n': null\n  t: 'x: y'\nb:\n- x: |\n    l1\n    l2\n  'y': []\n- - p\n  - q: {}\n- s\n";
        assert_eq!(print(&value), expected);
    }

    #[test]
    fn documents_are_apart() {
        assert_eq!(print_documents([&json!({"a": 1}), &json!({"a": 2})]), "a: 1\n---\na: 2\n");
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
        fn what_is_printed_reads_back_as_the_same(value in any_value()) {
            let printed = print(&value);
            let read: Value = serde_yaml::from_str(&printed).map_err(|error| TestCaseError::fail(format!("{error}\n{printed}")))?;
            prop_assert_eq!(read, value, "{}", printed);
        }
    }
}
