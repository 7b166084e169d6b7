//! `scan` against a small registry on the loopback address.

use std::fmt::Write as _;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use super::fixtures::{Files, Ran};

fn digest(bytes: &str) -> String {
    let mut digest = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        write!(digest, "{byte:02x}").unwrap();
    }
    digest
}

fn manifest(size: u64) -> String {
    let blob = |text: &str, size: u64| json!({"mediaType": "application/x", "digest": digest(text), "size": size});
    json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "config": blob("c", 24), "layers": [blob(&size.to_string(), size)]}).to_string()
}

/// Tags `v1.10` and `v1.9`, `gone` without a manifest, and a signature; for the user `u` with the password `canary`.
async fn answer(request: Request) -> Response {
    if request.headers().get(header::AUTHORIZATION).is_none_or(|value| value != "Basic dTpjYW5hcnk=") {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"r\"")]).into_response();
    }
    let path = request.uri().path();
    if path == "/v2/team/app/tags/list" {
        return json!({"tags": ["v1.10", "v1.9", "gone", "v1.9.sig"]}).to_string().into_response();
    }
    let bodies = [("v1.10", manifest(1_000)), ("v1.9", manifest(2_000))];
    let reference = path.rsplit('/').next().unwrap_or_default();
    let body = bodies.iter().find(|(tag, body)| *tag == reference || digest(body) == reference);
    match body {
        Some((_, body)) => {
            let sent = if *request.method() == Method::HEAD { String::new() } else { body.clone() };
            ([("docker-content-digest", digest(body))], sent).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Runs the binary while the registry answers.
fn with_registry(run: impl FnOnce(SocketAddr) -> Ran) -> Ran {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    run(address)
}

fn scan(arguments: &[&str], stdin: &str) -> Ran {
    with_registry(|address| {
        let repository = format!("{address}/team/app");
        let mut all = vec!["scan", &repository, "--plain-http"];
        all.extend(arguments);
        Files::new(&[]).run_with(&all, stdin)
    })
}

const LOGIN: [&str; 3] = ["--username", "u", "--password-stdin"];

#[test]
fn tags_are_listed_newest_first_and_one_that_is_gone_is_named() {
    let ran = scan(&LOGIN, "canary\n");
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let names: Vec<_> = ran.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names[..4], ["TAG", "v1.10", "v1.9", "gone"], "{}", ran.stdout);
    assert!(ran.stdout.contains("3 of 4 tags, 2.9 KiB in total, 1 excluded"), "{}", ran.stdout);
    assert!(ran.stderr.contains("team/app:gone: 404 Not Found"), "{}", ran.stderr);
    assert!(!format!("{ran:?}").contains("canary"));
}

#[test]
fn data_follows_the_committed_schema() {
    let ran = scan(&[&LOGIN[..], &["--exclude", "gone", "-o", "json"]].concat(), "canary");
    let inventory: Value = serde_json::from_str(&ran.out()).unwrap();
    assert_eq!(inventory["tags"][0]["digest"], digest(&manifest(1_000)));
    assert_eq!((&inventory["tags"][0]["size"], &inventory["uniqueBytes"]), (&json!(1_024), &json!(3_024)));
    let schema = Files::new(&[]).run(&["scan", "--schema"]).out();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/scan.schema.json");
    assert_eq!(schema, std::fs::read_to_string(path).unwrap(), "make manifests");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    for (shape, value) in [(&schema, &inventory), (&schema["$defs"]["ScannedTag"], &inventory["tags"][0])] {
        let fields = value.as_object().unwrap();
        assert!(fields.keys().all(|field| shape["properties"].get(field).is_some()), "{value}");
        let required = shape["required"].as_array().unwrap();
        assert!(required.iter().all(|field| fields.contains_key(field.as_str().unwrap())), "{value}");
    }
}

#[test]
fn credentials_come_from_a_file_and_a_helper_is_never_run() {
    let ran = with_registry(|address| {
        let repository = format!("{address}/team/app");
        let file =
            json!({"auths": {format!("{address}/team"): {"auth": "dTpjYW5hcnk="}}, "credsStore": "evil"}).to_string();
        Files::new(&[("auth.json", &file)]).run(&[
            "scan",
            &repository,
            "--plain-http",
            "--authfile",
            "auth.json",
            "--exclude",
            "gone",
        ])
    });
    assert!(ran.stderr.contains("credsStore \"evil\" is ignored"), "{}", ran.stderr);
    assert!(ran.out().contains("v1.9"));
}

#[test]
fn a_refusal_without_credentials_mentions_them() {
    let stderr = scan(&[], "").refused(1);
    assert!(
        stderr.contains("failed to list the tags of 127.0.0.1:") && stderr.contains("401 Unauthorized"),
        "{stderr}"
    );
}

#[test]
fn contradictory_arguments_are_bad_usage() {
    let run = |arguments: &[&str]| Files::new(&[]).run(&[&["scan"], arguments].concat()).refused(2);
    assert!(run(&["quay.io/a:v1"]).contains("--tags selects tags"));
    assert!(run(&["quay.io/a", "--tags", "("]).contains("invalid pattern"));
    assert!(run(&["quay.io/A"]).contains("lowercase"));
    assert!(run(&["a", "--registry", "https://u:canary@r.example"]).contains("user or password"));
    assert!(run(&["quay.io/a", "--username", "u"]).contains("--password-stdin"));
    assert!(run(&["quay.io/a", "--username", "u", "--password-stdin"]).contains("no password"));
    run(&[]);
}
