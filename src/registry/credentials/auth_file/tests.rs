use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::super::super::name::RegistryAddress;
use super::*;

fn parse(value: &Value) -> AuthFile {
    AuthFile::parse(&serde_json::to_vec(value).unwrap()).unwrap()
}

fn entry(user: &str) -> Value {
    json!({"auth": BASE64_STANDARD.encode(format!("{user}:canary"))})
}

/// The user of the credential for a repository.
fn user(file: &AuthFile, registry: &str, path: &str) -> Option<String> {
    let repository = Repository::new(RegistryAddress::parse(registry).unwrap(), path).unwrap();
    match file.find(&repository)? {
        Credential::Basic { username, .. } => Some(username.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn b24_the_longest_key_on_a_path_boundary_counts() {
    let file = parse(&json!({"auths": {
        "quay.io": entry("host"), "quay.io/a": entry("a"), "quay.io/a/b": entry("ab"), "other.example/x": entry("x"),
    }}));
    let cases = [
        ("quay.io", "a", Some("a")),
        ("quay.io", "a/c", Some("a")),
        ("quay.io", "a/b", Some("ab")),
        ("quay.io", "a/b/c", Some("ab")),
        ("quay.io", "ab", Some("host")),
        ("quay.io", "b", Some("host")),
        ("other.example", "x/y", Some("x")),
        ("other.example", "xy", None),
        ("quay.io:5000", "a", None),
        ("example", "a", None),
    ];
    for (registry, path, expected) in cases {
        assert_eq!(user(&file, registry, path).as_deref(), expected, "{registry}/{path}");
    }
}

#[test]
fn b24_the_names_of_the_hub_are_one_and_the_plain_one_counts_first() {
    let names =
        ["docker.io", "index.docker.io", "https://index.docker.io/v1/", "registry-1.docker.io", "https://docker.io"];
    for name in names {
        let file = parse(&json!({"auths": {name: entry("u")}}));
        for registry in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
            assert_eq!(user(&file, registry, "nginx").as_deref(), Some("u"), "{name} for {registry}");
        }
    }
    let all = parse(&json!({"auths": {
        "https://index.docker.io/v1/": entry("old"), "docker.io": entry("plain"), "registry-1.docker.io": entry("api"),
    }}));
    assert_eq!(user(&all, "docker.io", "a/b").as_deref(), Some("plain"));
}

#[test]
fn b24_keys_may_have_a_scheme_a_port_and_a_path() {
    let file = parse(&json!({"auths": {
        "https://a.example/v2/": entry("a"), "http://b.example:5000": entry("b"), "https://c.example:443/team/": entry("c"),
        "*.corp.example": entry("star"), "UPPER.example": entry("upper"),
    }}));
    let cases = [
        ("a.example", "x", Some("a")),
        ("b.example:5000", "x", Some("b")),
        ("b.example", "x", None),
        ("c.example", "team/x", Some("c")),
        ("c.example", "x", None),
        ("r.corp.example", "x", Some("star")),
        ("r.s.corp.example", "x", None),
        ("upper.example", "x", Some("upper")),
    ];
    for (registry, path, expected) in cases {
        assert_eq!(user(&file, registry, path).as_deref(), expected, "{registry}/{path}");
    }
}

#[test]
fn every_form_of_an_entry_is_read() {
    let find = |entry: Value| {
        let file = parse(&json!({"auths": {"r.example": entry}}));
        let repository = Repository::new(RegistryAddress::parse("r.example").unwrap(), "a").unwrap();
        (file.find(&repository).cloned(), file.warnings)
    };
    let unpadded = BASE64_STANDARD.encode("u:p:q").trim_end_matches('=').to_owned();
    let read = [
        (json!({"auth": unpadded}), Credential::basic("u", "p:q")),
        (json!({"auth": BASE64_STANDARD.encode("u:p\0\0")}), Credential::basic("u", "p")),
        (json!({"username": "u", "password": "p", "email": "e"}), Credential::basic("u", "p")),
        (json!({"auth": BASE64_STANDARD.encode("<token>:t")}), Credential::Identity(Secret::new("t"))),
        (json!({"auth": unpadded, "identitytoken": "t"}), Credential::Identity(Secret::new("t"))),
        (json!({"registrytoken": "t"}), Credential::Bearer(Secret::new("t"))),
    ];
    for (entry, expected) in read {
        assert_eq!(find(entry.clone()), (Some(expected), vec![]), "{entry}");
    }
    for wrong in [json!({}), json!({"auth": "%"}), json!({"auth": "dQ=="}), json!({"username": "canary"})] {
        let (found, warnings) = find(wrong.clone());
        assert_eq!((found, warnings.len()), (None, 1), "{wrong}");
        assert!(!warnings[0].contains("canary"), "{warnings:?}");
    }
}

#[test]
fn a_credential_helper_is_named_and_not_run() {
    let file = parse(
        &json!({"credsStore": "desktop", "credHelpers": {"r.example": "ecr-login"}, "auths": {"a.example": entry("u")}}),
    );
    assert_eq!(file.warnings.len(), 2, "{:?}", file.warnings);
    assert!(file.warnings[0].contains("\"desktop\"") && file.warnings[1].contains("\"ecr-login\" for r.example"));
    assert_eq!(user(&file, "a.example", "x").as_deref(), Some("u"));
    assert!(parse(&json!({"credsStore": "desktop"})).is_empty());
}

#[test]
fn the_old_form_has_its_entries_at_the_top() {
    assert_eq!(user(&parse(&json!({"r.example": entry("u")})), "r.example", "a").as_deref(), Some("u"));
    assert!(parse(&json!({"auths": {}})).is_empty());
    assert!(parse(&json!({"auths": {"ftp://r.example": entry("u"), "": entry("u")}})).is_empty());
}

#[test]
fn nothing_of_a_file_is_in_an_error() {
    for text in
        ["", "canary", "{\"auths\": \"canary\"}", "{\"auths\": {\"r\": \"canary\"}}", "[\"canary\"]", "{\"canary\": 1}"]
    {
        let error = AuthFile::parse(text.as_bytes()).unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    let file = parse(&json!({"auths": {"r.example": entry("u")}}));
    assert!(!format!("{file:?}").contains("canary"));
    assert_eq!(AuthFile::parse(&vec![b' '; MAX_BYTES + 1]), Err(AuthFileError::TooLarge));
}
