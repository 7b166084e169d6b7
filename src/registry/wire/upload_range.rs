//! `Range` of an upload: how much of it a registry holds.

/// The number of bytes of `0-N`, with or without a unit; N is the last byte.
///
/// Registries say `0-0` of an empty upload, too: that is nothing, and a single byte is sent again.
pub fn received(value: &str) -> Option<u64> {
    let range = value.trim();
    let range = range.strip_prefix("bytes").map_or(range, |rest| rest.trim_start_matches([' ', '=', ':']));
    let (first, last) = range.trim().split_once('-')?;
    let last: u64 = last.trim().parse().ok()?;
    match first.trim() {
        "0" if last == 0 => Some(0),
        "0" => last.checked_add(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b04_the_offset_of_a_session_is_read_in_every_spelling() {
        for (text, expected) in [
            ("0-99", Some(100)),
            ("bytes=0-99", Some(100)),
            ("bytes 0-99", Some(100)),
            (" 0 - 99 ", Some(100)),
            ("0-0", Some(0)),
            ("5-99", None),
            ("0-", None),
            ("-", None),
            ("", None),
            ("0--1", None),
            ("0-18446744073709551615", None),
        ] {
            assert_eq!(received(text), expected, "{text:?}");
        }
    }
}
