use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::response::Response;
use http::Method;

use super::super::error::{Party, Reason};
use super::super::testing::{Seen, Server, advance, answer};
use super::super::transport::TransportOptions;
use super::super::wire::location::LocationError;
use super::*;

fn auth() -> Auth {
    Auth::new(Transport::new(TransportOptions::default()).unwrap())
}

fn registry(server: &Server) -> RegistryAddress {
    RegistryAddress::parse(&server.url("")).unwrap()
}

/// Asks for a path of the repository `a`.
async fn get(auth: &Auth, registry: &RegistryAddress, credential: &Credential) -> Result<u16, Cause> {
    let url = registry.base().join("v2/a/manifests/v1").unwrap();
    let access = Access::pull(registry, credential, Some("a"));
    Ok(auth.exchange(access, Request::new(Method::GET, url)).await?.status.as_u16())
}

/// A registry that asks for a token of its own realm, and a token server under one roof. Tokens are `t0`, `t1`, …
async fn with_tokens(challenge: &'static str, token: impl Fn(usize) -> String + Send + Sync + 'static) -> Server {
    let given = AtomicUsize::new(0);
    Server::start(move |seen| {
        if seen.uri.path() == "/token" {
            return answer(200, &[], token(given.fetch_add(1, Ordering::SeqCst)));
        }
        if seen.header("authorization").is_some_and(|value| value.starts_with("Bearer t")) {
            return answer(200, &[], "");
        }
        let challenge = challenge.replace("HOST", seen.header("host").unwrap_or_default());
        answer(401, &[("www-authenticate", &challenge)], "")
    })
    .await
}

const CHALLENGE: &str = r#"Bearer realm="http://HOST/token",service="s",scope="repository:a:pull""#;

