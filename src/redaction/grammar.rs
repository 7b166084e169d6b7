//! Grammars of values that have no room for a secret that anybody would put there.

/// Length of a DNS name and of most names in Kubernetes.
const MAX_NAME: usize = 253;
/// Length of an image's name, with a digest.
const MAX_PLACE: usize = 512;
/// Digits of `short_digest`.
const SHORT_DIGEST: usize = 16;

/// A name of an object, kind or field manager.
pub fn is_name(text: &str) -> bool {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"-._".contains(&letter);
    !text.is_empty()
        && text.len() <= MAX_NAME
        && text.bytes().all(is_letter)
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

/// The location of images: `host[:port][/path][:tag][@digest]`, or `*.host`. No user, no query, no scheme, so that there is no place
/// for credentials. The host has a `.` or a `:`, as those of all registries, so that a single word is none.
pub fn is_place(text: &str) -> bool {
    if text.is_empty() || text.len() > MAX_PLACE {
        return false;
    }
    let name = match text.split_once('@') {
        Some((name, digest)) if is_digest(digest) && digest.contains(':') => name,
        Some(_) => return false,
        None => text,
    };
    let (host, path) = name.split_once('/').map_or((name, None), |(host, path)| (host, Some(path)));
    is_host(host) && path.is_none_or(is_path)
}

fn is_host(host: &str) -> bool {
    let host = host.strip_prefix("*.").unwrap_or(host);
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let is_letter = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b"-.".contains(&letter);
    let is_port = |port: &str| !port.is_empty() && port.len() <= 5 && port.bytes().all(|digit| digit.is_ascii_digit());
    !name.is_empty()
        && name.bytes().all(is_letter)
        && port.is_none_or(is_port)
        && (name.contains('.') || port.is_some())
}

fn is_path(path: &str) -> bool {
    let (path, tag) = path.split_once(':').map_or((path, None), |(path, tag)| (path, Some(tag)));
    let is_letter = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b"-._/".contains(&letter);
    !path.is_empty() && path.bytes().all(is_letter) && tag.is_none_or(is_name)
}

/// A digest: `sha256:` and 64 digits, or the short ones that reports have.
pub fn is_digest(text: &str) -> bool {
    let (algorithm, digits) = text.split_once(':').map_or((None, text), |(name, digits)| (Some(name), digits));
    let is_long = match algorithm {
        Some("sha256") => digits.len() == 64,
        Some("sha512") => digits.len() == 128,
        Some(_) => false,
        None => digits.len() == SHORT_DIGEST,
    };
    is_long && digits.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
}

/// A time (RFC 3339).
pub fn is_time(text: &str) -> bool {
    text.len() <= 40 && text.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";

    #[test]
    fn a_place_has_no_room_for_credentials() {
        for place in ["m.example", "m.example:5000/a/b", "*.m.example", "localhost:5000/x", "m.example/a_b/c:v1.2"] {
            assert!(is_place(place), "{place}");
            assert!(is_place(&format!("{place}@{SHA}")), "{place}");
        }
        for other in [
            "",
            "word",
            "user:canary@m.example/x",
            "m.example/x?token=canary",
            "https://m.example/x",
            "m.example/x@sha256:ab",
            "m.example/x@canary",
            "m.example:canary/x",
            "m.example/Upper",
            "m.example/a b",
            "m.example/x#canary",
        ] {
            assert!(!is_place(other), "{other}");
        }
    }

    #[test]
    fn names_digests_and_times_are_what_they_seem() {
        for (text, expected) in
            [("a", true), ("Kind", true), ("a.b-c_1", true), ("", false), ("-a", false), ("a/b", false)]
        {
            assert_eq!(is_name(text), expected, "{text}");
        }
        for (text, expected) in [
            (SHA, true),
            ("0a1b2c3d4e5f0a1b", true),
            ("0a1b", false),
            ("sha256:ab", false),
            ("md5:0a", false),
            ("canary", false),
        ] {
            assert_eq!(is_digest(text), expected, "{text}");
        }
        assert!(is_time("2026-11-30T12:00:00Z") && !is_time("yesterday"));
    }
}
