//! Requests for tokens and their answers: the token specification of distribution, and its form with refresh tokens.

use std::time::Duration;

use serde::Deserialize;
use url::Url;
use url::form_urlencoded::Serializer;

use super::super::secret::Secret;
use super::super::wire::is_object;

/// Tokens have some kilobytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// What a token without `expires_in` is good for (token specification: no less than 60 s).
const DEFAULT_LIFETIME: u64 = 60;
/// Nobody takes back a token, but its server's clock may be wrong.
const MAX_LIFETIME: u64 = 24 * 60 * 60;
/// How long before its end a token is replaced, at most a quarter of its life: requests take time to arrive.
const MARGIN: Duration = Duration::from_secs(30);
/// How this program names itself to token servers.
const CLIENT_ID: &str = "hypermirror";

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// For `Authorization: Bearer`.
    pub value: Secret,
    /// From when it was asked for, until it should be replaced.
    pub fresh_for: Duration,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<f64>,
}

/// Reads the answer of a token server. Nothing of it is in the error.
///
/// # Errors
/// What is wrong with it.
pub fn parse(bytes: &[u8]) -> Result<Token, &'static str> {
    let raw = Some(bytes).filter(|bytes| is_object(bytes)).and_then(|bytes| serde_json::from_slice::<Raw>(bytes).ok());
    let raw = raw.ok_or("it is not a JSON object with a token")?;
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let value =
        filled(raw.token).or_else(|| filled(raw.access_token)).ok_or("it has neither token nor access_token")?;
    // `issued_at` is by the server's clock, and does not count.
    let seconds = raw.expires_in.filter(|seconds| *seconds >= 1.0).and_then(|seconds| {
        let lifetime = Duration::try_from_secs_f64(seconds).ok()?;
        Some(lifetime.as_secs().min(MAX_LIFETIME))
    });
    let lifetime = Duration::from_secs(seconds.unwrap_or(DEFAULT_LIFETIME));
    Ok(Token { value: Secret::new(value), fresh_for: lifetime.saturating_sub(MARGIN.min(lifetime / 4)) })
}

/// The address of a GET for a token: each scope is its own parameter.
pub fn query(realm: &Url, service: Option<&str>, scopes: &[String], account: Option<&str>) -> Url {
    let mut url = realm.clone();
    {
        let mut pairs = url.query_pairs_mut();
        if let Some(service) = service {
            pairs.append_pair("service", service);
        }
        for scope in scopes {
            pairs.append_pair("scope", scope);
        }
        if let Some(account) = account {
            pairs.append_pair("account", account);
        }
    }
    url
}

/// The form of a POST that exchanges an identity token.
pub fn form(service: Option<&str>, scopes: &[String], identity: &Secret) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token").append_pair("client_id", CLIENT_ID);
    if let Some(service) = service {
        form.append_pair("service", service);
    }
    form.append_pair("scope", &scopes.join(" ")).append_pair("refresh_token", identity.reveal());
    form.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh_for(text: &str) -> u64 {
        parse(text.as_bytes()).unwrap().fresh_for.as_millis().try_into().unwrap()
    }

    #[test]
    fn b04_lifetimes_are_read_or_assumed_and_a_token_is_replaced_before_its_end() {
        assert_eq!(fresh_for(r#"{"token": "t", "expires_in": 300}"#), 270_000);
        assert_eq!(fresh_for(r#"{"token": "t", "expires_in": 2}"#), 1_500);
        for absent in
            [r#"{"token": "t"}"#, r#"{"token": "t", "expires_in": 0}"#, r#"{"access_token": "t", "expires_in": -5}"#]
        {
            assert_eq!(fresh_for(absent), 45_000, "{absent}");
        }
        assert_eq!(fresh_for(r#"{"token": "t", "expires_in": 1e300}"#), 45_000);
        assert_eq!(fresh_for(r#"{"token": "t", "expires_in": 99999999}"#), (24 * 3_600 - 30) * 1_000);
    }

    #[test]
    fn b04_either_name_of_the_token_is_read() {
        assert_eq!(parse(br#"{"access_token": "a"}"#).unwrap().value.reveal(), "a");
        assert_eq!(parse(br#"{"token": "", "access_token": "a"}"#).unwrap().value.reveal(), "a");
        assert_eq!(parse(br#"{"token": "t", "access_token": "a"}"#).unwrap().value.reveal(), "t");
        for none in ["", "{}", "[]", "[\"t\"]", "<html>", r#"{"token": 1}"#, r#"{"token": ""}"#] {
            assert!(parse(none.as_bytes()).is_err(), "{none}");
        }
    }

    #[test]
    fn b09_each_scope_is_its_own_parameter() {
        let realm = Url::parse("https://auth.example/token?a=1").unwrap();
        let scopes = ["repository:a:pull,push".to_owned(), "repository:b:pull".to_owned()];
        let url = query(&realm, Some("r.example"), &scopes, Some("u@x"));
        let expected =
            "a=1&service=r.example&scope=repository%3Aa%3Apull%2Cpush&scope=repository%3Ab%3Apull&account=u%40x";
        assert_eq!(url.query(), Some(expected));
        let form = form(None, &scopes, &Secret::new("i&d"));
        assert!(
            form.ends_with("scope=repository%3Aa%3Apull%2Cpush+repository%3Ab%3Apull&refresh_token=i%26d"),
            "{form}"
        );
    }
}
