use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::client::testing::Step;
use crate::client::watch::Update;
use crate::management::index::change::Change;
use crate::management::index::guests::SecretMeta;
use crate::manager::guests::testing::GuestStage;
use crate::manager::testing::{Stage, key};

const SECRET: &str = "/api/v1/namespaces/clusters-a/secrets/hcco-kubeconfig";

fn reported(none: NoConnection) -> Option<(&'static str, Reason)> {
    match none {
        NoConnection::Reported(state, pause) => {
            assert!(pause.is_some_and(|pause| pause > Duration::from_secs(1)), "reported, and tried less often");
            Some((state.status, state.reason))
        }
        NoConnection::Undecided(_) => None,
    }
}

#[test]
fn a_guest_cluster_whose_calls_fail_is_reported_after_the_third_although_it_answers_probes() {
    let what = || "GET x".to_owned();
    for (error, expected) in [
        (GuestError::Down { what: what(), message: "503".into() }, ("Unknown", Reason::ConnectionDown)),
        (GuestError::Conflict { what: what() }, ("False", Reason::PushFailed)),
        (GuestError::Gone { what: what() }, ("False", Reason::PushFailed)),
        (GuestError::Authority("x".into()), ("False", Reason::AuthorityUnknown)),
    ] {
        let mut guest = Guest::default();
        for round in 0..6 {
            while guest.health.answered() != Next::Work {}
            let expected = (round >= 2).then_some(expected);
            assert_eq!(reported(failed(&mut guest, &key(), &error)), expected, "{error}, round {round}");
        }
    }
}

#[test]
fn what_no_second_try_mends_is_reported_at_once_and_the_end_of_a_term_never() {
    let what = || "LIST x".to_owned();
    for (error, expected) in [
        (GuestError::Unfinished { what: what() }, Some(("Unknown", Reason::ConnectionDown))),
        (GuestError::TooLarge { what: what() }, Some(("False", Reason::AnswerTooLarge))),
        (GuestError::Failed { what: what(), message: "x".into() }, Some(("False", Reason::PushFailed))),
        (GuestError::Stopped, None),
        (GuestError::Newer { what: what(), term: 7 }, None),
    ] {
        assert_eq!(reported(failed(&mut Guest::default(), &key(), &error)), expected, "{error}");
    }
}

/// A guest cluster without a connection. The read of its Secret has this response.
fn unconnected(read: impl IntoIterator<Item = Step>) -> GuestStage {
    let mut stage = GuestStage::over(Stage::new(&[], read), []);
    stage.guest.connection = None;
    stage
}

fn secret(data: &Value) -> Step {
    Step::new(Method::GET, SECRET, 200, &json!({"metadata": {"name": "hcco-kubeconfig"}, "data": data}))
}

#[tokio::test(start_paused = true)]
async fn a_kubeconfig_that_cannot_be_read_is_read_again_and_one_that_is_refused_is_reported() {
    let encoded = |text: &str| serde_json::to_value(k8s_openapi::ByteString(text.as_bytes().to_vec())).unwrap();
    let exec = "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n\
                clusters: [{name: c, cluster: {server: 'https://x'}}]\nusers: [{name: u, user: {exec: {command: /bin/sh}}}]\n";
    for (read, expected) in [
        (Step::refused(Method::GET, SECRET, 403), None),
        (Step::refused(Method::GET, SECRET, 503), None),
        (Step::refused(Method::GET, SECRET, 404), None),
        (secret(&json!({"other": encoded("x")})), Some("key kubeconfig is missing")),
        (secret(&json!({"kubeconfig": encoded("[")})), Some("not a kubeconfig")),
        (secret(&json!({"kubeconfig": encoded(exec)})), Some("exec")),
    ] {
        let mut stage = unconnected([read]);
        let synced = stage.sync().await;
        match expected {
            None => assert_eq!((synced.outcome, synced.again), (None, Some(RETRY))),
            Some(part) => {
                let condition = synced.outcome.unwrap().synced;
                assert_eq!((condition.reason, condition.status), (Reason::KubeconfigRefused, "False"));
                assert!(
                    condition.message.contains("clusters-a/hcco-kubeconfig") && condition.message.contains(part),
                    "{condition:?}"
                );
            }
        }
        assert!(stage.guest.connection.is_none());
        stage.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotated_kubeconfig_is_read_before_the_guest_cluster_is_asked_again() {
    let mut stage = GuestStage::over(Stage::new(&[], [Step::refused(Method::GET, SECRET, 503)]), []);
    stage.has_base();
    let rotated = SecretMeta { namespace: "clusters-a".to_owned(), resource_version: "2".to_owned() };
    stage.stage.ctx.store.apply(Change::Kubeconfigs(0, Update::Applied(rotated)));
    assert_eq!(stage.sync().await.again, Some(RETRY));
    assert!(stage.guest.connection.is_none() && stage.guest.base.is_none(), "other credentials, other rights");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_and_a_missing_secret_send_nothing() {
    let mut expired = GuestStage::new(&[], []);
    expired.guest.connection.as_mut().unwrap().expires = Some(jiff::Timestamp::UNIX_EPOCH);
    let state = expired.sync().await.outcome.unwrap().synced;
    assert_eq!((state.reason, state.status), (Reason::CredentialsExpired, "False"));
    expired.end().await;
    let mut missing = unconnected([]);
    missing.stage.ctx.store.apply(Change::Kubeconfigs(0, Update::Replaced(Vec::new())));
    let state = missing.sync().await.outcome.unwrap().synced;
    assert_eq!((state.reason, state.status), (Reason::KubeconfigMissing, "Unknown"));
    missing.end().await;
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_close_the_connection() {
    let rejected = Step::refused(Method::GET, "/apis/config.openshift.io/v1", 401);
    let mut stage = GuestStage::new(&[], [rejected]);
    let synced = stage.sync().await;
    let condition = synced.outcome.unwrap().synced;
    assert_eq!((condition.reason, condition.status), (Reason::CredentialsRejected, "False"));
    assert!(stage.guest.connection.is_none() && synced.again >= Some(Duration::from_secs(20)));
    stage.end().await;
}
