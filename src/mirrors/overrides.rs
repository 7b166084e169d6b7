//! Prints and parses the two formats in which HyperShift's operators read mirrors.
//!
//! `OPENSHIFT_IMG_OVERRIDES` is `source=mirror,source=mirror`, a source repeated for each of its mirrors;
//! `--registry-overrides` is the same with one mirror per source (HyperShift, `support/util/util.go`). `=` is the empty
//! map.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::Resolved;

/// The empty map in both formats.
pub const EMPTY: &str = "=";

/// Why HyperShift's operators reject a value of `--registry-overrides`. Each variant contains the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// A part without `=`.
    #[error("{0:?} must be formatted as key=value")]
    NotAPair(String),
    /// A quote inside a field, or an unclosed quote.
    #[error("stray or open quote in {0:?}")]
    Quote(String),
    /// The value has only line breaks.
    #[error("no record in {0:?}")]
    NoRecord(String),
}

/// Prints the map as `OPENSHIFT_IMG_OVERRIDES`: sources in byte order, each with its digest mirrors, followed by the
/// tag mirrors that are not in the list yet.
///
/// `ConvertOpenShiftImageRegistryOverridesToCommandLineFlag` also sorts the mirrors and so loses their order. The
/// parser upstream preserves the order.
pub fn print_env(resolved: &Resolved) -> String {
    let pairs = resolved.sources.iter().flat_map(|(source, mirrors)| mirrors.all_mirrors().map(move |m| (source, m)));
    join(pairs.map(|(source, mirror)| pair(source, mirror)))
}

/// Prints the map as `--registry-overrides`: the first mirror of each source, pairs in byte order
/// (`ConvertRegistryOverridesToCommandLineFlag`).
pub fn print_argument(resolved: &Resolved) -> String {
    let pairs: BTreeSet<String> = resolved
        .sources
        .iter()
        .filter_map(|(source, mirrors)| mirrors.all_mirrors().next().map(|mirror| pair(source, mirror)))
        .collect();
    join(pairs)
}

/// Prints pairs of source and mirror in the given order.
pub fn print_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    join(pairs.into_iter().map(|(source, mirror)| pair(source, mirror)))
}

fn pair(source: &str, mirror: &str) -> String {
    format!("{source}={mirror}")
}

fn join(pairs: impl IntoIterator<Item = String>) -> String {
    let text = pairs.into_iter().collect::<Vec<_>>().join(",");
    if text.is_empty() { EMPTY.to_owned() } else { text }
}

/// Parses `OPENSHIFT_IMG_OVERRIDES` as HyperShift does (`ConvertImageRegistryOverrideStringToMap`). Parts without `=`,
/// without a source or without a mirror are ignored, such as the leading `=,` of stock operators. White space is kept,
/// and a mirror can contain `=`.
pub fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> + Clone {
    let pairs = text.split(',').filter_map(|part| part.split_once('='));
    pairs.filter(|(source, mirror)| !source.is_empty() && !mirror.is_empty())
}

/// The mirrors of each source in order, without duplicates.
pub fn ordered_mirrors<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut seen = HashSet::new();
    let mut mirrors: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (source, mirror) in pairs.into_iter().filter(|pair| seen.insert(*pair)) {
        mirrors.entry(source).or_default().push(mirror);
    }
    mirrors
}

/// Whether two values of `OPENSHIFT_IMG_OVERRIDES` have the same map: each source has the same mirrors in the same order.
pub fn is_same_map<'a>(
    a: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    b: impl Iterator<Item = (&'a str, &'a str)> + Clone,
) -> bool {
    // This runs for each target in each reconciliation, mostly with equal or empty values, so maps are built only for others.
    match (a.clone().next(), b.clone().next()) {
        (None, None) => true,
        (Some(_), Some(_)) => a.clone().eq(b.clone()) || ordered_mirrors(a) == ordered_mirrors(b),
        _ => false,
    }
}

/// Parses all values of one `--registry-overrides`, in order, as `github.com/spf13/pflag` v1.0 does
/// (`string_to_string.go`): a later pair replaces an earlier one of the same source, a value with exactly one `=` is
/// one pair even if it has commas, and `=` is a pair of two empty strings.
///
/// # Errors
/// [`ArgumentError`] for the first value that HyperShift's operators reject.
pub fn parse_argument(values: &[&str]) -> Result<BTreeMap<String, String>, ArgumentError> {
    let mut pairs = BTreeMap::new();
    for value in values {
        let fields = match value.matches('=').count() {
            0 => return Err(ArgumentError::NotAPair((*value).to_owned())),
            1 => vec![value.trim_matches('"').to_owned()],
            _ => csv_record(value)?,
        };
        for field in fields {
            let Some((source, mirror)) = field.split_once('=') else { return Err(ArgumentError::NotAPair(field)) };
            pairs.insert(source.to_owned(), mirror.to_owned());
        }
    }
    Ok(pairs)
}

/// The first record of a text, with the rules and errors of Go's `encoding/csv`.
///
/// The `csv` crate accepts stray quotes and would parse values that HyperShift's operators reject.
fn csv_record(text: &str) -> Result<Vec<String>, ArgumentError> {
    let normal = text.replace("\r\n", "\n");
    let mut rest = normal.strip_suffix('\r').unwrap_or(&normal).trim_start_matches('\n');
    if rest.is_empty() {
        return Err(ArgumentError::NoRecord(text.to_owned()));
    }
    let mut fields = Vec::new();
    loop {
        let field = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted),
            None => bare_field(rest),
        };
        let Some((field, after)) = field else { return Err(ArgumentError::Quote(text.to_owned())) };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(fields),
        }
    }
}

/// The field up to a comma or line break, and the remaining text. `None` if the field has a quote.
fn bare_field(text: &str) -> Option<(String, &str)> {
    let (field, after) = text.split_at(text.find([',', '\n']).unwrap_or(text.len()));
    (!field.contains('"')).then(|| (field.to_owned(), after))
}

/// The field after an opening quote, and the text after its closing quote: a comma, a line break or nothing.
fn quoted_field(mut rest: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    loop {
        let (before, after) = rest.split_once('"')?;
        field.push_str(before);
        match after.chars().next() {
            Some('"') => {
                field.push('"');
                rest = after.get(1..)?;
            }
            None | Some(',' | '\n') => return Some((field, after)),
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests;