fn numbered(number: usize) -> String {
    format!(r#"{{"token": "t{number}", "expires_in": 300}}"#)
}

fn tokens_fetched(server: &Server) -> Vec<Seen> {
    server.seen().into_iter().filter(|seen| seen.uri.path() == "/token").collect()
}

#[tokio::test]
async fn one_token_is_fetched_for_everybody_who_needs_it() {
    let server = with_tokens(CHALLENGE, numbered).await;
    let (auth, registry) = (auth(), registry(&server));
    let all = (0..20).map(|_| get(&auth, &registry, &Credential::Anonymous));
    for status in futures::future::join_all(all).await {
        assert_eq!(status.unwrap(), 200);
    }
    let fetched = tokens_fetched(&server);
    assert_eq!(fetched.len(), 1);
    assert_eq!(fetched[0].uri.query(), Some("service=s&scope=repository%3Aa%3Apull"));
    assert_eq!(fetched[0].header("authorization"), None);
}

#[tokio::test]
async fn each_credential_and_scope_has_its_own_token() {
    let server = with_tokens(r#"Bearer realm="http://HOST/token""#, numbered).await;
    let (auth, registry) = (auth(), registry(&server));
    let users = [Credential::basic("u", "p"), Credential::basic("u", "q"), Credential::Anonymous];
    for credential in users.iter().chain(&users) {
        assert_eq!(get(&auth, &registry, credential).await.unwrap(), 200);
    }
    let fetched = tokens_fetched(&server);
    let shown: Vec<_> = fetched.iter().map(|seen| seen.header("authorization")).collect();
    assert_eq!(shown, [Some("Basic dTpw"), Some("Basic dTpx"), None]);
    assert!(fetched[0].uri.query().unwrap().ends_with("&account=u"));
    let url = registry.base().join("v2/b/manifests/v1").unwrap();
    let other = Access::pull(&registry, &Credential::Anonymous, Some("b"));
    auth.exchange(other, Request::new(Method::GET, url)).await.unwrap();
    assert_eq!(tokens_fetched(&server).len(), 4);
}

#[tokio::test]
async fn b04_a_token_that_the_registry_no_longer_takes_is_replaced() {
    let server = Server::start({
        let given = AtomicUsize::new(0);
        move |seen| {
            if seen.uri.path() == "/token" {
                return answer(200, &[], numbered(given.fetch_add(1, Ordering::SeqCst)));
            }
            let newest = format!("Bearer t{}", given.load(Ordering::SeqCst).saturating_sub(1));
            let is_stale = seen.uri.path().starts_with("/v2/stale") && given.load(Ordering::SeqCst) < 2;
            if !is_stale && seen.header("authorization") == Some(&newest) {
                return answer(200, &[], "");
            }
            let challenge = CHALLENGE.replace("HOST", seen.header("host").unwrap());
            answer(401, &[("www-authenticate", &challenge)], "")
        }
    })
    .await;
    let (auth, registry) = (auth(), registry(&server));
    assert_eq!(get(&auth, &registry, &Credential::Anonymous).await.unwrap(), 200);
    let access = Access::pull(&registry, &Credential::Anonymous, Some("a"));
    let stale = registry.base().join("v2/stale").unwrap();
    let got = auth.exchange(access, Request::new(Method::GET, stale)).await.unwrap();
    assert_eq!((got.status.as_u16(), tokens_fetched(&server).len()), (200, 2));
}

#[tokio::test]
async fn b04_a_token_is_replaced_before_it_ends() {
    let server = with_tokens(CHALLENGE, |number| format!(r#"{{"access_token": "t{number}", "expires_in": 2}}"#)).await;
    let (auth, registry) = (auth(), registry(&server));
    for (step, fetched) in [(0, 1), (1_000, 1), (600, 2), (1_000, 2)] {
        advance(Duration::from_millis(step)).await;
        assert_eq!(get(&auth, &registry, &Credential::Anonymous).await.unwrap(), 200);
        assert_eq!(tokens_fetched(&server).len(), fetched, "after {step}");
    }
    // The one refused request is the first: it taught the challenge.
    assert_eq!(server.seen().len(), 1 + 4 + 2);
}

#[tokio::test]
async fn b08_the_scope_that_a_challenge_names_is_asked_for_first() {
    let challenge = r#"bearer realm="http://HOST/token",scope="repository:proxy/a:pull",error="insufficient_scope""#;
    let server = with_tokens(challenge, numbered).await;
    let (auth, registry) = (auth(), registry(&server));
    for _ in 0..2 {
        assert_eq!(get(&auth, &registry, &Credential::Anonymous).await.unwrap(), 200);
    }
    let fetched = tokens_fetched(&server);
    assert_eq!(fetched.len(), 1, "and it is remembered");
    assert_eq!(fetched[0].uri.query(), Some("scope=repository%3Aproxy%2Fa%3Apull&scope=repository%3Aa%3Apull"));
}

#[tokio::test]
async fn b08_with_basic_and_bearer_in_one_header_the_token_is_taken() {
    let server = with_tokens(r#"Basic realm="a, b", Bearer realm="http://HOST/token",service="s""#, numbered).await;
    let (auth, registry) = (auth(), registry(&server));
    assert_eq!(get(&auth, &registry, &Credential::basic("u", "canary")).await.unwrap(), 200);
    let to_registry = server.seen().into_iter().filter(|seen| seen.uri.path() != "/token");
    assert!(
        to_registry.into_iter().all(|seen| !seen.header("authorization").is_some_and(|it| it.starts_with("Basic")))
    );
}

#[tokio::test]
async fn basic_is_sent_where_it_is_asked_for_and_once_if_it_is_wrong() {
    let server = Server::start(|seen| match seen.header("authorization") {
        Some("Basic dTpw") => answer(200, &[], ""),
        _ => answer(401, &[("www-authenticate", "Basic realm=\"r\"")], ""),
    })
    .await;
    let (auth, registry) = (auth(), registry(&server));
    assert_eq!(get(&auth, &registry, &Credential::basic("u", "p")).await.unwrap(), 200);
    assert_eq!(server.lines(), ["GET /v2/", "GET /v2/a/manifests/v1"]);
    assert_eq!(get(&auth, &registry, &Credential::basic("u", "wrong")).await.unwrap(), 401);
    assert_eq!(get(&auth, &registry, &Credential::Anonymous).await.unwrap(), 401);
    assert_eq!(server.seen().len(), 5);
}

#[tokio::test]
async fn b27_a_registry_below_a_path_is_asked_below_it() {
    let server = Server::start(|seen| match (seen.uri.path(), seen.header("authorization")) {
        ("/artifactory/v2/a/manifests/v1", Some(_)) => answer(200, &[], ""),
        (path, _) if path.starts_with("/artifactory/v2/") => answer(401, &[("www-authenticate", "Basic")], ""),
        _ => answer(404, &[], ""),
    })
    .await;
    let registry = RegistryAddress::parse(&server.url("/artifactory")).unwrap();
    assert_eq!(get(&auth(), &registry, &Credential::basic("u", "p")).await.unwrap(), 200);
    assert_eq!(server.lines(), ["GET /artifactory/v2/", "GET /artifactory/v2/a/manifests/v1"]);
}

#[tokio::test]
async fn identity_tokens_are_exchanged_and_bearer_tokens_are_sent_as_they_are() {
    let server = with_tokens(CHALLENGE, |_| r#"{"access_token": "t"}"#.to_owned()).await;
    let (auth, registry) = (auth(), registry(&server));
    assert_eq!(get(&auth, &registry, &Credential::Identity(Secret::new("i"))).await.unwrap(), 200);
    let fetched = tokens_fetched(&server);
    assert_eq!((fetched[0].method.as_str(), fetched[0].header("authorization")), ("POST", None));
    assert!(fetched[0].body.ends_with(b"&refresh_token=i"));
    assert_eq!(get(&auth, &registry, &Credential::Bearer(Secret::new("t-own"))).await.unwrap(), 200);
    assert_eq!(server.seen().last().unwrap().header("authorization"), Some("Bearer t-own"));
    assert_eq!(tokens_fetched(&server).len(), 1);
}

#[tokio::test]
async fn b07_a_realm_is_held_to_the_rules_of_redirects() {
    for realm in ["http://169.254.169.254/token", "http://[fd00:ec2::254]/token"] {
        let server =
            Server::start(move |_| answer(401, &[("www-authenticate", &format!("Bearer realm=\"{realm}\""))], ""))
                .await;
        let refused = get(&auth(), &registry(&server), &Credential::basic("u", "p")).await.unwrap_err();
        assert!(matches!(refused, Cause::Address { class: "link-local", .. }), "{realm}: {refused}");
    }
    let https = RegistryAddress::parse("https://registry.example").unwrap();
    let challenges = challenge::parse([r#"Bearer realm="http://auth.example/token""#]);
    let access = Access::pull(&https, &Credential::Anonymous, None);
    assert_eq!(auth().broker.learn(access, &challenges, None), Err(Cause::Location(LocationError::Downgrade)));
    let same_host = challenge::parse([r#"Bearer realm="http://registry.example/token""#]);
    assert_eq!(auth().broker.learn(access, &same_host, None), Ok(true), "its own host, over https");
}

#[tokio::test]
async fn b05_where_a_redirect_leads_its_own_challenge_is_met_anonymously() {
    let storage = with_tokens(r#"Bearer realm="http://HOST/token",service="storage",scope="x""#, |_| {
        r#"{"token": "t-foreign"}"#.into()
    })
    .await;
    let location = storage.url("/blob");
    let server = Server::start(move |seen| match (seen.uri.path(), seen.header("authorization")) {
        ("/token", _) => answer(200, &[], r#"{"token": "canary"}"#),
        (_, Some("Bearer canary")) => answer(307, &[("location", &location)], ""),
        _ => answer(401, &[("www-authenticate", &CHALLENGE.replace("HOST", seen.header("host").unwrap()))], ""),
    })
    .await;
    assert_eq!(get(&auth(), &registry(&server), &Credential::basic("u", "canary")).await.unwrap(), 200);
    let shown: Vec<_> =
        storage.seen().iter().map(|seen| (seen.line(), seen.header("authorization").map(str::to_owned))).collect();
    assert_eq!(
        shown,
        [
            ("GET /blob".to_owned(), None),
            ("GET /token?service=storage&scope=x".to_owned(), None),
            ("GET /blob".to_owned(), Some("Bearer t-foreign".to_owned())),
        ]
    );
}

#[tokio::test]
async fn a_token_server_that_fails_is_named_and_not_asked_by_each_waiter() {
    let answers = Mutex::new(vec![(429, ""), (404, ""), (200, "<html>")]);
    let token: Box<dyn Fn() -> Response + Send + Sync> = Box::new(move || {
        let (status, body) = answers.lock().unwrap().pop().unwrap();
        answer(status, &[("retry-after", "7")], body)
    });
    let server = Server::start(move |seen| match seen.uri.path() {
        "/token" => token(),
        _ => answer(401, &[("www-authenticate", &CHALLENGE.replace("HOST", seen.header("host").unwrap()))], ""),
    })
    .await;
    let (auth, registry) = (auth(), registry(&server));
    let invalid = get(&auth, &registry, &Credential::Anonymous).await.unwrap_err();
    assert!(invalid.to_string().contains(&server.host), "{invalid}");
    let unknown = get(&auth, &registry, &Credential::Anonymous).await.unwrap_err();
    assert_eq!(unknown.reason(), Reason::CredentialsUnavailable);
    // All at once: one asks, and all hear the same.
    let all = futures::future::join_all((0..10).map(|_| get(&auth, &registry, &Credential::Anonymous))).await;
    for throttled in all {
        match throttled.unwrap_err() {
            Cause::Refused(refusal) => {
                assert_eq!(refusal.by, Party::TokenServer(server.host.clone()));
                assert_eq!((refusal.status, refusal.retry_after.unwrap().as_secs()), (429, 7));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(tokens_fetched(&server).len(), 3);
}

#[tokio::test]
async fn a_challenge_that_nobody_can_meet_is_named() {
    let server = Server::start(|_| answer(401, &[("www-authenticate", "Negotiate, NTLM")], "")).await;
    let refused = get(&auth(), &registry(&server), &Credential::Anonymous).await.unwrap_err();
    assert!(refused.to_string().ends_with("negotiate, ntlm"), "{refused}");
    let silent = Server::start(|_| answer(401, &[], "")).await;
    assert_eq!(get(&auth(), &registry(&silent), &Credential::Anonymous).await.unwrap(), 401);
}
