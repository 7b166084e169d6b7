#![expect(clippy::needless_pass_by_value, reason = "values are made where they are used")]

use std::sync::Arc;

use http::Method;
use hypermirror_api::Reason;
use hypermirror_api::names::MANAGED_LABEL;

use super::*;
use crate::client::testing::{ApiServer, Step};

const SET: &str = "/apis/hypermirror.dev/v1alpha1/nodemirrorsets/cluster";
const LIST: &str = "/apis/hypermirror.dev/v1alpha1/nodemirrorsets";

/// The API server of a guest cluster.
struct Script {
    client: Client,
    server: ApiServer,
}

impl Script {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let (client, server) = ApiServer::new(steps);
        Self { client, server }
    }

    fn client(&self) -> GuestClient {
        GuestClient::over(self.client.clone(), &InFlight::default())
    }

    /// A client of the leader of term 5.
    fn leader(&self) -> GuestClient {
        self.client().within(limits(|| Some(Instant::now() + Duration::from_secs(4))))
    }

    /// The bodies of the requests, which are those of the script and no others.
    async fn end(self) -> Vec<Value> {
        drop(self.client);
        self.server.end().await
    }
}

fn limits(may_write: impl Fn() -> Option<Instant> + Send + Sync + 'static) -> Limits {
    Limits {
        end: Instant::now() + Duration::from_mins(1),
        may_write: Arc::new(may_write),
        term: 5,
        overrules: 0,
        seen: Arc::default(),
    }
}

fn get(path: &str, status: u16, body: impl ToString) -> Step {
    Step::new(Method::GET, path, status, &body)
}

fn patch(status: u16, body: impl ToString) -> Step {
    Step::new(Method::PATCH, SET, status, &body)
}

fn wanted() -> Value {
    json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorSet",
        "metadata": {"name": "cluster", "labels": {MANAGED_LABEL: "true"}}, "spec": {"layer": "HostedCluster"},
    })
}

/// Ours, with other mirrors, written in a term.
fn drifted(version: &str, term: Option<&str>) -> Value {
    let mut object = wanted();
    object["metadata"]["resourceVersion"] = version.into();
    object["metadata"]["annotations"] = term.map_or(Value::Null, |term| json!({"hypermirror.dev/term": term}));
    object["spec"]["tagMirrors"] = json!([{"source": "evil.example"}]);
    object
}

async fn list(script: &Script) -> (Result<(), GuestError>, usize) {
    let mut count = 0;
    let listed = script.client().each(LIST, "", |_: IgnoredAny| count += 1).await;
    (listed, count)
}

