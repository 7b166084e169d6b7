//! The versions of an Image: a tag, a pattern such as `2.13.x`, or a range such as `>=2.13 <2.14`. Pure.
//!
//! A pattern is read by a parser and is never a regular expression of the user's.

use std::fmt;

use crate::mirrors::is_tag;

/// Numbers of a version.
const MAX_NUMBERS: usize = 4;
/// Comparisons in a range.
const MAX_COMPARISONS: usize = 8;
/// Digits of a number. Longer ones are dates and build numbers, not versions.
const MAX_DIGITS: usize = 9;

/// Why a version cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Neither a tag nor a pattern nor a range.
    #[error("{0:?} is neither a tag nor a pattern such as 2.13.x nor a range such as \">=2.13 <2.14\"")]
    Invalid(String),
    /// A part of a range.
    #[error("{0:?} is not a comparison such as >=2.13 or <2.14.1")]
    Comparison(String),
}

/// Which tags to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// One tag, by its name.
    Tag(String),
    /// All tags that match.
    Many(Pattern),
}

/// What several tags may match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `2.13.x`, `2.x.0`, `3.x-alpine`.
    Wildcard {
        /// The numbers; nothing for an `x`.
        parts: Vec<Option<u64>>,
        /// What follows them, with its hyphen.
        suffix: String,
    },
    /// `>=2.13 <2.14`: all of them must hold.
    Range(Vec<Comparison>),
}

/// A part of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    operator: Operator,
    bound: [u64; MAX_NUMBERS],
    /// How many numbers the bound has: `=2.13` holds for each 2.13.N.
    written: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    AtLeast,
    Greater,
    AtMost,
    Less,
    Equal,
}

/// In the order in which they are looked for: the longer ones first.
const OPERATORS: [(&str, Operator); 5] = [
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("=", Operator::Equal),
];

impl Version {
    /// Reads a version.
    ///
    /// # Errors
    /// [`VersionError`].
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        if text.starts_with(['<', '>', '=']) {
            return range(text).map(|comparisons| Self::Many(Pattern::Range(comparisons)));
        }
        if let Some(pattern) = wildcard(text) {
            return Ok(Self::Many(pattern));
        }
        if is_tag(text) { Ok(Self::Tag(text.to_owned())) } else { Err(VersionError::Invalid(shortened(text))) }
    }
}

/// Also the start of a long text is enough to find it.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

fn wildcard(text: &str) -> Option<Pattern> {
    let (numbers, suffix) = split_suffix(without_v(text));
    let mut parts = Vec::new();
    for part in numbers.split('.') {
        parts.push(if part == "x" { None } else { Some(number(part)?) });
    }
    // `x` alone would be every version, which nobody wants by mistake.
    let is_pattern = parts.first().is_some_and(Option::is_some) && parts.iter().any(Option::is_none);
    (is_pattern && parts.len() <= MAX_NUMBERS && (suffix.is_empty() || is_tag(&format!("0{suffix}"))))
        .then(|| Pattern::Wildcard { parts, suffix: suffix.to_owned() })
}

fn range(text: &str) -> Result<Vec<Comparison>, VersionError> {
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    let comparisons: Vec<Comparison> = words.map(comparison).collect::<Result<_, _>>()?;
    if comparisons.len() > MAX_COMPARISONS { Err(VersionError::Invalid(shortened(text))) } else { Ok(comparisons) }
}

fn comparison(word: &str) -> Result<Comparison, VersionError> {
    let refused = || VersionError::Comparison(shortened(word));
    let found = OPERATORS.iter().find_map(|(sign, operator)| Some((*operator, word.strip_prefix(sign)?)));
    let (operator, bound) = found.ok_or_else(refused)?;
    let (bound, written) = numbers(without_v(bound)).ok_or_else(refused)?;
    Ok(Comparison { operator, bound, written })
}

