//! A strict API server for tests: it accepts only the requests that a test lists, in order.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower_test::mock::{self, Handle, SendResponse};

/// Time after which a listed request counts as missing. The clock of tests is paused, so this takes no real time.
const MISSING: Duration = Duration::from_hours(1);

/// One request, and its response.
#[derive(Clone)]
pub struct Step {
    method: Method,
    path: String,
    answer: Answer,
    meanwhile: Option<Arc<dyn Fn() + Send + Sync>>,
}

#[derive(Clone)]
enum Answer {
    Response(u16, String),
    /// The object as the JSON patch in the request changes it.
    Patched(Value),
    /// No response.
    Silence,
    /// The connection is lost.
    Lost,
}

impl Step {
    /// A request for a path. Its query is ignored.
    pub fn new(method: Method, path: &str, status: u16, body: &impl ToString) -> Self {
        Self::answered(method, path, Answer::Response(status, body.to_string()))
    }

    fn answered(method: Method, path: &str, answer: Answer) -> Self {
        Self { method, path: path.to_owned(), answer, meanwhile: None }
    }

    /// A JSON patch of an object, which is carried out. The response is the object in its next generation.
    pub fn patched(path: &str, object: &Value) -> Self {
        Self::answered(Method::PATCH, path, Answer::Patched(object.clone()))
    }

    /// What happens elsewhere while this request is served.
    #[must_use]
    pub fn meanwhile(self, event: impl Fn() + Send + Sync + 'static) -> Self {
        Self { meanwhile: Some(Arc::new(event)), ..self }
    }

    /// A request that is rejected with this status.
    pub fn refused(method: Method, path: &str, code: u16) -> Self {
        Self::new(method, path, code, &refusal(code))
    }

    /// Whether it is a request for this path.
    pub fn is_for(&self, path: &str) -> bool {
        self.path == path
    }

    /// A request without a response.
    pub fn silent(method: Method, path: &str) -> Self {
        Self::answered(method, path, Answer::Silence)
    }

    /// A request whose connection is lost.
    pub fn lost(method: Method, path: &str) -> Self {
        Self::answered(method, path, Answer::Lost)
    }
}

/// The body of an error response.
pub fn refusal(code: u16) -> Value {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let message = format!("refused: {reason}");
    json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    })
}

/// The server, which serves its steps in the background.
pub struct ApiServer(JoinHandle<Vec<Value>>);

impl ApiServer {
    /// Creates a server for these requests, and a client.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> (Client, Self) {
        let (service, handle) = mock::pair::<Request<Body>, Response<Body>>();
        let served = serve(handle, steps.into_iter().collect());
        (Client::new(service, "default"), Self(tokio::spawn(served)))
    }

    /// Verifies that all listed requests, and no others, were received, and returns their bodies.
    ///
    /// # Panics
    /// If a request is missing or was not listed.
    pub async fn end(self) -> Vec<Value> {
        self.0.await.expect("the requests are those that the test lists")
    }
}

async fn serve(mut handle: Handle<Request<Body>, Response<Body>>, steps: Vec<Step>) -> Vec<Value> {
    let mut bodies = Vec::new();
    // Keeps the channels of requests without a response open.
    let mut open: Vec<SendResponse<Response<Body>>> = Vec::new();
    for step in steps {
        let next = timeout(MISSING, handle.next_request()).await.ok().flatten();
        let (request, send) = next.unwrap_or_else(|| panic!("missing: {} {}", step.method, step.path));
        assert_eq!((request.method(), request.uri().path()), (&step.method, step.path.as_str()));
        let body = request.into_body().collect_bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        bodies.push(body.clone());
        if let Some(event) = step.meanwhile {
            event();
        }
        match step.answer {
            Answer::Response(status, body) => {
                send.send_response(Response::builder().status(status).body(Body::from(body.into_bytes())).unwrap());
            }
            Answer::Patched(object) => {
                let patched = patched(object, body);
                send.send_response(Response::new(Body::from(patched.to_string().into_bytes())));
            }
            Answer::Silence => open.push(send),
            Answer::Lost => send.send_error("connection reset by peer"),
        }
    }
    if let Ok(Some((request, _))) = timeout(MISSING, handle.next_request()).await {
        panic!("not listed: {} {}", request.method(), request.uri());
    }
    bodies
}

/// The object after a JSON patch, as an API server stores it.
fn patched(mut object: Value, patch: Value) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(patch).expect("a JSON patch");
    json_patch::patch(&mut object, &patch).expect("a patch of this object");
    let next = |value: &Value| value.as_i64().unwrap_or_default() + 1;
    let version = object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse::<i64>().ok());
    object["metadata"]["resourceVersion"] = (version.unwrap_or_default() + 1).to_string().into();
    object["metadata"]["generation"] = next(&object["metadata"]["generation"]).into();
    object
}

mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;

    use super::*;

    const PATH: &str = "/api/v1/namespaces/default/configmaps/a";

    async fn read(steps: Vec<Step>, times: usize) -> Result<Vec<Value>, tokio::task::JoinError> {
        let (client, server) = ApiServer::new(steps);
        for _ in 0..times {
            let _ = Api::<ConfigMap>::default_namespaced(client.clone()).get_opt("a").await;
        }
        server.0.await
    }

    #[tokio::test(start_paused = true)]
    async fn it_fails_a_test_whose_requests_are_others_than_it_lists() {
        let step = || Step::new(Method::GET, PATH, 200, &json!({"metadata": {"name": "a"}}));
        assert_eq!(read(vec![step()], 1).await.unwrap(), [Value::Null]);
        assert!(read(vec![step()], 0).await.unwrap_err().is_panic(), "missing");
        assert!(read(vec![step()], 2).await.unwrap_err().is_panic(), "one too many");
        assert!(read(vec![Step::refused(Method::PATCH, PATH, 404)], 1).await.unwrap_err().is_panic(), "another method");
        assert!(read(vec![Step::lost(Method::GET, "/version")], 1).await.unwrap_err().is_panic(), "another path");
    }
}
