//! The order of tags: versions as people mean them, newest first, then everything else by name. Pure.

use std::cmp::Ordering;

/// Suffixes that come before a release of the same number, in this order. Any other, such as `-alpine` or `-x86_64`, is a
/// variant of the release.
const PRE_RELEASES: [&str; 9] = ["nightly", "dev", "ec", "alpha", "beta", "preview", "pre", "rc", "fc"];
/// `4.19.0.1` has four numbers; dates and build numbers with more are not versions.
const MAX_NUMBERS: usize = 4;

/// What a tag says as a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version<'a> {
    numbers: [u64; MAX_NUMBERS],
    /// How many are written: `1.2` comes before `1.2.0`.
    written: usize,
    /// The rank of a pre-release; nothing for a release.
    stage: Option<usize>,
    suffix: &'a str,
}

impl<'a> Version<'a> {
    /// Reads `[v]N[.N[.N[.N]]][-SUFFIX]`. A number with a leading zero is a date or an identifier, not a version.
    pub fn parse(tag: &'a str) -> Option<Self> {
        let rest = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (numbers_text, suffix) = rest.split_at(end);
        let suffix = if suffix.is_empty() { suffix } else { suffix.strip_prefix(['-', '_'])? };
        let mut numbers = [0; MAX_NUMBERS];
        let mut written = 0;
        for text in numbers_text.split('.') {
            let is_padded = text.len() > 1 && text.starts_with('0');
            if is_padded || written == MAX_NUMBERS {
                return None;
            }
            numbers[written] = text.parse().ok()?;
            written += 1;
        }
        // Without a dot and a `v` it is a build number or a hash.
        let is_plain_number = written == 1 && rest.len() == tag.len();
        (!is_plain_number).then(|| Self { numbers, written, stage: stage(suffix), suffix })
    }

    /// Whether it is a pre-release.
    pub const fn is_pre_release(&self) -> bool {
        self.stage.is_some()
    }
}

/// The rank of the first word of a suffix among pre-releases.
fn stage(suffix: &str) -> Option<usize> {
    let end = suffix.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(suffix.len());
    PRE_RELEASES.iter().position(|known| known.eq_ignore_ascii_case(&suffix[..end]))
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        // A release comes after all its pre-releases.
        let rank = |version: &Self| version.stage.unwrap_or(usize::MAX);
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| rank(self).cmp(&rank(other)))
            .then_with(|| natural(self.suffix, other.suffix))
            .then_with(|| self.written.cmp(&other.written))
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Newest version first, then other tags by name.
pub fn by_version(one: &str, other: &str) -> Ordering {
    match (Version::parse(one), Version::parse(other)) {
        (Some(a), Some(b)) => b.cmp(&a).then_with(|| one.cmp(other)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => one.cmp(other),
    }
}

/// Oldest version first, then other tags by name.
pub fn oldest_first(one: &str, other: &str) -> Ordering {
    match (Version::parse(one), Version::parse(other)) {
        (Some(a), Some(b)) => a.cmp(&b).then_with(|| one.cmp(other)),
        _ => by_version(one, other),
    }
}

/// Runs of digits as numbers: `rc10` comes after `rc2`. Equal numbers with other zeros by their text.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut a, mut b) = (one, other);
    while !a.is_empty() && !b.is_empty() {
        let (run_a, rest_a) = run(a);
        let (run_b, rest_b) = run(b);
        let is_number = |text: &str| text.starts_with(|letter: char| letter.is_ascii_digit());
        let order = if is_number(run_a) && is_number(run_b) {
            let (x, y) = (run_a.trim_start_matches('0'), run_b.trim_start_matches('0'));
            // Of the same length, digits compare as texts: no number is too long.
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            word(run_a).cmp(word(run_b))
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    a.len().cmp(&b.len()).then_with(|| one.cmp(other))
}

/// `rc.1` and `rc1` have the same word.
fn word(run: &str) -> &str {
    run.trim_matches(['.', '-', '_'])
}

/// The digits, or the other letters, at the beginning.
fn run(text: &str) -> (&str, &str) {
    let is_number = text.starts_with(|letter: char| letter.is_ascii_digit());
    let end = text.find(|letter: char| letter.is_ascii_digit() != is_number).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_ordered_as_people_mean_them() {
        let newest_first = [
            "v2.0.0",
            "1.10.0",
            "v1.9.0",
            "1.9.0-x86_64",
            "1.9.0-rc10",
            "1.9.0-rc2",
            "1.9.0-rc.1",
            "1.9.0-beta1",
            "1.9.0-alpha",
            "1.9.0-ec.3",
            "1.2.3.4",
            "1.2.3",
            "1.2.0",
            "1.2",
            "v1",
            "2024.01.02",
            "20240102",
            "abc",
            "latest",
            "v1.2.x",
        ];
        let mut tags = newest_first.to_vec();
        tags.sort_unstable();
        tags.sort_by(|one, other| by_version(one, other));
        let ordered = |tag: &str| tags.iter().position(|known| *known == tag).unwrap();
        for pair in newest_first.windows(2).filter(|pair| !pair.contains(&"1.9.0-x86_64")) {
            assert!(ordered(pair[0]) < ordered(pair[1]), "{pair:?} in {tags:?}");
        }
        assert!(ordered("1.9.0-x86_64") < ordered("1.9.0-rc10"), "a variant is no pre-release");
    }

    #[test]
    fn what_is_no_version_is_none() {
        for tag in [
            "latest",
            "1",
            "01.2",
            "1.02",
            "1.2.3.4.5",
            "1..2",
            "1.2+x",
            "a1.2",
            "",
            "v",
            "1.2.3x",
            "99999999999999999999.1",
        ] {
            assert_eq!(Version::parse(tag), None, "{tag}");
        }
        assert!(Version::parse("4.17.0-rc.1").unwrap().is_pre_release());
        assert!(!Version::parse("4.17.0-multi").unwrap().is_pre_release());
    }

    proptest! {
        #[test]
        fn the_order_is_total(mut tags in proptest::collection::vec("(v?[0-9]{1,2}(\\.[0-9]{1,2}){0,3}(-(rc|alpha|x)[0-9]{0,3})?|[a-z0-9]{1,3})", 0..12)) {
            tags.sort_by(|one, other| by_version(one, other));
            for (place, one) in tags.iter().enumerate() {
                for later in &tags[place..] {
                    prop_assert_ne!(by_version(one, later), Ordering::Greater);
                    prop_assert_eq!(by_version(one, later), by_version(later, one).reverse());
                    prop_assert_eq!(by_version(one, later) == Ordering::Equal, one == later);
                }
            }
        }
    }
}
