//! The two forms in which HyperShift's operators are told about mirrors, printed and parsed.
//!
//! `OPENSHIFT_IMG_OVERRIDES` is `source=mirror,source=mirror`, a source repeated for each of its mirrors;
//! `--registry-overrides` is the same with one mirror a source (HyperShift, `support/util/util.go`). Empty is `=`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Resolved;

/// How both forms say that there is nothing.
pub const EMPTY: &str = "=";

/// Why a value of `--registry-overrides` is refused by its reader; each variant names the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// A part without `=`.
    #[error("{0:?} must be formatted as key=value")]
    NotAPair(String),
    /// A quote inside a field, or one that is never closed.
    #[error("stray or open quote in {0:?}")]
    Quote(String),
    /// Nothing but line ends.
    #[error("no record in {0:?}")]
    NoRecord(String),
}

/// Prints the map as `OPENSHIFT_IMG_OVERRIDES`: sources ascending by bytes, in a source the digest mirrors, then the tag
/// mirrors that are not among them, in their order.
///
/// `ConvertOpenShiftImageRegistryOverridesToCommandLineFlag` sorts the mirrors too, and so loses their order; its reader
/// keeps the order that it finds.
pub fn print_env(resolved: &Resolved) -> String {
    let pairs = resolved.sources.iter().flat_map(|(source, mirrors)| mirrors.all_mirrors().map(move |m| (source, m)));
    join(pairs.map(|(source, mirror)| pair(source, mirror)))
}

/// Prints the map as `--registry-overrides`: the first mirror of each source, pairs ascending by their bytes
/// (`ConvertRegistryOverridesToCommandLineFlag`).
pub fn print_argument(resolved: &Resolved) -> String {
    let pairs: BTreeSet<String> = resolved
        .sources
        .iter()
        .filter_map(|(source, mirrors)| mirrors.all_mirrors().next().map(|mirror| pair(source, mirror)))
        .collect();
    join(pairs)
}

/// Prints pairs of source and mirror in their order.
pub fn print_pairs(pairs: &[(String, String)]) -> String {
    join(pairs.iter().map(|(source, mirror)| pair(source, mirror)))
}

fn pair(source: &str, mirror: &str) -> String {
    format!("{source}={mirror}")
}

fn join(pairs: impl IntoIterator<Item = String>) -> String {
    let text = pairs.into_iter().collect::<Vec<_>>().join(",");
    if text.is_empty() { EMPTY.to_owned() } else { text }
}

/// Reads `OPENSHIFT_IMG_OVERRIDES` as HyperShift does (`ConvertImageRegistryOverrideStringToMap`): parts without `=`,
/// without a source or without a mirror are skipped, such as the `=,` that stock operators print at the front; nothing is
/// trimmed, and a mirror may contain `=`.
pub fn parse_pairs(text: &str) -> Vec<(String, String)> {
    pairs(text).map(|(source, mirror)| (source.to_owned(), mirror.to_owned())).collect()
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = text.split(',').filter_map(|part| part.split_once('='));
    pairs.filter(|(source, mirror)| !source.is_empty() && !mirror.is_empty())
}

/// The mirrors of each source in their order; of exact duplicates the first counts.
pub fn ordered_mirrors(pairs: &[(String, String)]) -> BTreeMap<String, Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut mirrors: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (source, mirror) in pairs {
        if seen.insert((source, mirror)) {
            mirrors.entry(source.clone()).or_default().push(mirror.clone());
        }
    }
    mirrors
}

/// Whether two values of `OPENSHIFT_IMG_OVERRIDES` say the same: the ordered mirrors of each source.
pub fn same_meaning(a: &str, b: &str) -> bool {
    // Asked for each target again and again, mostly about equal or empty values: no text is copied.
    match (pairs(a).next(), pairs(b).next()) {
        (None, None) => true,
        (Some(_), Some(_)) => a == b || mirrors_by_source(a) == mirrors_by_source(b),
        _ => false,
    }
}

fn mirrors_by_source(text: &str) -> HashMap<&str, Vec<&str>> {
    let mut seen = HashSet::new();
    let mut mirrors: HashMap<&str, Vec<&str>> = HashMap::new();
    for (source, mirror) in pairs(text).filter(|pair| seen.insert(*pair)) {
        mirrors.entry(source).or_default().push(mirror);
    }
    mirrors
}

/// Reads all values of one `--registry-overrides`, in their order, as `github.com/spf13/pflag` v1.0 does
/// (`string_to_string.go`): a later pair replaces an earlier one of the same source, a value with exactly one `=` is one
/// pair whatever its commas, and `=` is the pair of two empty texts.
///
/// # Errors
/// [`ArgumentError`] for the first value that the reader would refuse.
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

/// The first record of a text, with the rules and refusals of Go's `encoding/csv`.
///
/// The `csv` crate forgives stray quotes, which would make us read a value that the real reader refuses.
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

/// The field up to a comma or line end, and what follows from there; none if it has a quote.
fn bare_field(text: &str) -> Option<(String, &str)> {
    let (field, after) = text.split_at(text.find([',', '\n']).unwrap_or(text.len()));
    (!field.contains('"')).then(|| (field.to_owned(), after))
}

/// The field that an opening quote begins, and what follows its closing quote: a comma, a line end or nothing.
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
