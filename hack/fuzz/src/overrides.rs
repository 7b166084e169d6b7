//! Override strings: the environment variable, and the values of the argument.

use std::collections::BTreeMap;

use hypermirror::mirrors::overrides::{
    ArgumentError, ordered_mirrors, parse_argument, parse_pairs, print_pairs, same_meaning,
};

use crate::parts;

pub fn check(input: &[u8]) {
    let parts = parts(input);
    let texts: Vec<&str> = parts.iter().map(String::as_str).collect();
    for text in &texts {
        check_pairs(text);
    }
    if let [first, second, ..] = texts[..] {
        let says_same = ordered_mirrors(&parse_pairs(first)) == ordered_mirrors(&parse_pairs(second));
        assert_eq!(same_meaning(first, second), says_same);
        assert_eq!(same_meaning(second, first), says_same);
    }
    check_arguments(&texts);
}

fn check_pairs(text: &str) {
    let pairs = parse_pairs(text);
    let printed = print_pairs(&pairs);
    assert_eq!(parse_pairs(&printed), pairs, "printed values can be parsed");
    assert!(same_meaning(text, &printed));
    let mirrors = ordered_mirrors(&pairs);
    assert!(mirrors.values().all(|mirrors| !mirrors.is_empty()));
    // The parsers of both formats agree for values without special characters.
    if !pairs.is_empty() && !printed.contains(['"', '\r', '\n']) {
        let last: BTreeMap<String, String> = pairs.into_iter().collect();
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
