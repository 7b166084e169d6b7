use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Method;
use prometheus_client::registry::Registry;

use super::*;
use crate::client::testing::{ApiServer, Step, refusal};
use crate::hosted::target::stock_targets;

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/clusters-a/deployments/control-plane-operator";
const CONFIG_MAP: &str = "/api/v1/namespaces/clusters/configmaps/a";
const CLUSTER: &str = "/apis/hypershift.openshift.io/v1beta1/namespaces/clusters/hostedclusters/a";
const REPORT: &str = "/apis/hypermirror.dev/v1alpha1/namespaces/clusters/hostedclustermirrors/a";
const REPORT_STATUS: &str = "/apis/hypermirror.dev/v1alpha1/namespaces/clusters/hostedclustermirrors/a/status";

type Call = fn(Writer) -> BoxFuture<'static, Result<(), WriteError>>;

/// One call of the writer, the request that it makes, and what it comes to where there is no such object.
struct Case {
    request: (Method, &'static str),
    call: Call,
    of_none: &'static str,
}

fn key() -> ClusterKey {
    "clusters/a".parse().unwrap()
}

fn config_map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "clusters", "name": "a"}})
}

fn cases() -> [Case; 10] {
    let case = |method, path, of_none, call: Call| Case { request: (method, path), call, of_none };
    [
        case(Method::GET, DEPLOYMENT, "gone", |writer| {
            async move { writer.read_target("clusters-a", &stock_targets()[0]).await.map(|_| ()) }.boxed()
        }),
        case(Method::PATCH, DEPLOYMENT, "gone", |writer| {
            let patch = json_patch::Patch::default();
            async move { writer.patch_target("clusters-a", &stock_targets()[0], &patch).await.map(|_| ()) }.boxed()
        }),
        case(Method::GET, "/apis/apps/v1/deployments", "gone", |writer| {
            async move {
                let spec = &stock_targets()[0];
                writer.read_target_page(spec, &mut Writer::target_pages(spec)).await.map(|_| ())
            }
            .boxed()
        }),
        case(Method::PATCH, CLUSTER, "gone", |writer| async move { writer.touch(&key(), Some("x")).await }.boxed()),
        case(Method::GET, CONFIG_MAP, "ok", |writer| {
            async move { writer.read_config_map("clusters", "a").await.map(|_| ()) }.boxed()
        }),
        case(Method::PATCH, CONFIG_MAP, "gone", |writer| {
            async move { writer.apply_config_map(&config_map()).await }.boxed()
        }),
        case(Method::DELETE, CONFIG_MAP, "ok", |writer| {
            async move { writer.delete_config_map("clusters", "a").await }.boxed()
        }),
        case(Method::PATCH, REPORT, "gone", |writer| {
            let owner = HostedCluster::new("a", hypermirror_api::hypershift::HostedClusterSpec::default());
            async move { writer.create_report(&key(), &owner).await.map(|_| ()) }.boxed()
        }),
        case(Method::PATCH, REPORT_STATUS, "gone", |writer| {
            async move { writer.write_report(&key(), &HostedClusterMirrorsStatus::default()).await.map(|_| ()) }.boxed()
        }),
        case(Method::DELETE, REPORT, "ok", |writer| async move { writer.delete_report(&key()).await }.boxed()),
    ]
}

/// What a call comes to with these answers, after how long, and the bodies of its requests.
async fn called(call: Call, steps: Vec<Step>) -> (&'static str, Duration, Vec<Value>) {
    let (client, server) = ApiServer::new(steps);
    let start = tokio::time::Instant::now();
    let result = call(Writer::new(client, ManagerMetrics::register(&mut Registry::default()))).await;
    let took = start.elapsed();
    let outcome = match &result {
        Ok(()) => "ok",
        Err(WriteError::Conflict { .. }) => "conflict",
        Err(WriteError::Gone { .. }) => "gone",
        Err(WriteError::Timeout { .. }) => "timeout",
        Err(error @ WriteError::Failed { .. }) if error.is_refusal() => "refused",
        Err(WriteError::Failed { .. }) => "failed",
    };
    (outcome, took, server.end().await)
}

