//! Rate limits that registries announce: how many requests are left, and for how long.

use std::time::Duration;

/// What is left of a budget of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// The budget.
    pub limit: Option<u64>,
    /// What is left of it.
    pub remaining: Option<u64>,
    /// When it is whole again, or how long its window is.
    pub reset: Option<Duration>,
}

/// Docker Hub's window has six hours. A longer one than a week is something else, such as a time stamp.
const MAX_WINDOW: u64 = 7 * 24 * 60 * 60;

/// Reads headers, asked for by name in lower case: `ratelimit-limit: 100;w=21600` and `ratelimit-remaining: 99;w=21600`
/// (Docker Hub), `ratelimit: limit=100, remaining=99, reset=60`, `ratelimit: "default";r=99;t=60` (drafts of the IETF) and
/// `x-ratelimit-*` (GitHub). Nothing, if none of them says what is left.
pub fn parse<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<RateLimit> {
    let mut found = RateLimit::default();
    if let Some(value) = header("ratelimit") {
        for part in value.split([',', ';']) {
            let Some((name, value)) = part.split_once('=') else { continue };
            match name.trim() {
                "limit" => found.limit = number(value),
                "remaining" | "r" => found.remaining = number(value),
                "reset" | "t" => found.reset = seconds(value),
                _ => {}
            }
        }
    }
    for prefix in ["", "x-"] {
        let named = |name: &str| header(&format!("{prefix}ratelimit-{name}"));
        if let Some(value) = named("limit") {
            found.limit = found.limit.or_else(|| number(value));
        }
        if let Some(value) = named("remaining") {
            found.remaining = found.remaining.or_else(|| number(value));
            found.reset = found.reset.or_else(|| window(value));
        }
        if let Some(value) = named("reset") {
            found.reset = found.reset.or_else(|| seconds(value));
        }
    }
    found.remaining.map(|_| found)
}

/// The number before parameters.
fn number(value: &str) -> Option<u64> {
    value.split([',', ';']).next()?.trim().parse().ok()
}

/// A time stamp is not a length: who sends one also sends 429 with it.
fn seconds(value: &str) -> Option<Duration> {
    number(value).filter(|seconds| *seconds <= MAX_WINDOW).map(Duration::from_secs)
}

/// The parameter `w`.
fn window(value: &str) -> Option<Duration> {
    let parameter = value.split(';').find_map(|part| part.trim().strip_prefix("w="))?;
    seconds(parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(headers: &[(&str, &'static str)]) -> Option<RateLimit> {
        parse(|name| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    }

    #[test]
    fn announced_limits_are_read_in_every_form() {
        let limit = |limit, remaining, reset: u64| {
            Some(RateLimit { limit: Some(limit), remaining: Some(remaining), reset: Some(Duration::from_secs(reset)) })
        };
        let hub = [("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "76;w=21600")];
        assert_eq!(parsed(&hub), limit(100, 76, 21_600));
        assert_eq!(parsed(&[("ratelimit", "limit=100, remaining=0, reset=50")]), limit(100, 0, 50));
        assert_eq!(parsed(&[("ratelimit", "\"default\";r=50;t=30"), ("ratelimit-limit", "100")]), limit(100, 50, 30));
        let github =
            [("x-ratelimit-limit", "60"), ("x-ratelimit-remaining", "59"), ("x-ratelimit-reset", "1746136938")];
        assert_eq!(parsed(&github).unwrap().reset, None);
        assert_eq!(parsed(&github).unwrap().remaining, Some(59));
        for nothing in ["", "many", "-1", ";w=1"] {
            assert_eq!(parsed(&[("ratelimit-remaining", nothing)]), None);
        }
        assert_eq!(parsed(&[("ratelimit-limit", "100")]), None);
    }
}
