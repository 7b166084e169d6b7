use std::io::Write as _;

use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::super::error::{Failure, Reason};
use super::super::name::Reference;
use super::super::testing::{Seen, Server, answer};
use super::super::transport::TransportOptions;
use super::super::wire::digest::{Algorithm, Digest};
use super::super::wire::media_type::ManifestType;
use super::tags::Paging;
use super::*;

fn api() -> Api {
    Api::new(Transport::new(TransportOptions::default()).unwrap(), Arc::new(|_, _, _| {}))
}

fn repository(server: &Server) -> Repository {
    Repository::new(RegistryAddress::parse(&server.url("")).unwrap(), "a").unwrap()
}

fn target(repository: &Repository) -> Target<'_> {
    Target { repository, credential: &Credential::Anonymous }
}

fn manifest() -> Vec<u8> {
    let digest = Digest::of(Algorithm::Sha256, b"{}");
    let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2});
    serde_json::to_vec(&json!({"schemaVersion": 2, "config": config, "layers": []})).unwrap()
}

fn digest() -> Digest {
    Digest::of(Algorithm::Sha256, &manifest())
}

fn v1() -> Reference {
    Reference::Tag("v1".to_owned())
}

/// Asks a server that answers everything like this for `v1` and for the digest of the manifest.
async fn ask(respond: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> [Result<Fetched, RegistryError>; 2] {
    let server = Server::start(respond).await;
    let (api, repository) = (api(), repository(&server));
    let by_tag = api.manifest(target(&repository), &v1()).await;
    [by_tag, api.manifest(target(&repository), &Reference::Digest(digest())).await]
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn b14_a_digest_that_is_not_sent_is_computed_and_a_wrong_one_refused() {
    for fetched in ask(|_| answer(200, &[], manifest())).await {
        assert_eq!(fetched.unwrap().digest, digest());
    }
    let wrong = Digest::of(Algorithm::Sha256, b"other").to_string();
    for fetched in ask(move |_| answer(200, &[("docker-content-digest", &wrong)], manifest())).await {
        assert!(matches!(fetched.unwrap_err().cause, Cause::Digest { .. }));
    }
    let right = digest().to_string();
    for fetched in ask(move |_| answer(200, &[("docker-content-digest", &right)], "{\"layers\": []}")).await {
        let error = fetched.unwrap_err();
        assert!(matches!(error.cause, Cause::Digest { .. }), "a body of another digest");
        assert!(error.to_string().contains("/a") && error.to_string().contains(digest().hex()), "{error}");
    }
    let sha512 = Digest::of(Algorithm::Sha512, &manifest()).to_string();
    let [by_tag, by_digest] = ask(move |_| answer(200, &[("docker-content-digest", &sha512)], manifest())).await;
    assert_eq!((by_tag.unwrap().digest.algorithm(), by_digest.unwrap().digest), (Algorithm::Sha512, digest()));
}

#[tokio::test]
async fn b14_a_head_with_the_digest_of_something_else_is_refused() {
    let wrong = Digest::of(Algorithm::Sha256, b"other").to_string();
    let server = Server::start(move |_| answer(200, &[("docker-content-digest", &wrong)], "")).await;
    let repository = repository(&server);
    let by_digest = Reference::Digest(digest());
    let refused = api().head_manifest(target(&repository), &by_digest).await.unwrap_err();
    assert!(matches!(refused.cause, Cause::Digest { .. }), "{refused}");
}

#[tokio::test]
async fn b14_types_count_without_their_parameters() {
    let typed = |text: &'static str| ask(move |_| answer(200, &[("content-type", text)], manifest()));
    for general in ["application/json", "application/vnd.oci.image.manifest.v1+json; charset=utf-8"] {
        for fetched in typed(general).await {
            assert_eq!(fetched.unwrap().manifest.kind, ManifestType::OciImage, "{general}");
        }
    }
    for fetched in typed("application/vnd.oci.image.index.v1+json").await {
        assert!(matches!(fetched.unwrap_err().cause, Cause::Manifest(_)));
    }
}

#[tokio::test]
async fn b13_an_encoding_that_nobody_asked_for_is_taken_off_once() {
    let lies = ask(|seen| {
        assert_eq!(seen.header("accept-encoding"), Some("identity"));
        answer(200, &[("content-encoding", "gzip")], manifest())
    });
    let encodes = ask(|_| answer(200, &[("content-encoding", "x-gzip")], compressed(&manifest())));
    for fetched in lies.await.into_iter().chain(encodes.await) {
        let fetched = fetched.unwrap();
        assert_eq!((fetched.digest, fetched.bytes), (digest(), manifest().into()));
    }
}

#[tokio::test]
async fn b12_a_registry_that_refuses_head_is_asked_with_get() {
    for status in [405, 501] {
        let server = Server::start(move |seen| match seen.method {
            Method::HEAD => answer(status, &[], ""),
            _ => answer(200, &[], manifest()),
        })
        .await;
        let (api, repository) = (api(), repository(&server));
        assert_eq!(api.head_manifest(target(&repository), &v1()).await.unwrap().digest, digest());
        api.head_blob(target(&repository), &digest(), 0).await.unwrap();
        assert_eq!(server.seen().last().unwrap().header("range"), Some("bytes=0-0"));
    }
    let server = Server::start(|_| answer(405, &[], "")).await;
    let refused = api().head_manifest(target(&repository(&server)), &v1()).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::Unsupported, "not missing");
}

#[tokio::test]
async fn b12_a_tag_whose_manifest_is_gone_names_its_digest() {
    let server = Server::start(|seen| match seen.method {
        Method::HEAD => answer(200, &[("docker-content-digest", &digest().to_string()), ("content-length", "1")], ""),
        _ => answer(404, &[], r#"{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "gone"}]}"#),
    })
    .await;
    let (api, repository) = (api(), repository(&server));
    let head = api.head_manifest(target(&repository), &v1()).await.unwrap();
    let gone = api.manifest(target(&repository), &Reference::Digest(head.digest)).await.unwrap_err();
    assert_eq!(gone.reason(), Reason::NotFound);
    let expected =
        format!("failed to read the manifest {}/a@{}: 404 Not Found: MANIFEST_UNKNOWN: gone", server.host, digest());
    assert_eq!(gone.to_string(), expected);
}

#[tokio::test]
async fn b14_a_tag_without_a_digest_header_is_read() {
    let server =
        Server::start(|seen| answer(200, &[], if seen.method == Method::HEAD { vec![] } else { manifest() })).await;
    let (api, repository) = (api(), repository(&server));
    assert_eq!(api.head_manifest(target(&repository), &v1()).await.unwrap().digest, digest());
    assert_eq!(server.lines(), ["HEAD /v2/a/manifests/v1", "GET /v2/a/manifests/v1"]);
    api.head_manifest(target(&repository), &Reference::Digest(digest())).await.unwrap();
    assert_eq!(server.seen().len(), 4, "what is not announced as a manifest is read");
    let typed = Server::start(|_| answer(200, &[("content-type", ManifestType::OciImage.name())], "")).await;
    api.head_manifest(target(&self::repository(&typed)), &Reference::Digest(digest())).await.unwrap();
    assert_eq!(typed.seen().len(), 1, "a digest is known");
}

#[tokio::test]
async fn a_manifest_over_the_limit_is_not_read() {
    let large = format!("{{\"layers\": [], \"x\": \"{}\"}}", "x".repeat(4 * 1024 * 1024));
    for fetched in ask(move |_| answer(200, &[], large.clone())).await {
        assert!(matches!(fetched.unwrap_err().cause, Cause::TooLarge { what: "manifest", .. }));
    }
}

#[tokio::test]
async fn b10_the_next_page_is_asked_of_the_same_path_whatever_the_link_says() {
    let server = Server::start(|seen| match seen.uri.query() {
        Some("n=1000") => answer(
            200,
            &[("link", "<https://other.example/v2/r/a/tags/list?last=v1&n=1>; rel=\"next\"")],
            r#"{"tags": ["v1"]}"#,
        ),
        Some("last=v1&n=1") => answer(200, &[], r#"{"name": "a", "tags": null}"#),
        _ => answer(404, &[], ""),
    })
    .await;
    let (api, repository) = (api(), repository(&server));
    let mut paging = Paging::new(&Quirks::of(&repository.registry));
    while paging.add(api.tags_page(target(&repository), &paging).await.unwrap()).unwrap() {}
    assert_eq!(paging.finish().tags, ["v1"]);
    assert_eq!(server.lines(), ["GET /v2/a/tags/list?n=1000", "GET /v2/a/tags/list?last=v1&n=1"]);
}

#[tokio::test]
async fn b11_a_repository_that_is_not_there_is_no_empty_one() {
    let server = Server::start(|_| answer(404, &[], r#"{"errors": [{"code": "NAME_UNKNOWN"}]}"#)).await;
    let (api, repository) = (api(), repository(&server));
    let paging = Paging::new(&Quirks::of(&repository.registry));
    let error = api.tags_page(target(&repository), &paging).await.unwrap_err();
    assert_eq!(error.reason(), Reason::NotFound);
    assert!(error.to_string().ends_with("/a: 404 Not Found: NAME_UNKNOWN"), "{error}");
    let html = Server::start(|_| answer(200, &[], "<html>")).await;
    let error = api.tags_page(target(&self::repository(&html)), &paging).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Invalid);
}

fn index(digests: &[&Digest]) -> Vec<u8> {
    let entry = |digest: &&Digest| json!({"mediaType": ManifestType::OciImage.name(), "digest": digest, "size": 1});
    serde_json::to_vec(&json!({"mediaType": ManifestType::OciIndex.name(), "manifests": digests.iter().map(entry).collect::<Vec<_>>()})).unwrap()
}

#[tokio::test]
async fn b23_referrers_come_from_the_api_page_by_page() {
    let (one, two) = (Digest::of(Algorithm::Sha256, b"1"), Digest::of(Algorithm::Sha256, b"2"));
    let pages = [index(&[&one]), index(&[&two])];
    let server = Server::start(move |seen| match seen.uri.query() {
        None => answer(200, &[("link", "<?p=2>; rel=next")], pages[0].clone()),
        Some(_) => answer(200, &[("link", "<?p=2>; rel=next")], pages[1].clone()),
    })
    .await;
    let found = api().referrers(target(&repository(&server)), &digest()).await.unwrap();
    assert_eq!(found.manifests.iter().map(|it| &it.digest).collect::<Vec<_>>(), [&one, &two]);
    assert!(!found.is_by_tag);
    assert_eq!(server.seen().len(), 2, "the same cursor again ends the list");
}

#[tokio::test]
async fn b23_without_the_api_the_tag_stands_in() {
    let one = Digest::of(Algorithm::Sha256, b"1");
    for (status, body) in
        [(404, ""), (404, "<html>"), (400, ""), (405, ""), (500, ""), (200, "<html>"), (200, "{\"layers\": []}")]
    {
        let listed = index(&[&one]);
        let server = Server::start(move |seen| match seen.uri.path() {
            path if path.contains("/referrers/") => answer(status, &[], body),
            _ => answer(200, &[], listed.clone()),
        })
        .await;
        let found = api().referrers(target(&repository(&server)), &digest()).await.unwrap();
        assert_eq!((found.manifests.len(), found.is_by_tag), (1, true), "{status} {body}");
        assert_eq!(server.lines()[1], format!("GET /v2/a/manifests/{}", digest().referrers_tag()));
    }
}

#[tokio::test]
async fn b23_only_a_registry_that_works_can_say_that_there_are_none() {
    for (status, expected) in
        [(404, Ok(0)), (500, Err(Reason::ServerError)), (403, Err(Reason::Forbidden)), (429, Err(Reason::Throttled))]
    {
        let server = Server::start(move |seen| {
            let is_api = seen.uri.path().contains("/referrers/");
            answer(if is_api { status } else { 404 }, &[], "")
        })
        .await;
        let found = api().referrers(target(&repository(&server)), &digest()).await;
        assert_eq!(found.map(|found| found.manifests.len()).map_err(|error| error.reason()), expected, "{status}");
    }
}

#[tokio::test]
async fn blobs_are_checked_as_they_are_read() {
    let server =
        Server::start(|seen| answer(200, &[], if seen.uri.path().contains("e3b0") { "" } else { "blob" })).await;
    let (api, repository) = (api(), repository(&server));
    let (good, bad, empty) = (
        Digest::of(Algorithm::Sha512, b"blob"),
        Digest::of(Algorithm::Sha256, b"other"),
        Digest::of(Algorithm::Sha256, b""),
    );
    let read =
        async |digest: &Digest, size| api.blob(target(&repository), digest, size).await.unwrap().collect(100).await;
    assert_eq!(read(&good, None).await.unwrap(), "blob");
    assert_eq!(read(&empty, Some(0)).await.unwrap(), "");
    assert!(matches!(read(&bad, None).await, Err(Cause::Digest { .. })));
    assert!(matches!(read(&good, Some(3)).await, Err(Cause::TooLarge { .. })));
    assert_eq!(api.small_blob(target(&repository), &good, 4).await.unwrap(), "blob");
    assert!(api.small_blob(target(&repository), &good, 3).await.is_err());
    let redirected = Server::start(move |seen| match seen.method {
        Method::HEAD => answer(307, &[("location", &server.url("/signed"))], ""),
        _ => answer(404, &[], ""),
    })
    .await;
    api.head_blob(target(&self::repository(&redirected)), &good, 0).await.unwrap();
}

#[tokio::test]
async fn an_object_store_that_refuses_head_says_nothing_about_the_blob() {
    let storage = Server::start(|seen| answer(if seen.method == Method::HEAD { 403 } else { 206 }, &[], "x")).await;
    let location = storage.url("/signed-for-get");
    let server = Server::start(move |_| answer(307, &[("location", &location)], "")).await;
    api().head_blob(target(&repository(&server)), &digest(), 0).await.unwrap();
    let lacking = Server::start(|_| answer(404, &[], "")).await;
    let missing = api().head_blob(target(&repository(&lacking)), &digest(), 0).await.unwrap_err();
    assert_eq!(missing.reason(), Reason::NotFound);
}

#[tokio::test]
async fn warnings_and_budgets_of_a_registry_are_passed_on() {
    let announced = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = announced.clone();
    let on_limit: OnRateLimit = Arc::new(move |_, _, limit| noted.lock().unwrap().push(limit.remaining));
    let api = Api::new(Transport::new(TransportOptions::default()).unwrap(), on_limit);
    let headers = [("warning", "299 - \"going away\""), ("ratelimit-remaining", "76;w=21600")];
    let server = Server::start(move |_| answer(200, &headers, manifest())).await;
    for _ in 0..2 {
        api.manifest(target(&repository(&server)), &v1()).await.unwrap();
    }
    assert_eq!(api.take_notices(), [format!("{}: going away", server.host)]);
    assert_eq!(*announced.lock().unwrap(), [Some(76), Some(76)]);
}

/// The clock is paused once the server has the request: from then on nothing but timeouts can happen.
#[tokio::test]
async fn b26_a_registry_that_is_silent_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let registry = RegistryAddress::parse(&format!("http://{}", silent.local_addr().unwrap())).unwrap();
    let repository = Repository::new(registry, "a").unwrap();
    let before = tokio::time::Instant::now();
    let accepted = async {
        let connection = silent.accept().await.unwrap();
        tokio::time::pause();
        connection
    };
    let (api, reference) = (api(), v1());
    let (asked, _connection) = tokio::join!(api.manifest(target(&repository), &reference), accepted);
    let error = asked.unwrap_err();
    assert!(matches!(error.cause, Cause::Unreachable { failure: Failure::Timeout, .. }), "{error:?}");
    assert!((30..35).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}

#[tokio::test]
async fn b26_bytes_that_stop_midway_are_given_up() {
    let stalls = Server::start(|_| {
        let some = futures::stream::iter([Ok::<_, std::io::Error>("{")]);
        let body = futures::StreamExt::chain(some, futures::stream::pending());
        answer(200, &[], axum::body::Body::from_stream(body))
    })
    .await;
    let repository = repository(&stalls);
    let stream = api().blob(target(&repository), &digest(), None).await.unwrap();
    let before = tokio::time::Instant::now();
    tokio::time::pause();
    let cause = stream.collect(100).await.unwrap_err();
    assert!(matches!(cause, Cause::Unreachable { failure: Failure::Timeout, .. }), "{cause:?}");
    assert!((60..65).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}
