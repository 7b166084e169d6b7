//! Metrics: name, labels and type.

use std::collections::{BTreeMap, BTreeSet};

use hypermirror::agent::metrics::AgentMetrics;
use hypermirror::process::endpoints::register_tasks;
use hypermirror::registry_manager::metrics::{ExchangeLabels, HostLabels, RegistryManagerMetrics};
use hypermirror::telemetry::metrics::{
    ManagerMetrics, OutcomeLabels, ReasonLabels, ReviewLabels, SeverityLabels, StateLabels,
};
use hypermirror::telemetry::requests::{CountRequests, RequestMetrics};
use kube::client::Body;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tower::{Layer as _, ServiceExt as _};

use super::page::{Page, codes};

#[tokio::test]
async fn the_reference_has_every_metric() {
    let mut in_code = rendered(&manager().await);
    in_code.extend(rendered(&agent().await));
    in_code.extend(rendered(&registry_manager().await));
    let mut of_all = Registry::default();
    register_tasks(&mut of_all);
    in_code.extend(rendered(&of_all));
    let page = Page::read("docs/reference.md");
    let section = page.section("Metrics");
    let mut on_page = BTreeSet::new();
    for table in section.tables() {
        for (names, kind) in table.column("metric").into_iter().zip(table.column("type")) {
            on_page.extend(codes(names).into_iter().map(|name| format!("{name} | {kind}")));
        }
    }
    section.assert_names(
        &on_page,
        &in_code,
        "what ManagerMetrics, AgentMetrics, RegistryManagerMetrics and all processes register",
    );
}

/// The manager's registry, with a series of each family: only a series shows its labels.
async fn manager() -> Registry {
    let mut registry = Registry::default();
    let metrics = ManagerMetrics::register(&mut registry);
    request(&metrics.requests).await;
    request(&metrics.guest_requests).await;
    let _ = metrics.reconciles.get_or_create(&OutcomeLabels { outcome: "" });
    let _ = metrics.patches.get_or_create(&OutcomeLabels { outcome: "" });
    let _ = metrics.reviews.get_or_create(&ReviewLabels { rule: "", outcome: "" });
    let _ = metrics.findings.get_or_create(&SeverityLabels { severity: "" });
    let _ = metrics.rollouts.get_or_create(&StateLabels { state: "" });
    let _ = metrics.mirrors_proven.get_or_create(&StateLabels { state: "" });
    let _ = metrics.guests.get_or_create(&ReasonLabels { reason: "" });
    registry
}

/// The same of the agent.
async fn agent() -> Registry {
    let mut registry = Registry::default();
    let metrics = AgentMetrics::register(&mut registry);
    request(&metrics.requests).await;
    let _ = metrics.reloads.get_or_create(&OutcomeLabels { outcome: "" });
    registry
}

/// The same of the registry-manager.
async fn registry_manager() -> Registry {
    let mut registry = Registry::default();
    let metrics = RegistryManagerMetrics::register(&mut registry);
    request(&metrics.requests).await;
    metrics.count_scan("", true, 0.0);
    metrics.images.count_copied("", 1, 1, jiff::Timestamp::UNIX_EPOCH);
    metrics.builds.count_begun("", jiff::Timestamp::UNIX_EPOCH);
    metrics.builds.count_ended("", 0.0);
    let _ = metrics.builds.builders.get_or_create(&StateLabels { state: "" });
    let _ = metrics.images.runs.get_or_create(&OutcomeLabels { outcome: "" });
    let _ = metrics.images.images.get_or_create(&StateLabels { state: "" });
    let _ = metrics.registries.get_or_create(&StateLabels { state: "" });
    let _ = metrics.exchanges.get_or_create(&ExchangeLabels { host: String::new(), class: "", code: String::new() });
    let _ = metrics.coverage.checks.get_or_create(&OutcomeLabels { outcome: "" });
    let _ = metrics.coverage.clusters.get_or_create(&StateLabels { state: "" });
    let _ = metrics.coverage.images.get_or_create(&StateLabels { state: "" });
    let _ = metrics.coverage.fills.get_or_create(&OutcomeLabels { outcome: "" });
    let _ = metrics.imports.imports.get_or_create(&OutcomeLabels { outcome: "" });
    let _ = metrics.imports.rules.get_or_create(&StateLabels { state: "" });
    let _ = metrics.throttled.get_or_create(&HostLabels { host: String::new() });
    registry
}

async fn request(metrics: &RequestMetrics) {
    let answer = tower::service_fn(|_| async { Ok::<_, std::convert::Infallible>(http::Response::new(())) });
    CountRequests::new(metrics.clone()).layer(answer).oneshot(http::Request::new(Body::empty())).await.unwrap();
}

/// `name{labels} | type` of each metric.
fn rendered(registry: &Registry) -> BTreeSet<String> {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    let mut kinds = BTreeMap::new();
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            kinds.insert(name, kind);
        } else if let Some((series, _)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) {
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels: Vec<_> = labels
                .split(',')
                .filter_map(|label| Some(label.split_once('=')?.0))
                .filter(|key| *key != "le")
                .collect();
            let shown = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            // A histogram has three kinds of series, a counter one with a suffix.
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let base = base.filter(|base| kinds.get(base) == Some(&"histogram")).unwrap_or(name);
            let kind = kinds.get(base).or_else(|| kinds.get(base.strip_suffix("_total")?)).unwrap();
            found.insert(format!("{base}{shown} | {kind}"));
        }
    }
    for name in kinds.keys() {
        let shown = found.iter().any(|metric| metric.starts_with(name));
        assert!(
            shown,
            "{name} has no series, so that its labels cannot be seen: make one in tests/cli/reference/metrics.rs"
        );
    }
    found
}
