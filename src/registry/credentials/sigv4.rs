//! Signature Version 4 of AWS, as far as two calls need it: a POST without a query to `/`.
//!
//! See *Create a signed AWS API request* in the IAM User Guide. Tested with the example published there and in AWS's test suite.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ring::hmac;

use super::super::secret::Secret;
use super::super::wire::digest::{Algorithm, Digest, hex};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Keys of AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsKeys {
    /// Public.
    pub access_key_id: String,
    /// Signs.
    pub secret_access_key: Secret,
    /// Of temporary keys.
    pub session_token: Option<Secret>,
    /// When temporary keys end.
    pub expires: Option<Timestamp>,
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, encoded.
    pub path: &'a str,
    /// The query, with its parameters encoded and in order.
    pub query: &'a str,
    /// All headers that are signed, by their names in lower case and in order; with `host` and `x-amz-date`.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// The value of `x-amz-date`.
pub fn amz_date(now: Timestamp) -> String {
    now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The value of `Authorization`. `date` is that of [`amz_date`].
pub fn authorization(keys: &AwsKeys, date: &str, region: &str, service: &str, request: &Request<'_>) -> String {
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let headers: Vec<String> =
        request.headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let headers = headers.concat();
    let body = Digest::of(Algorithm::Sha256, request.body);
    let canonical =
        format!("{}\n{}\n{}\n{headers}\n{names}\n{}", request.method, request.path, request.query, body.hex());
    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let digest = Digest::of(Algorithm::Sha256, canonical.as_bytes());
    let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{}", digest.hex());
    let mut key = format!("AWS4{}", keys.secret_access_key.reveal()).into_bytes();
    for part in [day, region, service, "aws4_request"] {
        key = hmac(&key, part).as_ref().to_vec();
    }
    let signature = hex(hmac(&key, &to_sign).as_ref());
    format!("{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", keys.access_key_id)
}

fn hmac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> AwsKeys {
        AwsKeys {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: None,
            expires: None,
        }
    }

    #[test]
    fn signatures_are_those_that_aws_publishes() {
        let date = "20150830T123600Z";
        let list_users = Request {
            method: "GET",
            path: "/",
            query: "Action=ListUsers&Version=2010-05-08",
            headers: &[
                ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
                ("host", "iam.amazonaws.com"),
                ("x-amz-date", date),
            ],
            body: b"",
        };
        let signed = authorization(&keys(), date, "us-east-1", "iam", &list_users);
        assert_eq!(
            signed,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
        let headers = [("host", "example.amazonaws.com"), ("x-amz-date", date)];
        let vanilla = |method| Request { method, path: "/", query: "", headers: &headers, body: b"" };
        let signature = |method| {
            let signed = authorization(&keys(), date, "us-east-1", "service", &vanilla(method));
            signed.rsplit('=').next().unwrap().to_owned()
        };
        assert_eq!(signature("GET"), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
        assert_eq!(signature("POST"), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
    }

    #[test]
    fn dates_are_in_the_form_of_aws() {
        assert_eq!(amz_date(Timestamp::from_second(1_440_938_160).unwrap()), "20150830T123600Z");
    }
}
