//! `WWW-Authenticate`: which authentication a registry asks for (RFC 9110, section 11.6.1).

use std::collections::BTreeMap;

/// Longer headers are not challenges.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// No registry sends more; what follows is ignored.
const MAX_CHALLENGES: usize = 16;

/// One challenge. A header may hold several, and a response several headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme, in lower case: `basic`, `bearer`.
    pub scheme: String,
    /// The parameters by their names in lower case; of a parameter that is repeated, the first.
    pub parameters: BTreeMap<String, String>,
}

impl Challenge {
    /// A parameter that is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// The challenges of the values of `WWW-Authenticate`, in order. What is not a challenge is skipped.
pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    let mut found = Vec::new();
    for value in values.into_iter().filter(|value| value.len() <= MAX_HEADER_BYTES) {
        Reader { rest: value }.read(&mut found);
    }
    found.truncate(MAX_CHALLENGES);
    found
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// A word is a parameter if `=` follows, otherwise the scheme of the next challenge: commas separate both alike.
    fn read(&mut self, found: &mut Vec<Challenge>) {
        let first = found.len();
        while found.len() <= MAX_CHALLENGES {
            self.skip(|letter| letter.is_ascii_whitespace() || letter == ',');
            let Some(start) = self.rest.chars().next() else { return };
            let word = self.word();
            if word.is_empty() {
                // A letter that begins nothing.
                self.rest = &self.rest[start.len_utf8()..];
                continue;
            }
            let after_word = self.rest;
            self.skip(|letter| letter.is_ascii_whitespace());
            let is_parameter = found.len() > first && self.rest.starts_with('=');
            if is_parameter {
                self.rest = &self.rest[1..];
                let value = self.value();
                if let Some(challenge) = found.last_mut() {
                    challenge.parameters.entry(word.to_ascii_lowercase()).or_insert(value);
                }
            } else {
                self.rest = after_word;
                found.push(Challenge { scheme: word.to_ascii_lowercase(), ..Challenge::default() });
            }
        }
    }

    fn skip(&mut self, is_skipped: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(is_skipped);
    }

    fn word(&mut self) -> &'a str {
        let is_end = |letter: char| letter.is_ascii_whitespace() || matches!(letter, ',' | '=' | '"');
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// A quoted string, in which a comma is a letter like any other, or a bare token.
    fn value(&mut self) -> String {
        self.skip(|letter| letter.is_ascii_whitespace());
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let end = self.rest.find([',', ' ', '\t']).unwrap_or(self.rest.len());
            let (value, rest) = self.rest.split_at(end);
            self.rest = rest;
            return value.to_owned();
        };
        let mut value = String::new();
        let mut letters = quoted.char_indices();
        while let Some((place, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.rest = &quoted[place + 1..];
                    return value;
                }
                '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
                _ => value.push(letter),
            }
        }
        self.rest = "";
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Challenge { scheme: scheme.to_owned(), parameters }
    }

    #[test]
    fn b08_challenges_are_read_in_every_spelling() {
        let bearer =
            challenge("bearer", &[("realm", "https://a/token"), ("service", "a"), ("scope", "repository:x:pull,push")]);
        let spelled = [
            r#"Bearer realm="https://a/token",service="a",scope="repository:x:pull,push""#,
            r#"bearer realm="https://a/token" , service=a , scope="repository:x:pull,push""#,
            r#"BEARER Realm = "https://a/token",SERVICE="a",scope="repository:x:pull,push",scope="second""#,
            r#", Bearer realm="https:\/\/a/token",,service="a",scope="repository:x:pull,push","#,
        ];
        for header in spelled {
            assert_eq!(parse([header]), std::slice::from_ref(&bearer), "{header}");
        }
    }

    #[test]
    fn b08_one_header_may_hold_several_challenges() {
        let both = [challenge("basic", &[("realm", "r, s")]), challenge("bearer", &[("realm", "https://a/token")])];
        assert_eq!(parse([r#"Basic realm="r, s", Bearer realm="https://a/token""#]), both);
        assert_eq!(parse([r#"Basic realm="r, s""#, r#"Bearer realm="https://a/token""#]), both);
        assert_eq!(parse(["Negotiate, NTLM"]), [challenge("negotiate", &[]), challenge("ntlm", &[])]);
    }

    #[test]
    fn what_is_no_challenge_is_skipped() {
        assert_eq!(parse([""]), []);
        assert_eq!(parse([", = \" ,"]), []);
        assert_eq!(parse([r#"Bearer realm="never ends"#]), [challenge("bearer", &[("realm", "never ends")])]);
        assert_eq!(parse([r#"Bearer error="insufficient_scope""#])[0].get("scope"), None);
        assert_eq!(parse([r#"Bearer service="""#])[0].get("service"), None);
        assert_eq!(parse(["x".repeat(MAX_HEADER_BYTES + 1).as_str()]), []);
        assert_eq!(parse(["a,".repeat(1_000).as_str()]).len(), MAX_CHALLENGES);
    }
}
