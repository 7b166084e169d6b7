//! `coverage` and `explain --prove` against a small registry on the loopback address.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hypermirror::registry::wire::digest::hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use super::fixtures::{Files, Ran};

const BLOB: &str = "blob";

fn digest(bytes: &str) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

fn manifest() -> String {
    let blob = json!({"mediaType": "application/x", "digest": digest(BLOB), "size": BLOB.len()});
    json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "config": blob, "layers": [blob]}).to_string()
}

/// `team/full` has an image, `team/half` lacks its blob, `team/none` has nothing, `team/busy` throttles. For `u` with `canary`.
async fn answer(request: Request) -> Response {
    if request.headers().get(header::AUTHORIZATION).is_none_or(|value| value != "Basic dTpjYW5hcnk=") {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"r\"")]).into_response();
    }
    let path = request.uri().path();
    let body = if path.ends_with(&digest(&manifest())) || path.ends_with("/v1") { manifest() } else { BLOB.to_owned() };
    match path.split('/').nth(3) {
        None | Some("") => StatusCode::OK.into_response(),
        Some("busy") => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "3600")]).into_response(),
        Some("full" | "half") if body != BLOB => {
            let sent = if *request.method() == Method::HEAD { String::new() } else { body.clone() };
            ([("docker-content-digest", digest(&body))], sent).into_response()
        }
        Some("full") if path.ends_with(&digest(BLOB)) => BLOB.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A mirror set that leads `source.example/app` to a repository of the registry; the source is never contacted.
fn mirrors(address: SocketAddr, repository: &str) -> String {
    format!(
        "apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nmetadata:\n  name: m\nspec:\n  imageDigestMirrors:\n\
         \x20 - source: source.example/app\n    mirrorSourcePolicy: NeverContactSource\n    mirrors: [\"{address}/team/{repository}\"]\n"
    )
}

/// Runs the binary in a directory with the mirror set while the registry answers.
fn run(repository: &str, arguments: &[&str]) -> (SocketAddr, Ran) {
    run_on(|address| mirrors(address, repository), arguments)
}

/// The same with other objects.
fn run_on(objects: impl Fn(SocketAddr) -> String, arguments: &[&str]) -> (SocketAddr, Ran) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    let auth = json!({"auths": {address.to_string(): {"auth": "dTpjYW5hcnk="}}}).to_string();
    let files = Files::new(&[("m.yaml", &objects(address)), ("auth.json", &auth)]);
    let mut all: Vec<&str> = arguments.to_vec();
    all.extend(["-f", "m.yaml", "--authfile", "auth.json", "--plain-http"]);
    (address, files.run(&all))
}

fn image() -> String {
    format!("source.example/app@{}", digest(&manifest()))
}

#[test]
fn the_exit_code_tells_held_from_missing_and_unknown() {
    let image = image();
    for (repository, code) in [("full", 0), ("half", 1), ("none", 1), ("busy", 3)] {
        let (address, ran) = run(repository, &["coverage", "--image", &image]);
        assert_eq!(ran.code, code, "{repository}: {ran:?}");
        assert!(!format!("{ran:?}").contains("canary"), "{ran:?}");
        let place = format!("{address}/team/{repository}@{}", digest(&manifest()));
        match repository {
            "full" => assert!(ran.stdout.contains("1/1") && ran.stdout.contains("1 of 1 pull held"), "{}", ran.stdout),
            "half" => {
                let line = format!("{place}: blob {} is missing", digest(BLOB));
                assert!(ran.stdout.contains(&line) && ran.stdout.contains("0/1"), "{}", ran.stdout);
            }
            "none" => {
                assert!(ran.stdout.contains(&format!("{place}: manifest is missing")), "{}", ran.stdout);
                assert!(ran.stdout.contains("blocked by ImageDigestMirrorSet"), "{}", ran.stdout);
            }
            _ => assert!(ran.stdout.contains("Throttled") && ran.stdout.contains("throttled until"), "{}", ran.stdout),
        }
    }
}

#[test]
fn what_is_missing_is_printed_as_a_list_to_copy() {
    let image = image();
    let (address, ran) = run("half", &["coverage", "--image", &image, "-o", "want"]);
    let place = format!("{address}/team/half@{}", digest(&manifest()));
    assert_eq!((ran.stdout.as_str(), ran.code), (format!("{image}={place}\n").as_str(), 1));
    assert_eq!(run("full", &["coverage", "--image", &image, "-o", "want"]).1.stdout, "");
}

