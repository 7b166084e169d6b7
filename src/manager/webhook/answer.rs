//! Handles one `AdmissionReview`. Requests are never denied.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router, body};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hypermirror_api::names;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::time::{Instant, timeout, timeout_at};

use super::turns::Turns;
use crate::hosted::review::{Reviewer, Rule, Write};
use crate::process::server::Peer;
use crate::telemetry::metrics::{ManagerMetrics, ReviewLabels};

/// Maximum body: the new and the old object, each at most 1.5 MiB (etcd).
const MAX_BYTES: usize = 3 * 1024 * 1024;
/// Above this, a review is large. A Deployment of HyperShift and its previous state are much smaller, so only hostile
/// reviews wait for each other.
const LARGE_BYTES: u64 = 512 * 1024;
/// Time for a review, below the timeout of API servers in the configuration (2 s).
const DEADLINE: Duration = Duration::from_secs(2);
/// Time to receive the body, which API servers send with the headers.
const BODY: Duration = Duration::from_secs(1);

/// Why a review failed.
#[derive(Debug, Error)]
enum AnswerError {
    /// Too many concurrent reviews.
    #[error("too many concurrent reviews")]
    Busy,
    /// The body exceeds the limit.
    #[error("the body exceeds the limit of {MAX_BYTES} bytes")]
    TooLarge,
    /// The body was not received in time.
    #[error("the body was not received within {BODY:?}")]
    Slow,
    /// The body could not be read.
    #[error("failed to read the body")]
    Body(#[source] axum::Error),
    /// The body is not a review.
    #[error("the body is not an AdmissionReview")]
    Review(#[source] serde_json::Error),
    /// The review has no request.
    #[error("the AdmissionReview has no request")]
    NoRequest,
}

impl AnswerError {
    /// The HTTP status, and the outcome for the metrics.
    const fn response(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "unreadable"),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "timeout"),
            Self::Body(_) | Self::Review(_) | Self::NoRequest => (StatusCode::BAD_REQUEST, "unreadable"),
        }
    }
}

/// The relevant fields of a review. serde skips all others.
#[derive(Deserialize)]
struct Review<'a> {
    #[serde(default, borrow)]
    request: Option<Asked<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    uid: String,
    resource: Resource,
    #[serde(default)]
    sub_resource: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    user_info: Option<User>,
    #[serde(default, borrow)]
    object: Option<&'a RawValue>,
    #[serde(default, borrow)]
    old_object: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Resource {
    group: String,
    resource: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: Option<String>,
}

/// The response to a review.
struct Answer {
    uid: String,
    rule: Option<Rule>,
    patch: Option<String>,
}

impl Answer {
    /// The patch in base64, the format of the API.
    fn review(&self) -> serde_json::Value {
        let mut response = json!({"uid": self.uid, "allowed": true});
        if let Some(patch) = &self.patch {
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(STANDARD.encode(patch));
        }
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }
}

/// The state of the handler.
struct Desk {
    reviewer: Reviewer,
    metrics: ManagerMetrics,
    turns: Turns,
}

/// Serves reviews at [`names::WEBHOOK_PATH`].
pub fn router(reviewer: Reviewer, metrics: ManagerMetrics) -> Router {
    let desk = Desk { reviewer, metrics, turns: Turns::default() };
    Router::new().route(names::WEBHOOK_PATH, post(answer)).with_state(Arc::new(desk))
}

async fn answer(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let peer = request.extensions().get::<Peer>().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0);
    match desk.answer(peer, request.into_body()).await {
        Ok(answer) => {
            let outcome = if answer.patch.is_some() { "patched" } else { "unchanged" };
            desk.count(answer.rule.map_or("none", Rule::as_str), outcome);
            Json(answer.review()).into_response()
        }
        Err(error) => {
            let (status, outcome) = error.response();
            desk.count("none", outcome);
            tracing::warn!(%peer, %error, "failed to respond to a review");
            (status, error.to_string()).into_response()
        }
    }
}

impl Desk {
    fn count(&self, rule: &'static str, outcome: &'static str) {
        self.metrics.reviews.get_or_create(&ReviewLabels { rule, outcome }).inc();
    }

