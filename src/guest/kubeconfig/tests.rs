#![expect(clippy::needless_pass_by_value, reason = "values are made where they are used")]

use serde_json::json;

use super::*;

const PEM: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="; // -----BEGIN CERTIFICATE-----

fn document(cluster: &Value, user: &Value) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "guest", "cluster": cluster}],
        "users": [{"name": "we", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "guest", "user": "we", "namespace": "default"}}],
    })
    .to_string()
}

fn parse(cluster: Value, user: Value) -> Result<GuestAccess, KubeconfigError> {
    GuestAccess::parse(document(&cluster, &user).as_bytes(), "clusters-west")
}

fn cluster() -> Value {
    json!({"server": "https://kube-apiserver:6443", "certificate-authority-data": PEM})
}

fn user() -> Value {
    json!({"client-certificate-data": PEM, "client-key-data": PEM})
}

fn with(mut object: Value, field: &str, value: Value) -> Value {
    object[field] = value;
    object
}

#[test]
fn a_service_of_the_control_plane_is_named_in_full() {
    for (server, expected) in [
        ("https://kube-apiserver:6443", "https://kube-apiserver.clusters-west.svc:6443/"),
        ("https://kube-apiserver", "https://kube-apiserver.clusters-west.svc/"),
        ("https://api.west.example:6443/", "https://api.west.example:6443/"),
        ("https://127.0.0.1:6443", "https://127.0.0.1:6443/"),
        ("https://[::1]:6443", "https://[::1]:6443/"),
        ("https://localhost:6443", "https://localhost:6443/"),
    ] {
        let access = parse(with(cluster(), "server", server.into()), user()).unwrap();
        assert_eq!(access.server.to_string(), expected, "{server}");
    }
}

#[test]
fn what_can_run_read_or_redirect_is_refused_by_its_name() {
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": ["canary"]});
    for (cluster, user, field) in [
        (cluster(), with(user(), "exec", exec), "users[].user.exec"),
        (cluster(), with(user(), "auth-provider", json!({"name": "gcp"})), "users[].user.auth-provider"),
        (cluster(), with(user(), "tokenFile", "/etc/passwd".into()), "users[].user.tokenFile"),
        (cluster(), with(user(), "client-certificate", "/etc/passwd".into()), "users[].user.client-certificate"),
        (cluster(), with(user(), "client-key", "/etc/passwd".into()), "users[].user.client-key"),
        (cluster(), with(user(), "username", "admin".into()), "users[].user.username"),
        (cluster(), with(user(), "as", "system:admin".into()), "users[].user.as"),
        (
            with(cluster(), "certificate-authority", "/etc/passwd".into()),
            user(),
            "clusters[].cluster.certificate-authority",
        ),
        (with(cluster(), "proxy-url", "http://evil.example".into()), user(), "clusters[].cluster.proxy-url"),
        (
            with(cluster(), "insecure-skip-tls-verify", true.into()),
            user(),
            "clusters[].cluster.insecure-skip-tls-verify",
        ),
    ] {
        assert_eq!(parse(cluster, user), Err(KubeconfigError::Forbidden(field.to_owned())));
    }
    assert!(parse(with(cluster(), "insecure-skip-tls-verify", false.into()), user()).is_ok());
    assert!(parse(with(cluster(), "extensions", json!([{"name": "x"}])), user()).is_ok());
}

#[test]
fn what_is_missing_or_wrong_is_named_and_never_shown() {
    let message = |cluster, user| parse(cluster, user).unwrap_err().to_string();
    assert_eq!(
        message(json!({"certificate-authority-data": PEM}), user()),
        "field clusters[].cluster.server is missing"
    );
    assert_eq!(
        message(json!({"server": "https://a.example"}), user()),
        "field clusters[].cluster.certificate-authority-data is missing"
    );
    assert_eq!(message(cluster(), json!({})), "field users[].user.client-certificate-data is missing");
    assert_eq!(
        message(cluster(), json!({"client-certificate-data": PEM})),
        "field users[].user.client-key-data is missing"
    );
    assert_eq!(
        message(cluster(), with(user(), "client-key-data", "c2VjcmV0".into())),
        "field users[].user.client-key-data: holds no PEM"
    );
    assert_eq!(
        message(with(cluster(), "certificate-authority-data", "%%%".into()), user()),
        "field clusters[].cluster.certificate-authority-data: is not base64"
    );
    for (server, why) in [
        ("http://a.example", "is not https"),
        ("https://user:secret@a.example", "has credentials in it"),
        ("https://a.example/path", "has a path"),
        ("kube-apiserver:6443", "is not https"),
        ("https://", "is no URL"),
    ] {
        let message = message(with(cluster(), "server", server.into()), user());
        assert_eq!(message, format!("field clusters[].cluster.server: {why}"));
    }
}

#[test]
fn a_document_that_is_no_kubeconfig_is_refused() {
    let parse = |text: &str| GuestAccess::parse(text.as_bytes(), "ns").unwrap_err();
    assert!(matches!(parse("{"), KubeconfigError::Malformed(_)));
    assert!(matches!(parse(&"x".repeat(MAX_BYTES + 1)), KubeconfigError::Malformed(_)));
    assert!(parse("{}").to_string().contains("current-context"));
    assert!(matches!(GuestAccess::parse(b"\xff", "ns"), Err(KubeconfigError::Malformed(_))));
}

#[test]
fn a_token_serves_where_there_is_no_certificate() {
    let access = parse(cluster(), json!({"token": "t0ken"})).unwrap();
    assert!(matches!(&access.credentials, Credentials::Token(token) if token == "t0ken"));
    assert!(!format!("{access:?}").contains("t0ken"));
}
