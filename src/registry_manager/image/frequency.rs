//! The frequency of an Image: numbers with a unit, from seconds to weeks. Pure.

use std::time::Duration;

/// Units, and their seconds.
const UNITS: [(char, u64); 5] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];
/// The longest frequency: a year. Longer ones are mistakes.
const LONGEST: u64 = 366 * 86_400;

/// Why a frequency cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrequencyError {
    /// Of another form.
    #[error("{0:?} is not a number with a unit: s, m, h, d or w, for example 30s, 15m or 1d")]
    Invalid(String),
    /// Nothing, or too much.
    #[error("{0:?} is not between 1s and 366d")]
    OutOfRange(String),
}

/// Reads `30s`, `15m`, `1h30m`, `1d`, `2w`.
///
/// # Errors
/// [`FrequencyError`].
pub fn parse(text: &str) -> Result<Duration, FrequencyError> {
    let invalid = || FrequencyError::Invalid(text.chars().take(64).collect());
    let out_of_range = || FrequencyError::OutOfRange(text.chars().take(64).collect());
    let mut seconds = 0_u64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(invalid)?;
        let (number, after) = rest.split_at(end);
        let unit = after.chars().next().and_then(|letter| UNITS.iter().find(|(name, _)| *name == letter));
        let (name, length) = unit.ok_or_else(invalid)?;
        if number.is_empty() {
            return Err(invalid());
        }
        let number: u64 = number.parse().map_err(|_| out_of_range())?;
        let part = number.checked_mul(*length).ok_or_else(out_of_range)?;
        seconds = seconds.checked_add(part).ok_or_else(out_of_range)?;
        rest = after.strip_prefix(*name).unwrap_or_default();
    }
    if (1..=LONGEST).contains(&seconds) { Ok(Duration::from_secs(seconds)) } else { Err(out_of_range()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_from_seconds_to_weeks_is_known() {
        for (text, seconds) in [
            ("30s", 30),
            ("1m", 60),
            ("15m", 900),
            ("1h", 3_600),
            ("1d", 86_400),
            ("2w", 1_209_600),
            ("1h30m", 5_400),
            (" 5m ", 300),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn a_wrong_frequency_is_never_a_default() {
        for text in ["", "5", "m", "5 m", "5x", "-5m", "1.5h", "500ms", "5mm", "every day", "5m,", "٣s"] {
            assert!(matches!(parse(text), Err(FrequencyError::Invalid(_))), "{text}");
        }
        for text in ["0s", "53w", "367d", "99999999999999999999s", "9999999999999999999w"] {
            assert!(matches!(parse(text), Err(FrequencyError::OutOfRange(_))), "{text}");
        }
    }
}
