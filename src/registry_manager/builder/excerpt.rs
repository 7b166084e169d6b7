//! The end of a log, without what looks like credentials. Pure.

use std::borrow::Cow;
use std::sync::LazyLock;

use hypermirror_api::image_builder::MAX_LOG_BYTES;
use regex::Regex;

use crate::printable;

/// Lines that are shown.
const MAX_LINES: usize = 40;
/// The longest line that is shown whole: one line must not hide all others.
const MAX_LINE: usize = 1_000;
const REDACTED: &str = "[redacted]";

/// What hides in lines, and the part of each match that stays.
static SECRETS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = [
        // A user and a password in an address.
        r"(?P<kept>://)[^/\s@]+@",
        r"(?i)(?P<kept>\b(?:authorization|proxy-authorization)\s*[:=]\s*(?:(?:basic|bearer)\s+)?)\S+",
        r"(?i)(?P<kept>\b(?:basic|bearer)\s+)[A-Za-z0-9+/=._~-]{16,}",
        r#"(?i)(?P<kept>\b[a-z0-9_-]*(?:password|passwd|secret|token|api[_-]?key|access[_-]?key)[a-z0-9_-]*["']?\s*[:=]\s*["']?)[^\s"']+"#,
        // JSON web tokens, keys of AWS, tokens of GitHub.
        r"(?P<kept>)\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)*",
        r"(?P<kept>)\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        r"(?P<kept>)\bgh[pousr]_[A-Za-z0-9]{20,}",
    ];
    patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect()
});

/// The last lines of a log, within the limit of a status, without control characters.
pub fn excerpt(log: &str) -> String {
    let lines: Vec<&str> = log.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let first = lines.len().saturating_sub(MAX_LINES);
    let (mut shown, mut left) = (Vec::new(), MAX_LOG_BYTES);
    for line in lines.get(first..).unwrap_or_default().iter().rev() {
        let line = printable::line(&redacted(line)).into_owned();
        let line = shortened(&line);
        let bytes = line.len() + 1;
        if bytes > left {
            break;
        }
        left -= bytes;
        shown.push(line);
    }
    shown.reverse();
    shown.join("\n")
}

fn redacted(line: &str) -> Cow<'_, str> {
    SECRETS.iter().fold(Cow::Borrowed(line), |line, secret| {
        if secret.is_match(&line) {
            Cow::Owned(secret.replace_all(&line, format!("${{kept}}{REDACTED}")).into_owned())
        } else {
            line
        }
    })
}

/// Its end: the cause is usually there.
fn shortened(line: &str) -> String {
    if line.len() <= MAX_LINE {
        return line.to_owned();
    }
    let start = line.ceil_char_boundary(line.len() - MAX_LINE);
    format!("…{}", line.get(start..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_valid() {
        assert_eq!(SECRETS.len(), 7);
    }

    #[test]
    fn the_last_lines_are_shown_within_the_limit() {
        let log = (0..1_000).map(|number| format!("line {number}\r\n\n")).collect::<Vec<_>>().concat();
        let shown = excerpt(&log);
        assert!(shown.starts_with("line 960\n") && shown.ends_with("line 999"), "{shown}");
        let long = excerpt(&format!("{}\n{}", "first ".repeat(10), "é".repeat(100_000)));
        assert!(long.contains("first") && long.len() <= MAX_LOG_BYTES, "{}", long.len());
        assert!(excerpt(&"x".repeat(999 * 40)).len() <= MAX_LOG_BYTES);
        let all = format!("{}\n", "y".repeat(900)).repeat(40);
        assert_eq!(excerpt(&all).lines().count(), 4);
        assert_eq!(excerpt(""), "");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(excerpt("a\u{1b}[2Jb"), "a\\u001b[2Jb");
    }

    #[test]
    fn what_looks_like_a_credential_is_replaced() {
        for line in [
            "fetch https://user:canary@r.example/v2/",
            "Authorization: Bearer canary",
            "authorization=canary",
            "> basic Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5-canary",
            "export NPM_TOKEN=canary",
            "{\"password\": \"canary\"}",
            "MY_API_KEY='canary'",
            "eyJhbGciOiJIUzI1NiJ9.canary",
            "aws AKIAIOSFODNN7EXAMPLE",
            "ghp_canarycanarycanarycanary",
        ] {
            let shown = excerpt(line);
            let is_hidden = !shown.contains("canary") && !shown.contains("AKIA") && shown.contains(REDACTED);
            assert!(is_hidden, "{line}: {shown}");
        }
        for line in ["Error: building at STEP \"RUN false\": exit status 1", "see https://r.example/tokens/a@b"] {
            assert_eq!(excerpt(line), line);
        }
    }
}
