use http::Method;
use serde_json::Value;

use super::*;
use crate::client::testing::{ApiServer, Step};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/hypermirror/leases";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/hypermirror/leases/hypermirror-manager";

/// The Lease in version 7, as it is after four changes of hands.
fn lease(holder: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": names::LEASE, "namespace": "hypermirror", "resourceVersion": "7"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 4},
    })
}

fn get(lease: &Value) -> Step {
    Step::new(Method::GET, LEASE, 200, lease)
}

fn patched(lease: &Value) -> Step {
    Step::new(Method::PATCH, LEASE, 200, lease)
}

/// A candidate of a promise of 15 s, which holds the Lease for as long as is given.
fn holder(client: Client, held: Option<Duration>) -> (Holder, Term) {
    let now = Instant::now();
    let held = held.map(|left| Held { until: now + left, others_from: now + left, number: 4 });
    let (sender, term) = watch::channel(held);
    let candidate = Candidate::new("me", Duration::from_secs(15));
    let api = Api::namespaced(client, "hypermirror");
    (Holder { name: names::LEASE, api, candidate, term: sender, held }, Term(term))
}

/// Whether this instance leads after one turn with these answers, and the bodies of its requests.
async fn turned(held: Option<Duration>, steps: impl IntoIterator<Item = Step>) -> (bool, Vec<Value>) {
    let (client, server) = ApiServer::new(steps);
    let (mut holder, term) = holder(client, held);
    holder.turn().await;
    drop(holder);
    (term.lasts(), server.end().await)
}

const LONG: Option<Duration> = Some(Duration::from_mins(10));

#[tokio::test(start_paused = true)]
async fn a_lease_is_created_then_taken_and_only_as_it_was_looked_at() {
    let steps = [
        Step::refused(Method::GET, LEASE, 404),
        Step::new(Method::POST, LEASES, 201, &lease("")),
        patched(&lease("me")),
    ];
    let (leads, bodies) = turned(None, steps).await;
    assert!(leads);
    assert_eq!(
        (&bodies[1]["metadata"]["name"], &bodies[2]["metadata"]["resourceVersion"]),
        (&json!(names::LEASE), &json!("7"))
    );
    assert_eq!(
        (&bodies[2]["spec"]["holderIdentity"], &bodies[2]["spec"]["leaseTransitions"]),
        (&json!("me"), &json!(5))
    );
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_else_created_meanwhile_is_looked_at() {
    let steps = |holder: &str| {
        let create = [Step::refused(Method::GET, LEASE, 404), Step::refused(Method::POST, LEASES, 409)];
        create.into_iter().chain([get(&lease(holder))])
    };
    assert!(!turned(None, steps("other")).await.0);
    assert!(turned(None, steps("").chain([patched(&lease("me"))])).await.0);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_looked_at_again_twice() {
    let conflict = || [get(&lease("")), Step::refused(Method::PATCH, LEASE, 409)];
    let taken = [get(&lease("")), patched(&lease("me"))];
    assert!(turned(None, conflict().into_iter().chain(conflict()).chain(taken)).await.0);
    let lost = conflict().into_iter().chain([get(&lease("other"))]);
    assert!(!turned(None, lost).await.0, "another instance has it");
    let always = (0..=CONFLICTS).flat_map(|_| conflict());
    assert!(!turned(None, always).await.0);
}

#[tokio::test(start_paused = true)]
async fn nobody_leads_without_an_answer_and_who_leads_goes_on_until_its_time_is_over() {
    for code in [403, 404, 410, 422, 429, 503] {
        // Without a Lease the first request is followed by another one.
        let looked = |code| match code {
            404 => vec![Step::refused(Method::GET, LEASE, 404), Step::refused(Method::POST, LEASES, 403)],
            code => vec![Step::refused(Method::GET, LEASE, code)],
        };
        let written = |code| vec![get(&lease("me")), Step::refused(Method::PATCH, LEASE, code)];
        for steps in [looked(code), written(code)] {
            assert!(!turned(None, steps.clone()).await.0, "{code}");
            assert!(turned(LONG, steps.clone()).await.0, "{code}");
        }
    }
    for step in [Step::lost(Method::GET, LEASE), Step::silent(Method::GET, LEASE)] {
        assert!(!turned(None, [step.clone()]).await.0);
        assert!(turned(LONG, [step.clone()]).await.0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_leads_and_finds_another_holder_stops_at_once() {
    let (leads, _) = turned(LONG, [get(&lease("other"))]).await;
    assert!(!leads);
}

#[tokio::test(start_paused = true)]
async fn only_the_holder_releases_and_nobody_waits_long_for_it() {
    async fn released(steps: impl IntoIterator<Item = Step>) -> (Duration, Vec<Value>) {
        let (client, server) = ApiServer::new(steps);
        let (holder, _term) = holder(client, LONG);
        let start = tokio::time::Instant::now();
        holder.release().await;
        (start.elapsed(), server.end().await)
    }
    let (_, bodies) = released([get(&lease("me")), patched(&lease(""))]).await;
    assert_eq!(
        (&bodies[1]["spec"]["holderIdentity"], &bodies[1]["metadata"]["resourceVersion"]),
        (&Value::Null, &json!("7"))
    );
    released([get(&lease("other"))]).await;
    for code in [403, 404, 409, 503] {
        released([get(&lease("me")), Step::refused(Method::PATCH, LEASE, code)]).await;
    }
    let (took, _) = released([Step::silent(Method::GET, LEASE)]).await;
    assert_eq!(took, RELEASE_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn the_lease_itself_is_asked_for_holder_and_term() {
    for (step, expected) in [
        (get(&lease("me")), Some(true)),
        (get(&lease("other")), Some(false)),
        (Step::refused(Method::GET, LEASE, 404), None),
        (Step::refused(Method::GET, LEASE, 503), None),
        (Step::silent(Method::GET, LEASE), None),
    ] {
        let (client, server) = ApiServer::new([step]);
        assert_eq!(is_held(&client, "hypermirror", "me", 4).await.ok(), expected);
        drop(client);
        server.end().await;
    }
    let (client, server) = ApiServer::new([get(&lease("me"))]);
    assert!(!is_held(&client, "hypermirror", "me", 3).await.unwrap(), "an earlier term");
    drop(client);
    server.end().await;
}

#[test]
fn a_term_is_over_when_its_time_is_although_nobody_has_said_so() {
    let (sender, term) = watch::channel(None);
    let term = Term(term);
    assert!(!term.lasts());
    let now = Instant::now();
    let (until, others_from) = (now + Duration::from_mins(1), now + Duration::from_mins(2));
    sender.send_replace(Some(Held { until, others_from, number: 7 }));
    assert!(term.lasts());
    assert_eq!((term.writes_until(), term.number()), (Some(others_from), 7));
    sender.send_replace(Some(Held { until: now, others_from, number: 7 }));
    assert_eq!(term.writes_until(), None, "although nobody else may lead yet");
    assert!(!term.lasts());
}
