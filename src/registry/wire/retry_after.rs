//! `Retry-After`: when a registry wants to be asked again (RFC 9110, section 10.2.3), in the forms that registries send.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822::DateTimeParser;

/// Docker Hub sends seconds since 1970. Nobody means a wait of more than 31 years.
const EPOCH: u64 = 1_000_000_000;
/// RFC 850 and `asctime`, which HTTP requires readers to accept.
const OLD_DATES: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// How long to wait. Nothing for a time that has passed and for what is no time: the caller backs off by its own rule.
pub fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(number) = value.parse::<u64>() {
        return match number {
            0 => None,
            EPOCH.. => until(Timestamp::from_second(i64::try_from(number).ok()?).ok()?, now),
            _ => Some(Duration::from_secs(number)),
        };
    }
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok().filter(|wait| !wait.is_zero());
    }
    until(date(value)?, now)
}

fn date(value: &str) -> Option<Timestamp> {
    if let Ok(date) = DateTimeParser::new().parse_timestamp(value) {
        return Some(date);
    }
    let old = OLD_DATES.iter().find_map(|format| DateTime::strptime(format, value).ok())?;
    old.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|date| date.timestamp())
}

fn until(time: Timestamp, now: Timestamp) -> Option<Duration> {
    Duration::try_from(time.duration_since(now)).ok().filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b02_every_form_is_understood() {
        // Wed, 2025-04-30 22:02:18 UTC.
        let now = Timestamp::from_second(1_746_050_538).unwrap();
        let cases = [
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("31536000", Some(31_536_000)),
            ("1746050545", Some(7)),
            ("1746050538", None),
            ("1746050000", None),
            ("Wed, 30 Apr 2025 22:02:25 GMT", Some(7)),
            ("Wednesday, 30-Apr-25 22:02:25 GMT", Some(7)),
            ("Wed Apr 30 22:02:25 2025", Some(7)),
            ("Wed, 30 Apr 2025 22:02:00 GMT", None),
            ("0", None),
            ("-7", None),
            ("", None),
            ("soon", None),
            ("NaN", None),
            ("inf", None),
            ("99999999999999999999999", None),
            ("18446744073709551615", None),
        ];
        for (value, expected) in cases {
            let wait = parse(value, now);
            match expected {
                Some(seconds) => assert_eq!(wait, Some(Duration::from_secs(seconds)), "{value}"),
                // A number without end is a wait without end, which no caller takes.
                None => assert!(wait.is_none_or(|wait| wait > Duration::from_secs(1 << 40)), "{value}: {wait:?}"),
            }
        }
        assert_eq!(parse("1.5", now), Some(Duration::from_millis(1_500)));
    }
}
