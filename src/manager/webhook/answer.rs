//! One `AdmissionReview`: read, reviewed, answered. Nothing is ever refused.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, body};
use hypermirror_api::names;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use serde_json::Value;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::fleet::review::{Reviewer, Rule, Write};
use crate::telemetry::metrics::{ManagerMetrics, ReviewLabels};

/// The object as it is and as it was, each at most what etcd takes, and a little around them.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// So many bodies are held at once.
const MAX_REVIEWS: usize = 32;
/// API servers wait as long as the configuration says: 2 s.
const DEADLINE: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug, Error)]
enum AnswerError {
    /// It is too large, or did not come whole.
    #[error("the body cannot be read")]
    Body(#[source] axum::Error),
    /// It is no review.
    #[error("the body is no AdmissionReview")]
    Review(#[source] serde_json::Error),
    /// It asks nothing.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// What is to be changed cannot be said.
    #[error("the patch cannot be written")]
    Patch(#[source] kube::core::admission::SerializePatchError),
}

/// What the handler works with.
struct Desk {
    reviewer: Reviewer,
    metrics: ManagerMetrics,
    places: Semaphore,
}

/// Answers reviews under [`names::WEBHOOK_PATH`].
pub fn router(reviewer: Reviewer, metrics: ManagerMetrics) -> Router {
    let desk = Desk { reviewer, metrics, places: Semaphore::new(MAX_REVIEWS) };
    Router::new().route(names::WEBHOOK_PATH, post(answer)).with_state(Arc::new(desk))
}

async fn answer(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let reviewed = tokio::time::timeout(DEADLINE, desk.review(request.into_body())).await;
    match reviewed {
        Ok(Ok((rule, response))) => {
            let outcome = if response.patch.is_some() { "patched" } else { "unchanged" };
            desk.count(rule.map_or("none", Rule::as_str), outcome);
            Json(response.into_review()).into_response()
        }
        Ok(Err(error)) => {
            desk.count("none", "unreadable");
            tracing::warn!(%error, "a review is not answered");
            (StatusCode::BAD_REQUEST, error.to_string()).into_response()
        }
        Err(_) => {
            desk.count("none", "timeout");
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
    }
}

impl Desk {
    fn count(&self, rule: &'static str, outcome: &'static str) {
        self.metrics.reviews.get_or_create(&ReviewLabels { rule, outcome }).inc();
    }

    async fn review(&self, body: Body) -> Result<(Option<Rule>, AdmissionResponse), AnswerError> {
        let _place = self.places.acquire().await; // never closed
        let body = body::to_bytes(body, MAX_BYTES).await.map_err(AnswerError::Body)?;
        let review: AdmissionReview<DynamicObject> = serde_json::from_slice(&body).map_err(AnswerError::Review)?;
        let request: AdmissionRequest<DynamicObject> = review.try_into().map_err(|_| AnswerError::NoRequest)?;
        let response = AdmissionResponse::from(&request);
        if request.sub_resource.as_deref().is_some_and(|sub_resource| !sub_resource.is_empty()) {
            return Ok((None, response));
        }
        let value = |object: &Option<DynamicObject>| serde_json::to_value(object).map_err(AnswerError::Review);
        let (object, before) = (value(&request.object)?, value(&request.old_object)?);
        let write = Write {
            group: &request.resource.group,
            resource: &request.resource.resource,
            user: request.user_info.username.as_deref().unwrap_or_default(),
            object: &object,
            before: Some(&before).filter(|before| **before != Value::Null),
        };
        let rule = Reviewer::rule(&write);
        let Some(patch) = self.reviewer.review(&write) else { return Ok((rule, response)) };
        let namespace = request.namespace.as_deref().unwrap_or_default();
        tracing::debug!(namespace, request.name, user = write.user, "given back to a write what it took away");
        Ok((rule, response.with_patch(patch).map_err(AnswerError::Patch)?))
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;
    use serde_json::json;
    use tower::ServiceExt as _;

    use super::*;
    use crate::fleet::target::stock_targets;

    async fn ask(body: Body) -> (StatusCode, Value) {
        let user = names::HYPERSHIFT_OPERATOR_USER.to_owned();
        let reviewer = Reviewer { targets: stock_targets(), field_unaware_users: [user].into() };
        let router = router(reviewer, ManagerMetrics::register(&mut Registry::default()));
        let request = Request::post(names::WEBHOOK_PATH).header("content-type", "application/json").body(body).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = body::to_bytes(response.into_body(), MAX_BYTES).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
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

    #[tokio::test]
    async fn an_answer_repeats_the_uid_allows_and_says_what_is_given_back() {
        let (status, answer) = ask(Body::from(review("", &deployment()).to_string())).await;
        assert_eq!(status, StatusCode::OK);
        let response = &answer["response"];
        assert_eq!((&response["uid"], &response["allowed"]), (&json!("u1"), &json!(true)));
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        let patch: Vec<u8> = serde_json::from_value(response["patch"].clone()).unwrap_or_else(|_| {
            let text: k8s_openapi::ByteString = serde_json::from_value(response["patch"].clone()).unwrap();
            text.0
        });
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
        for body in [Body::from("x"), Body::from(empty.to_string()), Body::from(vec![b' '; MAX_BYTES + 1])] {
            assert_eq!(ask(body).await.0, StatusCode::BAD_REQUEST);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_not_waited_for() {
        let body = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        assert_eq!(ask(body).await.0, StatusCode::GATEWAY_TIMEOUT);
    }
}
