//! The guest cluster of a hosted cluster, its NodePools and its nodes. Pure.

use hypermirror_api::hypershift::NodePool;
use hypermirror_api::report::{FindingReport, NodeReport, NodesReport};
use hypermirror_api::{ConditionType, HostedClusterMirrorsStatus};
use kube::ResourceExt as _;
use maud::{Markup, html};

use super::super::super::cluster::ClusterView;
use super::super::super::html::{Tone, codes, condition_state, empty, figure, or_dash, state, table};
use crate::hosted::delivery::Delivery;

/// What the manager keeps in the guest cluster.
pub fn guest(view: &ClusterView<'_>) -> Markup {
    let synced = view.row.condition(ConditionType::GuestSynced);
    let Some(guest) = view.row.report.and_then(|report| report.guest.as_ref()) else {
        return html! {
            @if let Some(synced) = synced { p { (condition_state(synced)) } p { (synced.message) } }
            @else { (empty("The manager has not connected to the guest cluster yet.")) }
        };
    };
    html! {
        @if let Some(synced) = synced { p { (condition_state(synced)) } }
        dl {
            div { dt { "Objects" } dd { (guest.objects) } }
            div { dt { "Connects with" } dd { "Secret " (guest.kubeconfig) } }
            div { dt { "NodeMirrorSets" } dd { @if guest.sets.is_empty() { (or_dash("")) } @else { (codes(guest.sets.iter().map(String::as_str))) } } }
        }
    }
}

/// The NodePools, by their objects and reports.
pub fn pools(view: &ClusterView<'_>) -> Markup {
    if view.pools.is_empty() {
        return empty("It has no NodePool.");
    }
    let rows: Vec<Vec<Markup>> = view.pools.iter().map(|pool| pool_row(view, pool)).collect();
    table("Node pools", &["Node pool", "Version", "Delivery", "ConfigMaps", "Configuration"], &rows)
}

fn pool_row(view: &ClusterView<'_>, pool: &NodePool) -> Vec<Markup> {
    let name = pool.name_any();
    let report =
        |status: &'_ HostedClusterMirrorsStatus| status.node_pools.iter().find(|found| found.name == name).cloned();
    let report = view.row.report.and_then(report);
    let of_cluster = view.cluster.map(Delivery::of).unwrap_or_default();
    let delivery = Delivery::of_pool(of_cluster, Delivery::requested(pool).0);
    let version = pool.status.as_ref().and_then(|status| status.version.clone()).unwrap_or_default();
    let config_maps = report.as_ref().map(|report| report.config_maps.clone()).unwrap_or_default();
    let configuration = report.map(|report| {
        let (tone, text) = if report.valid { (Tone::Good, "valid") } else { (Tone::Bad, "not valid") };
        html! {
            (state(tone, text))
            @if !report.valid { " " span.reason { (report.reason) } p { (report.message) } }
        }
    });
    vec![
        html! { (name) },
        or_dash(&version),
        html! { (delivery.as_str()) },
        if config_maps.is_empty() { or_dash("") } else { codes(config_maps.iter().map(String::as_str)) },
        configuration.unwrap_or_else(|| or_dash("")),
    ]
}

/// What agents report.
pub fn nodes(view: &ClusterView<'_>) -> Markup {
    let condition = view.row.condition(ConditionType::NodesUpToDate);
    let Some(report) = view.row.report.and_then(|report| report.nodes.as_ref()) else {
        return html! {
            @if let Some(condition) = condition { p { (condition_state(condition)) } p { (condition.message) } }
            @else { (empty("The manager has not listed the nodes yet.")) }
        };
    };
    html! {
        @if let Some(condition) = condition { p { (condition_state(condition)) } p { (condition.message) } }
        @if report.behind.is_empty() { p { "All nodes that are listed use the declared mirrors." } } @else { (behind(report)) }
        @if !report.rejected.is_empty() { (rejected(report)) }
        @if !report.shadowed.is_empty() {
            h3 { "Overridden by another file" }
            ul { @for shadowed in &report.shadowed { li { code { (shadowed) } } } }
        }
    }
}

fn behind(report: &NodesReport) -> Markup {
    let row = |node: &NodeReport| vec![html! { (node.name) }, state(Tone::Bad, &node.reason), html! { (node.message) }];
    let rows: Vec<Vec<Markup>> = report.behind.iter().map(row).collect();
    let named = i64::try_from(report.behind.len()).unwrap_or(i64::MAX);
    let others = report.total.saturating_sub(report.applied).saturating_sub(named).max(0);
    html! {
        (table("Nodes that have not applied their mirrors", &["Node", "Reason", "Message"], &rows))
        @if others > 0 { p.note { "And " (others) " more." } }
    }
}

fn rejected(report: &NodesReport) -> Markup {
    let row = |finding: &FindingReport| {
        vec![html! { code { (finding.origin) } }, state(Tone::Bad, &finding.reason), html! { (finding.message) }]
    };
    let rows: Vec<Vec<Markup>> = report.rejected.iter().map(row).collect();
    let count = usize::try_from(report.rejected_count).unwrap_or_default().max(rows.len());
    let caption = format!("Entries that nodes ignore ({})", figure(count, "time", "times"));
    table(&caption, &["Declared by", "Reason", "Message"], &rows)
}
