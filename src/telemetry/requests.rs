//! Counts requests to API servers by verb, resource and status code.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Method, Request, Response};
use kube::client::Body;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tower::{Layer, Service};

/// The labels of one series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: &'static str,
    resource: String,
    code: String,
}

/// `hypermirror_client_requests_total`.
#[derive(Clone, Debug, Default)]
pub struct RequestMetrics {
    requests: Family<RequestLabels, Counter>,
}

impl RequestMetrics {
    /// Registers the counter for the process's own API server.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Requests to the API server by verb, resource and status code (`error`: no response)";
        registry.register("client_requests", help, metrics.requests.clone());
        metrics
    }

    /// Registers one counter for the requests to all guest clusters.
    pub fn register_guests(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help =
            "Requests to the API servers of guest clusters by verb, resource and status code (`error`: no response)";
        registry.register("guest_requests", help, metrics.requests.clone());
        metrics
    }

    fn count(&self, call: Call, code: String) {
        self.requests.get_or_create(&RequestLabels { verb: call.verb, resource: call.resource, code }).inc();
    }
}

#[derive(Clone)]
struct Call {
    verb: &'static str,
    resource: String,
}

impl Call {
    fn of(request: &Request<Body>) -> Self {
        let path = request.uri().path();
        let named = resource_of(path);
        let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let verb = match *request.method() {
            Method::GET if watches => "watch",
            Method::GET if named.1 => "get",
            Method::GET => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "other",
        };
        Self { verb, resource: named.0 }
    }
}

/// The resource, with its subresource, and whether the path has the name of an object. Names never become labels.
fn resource_of(path: &str) -> (String, bool) {
    let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
    let mut rest: &[&str] = match words.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => return ("none".to_owned(), false),
    };
    if let ["namespaces", _, inner @ ..] = rest
        && !inner.is_empty()
    {
        rest = inner;
    }
    match rest {
        [] => ("none".to_owned(), false),
        [resource] => ((*resource).to_owned(), false),
        [resource, _] => ((*resource).to_owned(), true),
        [resource, _, subresource, ..] => (format!("{resource}/{subresource}"), true),
    }
}

/// A layer that counts requests.
#[derive(Clone)]
pub struct CountRequests {
    metrics: RequestMetrics,
}

impl CountRequests {
    /// Creates the layer.
    pub fn new(metrics: RequestMetrics) -> Self {
        Self { metrics }
    }
}

impl<S> Layer<S> for CountRequests {
    type Service = CountingService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CountingService { inner, metrics: self.metrics.clone() }
    }
}

/// A client's service with a counter.
#[derive(Clone)]
pub struct CountingService<S> {
    inner: S,
    metrics: RequestMetrics,
}

impl<S, B> Service<Request<Body>> for CountingService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let call = Call::of(&request);
        let metrics = self.metrics.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code =
                answer.as_ref().map_or_else(|_| "error".to_owned(), |answer| answer.status().as_str().to_owned());
            metrics.count(call, code);
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::resource_of;

    #[test]
    fn the_label_of_a_path_has_the_resource_and_never_a_name() {
        for (path, resource, named) in [
            ("/api/v1/namespaces", "namespaces", false),
            ("/api/v1/namespaces/x", "namespaces", true),
            ("/api/v1/namespaces/x/configmaps", "configmaps", false),
            ("/apis/apps/v1/namespaces/x/deployments/y", "deployments", true),
            ("/apis/apps/v1/deployments", "deployments", false),
            (
                "/apis/hypermirror.dev/v1alpha1/namespaces/x/hostedclustermirrors/y/status",
                "hostedclustermirrors/status",
                true,
            ),
            ("/apis/config.openshift.io/v1/imagedigestmirrorsets/one", "imagedigestmirrorsets", true),
            ("/readyz", "none", false),
        ] {
            assert_eq!(resource_of(path), (resource.to_owned(), named), "{path}");
        }
    }
}