impl Comparison {
    fn holds(&self, version: &[u64; MAX_NUMBERS]) -> bool {
        match self.operator {
            Operator::AtLeast => *version >= self.bound,
            Operator::Greater => *version > self.bound,
            Operator::AtMost => *version <= self.bound,
            Operator::Less => *version < self.bound,
            Operator::Equal => version.iter().zip(&self.bound).take(self.written).all(|(one, other)| one == other),
        }
    }
}

impl Pattern {
    /// Whether a tag matches, with and without `v`; a release candidate (`-rc1` to `-rc99`) only if they are allowed. It counts
    /// as the release that it is a candidate for.
    pub fn matches(&self, tag: &str, allows_candidates: bool) -> bool {
        let tag = without_v(tag);
        let tag = match without_candidate(tag) {
            Some(_) if !allows_candidates => return false,
            Some(release) => release,
            None => tag,
        };
        match self {
            Self::Wildcard { parts, suffix } => {
                let Some(numbers) = tag.strip_suffix(suffix.as_str()) else { return false };
                let mut written = numbers.split('.');
                let all = parts.iter().all(|part| {
                    let found = written.next().and_then(number);
                    found.is_some_and(|found| part.is_none_or(|wanted| wanted == found))
                });
                all && written.next().is_none()
            }
            Self::Range(comparisons) => {
                // One number alone is a build or a date.
                let version = numbers(tag).filter(|(_, written)| *written > 1);
                version.is_some_and(|(version, _)| comparisons.iter().all(|comparison| comparison.holds(&version)))
            }
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Many(Pattern::Wildcard { parts, suffix }) => {
                let parts: Vec<String> =
                    parts.iter().map(|part| part.map_or_else(|| "x".to_owned(), |number| number.to_string())).collect();
                write!(f, "{}{suffix}", parts.join("."))
            }
            Self::Many(Pattern::Range(comparisons)) => {
                for (place, comparison) in comparisons.iter().enumerate() {
                    let gap = if place == 0 { "" } else { " " };
                    let sign = OPERATORS.iter().find(|(_, operator)| *operator == comparison.operator);
                    let bound: Vec<String> =
                        comparison.bound.iter().take(comparison.written).map(u64::to_string).collect();
                    write!(f, "{gap}{}{}", sign.map_or("", |(sign, _)| *sign), bound.join("."))?;
                }
                Ok(())
            }
        }
    }
}

fn without_v(text: &str) -> &str {
    text.strip_prefix('v').filter(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit())).unwrap_or(text)
}

/// The release of a candidate: `2.13.0` of `2.13.0-rc12` and `2.13.0-rc.12`.
fn without_candidate(tag: &str) -> Option<&str> {
    let (release, candidate) = tag.rsplit_once("-rc")?;
    let candidate = candidate.strip_prefix('.').unwrap_or(candidate);
    (candidate.len() <= 2 && number(candidate)? > 0).then_some(release)
}

/// The numbers, and what follows them from the first hyphen on.
fn split_suffix(text: &str) -> (&str, &str) {
    text.split_at(text.find('-').unwrap_or(text.len()))
}

/// A number without leading zeros.
fn number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.len() <= MAX_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_padded = text.len() > 1 && text.starts_with('0');
    (is_plain && !is_padded).then(|| text.parse().ok()).flatten()
}

