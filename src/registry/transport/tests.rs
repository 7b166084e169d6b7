use super::super::testing::{Authority, Server, answer};
use super::super::wire::location::LocationError;
use super::*;

fn transport() -> Transport {
    Transport::new(TransportOptions::default()).unwrap()
}

fn request(url: &str) -> Request {
    let mut request = Request::new(Method::GET, Url::parse(url).unwrap());
    request.authorization = Some(Secret::new("Bearer canary"));
    request
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[tokio::test]
async fn b05_credentials_stay_with_the_host_they_are_for() {
    let storage = Server::start(|_| answer(200, &[], "blob")).await;
    let location = storage.url("/signed?sig=1");
    let registry = Server::start(move |_| answer(307, &[("location", &location)], "")).await;
    let base = url(&registry.url("/"));
    let got = transport().exchange(&base, &request(&registry.url("/v2/a/blobs/x"))).await.unwrap();
    assert_eq!((got.status.as_u16(), got.is_own), (200, false));
    assert_eq!(registry.seen()[0].header("authorization"), Some("Bearer canary"));
    assert_eq!(storage.lines(), ["GET /signed?sig=1"]);
    assert_eq!(storage.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn b05_credentials_do_not_come_back_once_another_host_chose_the_address() {
    let own_host = Arc::new(OnceLock::<String>::new());
    let back = own_host.clone();
    let storage =
        Server::start(move |_| answer(302, &[("location", &format!("http://{}/private", back.get().unwrap()))], ""))
            .await;
    let location = storage.url("/x");
    let registry = Server::start(move |seen| match seen.uri.path() {
        // Also not at the next address, to which the registry itself leads.
        "/private" => answer(302, &[("location", "/more")], ""),
        "/more" => answer(200, &[], ""),
        _ => answer(302, &[("location", &location)], ""),
    })
    .await;
    own_host.set(registry.host.clone()).unwrap();
    transport().exchange(&url(&registry.url("/")), &request(&registry.url("/a"))).await.unwrap();
    let seen = registry.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen[1..].iter().all(|seen| seen.header("authorization").is_none()));
}

#[tokio::test]
async fn b05_redirects_end() {
    let registry = Server::start(|_| answer(307, &[("location", "/again")], "")).await;
    let refused = transport().exchange(&url(&registry.url("/")), &request(&registry.url("/"))).await.unwrap_err();
    assert_eq!(refused, Cause::Redirects(MAX_REDIRECTS));
    assert_eq!(registry.seen().len(), MAX_REDIRECTS + 1);
    let nowhere = Server::start(|_| answer(307, &[], "")).await;
    let refused = transport().exchange(&url(&nowhere.url("/")), &request(&nowhere.url("/"))).await.unwrap_err();
    assert_eq!(refused, Cause::Location(LocationError::Missing));
}

#[tokio::test]
async fn b07_no_registry_leads_to_a_link_local_address() {
    for target in ["http://169.254.169.254/latest/meta-data", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/"] {
        let registry = Server::start(move |_| answer(307, &[("location", target)], "")).await;
        let refused = transport().exchange(&url(&registry.url("/")), &request(&registry.url("/"))).await.unwrap_err();
        assert!(matches!(refused, Cause::Address { class: "link-local", .. }), "{target}: {refused}");
    }
    let own = url("http://169.254.169.254/");
    let refused = transport().exchange(&own, &Request::new(Method::GET, own.clone())).await.unwrap_err();
    assert!(matches!(refused, Cause::Address { .. }), "nor is one there: {refused}");
}

#[tokio::test]
async fn b07_a_registry_of_a_wider_network_leads_to_no_narrower_one() {
    let inside = Server::start(|_| answer(200, &[], "")).await;
    for registry in ["https://registry.example/", "https://8.8.8.8/", "https://10.0.0.1/"] {
        let refused = transport().exchange(&url(registry), &request(&inside.url("/"))).await.unwrap_err();
        assert!(matches!(refused, Cause::Address { class: "loopback", .. }), "{registry}: {refused}");
    }
    // By a name, too, which is judged when it is resolved.
    let by_name = inside.url("/").replace("127.0.0.1", "localhost");
    let refused = transport().exchange(&url("https://8.8.8.8/"), &request(&by_name)).await.unwrap_err();
    assert!(matches!(refused, Cause::Address { class: "loopback", registry: "public", .. }), "{refused}");
    assert!(inside.seen().is_empty());
    let trusted_hosts = BTreeSet::from(["127.0.0.1".to_owned(), "localhost".to_owned()]);
    let trusting = Transport::new(TransportOptions { trusted_hosts, ..TransportOptions::default() }).unwrap();
    for trusted in [inside.url("/"), by_name] {
        trusting.exchange(&url("https://8.8.8.8/"), &request(&trusted)).await.unwrap();
    }
}

#[tokio::test]
async fn tls_is_verified_with_the_authorities_of_the_object() {
    let authority = Authority::new();
    let (host, server) = authority.serve().await;
    let base = url(&format!("https://{host}/"));
    let ask = async |tls: TlsOptions| {
        let transport = Transport::new(TransportOptions { tls, ..TransportOptions::default() }).unwrap();
        let answer = transport.exchange(&base, &Request::new(Method::GET, base.clone())).await?;
        Ok::<_, Cause>(answer.header("client").map(str::to_owned).unwrap())
    };
    let unknown = ask(TlsOptions::default()).await.unwrap_err();
    assert!(matches!(unknown, Cause::Unreachable { failure: Failure::Tls, .. }), "{unknown:?}");
    let mut other = TlsOptions::default();
    other.add_authorities(Authority::new().pem().as_bytes()).unwrap();
    assert!(ask(other).await.is_err());
    let mut known = TlsOptions::default();
    known.add_authorities(authority.pem().as_bytes()).unwrap();
    assert_eq!(ask(known).await.unwrap(), "false");
    let mut unverified = TlsOptions::default();
    unverified.skip_verification();
    assert_eq!(ask(unverified).await.unwrap(), "false");
    let (certificate, key) = authority.signed();
    let mut with_identity = TlsOptions::default();
    with_identity.add_authorities(authority.pem().as_bytes()).unwrap();
    with_identity.set_identity(certificate.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    assert_eq!(ask(with_identity).await.unwrap(), "true");
    server.abort();
}

#[tokio::test]
async fn a_client_certificate_is_for_the_registry_alone() {
    let authority = Authority::new();
    let (host, server) = authority.serve().await;
    let (certificate, key) = authority.signed();
    let mut tls = TlsOptions::default();
    tls.add_authorities(authority.pem().as_bytes()).unwrap();
    tls.set_identity(certificate.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let transport = Transport::new(TransportOptions { tls, ..TransportOptions::default() }).unwrap();
    let elsewhere = request(&format!("https://{host}/"));
    let answer = transport.exchange(&url("https://127.0.0.1:1/"), &elsewhere).await.unwrap();
    assert_eq!(answer.header("client"), Some("false"));
    server.abort();
}

#[tokio::test]
async fn https_is_never_given_up() {
    let plain = Server::start(|_| answer(200, &[], "")).await;
    let base = url(&format!("https://{}/", plain.host));
    let refused = transport().exchange(&base, &request(base.as_str())).await.unwrap_err();
    assert!(matches!(refused, Cause::Unreachable { .. }), "{refused}");
    assert!(plain.seen().is_empty());
}

#[test]
fn certificates_that_are_none_are_refused_without_showing_them() {
    let mut tls = TlsOptions::default();
    assert!(tls.add_authorities(b"canary").is_err());
    assert!(tls.set_identity(b"canary", b"canary").is_err());
    let (certificate, _) = Authority::new().signed();
    let (_, other_key) = Authority::new().signed();
    tls.set_identity(certificate.as_bytes(), other_key.serialize_pem().as_bytes()).unwrap();
    let error = Transport::new(TransportOptions { tls, ..TransportOptions::default() }).unwrap_err();
    assert!(error.to_string().contains("tls.key"), "{error}");
}

#[tokio::test]
async fn a_proxy_is_asked_for_what_no_exception_names() {
    let proxy = Server::start(|_| answer(200, &[], "from the proxy")).await;
    let proxies = Proxies::one(&format!("http://user:canary@{}", proxy.host), "direct.example").unwrap();
    let transport = Transport::new(TransportOptions { proxies, ..TransportOptions::default() }).unwrap();
    let base = url("http://registry.example/");
    let got = transport.exchange(&base, &Request::new(Method::GET, base.clone())).await.unwrap();
    assert_eq!(got.body("body", 100).await.unwrap(), "from the proxy");
    let seen = proxy.seen();
    assert_eq!(seen[0].uri.to_string(), "http://registry.example/");
    assert!(seen[0].header("proxy-authorization").is_some_and(|value| value.starts_with("Basic ")));
    let direct = url("http://direct.example/");
    assert!(transport.exchange(&direct, &Request::new(Method::GET, direct.clone())).await.is_err());
    assert_eq!(proxy.seen().len(), 1);
}

#[tokio::test]
async fn bodies_are_read_up_to_their_limit() {
    let registry = Server::start(|_| answer(200, &[], "x".repeat(1_000))).await;
    let endless = Server::start(|_| {
        let pieces = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 1_024])));
        answer(200, &[], axum::body::Body::from_stream(pieces))
    })
    .await;
    for (server, limit, is_read) in [(&registry, 1_000, true), (&registry, 999, false), (&endless, 100_000, false)] {
        let base = url(&server.url("/"));
        let body = transport().exchange(&base, &request(base.as_str())).await.unwrap().body("body", limit).await;
        assert_eq!(body.is_ok(), is_read, "{limit}");
        assert!(is_read || body == Err(Cause::TooLarge { what: "body", limit }));
    }
    let base = url(&endless.url("/"));
    let beginning = transport().exchange(&base, &request(base.as_str())).await.unwrap().beginning(5_000).await;
    assert_eq!(beginning.len(), 5_000);
}

#[tokio::test]
async fn errors_name_the_host_and_no_signed_address() {
    let closed = Server::start(|_| answer(200, &[], "")).await.host.clone();
    let base = url(&format!("http://{closed}/"));
    let refused = transport().exchange(&base, &request(&format!("http://{closed}/x?sig=canary"))).await.unwrap_err();
    assert!(refused.to_string().contains(&closed) && !refused.to_string().contains("canary"), "{refused}");
    assert!(refused.is_retryable());
    let nowhere = url("http://nowhere.invalid/");
    let refused = transport().exchange(&nowhere, &request(nowhere.as_str())).await.unwrap_err();
    assert!(matches!(refused, Cause::Unreachable { failure: Failure::Dns, .. }), "{refused:?}");
}
