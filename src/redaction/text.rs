//! Words that a free text may have.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::grammar::{is_digest, is_time};

/// Words of hypermirror's own texts and documentation, and of usual errors of Kubernetes and networks, in lower case.
static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| include_str!("words.txt").lines().collect());
/// Digits of a number. Longer ones may be anything.
const MAX_DIGITS: usize = 6;
/// Letters of a day.
const DATE: usize = 10;
const UNITS: [&str; 12] = ["", "%", "b", "d", "gib", "h", "kib", "m", "mib", "ms", "s", "x"];
/// What separates parts of a word. Not `-`, `.` and `_`, which names and passwords have inside.
const SEPARATORS: &str = "/=,:;()[]{}<>\"'`|!?…→·–";

/// The parts of a word.
pub fn parts(word: &str) -> impl Iterator<Item = &str> {
    word.split(|letter| SEPARATORS.contains(letter)).map(|part| part.trim_matches('.'))
}

/// Whether a word may stay as it is: each part is known, or is a number.
pub fn is_kept(word: &str, is_known: &dyn Fn(&str) -> bool) -> bool {
    if word.is_empty() || is_time(word) || is_known(word) {
        return true;
    }
    // What stands before the `@` of a digest is judged as usual; any other `@` may end a user and a password.
    let word = match word.find("sha256:") {
        Some(at) => {
            let (before, digest) = word.split_at(at);
            let end = digest.find(|letter: char| SEPARATORS.contains(letter) && letter != ':').unwrap_or(digest.len());
            let (digest, after) = digest.split_at(end);
            if !is_digest(digest) || !parts(after).all(|part| is_part(part, is_known)) {
                return false;
            }
            before.strip_suffix('@').unwrap_or(before)
        }
        None => word,
    };
    parts(word).all(|part| is_part(part, is_known))
}

fn is_part(part: &str, is_known: &dyn Fn(&str) -> bool) -> bool {
    // `name@3`, a set and its generation.
    let part = part.split_once('@').filter(|(_, generation)| is_number(generation)).map_or(part, |(name, _)| name);
    part.is_empty()
        || is_known(part)
        || is_number(part)
        || is_date(part)
        || is_word(part)
        || camel_words(part) == Some(true)
}

/// A day, `2026-11-30`.
fn is_date(part: &str) -> bool {
    part.len() == DATE && part.as_bytes().get(4) == Some(&b'-') && part.parse::<jiff::civil::Date>().is_ok()
}

/// Whether it is in the vocabulary.
pub fn is_word(part: &str) -> bool {
    let part = part.trim_matches('-');
    part.is_empty() || WORDS.contains(part.to_lowercase().as_str())
}

/// Whether all words of a `CamelCase` name are in the vocabulary. `None` if it is not such a name.
fn camel_words(part: &str) -> Option<bool> {
    let is_camel = part.len() > 3 && part.bytes().all(|letter| letter.is_ascii_alphabetic());
    if !is_camel || !part.bytes().next()?.is_ascii_uppercase() {
        return None;
    }
    let mut rest = part;
    while !rest.is_empty() {
        let end = rest.char_indices().skip(1).find(|(_, letter)| letter.is_ascii_uppercase());
        let (word, after) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        // One letter at a time a word would be anything.
        if word.len() < 3 || !is_word(word) {
            return Some(false);
        }
        rest = after;
    }
    Some(true)
}

fn is_number(part: &str) -> bool {
    if part == "+Inf" {
        return true; // the last bucket of a histogram
    }
    let part = part.trim_start_matches(['+', '-', 'v']);
    let end = part.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(part.len());
    let (digits, unit) = part.split_at(end);
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    (1..=MAX_DIGITS).contains(&count) && UNITS.contains(&unit.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";

    #[test]
    fn only_known_words_names_and_numbers_stay() {
        let known = |part: &str| ["west", "clusters", "m.example", "ocp"].contains(&part);
        let image = format!("m.example/ocp@{SHA}");
        for word in [
            "failed",
            "Failed:",
            "clusters/west",
            "HostedCluster/clusters/west",
            "clusters@3",
            "m.example:5000/ocp",
            &image,
            "10m",
            "99.5%",
            "403",
            "v1.36",
            "2026-11-30T12:00:00Z",
            "2026-11-30",
            "·",
            "–",
            "ConnectionDown",
            "--max-removal=50",
            "(timeout)",
        ] {
            assert!(is_kept(word, &known), "{word}");
        }
        let behind = format!("canary-1@{SHA}");
        let after = format!("{SHA}=canary-1");
        for word in [
            "canary-1",
            "password=canary-1",
            "https://user:canary-1@m.example/ocp",
            "m.example/ocp?token=canary-1",
            "user:failed@m.example",
            "canary@3",
            &behind,
            &after,
            "sha256:canary-1",
            "YWxpY2U6Y2FuYXJ5",
            "12345678",
            "2026-99-30",
            "20261130",
            "eyJhbGciOi.x.y",
            "HostedCanary",
            "failed-canary",
        ] {
            assert!(!is_kept(word, &known), "{word}");
        }
    }

    #[test]
    fn the_vocabulary_is_sorted_and_has_no_word_twice() {
        let words: Vec<&str> = include_str!("words.txt").lines().collect();
        assert!(words.is_sorted_by(|a, b| a < b) && words.len() > 2000, "{}", words.len());
    }
}
