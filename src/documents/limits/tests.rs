use std::fmt::Write as _;

use crate::documents::read;

/// As long as an API server lets a ConfigMap be.
const LONGEST: usize = 1 << 20;

fn error(text: &str) -> String {
    read("f", text).unwrap_err().to_string()
}

/// Without a limit the reader takes minutes for some of these.
#[test]
fn deep_nesting_is_refused_before_it_costs_anything() {
    for opening in ["[", "[[[{a: ", "{a: ", "{? ", "{a: # }\n", "{\"}\": ", "['\n]', {b: ", "- ", "? "] {
        let error = error(&opening.repeat(LONGEST / opening.len()));
        assert!(error.contains("values are nested more than 128 deep"), "{opening:?}: {error}");
    }
    let object = "{\"a\":".repeat(LONGEST / 5);
    assert!(error(&object).contains("values are nested more than 128 deep"), "{}", error(&object));
    let closed = format!("a: {}1{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(read("f", &closed).unwrap().len(), 1);
}

/// Each of them hides brackets from a reader that stops earlier than the one that counts, or that reads quotes otherwise.
#[test]
fn brackets_are_counted_wherever_the_reader_sees_them() {
    let deep = "[".repeat(3_800) + &"a,".repeat(495_000);
    let before = [
        "a: [\nb, ",
        "a: [\n\tb, ",
        "a: |\n b\nc: ",
        "a: 'b''\n' \n\nc: ",
        "a: b'c\nd: ",
        "a: \"\\\"\nb\"\nc: ",
        "# '\na: ",
        "a: b #'\nc: ",
        "a: b#'\nc: ",
        "- |2\n   '\n- ",
        "- >-\n  '\n \n- ",
        "a: b\n  'c\nd: ",
        "? a\n: ",
        "a:\n- &b-c\n  ",
        "a: !b-c ",
        "'a b': ",
        "a: \u{85}'\u{2028}b'\u{2028}c: ",
        "%YAML 1.1\n---\na: ",
        "a: b\n---\nc: ",
    ];
    for before in before {
        let error = error(&(before.to_owned() + &deep));
        assert!(error.contains("nested more than 128 deep"), "{before:?}: {error}");
    }
    // After a syntax error all following brackets count, whether or not the parser would reach them.
    for before in ["a: @", "a: !<b,c> ", "&a'b ", "a: b: '", "a: -\t- '"] {
        let error = error(&(before.to_owned() + &deep));
        assert!(
            error.contains("more than 128 brackets follow") || error.contains("more than 128 deep"),
            "{before:?}: {error}"
        );
    }
}

#[test]
fn many_small_values_are_refused_before_they_use_memory() {
    for (text, expected) in [
        (format!("a: [{}]", "a,".repeat(LONGEST / 2)), "too many values for its length"),
        (format!("{{\"a\": [{}1]}}", "1,".repeat(LONGEST / 2)), "too many values for its length"),
        (format!("a: [{}]", "{a: bcd},".repeat(LONGEST / 9)), "too many mappings for its length"),
        (format!("a:\n{}", "- a: b\n".repeat(LONGEST / 7)), "too many"),
        (format!("a: {}{}", "[".repeat(100), "bcd,".repeat(LONGEST / 4)), "nested too deep"),
    ] {
        assert!(error(&text).contains(expected), "{text:.40}: {}", error(&text));
    }
}
#[test]
fn many_brackets_side_by_side_are_read() {
    let text = format!("kind: A\nlist: [{}]\n", "[{a: \"} and }\"}], ".repeat(LONGEST / 20));
    assert_eq!(read("f", &text).unwrap()[0].value["list"].as_array().map(Vec::len), Some(LONGEST / 20));
}

#[test]
fn aliases_that_multiply_are_refused_and_others_are_read() {
    let list = format!("a: &a [{}]\nb: [{}]\n", "x, ".repeat(20_000), "*a, ".repeat(20_000));
    let scalar = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(20_000));
    let tagged = format!("a: &a !t {{k: {}}}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(20_000));
    for text in [list, scalar, tagged] {
        assert!(error(&text).contains("aliases expand it to many times its length"));
    }
    // Ten times the ten of the one before, nine times.
    let mut laughs = "l0: &l0 lol\n".to_owned();
    for level in 1..10 {
        let before = format!("*l{}, ", level - 1).repeat(10);
        writeln!(laughs, "l{level}: &l{level} [{before}]").unwrap();
    }
    assert!(!error(&laughs).is_empty());
    let used = format!("kind: A\nbase: &base {{x: [1, 2.5, true, null, !t y]}}\nall: [{}]\n", "*base, ".repeat(1000));
    assert_eq!(read("f", &used).unwrap()[0].value["all"][999]["x"][1], 2.5);
    // What only looks like aliases may be as long as anything.
    let text = format!("kind: A\ntext: [{}]\n", "'&a *a', ".repeat(LONGEST / 9));
    assert_eq!(read("f", &text).unwrap().len(), 1);
}

#[test]
fn many_tag_directives_are_refused() {
    let directives = (0..1000).map(|tag| format!("%TAG !t{tag}! b")).collect::<Vec<_>>().join("\n") + "\n";
    assert!(error(&format!("{directives}---\nkind: A\n")).contains("more than 64 %TAG directives"));
}

/// A line is not counted from the beginning for each document.
#[test]
fn very_many_documents_know_their_lines() {
    let yaml = read("f", &("---\n".repeat(50_000) + "kind: A\n")).unwrap();
    assert_eq!((yaml[0].place.document, yaml[0].place.line), (50_000, 50_001));
    let json = read("f", &"{\"kind\": \"Thing\"}\n".repeat(50_000)).unwrap();
    assert_eq!(json.last().map(|last| last.place.line), Some(50_000));
}
