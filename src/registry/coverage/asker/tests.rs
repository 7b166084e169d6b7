use serde_json::json;

use super::super::super::policy::PolicyOptions;
use super::super::super::testing::{Authority, Seen, Server, answer};
use super::super::super::transport::tls::TlsOptions;
use super::super::super::transport::{Transport, TransportOptions};
use super::super::super::wire::media_type::ManifestType;
use super::super::matrix::{Level, Verdict, judge};
use super::*;

fn clients() -> Clients {
    let client = |skips| {
        let mut tls = TlsOptions::default();
        if skips {
            tls.skip_verification();
        }
        let transport = Transport::new(TransportOptions { tls, ..TransportOptions::default() }).unwrap();
        Client::new(transport, PolicyOptions { attempts: 1, ..PolicyOptions::default() })
    };
    Clients { verified: client(false), unverified: client(true) }
}

fn asker(scheme: Scheme) -> Asker {
    let asker = Asker::new(scheme, Sample::All, Arc::default());
    asker.trust(TrustId::default(), &clients());
    asker
}

fn manifest() -> Vec<u8> {
    serde_json::to_vec(&json!({"mediaType": ManifestType::OciImage.name(), "layers": []})).unwrap()
}

fn question(host: &str, credential: CredentialId, is_insecure: bool) -> Question {
    let digest = Digest::of(Algorithm::Sha256, &manifest());
    let reference = format!("{host}/a@{digest}");
    Question { reference, credential, trust: TrustId::default(), level: Level::L1, is_insecure }
}

fn holds(_: &Seen) -> http::Response<axum::body::Body> {
    answer(200, &[], manifest())
}

#[tokio::test]
async fn an_insecure_place_without_tls_is_asked_over_http_and_a_secure_one_never() {
    let server = Server::start(holds).await;
    let asker = asker(Scheme::Https);
    let credential = asker.credential(Credential::Anonymous);
    assert_eq!(asker.ask(&question(&server.host, credential.clone(), true)).await, Finding::Held);
    let over_http = server.seen().len();
    let found = asker.ask(&question(&server.host, credential, false)).await;
    assert!(matches!(&found, Finding::Unknown(Reason::Unreachable, why) if why.contains("TLS")), "{found:?}");
    assert_eq!(server.seen().len(), over_http, "nothing was sent over HTTP");
}

#[tokio::test]
async fn an_insecure_place_with_an_unknown_certificate_is_asked_over_tls() {
    let (host, task) = Authority::new().serve().await;
    let asker = asker(Scheme::Https);
    let credential = asker.credential(Credential::Anonymous);
    // It answers 200 with an empty body to everything: no manifest, and no certificate that anybody believes.
    let found = asker.ask(&question(&host, credential.clone(), true)).await;
    assert!(matches!(found, Finding::Incomplete(_)), "{found:?}");
    let found = asker.ask(&question(&host, credential, false)).await;
    assert!(matches!(&found, Finding::Unknown(Reason::Unreachable, why) if why.contains("certificate")), "{found:?}");
    task.abort();
}

#[tokio::test]
async fn who_has_no_credentials_is_told_why_and_nobody_is_asked() {
    let server = Server::start(holds).await;
    let asker = asker(Scheme::Http);
    let none = asker.no_credential("failed to read Secret a/b: 403");
    let found = asker.ask(&question(&server.host, none, false)).await;
    let expected = |why: &str| why.contains("no credentials for") && why.ends_with("failed to read Secret a/b: 403");
    assert!(matches!(&found, Finding::Unknown(Reason::CredentialsUnavailable, why) if expected(why)), "{found:?}");
    let stranger = question(&server.host, Credential::basic("u", "p").id(), false);
    assert!(matches!(asker.ask(&stranger).await, Finding::Unknown(Reason::CredentialsUnavailable, _)));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn each_credential_is_shown_for_its_own_questions() {
    let server = Server::start(|seen| match seen.header("authorization") {
        Some("Basic YTpi") => holds(seen),
        _ => answer(401, &[("www-authenticate", "Basic realm=\"r\"")], ""),
    })
    .await;
    let asker = asker(Scheme::Http);
    let (known, anonymous) = (asker.credential(Credential::basic("a", "b")), asker.credential(Credential::Anonymous));
    assert_eq!(asker.ask(&question(&server.host, known, false)).await, Finding::Held);
    let found = asker.ask(&question(&server.host, anonymous, false)).await;
    assert!(matches!(found, Finding::Unknown(Reason::Unauthorized, _)), "{found:?}");
}

#[tokio::test]
async fn a_place_is_asked_once_for_all_who_ask_with_the_same_credential() {
    let server = Server::start(holds).await;
    let asker = asker(Scheme::Http);
    let (one, other) = (asker.credential(Credential::Anonymous), asker.credential(Credential::basic("a", "b")));
    // A manifest alone: nothing else remembers the answer.
    let place = |credential| Question { level: Level::L0, ..question(&server.host, credential, false) };
    let (first, second) = (place(one.clone()), place(one));
    assert_eq!(futures::join!(asker.ask(&first), asker.ask(&second)), (Finding::Held, Finding::Held));
    let asked = server.seen().len();
    assert_eq!(asker.ask(&second).await, Finding::Held);
    assert_eq!(server.seen().len(), asked);
    assert_eq!(asker.ask(&place(other)).await, Finding::Held);
    assert!(server.seen().len() > asked, "another credential may see something else");
}

#[tokio::test]
async fn a_round_asks_until_every_demand_is_decided() {
    let server = Server::start(holds).await;
    let asker = asker(Scheme::Http);
    let credential = asker.credential(Credential::Anonymous);
    let endpoint = super::super::matrix::Endpoint {
        question: question(&server.host, credential, false),
        is_blocked: false,
        origin: String::new(),
    };
    let demand = Demand {
        image: "a".into(),
        group: "g".into(),
        name: String::new(),
        cluster: String::new(),
        consumer: "c".into(),
        endpoints: vec![endpoint],
        error: None,
        is_unordered: false,
        is_signed: false,
    };
    let findings = asker.prove(std::slice::from_ref(&demand), |_| {}).await;
    assert!(matches!(judge(&demand, &findings), Verdict::Held { .. }));
}
