//! Prints and parses values like HyperShift's code. Independent of hypermirror's implementation.

use std::collections::BTreeMap;

/// The empty value in both formats.
pub const EMPTY: &str = "=";

/// A static `--registry-overrides` of a hypershift operator, which only stock operators know.
pub const FLAG: &str = "zz.example=m.example/zz,yy.example/y=m.example/yy";

/// Sources with all their mirrors.
pub type Mirrors = BTreeMap<String, Vec<String>>;

/// Prints `OPENSHIFT_IMG_OVERRIDES` with the mirrors of each source sorted
/// (`ConvertOpenShiftImageRegistryOverridesToCommandLineFlag`).
pub fn print_env(mirrors: &Mirrors) -> String {
    let pairs = mirrors.iter().flat_map(|(source, mirrors)| {
        let mut sorted: Vec<&String> = mirrors.iter().collect();
        sorted.sort_unstable();
        sorted.into_iter().map(move |mirror| format!("{source}={mirror}"))
    });
    or_empty(pairs.collect::<Vec<_>>().join(","))
}

/// Parses `OPENSHIFT_IMG_OVERRIDES` and preserves the order of mirrors (`ConvertImageRegistryOverrideStringToMap`).
pub fn parse_env(value: &str) -> Mirrors {
    let mut mirrors = Mirrors::new();
    for (source, mirror) in value.split(',').filter_map(|part| part.split_once('=')) {
        if !source.is_empty() && !mirror.is_empty() {
            mirrors.entry(source.to_owned()).or_default().push(mirror.to_owned());
        }
    }
    mirrors
}

/// Prints `--registry-overrides` with sorted pairs (`ConvertRegistryOverridesToCommandLineFlag`).
pub fn print_flag(pairs: &BTreeMap<String, String>) -> String {
    let mut pairs: Vec<String> = pairs.iter().map(|(source, mirror)| format!("{source}={mirror}")).collect();
    pairs.sort_unstable();
    or_empty(pairs.join(","))
}

/// Parses all `--registry-overrides` of one process: later pairs replace earlier ones, and `=` is the pair of two empty strings
/// (pflag, `StringToString`). Quotes are not supported, because no scenario uses them.
pub fn parse_flags<'v>(values: impl IntoIterator<Item = &'v str>) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    for value in values {
        let one = value.matches('=').count() == 1;
        let fields = if one { vec![value] } else { value.split(',').collect() };
        pairs
            .extend(fields.iter().filter_map(|field| field.split_once('=')).map(|(s, m)| (s.to_owned(), m.to_owned())));
    }
    pairs
}

fn or_empty(text: String) -> String {
    if text.is_empty() { EMPTY.to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_printed_sorted_and_lose_their_order() {
        let mirrors = parse_env("s.example=z.example,s.example=a.example,a.example=b.example");
        assert_eq!(print_env(&mirrors), "a.example=b.example,s.example=a.example,s.example=z.example");
        assert_eq!(print_env(&Mirrors::new()), "=");
    }

    #[test]
    fn the_sentinel_of_an_empty_flag_is_a_pair_that_leaks_into_the_childrens_value() {
        let flags = parse_flags(["="]);
        assert_eq!(flags, BTreeMap::from([(String::new(), String::new())]));
        assert_eq!(print_flag(&flags), "=");
        let mut mirrors = parse_env("a=b");
        for (source, mirror) in flags {
            mirrors.entry(source).or_default().push(mirror);
        }
        assert_eq!(print_env(&mirrors), "=,a=b");
        assert_eq!(parse_env("=,a=b"), parse_env("a=b"));
    }

    #[test]
    fn later_flags_replace_earlier_ones_of_the_same_source() {
        assert_eq!(print_flag(&parse_flags(["a=b,c=d", "a=z,e=f"])), "a=z,c=d,e=f");
        assert_eq!(print_flag(&parse_flags(["=", "h=m"])), "=,h=m");
    }
}