#[test]
fn data_follows_the_committed_schema() {
    let (_, ran) = run("half", &["coverage", "--image", &image(), "-o", "json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["counts"], json!({"held": 0, "missing": 1, "unknown": 0}));
    assert_eq!(report["images"][0]["lacking"][0]["parts"][0]["digest"], digest(BLOB));
    let schema = Files::new(&[]).run(&["coverage", "--schema"]).out();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/coverage.schema.json");
    assert_eq!(schema, std::fs::read_to_string(path).unwrap(), "make manifests");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let required = schema["required"].as_array().unwrap();
    assert!(required.iter().all(|field| report.get(field.as_str().unwrap()).is_some()), "{report}");
    assert!(report.as_object().unwrap().keys().all(|field| schema["properties"].get(field).is_some()), "{report}");
}

#[test]
fn a_release_whose_payload_cannot_be_read_is_unknown() {
    let (_, ran) = run("full", &["coverage", "--release", &image()]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout.contains("which images release source.example/app@"), "{}", ran.stdout);
    assert!(ran.stdout.contains("the layer is no tar archive"), "{}", ran.stdout);
}

#[test]
fn each_endpoint_of_an_image_is_proven() {
    let image = image();
    for (repository, code, expected) in [
        ("full", 0, "pulled from here: held"),
        ("half", 1, "pulled from here: missing"),
        ("none", 1, "manifest is missing"),
        ("busy", 3, "throttled until"),
    ] {
        let (_, ran) = run(repository, &["explain", &image, "--prove"]);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stdout.contains(expected), "{}", ran.stdout);
        assert!(ran.stdout.contains("blocked: never contacted"), "{}", ran.stdout);
    }
    let (_, ran) = run("full", &["explain", &image, "--prove", "-o", "json"]);
    let proven: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&proven[0]["verdict"], &proven[0]["endpoints"][0]["proof"]["isFirst"]), (&json!("Held"), &json!(true)));
}

/// A hosted cluster whose NodePool has a policy for images of the source.
fn signed_pool(address: SocketAddr) -> String {
    let policy = "apiVersion: config.openshift.io/v1\nkind: ClusterImagePolicy\nmetadata: {name: p}\nspec: {scopes: [source.example]}\n";
    let own = [json!({"source": "source.example/app", "mirrors": [format!("{address}/team/full")]})];
    let meta = |name: &str| json!({"name": name, "namespace": "clusters"});
    let pool = |name: &str, config: Value| {
        json!({"apiVersion": "hypershift.openshift.io/v1beta1", "kind": "NodePool", "metadata": meta(name),
            "spec": {"clusterName": "west", "config": config}})
    };
    let objects = [
        json!({"apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedCluster", "metadata": meta("west"),
            "spec": {"imageContentSources": own}}),
        pool("strict", json!([{"name": "policy"}])),
        pool("open", json!([])),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("policy"), "data": {"config": policy}}),
    ];
    objects.map(|object| object.to_string()).join("\n---\n")
}

#[test]
fn a_policy_of_a_node_pool_demands_signatures_of_its_nodes_alone() {
    let image = image();
    let (_, ran) = run_on(signed_pool, &["coverage", "--image", &image]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains(&format!("signature of {} is missing", digest(&manifest()))), "{}", ran.stdout);
    assert!(ran.stdout.contains("needed by clusters/west strict\n"), "{}", ran.stdout);
    let of_pool = |pool: &str, command: &[&str]| {
        let scope = ["--hosted-cluster", "clusters/west", "--node-pool", pool];
        run_on(signed_pool, &[command, &scope].concat()).1.code
    };
    for (pool, code) in [("strict", 1), ("open", 0)] {
        assert_eq!(of_pool(pool, &["coverage", "--image", &image]), code, "{pool}");
        assert_eq!(of_pool(pool, &["explain", &image, "--prove"]), code, "{pool}");
    }
}

#[test]
fn bad_usage_is_told_from_what_is_not_known() {
    let files =
        Files::new(&[("m.yaml", &mirrors(SocketAddr::from(([127, 0, 0, 1], 1)), "x")), ("list", "quay.io/A\n")]);
    for (arguments, message) in [
        (&["coverage", "-f", "m.yaml"][..], "nothing is needed"),
        (&["coverage", "-f", "m.yaml", "--images", "list"], "list: line 1: "),
        (&["coverage", "-f", "m.yaml", "--image", "quay.io/A"], "lowercase"),
        (&["coverage", "-f", "m.yaml", "--image", "a", "--sample", "0"], "from 1 to 100"),
        (&["coverage", "-f", "m.yaml", "--image", "a", "--node-pool", "x"], "--hosted-cluster"),
        (&["coverage", "-f", "m.yaml", "--image", "a", "--hosted-cluster", "a/b"], "is not in the input"),
    ] {
        let ran = files.run(arguments);
        assert!(ran.code == 2 && ran.stderr.contains(message), "{arguments:?}: {ran:?}");
    }
    assert_eq!(files.run(&["coverage", "-f", "gone.yaml", "--image", "a"]).code, 3);
}

#[test]
fn unneeded_has_a_schema_of_its_own() {
    let schema = Files::new(&[]).run(&["coverage", "--unneeded", "--schema"]).out();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/coverage-unneeded.schema.json");
    assert_eq!(schema, std::fs::read_to_string(path).unwrap(), "make manifests");
}

#[test]
fn unneeded_needs_a_fleet_or_a_list() {
    let (_, ran) = run("full", &["coverage", "--unneeded"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("everything would be unneeded"), "{ran:?}");
    let (_, ran) = run("full", &["coverage", "--unneeded", "--fill"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn files_that_cannot_be_read_are_bad_usage_and_a_missing_cluster_is_one_line() {
    let files = Files::new(&[]);
    for arguments in [&["coverage", "--images", "none"][..], &["coverage", "--oc-mirror", "none"]] {
        let message = files.run(arguments).refused(2);
        assert!(message.contains("failed to read none"), "{message}");
    }
    let message = files.run(&["coverage", "--fill"]).refused(3);
    let expected = "error: no cluster to read (pass manifests with -f, or a kubeconfig with --kubeconfig): \
                    no cluster is configured: there is no kubeconfig, and this is not a pod with a ServiceAccount\n";
    assert_eq!(message, expected);
}
