#![expect(clippy::needless_pass_by_value, reason = "values are made where they are used")]

use std::sync::LazyLock;

use serde_json::json;

use super::*;

/// A certificate and its key, as a kubeconfig has them; the certificate is an authority, too.
static PAIR: LazyLock<(String, String)> = LazyLock::new(pair);

fn pair() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    (encoded(&certificate.pem()), encoded(&key.serialize_pem()))
}

fn encoded(text: &str) -> String {
    let text = k8s_openapi::ByteString(text.as_bytes().to_vec());
    serde_json::to_value(text).unwrap().as_str().unwrap().to_owned()
}

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
    json!({"server": "https://kube-apiserver:6443", "certificate-authority-data": PAIR.0})
}

fn user() -> Value {
    json!({"client-certificate-data": PAIR.0, "client-key-data": PAIR.1})
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
        message(json!({"certificate-authority-data": PAIR.0}), user()),
        "field clusters[].cluster.server is missing"
    );
    assert_eq!(
        message(json!({"server": "https://a.example"}), user()),
        "field clusters[].cluster.certificate-authority-data is missing"
    );
    assert_eq!(message(cluster(), json!({})), "field users[].user.client-certificate-data is missing");
    assert_eq!(
        message(cluster(), json!({"client-certificate-data": PAIR.0})),
        "field users[].user.client-key-data is missing"
    );
    assert_eq!(
        message(cluster(), with(user(), "client-key-data", "c2VjcmV0".into())),
        "field users[].user.client-key-data: has no PEM data"
    );
    assert_eq!(
        message(with(cluster(), "certificate-authority-data", "%%%".into()), user()),
        "field clusters[].cluster.certificate-authority-data: is not base64"
    );
    for (server, why) in [
        ("http://a.example", "is not https"),
        ("https://user:secret@a.example", "contains credentials, which are not allowed"),
        ("https://a.example/path", "has a path, which is not allowed"),
        ("kube-apiserver:6443", "is not https"),
        ("https://", "is not a valid URL"),
        ("https://a.example:99999", "has a port that is not a number from 1 to 65535"),
        ("https://a.example:0", "has a port that is not a number from 1 to 65535"),
        ("https://a.example:", "has a port that is not a number from 1 to 65535"),
        ("https://a..example", "has a host that is neither a DNS name nor an IP address"),
        ("https://a%20b", "is not a valid URL"),
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
fn what_would_be_refused_when_it_is_used_is_refused_by_name() {
    let message = |cluster, user| parse(cluster, user).unwrap_err().to_string();
    let ends = "starts or ends with white space; remove it (editors add a line feed at the end of a file)";
    let has = "has a character that is not allowed in an HTTP header, such as a line feed";
    for (token, why) in
        [("secret\n", ends), (" secret", ends), ("secret\r\nX: 1", has), ("sec\u{0}ret", has), ("s\u{e9}cret", has)]
    {
        assert_eq!(message(cluster(), json!({"token": token})), format!("field users[].user.token: {why}"));
    }
    let (other, _) = pair();
    let broken = encoded("-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n");
    let endless = encoded("-----BEGIN CERTIFICATE-----\nc2VjcmV0\n");
    for (user, field, why) in [
        (
            json!({"client-certificate-data": other, "client-key-data": PAIR.1}),
            "client-key-data",
            "does not match client-certificate-data",
        ),
        (
            json!({"client-certificate-data": PAIR.0, "client-key-data": PAIR.0}),
            "client-key-data",
            "has no private key",
        ),
        (
            json!({"client-certificate-data": PAIR.1, "client-key-data": PAIR.1}),
            "client-certificate-data",
            "has no certificate",
        ),
        (
            json!({"client-certificate-data": broken, "client-key-data": PAIR.1}),
            "client-certificate-data",
            "is invalid",
        ),
    ] {
        assert_eq!(message(cluster(), user), format!("field users[].user.{field}: {why}"));
    }
    for (field, value, why) in [
        ("certificate-authority-data", &broken, "certificate 1 is invalid"),
        ("certificate-authority-data", &endless, "has invalid PEM data"),
        ("certificate-authority-data", &PAIR.1, "has no certificate"),
        ("tls-server-name", &"a b".to_owned(), "is neither a DNS name nor an IP address"),
        ("tls-server-name", &"a\r\nb".to_owned(), "is neither a DNS name nor an IP address"),
    ] {
        let message = message(with(cluster(), field, value.as_str().into()), user());
        assert_eq!(message, format!("field clusters[].cluster.{field}: {why}"));
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_not_told() {
    for text in [
        "users: t0psecret",
        "users: [t0psecret]",
        "users: [{name: a, user: t0psecret}]",
        "users: [{name: a, user: [t0psecret]}]",
        "t0psecret",
        "users: [{name: 'a', name: t0psecret}]",
        "{clusters: {t0psecret: 1}}",
        "current-context: t0psecret",
    ] {
        let message = GuestAccess::parse(text.as_bytes(), "ns").unwrap_err().to_string();
        assert!(!message.contains("t0psecret"), "{message}");
    }
}

#[test]
fn a_token_serves_where_there_is_no_certificate() {
    let access = parse(cluster(), json!({"token": "t0ken"})).unwrap();
    assert!(matches!(&access.credentials, Credentials::Token(token) if token == "t0ken"));
    assert!(!format!("{access:?}").contains("t0ken"));
}