#[tokio::test(start_paused = true)]
async fn each_call_is_one_request_and_each_answer_has_one_meaning() {
    for Case { request: (method, path), call, of_none } in cases() {
        for (code, expected) in [
            (403, "refused"),
            (404, of_none),
            (409, "conflict"),
            (410, "refused"),
            (422, "conflict"),
            (429, "refused"),
            (500, "failed"),
            (503, "failed"),
        ] {
            let (outcome, took, _) = called(call, vec![Step::refused(method.clone(), path, code)]).await;
            assert_eq!((outcome, took), (expected, Duration::ZERO), "{method} {path}: {code}");
        }
        let mut invalid = refusal(422);
        invalid["details"] = json!({"causes": [{"field": "spec", "message": "Required value"}]});
        let (outcome, ..) = called(call, vec![Step::new(method.clone(), path, 422, &invalid)]).await;
        assert_eq!(outcome, "refused", "{method} {path}: invalid");
        let (outcome, took, _) = called(call, vec![Step::lost(method.clone(), path)]).await;
        assert_eq!((outcome, took), ("failed", Duration::ZERO), "{method} {path}: lost");
        let (outcome, took, _) = called(call, vec![Step::silent(method.clone(), path)]).await;
        assert_eq!((outcome, took), ("timeout", DEADLINE), "{method} {path}: silent");
    }
}

#[tokio::test(start_paused = true)]
async fn every_patch_of_a_target_is_counted_by_its_outcome() {
    let patches = [
        (Step::new(Method::PATCH, DEPLOYMENT, 200, &json!({"metadata": {}})), "ok"),
        (Step::refused(Method::PATCH, DEPLOYMENT, 409), "conflict"),
        (Step::refused(Method::PATCH, DEPLOYMENT, 503), "error"),
        (Step::silent(Method::PATCH, DEPLOYMENT), "timeout"),
    ];
    let (client, server) = ApiServer::new(patches.iter().map(|(step, _)| step.clone()));
    let metrics = ManagerMetrics::register(&mut Registry::default());
    let writer = Writer::new(client, metrics.clone());
    for (_, outcome) in &patches {
        let _ = writer.patch_target("clusters-a", &stock_targets()[0], &json_patch::Patch::default()).await;
        assert_eq!(metrics.patches.get_or_create(&OutcomeLabels { outcome }).get(), 1, "{outcome}");
    }
    drop(writer);
    server.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_on_a_later_page_is_no_list() {
    const LIST: &str = "/apis/apps/v1/deployments";
    let page = |token: &str| {
        let item = json!({"metadata": {"namespace": "clusters-a", "name": "control-plane-operator"}});
        let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"continue": token}, "items": [item]});
        Step::new(Method::GET, LIST, 200, &list)
    };
    for (last, expected) in [
        (page(""), Ok(2)),
        (Step::refused(Method::GET, LIST, 410), Err("error")),
        (Step::silent(Method::GET, LIST), Err("timeout")),
    ] {
        let (client, server) = ApiServer::new([page("next"), last]);
        let writer = Writer::new(client, ManagerMetrics::register(&mut Registry::default()));
        let listed = writer.list_targets(&stock_targets()[0]).await;
        assert_eq!(listed.map(|targets| targets.len()).map_err(|error| error.category()), expected);
        drop(writer);
        server.end().await;
    }
}

fn outcome(answer: &str) -> &'static str {
    let status: Status = serde_json::from_str(answer).unwrap();
    WriteError::of("x", kube::Error::Api(Box::new(status))).category()
}

#[test]
fn a_failed_test_is_a_conflict_and_an_invalid_object_is_an_error() {
    let failed_test = r#"{"code": 422, "reason": "Invalid", "details": {},
        "message": "the server rejected our request due to an error in our request"}"#;
    assert_eq!(outcome(failed_test), "conflict");
    let invalid = r#"{"code": 422, "reason": "Invalid", "message": "Deployment is invalid",
        "details": {"causes": [{"field": "spec.selector", "message": "Required value"}]}}"#;
    assert_eq!(outcome(invalid), "error");
    assert_eq!(outcome(r#"{"code": 409, "message": "the object has been modified"}"#), "conflict");
    assert_eq!(outcome(r#"{"code": 404, "message": "not found"}"#), "conflict");
    assert_eq!(outcome(r#"{"code": 403, "message": "forbidden"}"#), "error");
}

#[test]
fn only_an_answer_that_refuses_says_that_nothing_was_written() {
    let refuses = |code: u16| {
        let status: Status = serde_json::from_str(&format!(r#"{{"code": {code}, "message": "m"}}"#)).unwrap();
        WriteError::of("x", kube::Error::Api(Box::new(status))).is_refusal()
    };
    assert!([403, 404, 409, 422, 429].into_iter().all(refuses));
    assert!(![500, 503, 504].into_iter().any(refuses));
    assert!(!WriteError::Timeout { what: "x".to_owned() }.is_refusal());
}
