//! The mock answers as scripted, and real clients take it for a registry.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::image::{Image, ImageSource};
use hypermirror_e2e::mock::behavior::{Location, Paging, Redirect, Referrers};
use hypermirror_e2e::mock::{
    Answer, Area, Change, Fixed, On, Presented, Rule, Synthetic, TokenForm, TokenServer, Tokens, User, digest,
};
use hypermirror_e2e::pki::Authority;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

/// No answer in these tests is as long, but those without end.
const ENOUGH: u64 = 1 << 20;

/// What a server sends before it closes the connection.
pub async fn ask_at(host: &str, line: &str, headers: &str, body: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(host).await?;
    let length = body.len();
    let head =
        format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await?;
    // Whoever refuses a body may close before it is sent.
    _ = stream.write_all(body).await;
    let mut bytes = Vec::new();
    // A reset is an end, too; and what does not end is cut off.
    _ = stream.take(ENOUGH).read_to_end(&mut bytes).await;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn ask(registry: &MockRegistry, line: &str, headers: &str, body: &[u8]) -> Result<String> {
    ask_at(&registry.host(), line, headers, body).await
}

async fn get(registry: &MockRegistry, target: &str) -> Result<String> {
    ask(registry, &format!("GET {target}"), "", b"").await
}

/// A header of an answer.
fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let line = |line: &'a str| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name));
    answer.lines().find_map(line).map(|(_, value)| value)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

async fn skopeo(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("skopeo");
    command.args(["--insecure-policy"]).args(arguments).kill_on_drop(true);
    let output = command.output().await.context("is skopeo installed? hack/setup test")?;
    ensure!(output.status.success(), "skopeo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_and_pulls_with_tokens_over_tls() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let program = directory.path().join("program");
    std::fs::write(&program, "nobody runs this\n")?;
    let layout = directory.path().join("layout");
    let image = Image::build(&layout, &ImageSource::new("/app", &program))?;
    let authority = Authority::new("mock")?;
    std::fs::write(directory.path().join("ca.crt"), authority.certificate())?;
    let server = TokenServer::start_tls(Arc::new(Tokens::new([User::new("alice", "s3cret")])?), &authority).await?;
    server.tokens().set_form(TokenForm { lifetime: Duration::from_secs(2), ..TokenForm::default() });
    let registry = MockRegistry::builder().tls(&authority).tokens(&server).start().await?;

    let certificates = directory.path().display().to_string();
    let (source, target) = (format!("oci:{}", layout.display()), format!("docker://{}/q/app:v1", registry.host()));
    let dest = format!("--dest-cert-dir={certificates}");
    skopeo(&["copy", "--preserve-digests", &dest, "--dest-creds=alice:s3cret", &source, &target]).await?;
    assert_eq!(&*registry.store().manifest("q/app", "v1").context("no manifest")?.0, image.digest());
    let certificates = format!("--cert-dir={certificates}");
    let told = skopeo(&["inspect", "--creds=alice:s3cret", &certificates, "--format={{.Digest}}", &target]).await?;
    assert_eq!(told.trim(), image.digest());

    assert!(server.tokens().grants().iter().all(|grant| grant.user.as_deref() == Some("alice")));
    assert!(server.tokens().grants().iter().any(|grant| grant.asked == ["repository:q/app:pull,push"]));
    // The password went to the token server alone.
    let is_token = |presented: &Presented| !matches!(presented, Presented::Basic { .. });
    assert!(registry.requests().iter().all(|request| request.is_tls && is_token(&request.presented)));
    skopeo(&["inspect", "--creds=alice:wrong", &certificates, &target]).await.unwrap_err();
    assert_eq!(registry.open_uploads(), 0);
    Ok(())
}

#[tokio::test]
async fn scripted_answers_come_as_often_as_they_are_scripted() -> Result<()> {
    let registry = MockRegistry::start().await?;
    let digest = registry.store().add_blob("a", "content");
    let throttled = Fixed::error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "slow down");
    let throttled = throttled.header(header::RETRY_AFTER, "7");
    registry.add(Rule::new(On::area(Area::Blob).method(Method::GET), throttled).skip(1).times(1));
    let path = format!("/v2/a/blobs/{digest}");
    assert_eq!(body(&get(&registry, &path).await?), "content");
    let refused = get(&registry, &path).await?;
    assert!(refused.starts_with("HTTP/1.1 429") && field(&refused, "retry-after") == Some("7"), "{refused}");
    assert_eq!(body(&get(&registry, &path).await?), "content");
    assert_eq!(registry.requests().iter().map(|request| request.status).collect::<Vec<_>>(), [200, 429, 200].map(Some));
    assert_eq!(registry.connections(), 3);

    let on_blobs = |answer: Answer| {
        registry.clear_rules();
        registry.add(Rule::new(On::area(Area::Blob), answer));
    };
    on_blobs(Change::Flip(3).into());
    assert_eq!(body(&get(&registry, &path).await?), "conuent");
    on_blobs(Change::CutAfter(4).into());
    let cut = get(&registry, &path).await?;
    assert_eq!((body(&cut), field(&cut, "content-length")), ("cont", Some("7")));
    on_blobs(Answer::Hangup { after: 0 });
    assert_eq!(get(&registry, &path).await?, "");
    on_blobs(Change::Repeat { part: Bytes::from_static(b"12345678"), times: Some(1000) }.into());
    assert!(get(&registry, &path).await?.matches("12345678").count() == 1000);
    on_blobs(Change::StallAfter(4).into());
    registry.clear_requests();
    let waiting = tokio::time::timeout(Duration::from_millis(300), get(&registry, &path)).await;
    assert!(waiting.is_err(), "it never ends: {waiting:?}");
    assert_eq!(registry.requests()[0].sent, 4);
    on_blobs(Answer::Changed(vec![Change::Without(header::CONTENT_TYPE), Change::Status(StatusCode::ACCEPTED)]));
    let changed = get(&registry, &path).await?;
    assert!(changed.starts_with("HTTP/1.1 202") && field(&changed, "content-type").is_none(), "{changed}");
    Ok(())
}

#[tokio::test]
async fn uploads_go_on_where_they_broke_off_and_large_ones_are_not_held() -> Result<()> {
    let registry = MockRegistry::start().await?;
    let content = Synthetic::new(3 << 20, 1);
    let digest = registry.store().recognise(content);
    registry.behave(|behavior| behavior.held = 1 << 20);
    let bytes: Vec<u8> = content.blocks(0, content.size).flatten().collect();
    let begun = ask(&registry, "POST /v2/a/blobs/uploads/", "", b"").await?;
    let place = field(&begun, "location").context("no location")?.to_owned();
    registry.add(Rule::new(On::any().method(Method::PATCH), Answer::Hangup { after: 0 }).times(1));
    assert_eq!(ask(&registry, &format!("PATCH {place}"), "", &bytes).await?, "");
    let half = ask(&registry, &format!("PATCH {place}"), "Content-Range: 0-1048575\r\n", &bytes[..1 << 20]).await?;
    assert_eq!(field(&half, "range"), Some("0-1048575"), "{half}");
    let place = field(&half, "location").context("no location")?.to_owned();
    let wrong = ask(&registry, &format!("PATCH {place}"), "Content-Range: 0-3\r\n", b"four").await?;
    assert!(wrong.starts_with("HTTP/1.1 416") && field(&wrong, "range") == Some("0-1048575"), "{wrong}");
    let asked = get(&registry, &place).await?;
    assert!(asked.starts_with("HTTP/1.1 204") && field(&asked, "range") == Some("0-1048575"), "{asked}");
    let end = ask(&registry, &format!("PUT {place}&digest={digest}"), "", &bytes[1 << 20..]).await?;
    assert!(end.starts_with("HTTP/1.1 201"), "{end}");
    let mounted = format!("POST /v2/b/blobs/uploads/?mount={digest}&from=a");
    assert!(ask(&registry, &mounted, "", b"").await?.starts_with("HTTP/1.1 201"));
    let range = ask(&registry, &format!("GET /v2/b/blobs/{digest}"), "Range: bytes=-3\r\n", b"").await?;
    assert_eq!(field(&range, "content-range"), Some("bytes 3145725-3145727/3145728"));
    Ok(())
}

#[tokio::test]
async fn behaviors_are_those_of_registries() -> Result<()> {
    let storage = MockRegistry::start().await?;
    storage.behave(|behavior| behavior.refuses_authorization = true);
    let registry = MockRegistry::builder().sharing(&storage).start().await?;
    let (blob, manifest) = {
        let mut store = registry.store();
        let manifest = store.add_manifest("a", "application/vnd.oci.image.index.v1+json", r#"{"manifests":[]}"#);
        for number in 0..5 {
            store.tag("a", &format!("v{number}"), &manifest);
        }
        (store.add_blob("a", "content"), manifest)
    };
    let redirect = Redirect { status: StatusCode::TEMPORARY_REDIRECT, to: storage.url(), hops: 1 };
    registry.behave(|behavior| behavior.redirect = Some(redirect));
    let first = get(&registry, &format!("/v2/a/blobs/{blob}")).await?;
    let second = get(&registry, field(&first, "location").context("no location")?).await?;
    let target = field(&second, "location").context("no location")?.strip_prefix(&storage.url());
    assert_eq!(body(&get(&storage, target.context("elsewhere")?).await?), "content");
    let refused = ask(&storage, &format!("GET /v2/a/blobs/{blob}"), "Authorization: Bearer x\r\n", b"").await?;
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");

    let page = async |paging: Paging, target: &str| {
        registry.behave(|behavior| behavior.paging = paging);
        get(&registry, target).await
    };
    let list = "/v2/a/tags/list?n=2";
    let first = page(Paging::Cursor, list).await?;
    assert_eq!(body(&first), r#"{"name":"a","tags":["v0","v1"]}"#);
    let next = field(&first, "link").and_then(|link| link.strip_prefix('<')?.strip_suffix(">; rel=\"next\""));
    assert_eq!(body(&page(Paging::Cursor, next.context("no link")?).await?), r#"{"name":"a","tags":["v2","v3"]}"#);
    let end = page(Paging::Link, "/v2/a/tags/list?n=2&last=v3").await?;
    assert_eq!((body(&end), field(&end, "link")), (r#"{"name":"a","tags":["v4"]}"#, None));
    assert_eq!(field(&page(Paging::NoLink, list).await?, "link"), None);
    assert!(body(&page(Paging::Ignored, list).await?).contains("v4"));
    assert!(field(&page(Paging::Endless, "/v2/a/tags/list?n=2&last=tag-1").await?, "link").is_some());
    assert!(
        field(&page(Paging::ForeignPath("/v2/x".to_owned()), list).await?, "link")
            .is_some_and(|link| { link == "</v2/x?n=2&last=v1>; rel=\"next\"" })
    );

    registry.behave(|behavior| behavior.location = Location::Missing);
    assert_eq!(field(&ask(&registry, "POST /v2/a/blobs/uploads/", "", b"").await?, "location"), None);
    registry.behave(|behavior| behavior.referrers = Referrers::Html);
    let html = get(&registry, &format!("/v2/a/referrers/{manifest}")).await?;
    assert!(html.starts_with("HTTP/1.1 200") && field(&html, "content-type") == Some("text/html"));
    registry.behave(|behavior| "/harbor".clone_into(&mut behavior.base_path));
    assert!(get(&registry, "/v2/").await?.starts_with("HTTP/1.1 404"));
    assert!(get(&registry, "/harbor/v2/").await?.starts_with("HTTP/1.1 200"));
    assert_eq!(registry.store().untagged("a").len(), 0);
    assert_eq!(digest::sha256(b"content"), blob);
    Ok(())
}