/// Up to four numbers, and how many are written.
fn numbers(text: &str) -> Option<([u64; MAX_NUMBERS], usize)> {
    let mut found = [0; MAX_NUMBERS];
    let mut written = 0;
    for part in text.split('.') {
        *found.get_mut(written)? = number(part)?;
        written += 1;
    }
    Some((found, written))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matching<'a>(version: &str, allows_candidates: bool, tags: &[&'a str]) -> Vec<&'a str> {
        let Version::Many(pattern) = Version::parse(version).unwrap() else { panic!("{version} is one tag") };
        tags.iter().copied().filter(|tag| pattern.matches(tag, allows_candidates)).collect()
    }

    #[test]
    fn an_x_is_one_number() {
        let tags = [
            "2.13.0",
            "v2.13.1",
            "2.13.10",
            "2.13",
            "2.13.1.1",
            "2.130.1",
            "2x13.1",
            "12.13.1",
            "2.13.1-alpine",
            "2.13.01",
            "2.13.",
            "2.13.x",
            "latest",
            "V2.13.1",
            "vv2.13.1",
            "2.13.1-rc1",
        ];
        for version in ["2.13.x", "v2.13.x"] {
            assert_eq!(matching(version, false, &tags), ["2.13.0", "v2.13.1", "2.13.10"], "{version}");
        }
        let tags = ["2.0.0", "2.7.0", "2.7.1", "3.1.0", "4.0.0", "4.20.31", "5.0.0"];
        assert_eq!(matching("2.x.0", false, &tags), ["2.0.0", "2.7.0"]);
        assert_eq!(matching("4.x.x", false, &tags), ["4.0.0", "4.20.31"]);
        assert_eq!(matching("3.x-alpine", false, &["3.7-alpine", "3.7", "3.7-alpine3.20"]), ["3.7-alpine"]);
    }

    #[test]
    fn candidates_from_1_to_99_match_if_they_are_allowed() {
        let tags = [
            "v2.13.0-rc1",
            "2.13.0-rc12",
            "2.13.0-rc99",
            "2.13.0-rc.2",
            "2.13.0-rc0",
            "2.13.0-rc100",
            "2.13.0-rc",
            "2.13.0-rc1x",
            "2.13.0-rc1-rc2",
            "2.13.0-beta1",
            "2.13.0",
            "2.14.0-rc1",
        ];
        let expected = ["v2.13.0-rc1", "2.13.0-rc12", "2.13.0-rc99", "2.13.0-rc.2", "2.13.0"];
        assert_eq!(matching("v2.13.x", true, &tags), expected);
        assert_eq!(matching("v2.13.x", false, &tags), ["2.13.0"]);
        assert_eq!(matching(">=2.13 <2.14", true, &tags), expected, "a candidate counts as its release");
    }

    #[test]
    fn a_range_is_all_of_its_comparisons() {
        let tags = ["2.12.9", "2.13", "2.13.0", "v2.13.7", "2.14.0", "3.0.0", "20240101", "2.13.7-alpine", "latest"];
        let expected = ["2.13", "2.13.0", "v2.13.7"];
        for range in [">=2.13 <2.14", ">=v2.13.0, <2.14.0", "=2.13", ">2.12.9 <=2.13.7"] {
            assert_eq!(matching(range, false, &tags), expected, "{range}");
        }
    }

    #[test]
    fn everything_else_is_a_tag_or_invalid() {
        for tag in ["3.7-alpine", "latest", "22-alpine", "v1", "x", "x.1.0", "1.xx", "2.13.X", "2024.01.x", "a.x"] {
            assert_eq!(Version::parse(tag), Ok(Version::Tag(tag.to_owned())));
        }
        for invalid in
            ["(", ".*", "2.13.*", "", "a b", "sha256:00", "^2.13", "a/b", "1.2.x-a b", "[0-9]+", &"a".repeat(129)]
        {
            assert!(matches!(Version::parse(invalid), Err(VersionError::Invalid(_))), "{invalid}");
        }
        for invalid in [">=", ">=2.x", ">=2.13 x", ">=2.13 <", "=>2", ">=1.2.3.4.5"] {
            assert!(matches!(Version::parse(invalid), Err(VersionError::Comparison(_))), "{invalid}");
        }
        assert!(Version::parse(&">=1 ".repeat(9)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(text in "(v?[0-9]{1,2}(\\.([0-9]|x)){1,3}(-[a-z]{1,4})?|([<>]=?|=)[0-9](\\.[0-9]){0,2})") {
            let version = Version::parse(&text).unwrap();
            let printed = version.to_string();
            prop_assert_eq!(Version::parse(&printed).unwrap(), version);
        }

        #[test]
        fn no_text_breaks_the_parser(version in "\\PC{0,40}", tag in "\\PC{0,40}") {
            if let Ok(Version::Many(pattern)) = Version::parse(&version) {
                let _ = pattern.matches(&tag, true);
            }
        }
    }
}
