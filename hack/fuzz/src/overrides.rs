//! Override strings: the environment variable, and the values of the argument.

use std::collections::BTreeMap;

use hypermirror::mirrors::overrides::{
    ArgumentError, is_same_map, ordered_mirrors, pairs, parse_argument, print_pairs,
};

use crate::parts;

pub fn check(input: &[u8]) {
    let parts = parts(input);
    let texts: Vec<&str> = parts.iter().map(String::as_str).collect();
    for text in &texts {
        check_pairs(text);
    }
    if let [first, second, ..] = texts[..] {
        let is_same = ordered_mirrors(pairs(first)) == ordered_mirrors(pairs(second));
        assert_eq!(is_same_map(pairs(first), pairs(second)), is_same);
        assert_eq!(is_same_map(pairs(second), pairs(first)), is_same);
    }
    check_arguments(&texts);
}

fn check_pairs(text: &str) {
    let parsed: Vec<(&str, &str)> = pairs(text).collect();
    let printed = print_pairs(parsed.iter().copied());
    assert_eq!(pairs(&printed).collect::<Vec<_>>(), parsed, "printed values can be parsed");
    assert!(is_same_map(pairs(text), pairs(&printed)));
    let mirrors = ordered_mirrors(parsed.iter().copied());
    assert!(mirrors.values().all(|mirrors| !mirrors.is_empty()));
    // The parsers of both formats agree for values without special characters.
    if !parsed.is_empty() && !printed.contains(['"', '\r', '\n']) {
        let owned = parsed.iter().map(|(source, mirror)| ((*source).to_owned(), (*mirror).to_owned()));
        let last: BTreeMap<String, String> = owned.collect();
        assert_eq!(parse_argument(&[&printed]), Ok(last));
    }
}

/// Several values of one argument: each is parsed separately, and later ones take precedence.
fn check_arguments(values: &[&str]) {
    let mut united = BTreeMap::new();
    for value in values {
        match parse_argument(&[value]) {
            Ok(pairs) => united.extend(pairs),
            Err(error) => {
                let (ArgumentError::NotAPair(said) | ArgumentError::Quote(said) | ArgumentError::NoRecord(said)) =
                    &error;
                assert!(said.len() <= value.len(), "the error is longer than the value: {error}");
                assert_eq!(parse_argument(values), Err(error), "the first invalid value is reported");
                return;
            }
        }
    }
    assert_eq!(parse_argument(values), Ok(united));
}