    async fn answer(&self, peer: IpAddr, body: Body) -> Result<Answer, AnswerError> {
        let deadline = Instant::now() + DEADLINE;
        let size = body.size_hint();
        if size.lower() > MAX_BYTES as u64 {
            return Err(AnswerError::TooLarge);
        }
        // Before the other slot, so that a large review that waits occupies none. API servers declare the length.
        let is_large = size.upper().is_none_or(|bytes| bytes > LARGE_BYTES);
        let _large = match is_large.then(|| self.turns.large()) {
            Some(turn) => Some(timeout_at(deadline, turn).await.ok().flatten().ok_or(AnswerError::Busy)?),
            None => None,
        };
        // The body is read only when the review has a slot, to limit memory.
        let turn = timeout_at(deadline, self.turns.wait(peer)).await.ok().flatten();
        let _turn = turn.ok_or(AnswerError::Busy)?;
        let body = timeout(BODY, body::to_bytes(body, MAX_BYTES)).await.map_err(|_| AnswerError::Slow)?;
        self.review(&body.map_err(AnswerError::Body)?)
    }

    fn review(&self, body: &[u8]) -> Result<Answer, AnswerError> {
        let review: Review<'_> = serde_json::from_slice(body).map_err(AnswerError::Review)?;
        let asked = review.request.ok_or(AnswerError::NoRequest)?;
        let is_of_part = asked.sub_resource.is_some_and(|sub_resource| !sub_resource.is_empty());
        let unchanged = |rule| Answer { uid: asked.uid.clone(), rule, patch: None };
        let Some(object) = asked.object.filter(|_| !is_of_part) else { return Ok(unchanged(None)) };
        let user = asked.user_info.unwrap_or_default().username.unwrap_or_default();
        let write = Write {
            group: &asked.resource.group,
            resource: &asked.resource.resource,
            user: &user,
            object,
            before: asked.old_object,
        };
        let rule = Reviewer::rule(&write);
        let Some(patch) = self.reviewer.review(&write).map_err(AnswerError::Review)? else {
            return Ok(unchanged(rule));
        };
        tracing::debug!(asked.namespace, asked.name, user, "restored the entries that a write removed");
        let patch = serde_json::to_string(&patch).map_err(AnswerError::Review)?;
        Ok(Answer { patch: Some(patch), ..unchanged(rule) })
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;
    use crate::hosted::target::stock_targets;

    fn router_of_tests() -> Router {
        let user = names::HYPERSHIFT_OPERATOR_USER.to_owned();
        let reviewer = Reviewer { targets: stock_targets(), field_unaware_users: [user].into() };
        router(reviewer, ManagerMetrics::register(&mut Registry::default()))
    }

    async fn send(router: Router, peer: [u8; 4], body: Body) -> (StatusCode, Value) {
        let request = Request::post(names::WEBHOOK_PATH).header("content-type", "application/json");
        let request = request.extension(Peer(peer.into())).body(body).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = body::to_bytes(response.into_body(), MAX_BYTES).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn ask(body: Body) -> (StatusCode, Value) {
        send(router_of_tests(), [10, 0, 0, 1], body).await
    }

    fn review(sub_resource: &str, object: &Value) -> Value {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u1", "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"}, "subResource": sub_resource,
            "operation": "CREATE", "userInfo": {"username": "x"}, "object": object, "oldObject": null
        }})
    }

    fn deployment() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "ignition-server", "annotations": {"hypermirror.dev/overrides": "a=b"}},
            "spec": {"template": {"spec": {"containers": [{"name": "ignition-server"}]}}}})
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_review_waits_for_another_one_and_a_usual_one_does_not() {
        let reviewer = Reviewer { targets: stock_targets(), field_unaware_users: [].into() };
        let metrics = ManagerMetrics::register(&mut Registry::default());
        let desk = Desk { reviewer, metrics, turns: Turns::default() };
        let other = desk.turns.large().await.unwrap();
        let mut large = review("", &deployment());
        large["padding"] = "x".repeat(600 * 1024).into();
        let peer = Ipv4Addr::LOCALHOST.into();
        let answer = async |review: &Value| desk.answer(peer, Body::from(review.to_string())).await.map(|_| ());
        assert!(matches!(answer(&large).await, Err(AnswerError::Busy)), "until its API server waits no longer");
        assert!(answer(&review("", &deployment())).await.is_ok());
        drop(other);
        assert!(answer(&large).await.is_ok());
    }

    #[tokio::test]
    async fn an_answer_repeats_the_uid_allows_and_says_what_is_given_back() {
        let (status, answer) = ask(Body::from(review("", &deployment()).to_string())).await;
        assert_eq!(status, StatusCode::OK);
        let response = &answer["response"];
        assert_eq!((&response["uid"], &response["allowed"]), (&json!("u1"), &json!(true)));
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        let patch = STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
        let patch: Value = serde_json::from_slice(&patch).unwrap();
        assert_eq!(patch[0]["path"], "/spec/template/spec/containers/0/env");
        assert_eq!(response["patchType"], "JSONPatch");
    }

    #[tokio::test]
    async fn what_is_none_of_ours_is_allowed_as_it_is() {
        let deleted = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u2", "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "operation": "DELETE", "userInfo": {}, "object": null, "oldObject": deployment()
        }});
        for body in [review("status", &deployment()), deleted] {
            let (status, answer) = ask(Body::from(body.to_string())).await;
            assert_eq!((status, &answer["response"]["allowed"]), (StatusCode::OK, &json!(true)), "{answer}");
            assert!(answer["response"]["patch"].is_null(), "{answer}");
        }
    }

    #[tokio::test]
    async fn what_is_no_review_gets_no_answer() {
        let empty = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"});
        let hostile = |object: String| {
            let of_deployments = review("", &Value::Null).to_string();
            of_deployments.replace("\"object\":null", &format!("\"object\":{object}"))
        };
        let items = |item: &str| format!("[{}]", [item].repeat(200_000).join(","));
        for (what, body) in [
            ("no JSON", "x".to_owned()),
            ("no request", empty.to_string()),
            ("a list for an object", hostile(items("{\"\":0}"))),
            ("a deep object", hostile(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)))),
            ("lists for annotations", hostile(format!("{{\"metadata\":{{\"annotations\":{}}}}}", items("0")))),
        ] {
            assert_eq!(ask(Body::from(body)).await.0, StatusCode::BAD_REQUEST, "{what}");
        }
    }

    #[tokio::test]
    async fn fields_that_do_not_decide_are_passed_over() {
        let mut object = deployment();
        object["status"] = json!(vec![json!({"": 0}); 1000]);
        object["spec"]["template"]["spec"]["volumes"] = json!(vec![json!({"": [0]}); 1000]);
        let (status, answer) = ask(Body::from(review("", &object).to_string())).await;
        assert_eq!(status, StatusCode::OK);
        assert!(answer["response"]["patch"].is_string(), "{answer}");
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_not_read() {
        let whole = Body::from(vec![b' '; MAX_BYTES + 1]);
        assert_eq!(ask(whole).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        let part = || Ok::<_, std::io::Error>(vec![b' '; 1024 * 1024]);
        let endless = Body::from_stream(futures::stream::repeat_with(part));
        assert_eq!(ask(endless).await.0, StatusCode::BAD_REQUEST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_not_waited_for() {
        assert_eq!(ask(never()).await.0, StatusCode::REQUEST_TIMEOUT);
    }

    fn never() -> Body {
        Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>())
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_never_come_keep_another_peer_from_nothing() {
        let router = router_of_tests();
        let start = Instant::now();
        let mut stuck = Vec::new();
        for _ in 0..32 {
            stuck.push(tokio::spawn(send(router.clone(), [10, 0, 0, 9], never())));
        }
        tokio::task::yield_now().await;
        let honest = Body::from(review("", &deployment()).to_string());
        assert_eq!(send(router, [10, 0, 0, 1], honest).await.0, StatusCode::OK);
        assert_eq!(start.elapsed(), Duration::ZERO);
        let mut busy = 0;
        for one in stuck {
            busy += usize::from(one.await.unwrap().0 == StatusCode::SERVICE_UNAVAILABLE);
        }
        assert!(busy > 16, "{busy}: whoever waits too long gets a response");
        assert!(start.elapsed() <= DEADLINE + BODY);
    }
}