#[tokio::test(start_paused = true)]
async fn a_list_has_as_many_pages_as_it_says_with_items_as_long_as_it_goes_on() {
    let page = |items: &str, token: &str| {
        get(LIST, 200, format!(r#"{{"metadata":{{"continue":"{token}"}},"items":[{items}]}}"#))
    };
    let script = Script::new([page("{},{}", "next"), page("{}", "")]);
    assert_eq!(list(&script).await, (Ok(()), 3));
    let empty = Script::new([page("{}", "next"), page("", "next")]);
    assert!(matches!(list(&empty).await.0, Err(GuestError::Failed { .. })), "it would never end");
    let endless = Script::new((0..MAX_PAGES).map(|_| page("{}", "next")));
    assert!(matches!(list(&endless).await.0, Err(GuestError::TooLarge { .. })));
    endless.end().await;
    let token = "x".repeat(MAX_TOKEN_BYTES + 1);
    assert!(matches!(list(&Script::new([page("{}", &token)])).await.0, Err(GuestError::TooLarge { .. })));
    assert_eq!(list(&Script::new([get(LIST, 404, "{}")])).await, (Ok(()), 0), "no such kind");
}

#[tokio::test(start_paused = true)]
async fn a_list_ends_at_its_bounds_of_items_and_bytes() {
    let many = format!(r#"{{"items":[{}{{}}]}}"#, r#"{"metadata":{}},"#.repeat(100_000));
    let script = Script::new([get(LIST, 200, many)]);
    assert_eq!(list(&script).await, (Err(GuestError::TooLarge { what: format!("LIST {LIST}") }), MAX_ITEMS));
    let large = |bytes: usize| format!(r#"{{"metadata":{{"continue":"x"}},"items":[{{"":"{}"}}]}}"#, "x".repeat(bytes));
    let page = Script::new([get(LIST, 200, large(MAX_PAGE_BYTES))]);
    assert!(matches!(list(&page).await.0, Err(GuestError::TooLarge { .. })));
    let pages = Script::new((0..5).map(|_| get(LIST, 200, large(MAX_PAGE_BYTES - 100))));
    assert!(matches!(list(&pages).await.0, Err(GuestError::TooLarge { .. })));
    // Four pages are whole, the fifth is not.
    pages.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_ends_at_its_bound_and_is_what_was_asked_for() {
    let object = |body: String| async move { Script::new([get(SET, 200, body)]).client().get::<Refusal>(SET).await };
    let large = format!(r#"{{"message":"{}"}}"#, "x".repeat(MAX_OBJECT_BYTES));
    assert!(matches!(object(large).await, Err(GuestError::TooLarge { .. })));
    let odd = format!("[{}{{}}]", r#"{"":0},"#.repeat(100_000));
    assert!(matches!(object(odd).await, Err(GuestError::Failed { .. })));
    let missing = Script::new([get(SET, 404, "page not found")]).client();
    assert!(missing.get::<Refusal>(SET).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_read_as_far_as_it_is_told() {
    let refused = |status: u16, body: String| async move {
        Script::new([get(SET, status, body)]).client().get::<Refusal>(SET).await.err().unwrap()
    };
    assert_eq!(refused(401, r#"{"message":"who?"}"#.into()).await, GuestError::Unauthorized("who?".into()));
    let html = refused(503, "<html>".into()).await;
    assert!(matches!(&html, GuestError::Down { message, .. } if message == "503 <html>"), "{html}");
    let endless = refused(500, "x".repeat(MAX_WORD_BYTES + 1)).await;
    assert!(matches!(endless, GuestError::Down { .. }), "{endless}");
    assert!(matches!(refused(302, String::new()).await, GuestError::Failed { .. }), "nobody is followed");
}

#[tokio::test(start_paused = true)]
async fn after_the_end_of_a_look_nothing_is_awaited() {
    let script = Script::new([Step::silent(Method::GET, SET)]);
    let limits = Limits { end: Instant::now(), ..limits(|| None) };
    let asked = script.client().within(limits).get::<Refusal>(SET).await;
    assert!(matches!(asked, Err(GuestError::Unfinished { .. })));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_writes_nothing() {
    for client in [
        Script::new([get(SET, 404, "{}")]).client().within(limits(|| None)),
        Script::new([get(SET, 404, "{}")]).client(),
    ] {
        assert_eq!(client.ensure(&[wanted()]).await.err(), Some(GuestError::Stopped));
    }
    let listed = json!({"items": [{"metadata": {"name": "old", "uid": "1"}}]});
    let script = Script::new([get(LIST, 200, listed)]);
    let standby = script.client().within(limits(|| None));
    assert_eq!(standby.prune("NodeMirrorSet", &[]).await, Err(GuestError::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_write_is_given_up_before_another_instance_can_lead() {
    let script = Script::new([get(SET, 404, "{}"), Step::silent(Method::PATCH, SET)]);
    let start = tokio::time::Instant::now();
    let written = script.leader().ensure(&[wanted()]).await;
    assert!(matches!(written, Err(GuestError::Down { .. })), "{written:?}");
    assert!(start.elapsed() <= Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_write_carries_the_term_and_the_version_that_was_looked_at() {
    let answer = json!({"kind": "NodeMirrorSet", "metadata": {"name": "cluster", "uid": "u", "generation": 3}});
    let script = Script::new([get(SET, 200, drifted("17", Some("5"))), patch(200, &answer)]);
    let (live, written) = script.leader().ensure(&[wanted()]).await.unwrap();
    assert_eq!((written, &live[0]["metadata"]["generation"]), (1, &json!(3)));
    let metadata = &script.end().await[1]["metadata"];
    assert_eq!(
        (&metadata["resourceVersion"], &metadata["annotations"]["hypermirror.dev/term"]),
        (&json!("17"), &json!("5"))
    );
    let new = Script::new([get(SET, 404, "{}"), patch(201, &answer)]);
    new.leader().ensure(&[wanted()]).await.unwrap();
    assert!(new.end().await[1]["metadata"].get("resourceVersion").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_term_that_moved_is_no_reason_to_write() {
    let script = Script::new([get(SET, 404, "{}"), patch(201, json!({"kind": "NodeMirrorSet"}))]);
    script.leader().ensure(&[wanted()]).await.unwrap();
    let mut written = script.end().await.remove(1);
    written["metadata"]["annotations"]["hypermirror.dev/term"] = "4".into();
    let same = Script::new([get(SET, 200, written)]);
    assert_eq!(same.leader().ensure(&[wanted()]).await.unwrap().1, 0);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_wrote_meanwhile_is_looked_at_again_and_a_later_leaders_left_alone() {
    let conflict = || patch(409, r#"{"message":"the object has been modified"}"#);
    let again = Script::new([
        get(SET, 200, drifted("17", None)),
        conflict(),
        get(SET, 200, drifted("18", Some("4"))),
        patch(200, json!({"kind": "NodeMirrorSet"})),
    ]);
    assert_eq!(again.leader().ensure(&[wanted()]).await.unwrap().1, 1);
    assert_eq!(again.end().await[3]["metadata"]["resourceVersion"], "18");
    let later = Script::new([get(SET, 200, drifted("17", None)), conflict(), get(SET, 200, drifted("18", Some("6")))]);
    let refused = later.leader().ensure(&[wanted()]).await;
    assert!(matches!(refused, Err(GuestError::Newer { term: 6, .. })), "{refused:?}");
    let overruled = Script::new([get(SET, 200, drifted("18", Some("6"))), patch(200, "{}")]);
    let limits = Limits { overrules: 6, ..limits(|| Some(Instant::now() + Duration::from_secs(4))) };
    assert!(overruled.client().within(limits).ensure(&[wanted()]).await.is_ok(), "the Lease began anew");
    let always: Vec<Step> = (0..3).flat_map(|_| [get(SET, 200, drifted("17", None)), conflict()]).collect();
    let always = Script::new(always);
    assert!(matches!(always.leader().ensure(&[wanted()]).await, Err(GuestError::Conflict { .. })));
    always.end().await;
}

#[tokio::test(start_paused = true)]
async fn only_what_can_be_an_object_of_ours_is_deleted() {
    let item = |name: &str, term: &str| json!({"metadata": {"name": name, "uid": "u", "annotations": {"hypermirror.dev/term": term}}});
    let odd = "../../../../api/v1/namespaces/kube-system";
    let listed = json!({"items": [item(odd, ""), item("cluster", "5"), item("nodepool-a", "5")]});
    let gone = "/apis/hypermirror.dev/v1alpha1/nodemirrorsets/nodepool-a";
    let script = Script::new([get(LIST, 200, listed), Step::refused(Method::DELETE, gone, 404)]);
    assert_eq!(script.leader().prune("NodeMirrorSet", &[wanted()]).await, Ok(1));
    assert_eq!(script.end().await[1]["preconditions"]["uid"], "u");
    let later = Script::new([get(LIST, 200, json!({"items": [item("nodepool-a", "6")]}))]);
    assert!(matches!(later.leader().prune("NodeMirrorSet", &[]).await, Err(GuestError::Newer { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_read_back_is_not_written() {
    let mut large = wanted();
    large["spec"]["tagMirrors"] = "x".repeat(MAX_OBJECT_BYTES).into();
    let written = Script::new([get(SET, 404, "{}")]).leader().ensure(&[large]).await;
    assert!(
        matches!(&written, Err(GuestError::Failed { message, .. }) if message.contains("exceeds the limit")),
        "{written:?}"
    );
}

/// What a call of the push comes to, and after how long.
async fn ensured(steps: impl IntoIterator<Item = Step>) -> (Result<usize, GuestError>, Duration) {
    let (script, start) = (Script::new(steps), tokio::time::Instant::now());
    let ensured = script.leader().ensure(&[wanted()]).await.map(|(_, written)| written);
    let took = start.elapsed();
    script.end().await;
    (ensured, took)
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_is_told_by_its_cause_and_only_a_conflict_is_tried_again() {
    let read = || get(SET, 200, drifted("17", None));
    for (code, expected) in [
        (401, Reason::CredentialsRejected),
        (403, Reason::ForbiddenByGuest),
        (404, Reason::PushFailed),
        (410, Reason::PushFailed),
        (422, Reason::PushFailed),
        (429, Reason::ConnectionDown),
        (503, Reason::ConnectionDown),
    ] {
        let (ensured, took) = ensured([read(), Step::refused(Method::PATCH, SET, code)]).await;
        assert_eq!(ensured.map_err(|error| error.reason()), Err(expected), "{code}");
        assert_eq!(took, Duration::ZERO, "{code}: nobody waits in a reconcile");
    }
    let conflict = || Step::refused(Method::PATCH, SET, 409);
    let applied = || Step::new(Method::PATCH, SET, 200, &wanted());
    assert_eq!(ensured([read(), conflict(), read(), applied()]).await.0, Ok(1));
    assert_eq!(ensured([read(), conflict(), Step::refused(Method::GET, SET, 404), applied()]).await.0, Ok(1));
    let twice = [read(), conflict(), read(), conflict(), read(), Step::refused(Method::PATCH, SET, 503)];
    assert!(matches!(ensured(twice).await.0, Err(GuestError::Down { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_not_written() {
    for (code, expected) in [
        (401, Reason::CredentialsRejected),
        (403, Reason::ForbiddenByGuest),
        (409, Reason::PushFailed),
        (410, Reason::PushFailed),
        (422, Reason::PushFailed),
        (429, Reason::ConnectionDown),
        (503, Reason::ConnectionDown),
    ] {
        let ensured = ensured([Step::refused(Method::GET, SET, code)]).await.0;
        assert_eq!(ensured.map_err(|error| error.reason()), Err(expected), "{code}");
    }
    let not_served = [Step::refused(Method::GET, SET, 404), Step::new(Method::PATCH, SET, 201, &wanted())];
    assert_eq!(ensured(not_served).await.0, Ok(1), "one that does not exist is created");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_or_silent_is_down() {
    for steps in [vec![Step::lost(Method::GET, SET)], vec![get(SET, 404, "{}"), Step::lost(Method::PATCH, SET)]] {
        let (ensured, took) = ensured(steps).await;
        assert!(matches!(ensured, Err(GuestError::Down { .. })), "{ensured:?}");
        assert_eq!(took, Duration::ZERO);
    }
    let (silent, took) = ensured([Step::silent(Method::GET, SET)]).await;
    assert!(
        matches!(&silent, Err(GuestError::Down { message, .. }) if message == "no response within 12 s"),
        "{silent:?}"
    );
    assert_eq!(took, DEADLINE);
}
