use proptest::prelude::*;

use super::super::limits::check;
use super::*;

/// Opening brackets in the texts of a value: those that its reader did not take for brackets.
fn as_text(value: &serde_yaml::Value) -> usize {
    let of_text = |text: &str| text.matches(['[', '{']).count();
    match value {
        serde_yaml::Value::String(text) => of_text(text),
        serde_yaml::Value::Sequence(list) => list.iter().map(as_text).sum(),
        serde_yaml::Value::Mapping(map) => map.iter().map(|(key, value)| as_text(key) + as_text(value)).sum(),
        serde_yaml::Value::Tagged(tagged) => as_text(&tagged.value),
        _ => 0,
    }
}

/// Whoever reads a text sees as many brackets as we do.
fn agrees(text: &str) -> Result<(), TestCaseError> {
    let Ok(value) = serde_yaml::from_str::<serde_yaml::Value>(text) else { return Ok(()) };
    let (tally, ended) = scan(text);
    prop_assert!(ended.is_ok(), "refused: {text:?}: {ended:?}");
    let all = text.matches(['[', '{']).count();
    prop_assert_eq!(tally.brackets, all - as_text(&value), "{:?} is {:?}", text, value);
    Ok(())
}

fn pieces() -> impl Strategy<Value = &'static str> {
    let words = [
        "a", "b", " ", " ", "  ", "\n", "\n", "\n  ", "\n    ", "\t", ": ", ":", ", ", ",", "- ", "-", "? ", "[", "]",
        "[", "]", "{", "}", "'", "''", "\"", "\\", "|\n", ">-\n", "|1\n", "\n---\n", "...\n", "\r\n", "\u{85}",
        "\u{2028}", "é", "!t ", "!", "[b]", "{a: b}", "'[", "\"{\"", "1", "~", "%", "@", "\u{feff}",
    ];
    prop::sample::select(words.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// No comments and anchors here: their brackets are in no value.
    #[test]
    fn brackets_are_seen_where_the_reader_sees_them(pieces in prop::collection::vec(pieces(), 1..14)) {
        agrees(&pieces.concat())?;
        agrees(&format!("a: {}", pieces.concat()))?;
        agrees(&format!("k: [{}]", pieces.concat()))?;
        agrees(&format!("k:\n- |\n  {}\n- [x]\n", pieces.concat()))?;
    }

    #[test]
    fn usual_documents_are_not_refused(entries in 1..30_usize, style in 0..5_usize, mirrors in 0..4_usize) {
        prop_assert_eq!(check(&document(entries, style, mirrors)), Ok(()));
    }
}

fn document(entries: usize, style: usize, mirrors: usize) -> String {
    let entry = |index: usize| {
        let mirrors: Vec<String> = (0..mirrors).map(|mirror| format!("m{mirror}.b/{index}")).collect();
        match style {
            0 => format!("  - source: s.b/{index}\n    mirrors: [{}]\n", mirrors.join(", ")),
            1 => format!("  - {{source: s.b/{index}, mirrors: [{}]}}\n", mirrors.join(",")),
            2 => format!("  - mirrors:\n    - {}\n    source: s.b/{index} # [why {{\n", mirrors.join("\n    - ")),
            3 => format!("  - {{\"source\":\"s.b/{index}\",\"mirrors\":{mirrors:?}}}\n"),
            _ => format!(
                "  - text: |\n      [[registry]]\n      location = 's{index}' # ]] {{\n      mirrors = {mirrors:?}\n"
            ),
        }
    };
    format!("kind: A\nspec:\n  list:\n{}", (0..entries).map(entry).collect::<Vec<_>>().concat())
}

#[test]
fn the_largest_documents_that_people_write_are_not_refused() {
    for style in 0..5 {
        let text = document(30_000, style, 1);
        assert_eq!(check(&text), Ok(()), "style {style}, {} bytes", text.len());
    }
    let shortest = "- {source: a.b, mirrors: [c.d]}\n".repeat(32_000);
    assert_eq!(check(&shortest), Ok(()));
    let json: Vec<_> =
        (0..30_000).map(|n| serde_json::json!({"source": format!("s.b/{n}"), "mirrors": ["m.b"]})).collect();
    assert_eq!(check(&serde_json::json!({"spec": {"imageDigestMirrors": json}}).to_string()), Ok(()));
    let data_url = format!("a:\n  source: data:text/plain;charset=utf-8;base64,{}\n", "W1tbe3t7".repeat(100_000));
    assert_eq!(check(&data_url), Ok(()));
    let list: Vec<String> = (0..2_000).map(|n| format!("- {{a: {{b: [{{c: [d, {{e: {n}}}]}}]}}}}\n")).collect();
    assert_eq!(check(&list.concat()), Ok(()));
}
