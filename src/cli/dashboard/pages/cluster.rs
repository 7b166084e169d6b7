//! One hosted cluster. Pure.

mod nodes;
mod proof;

use hypermirror_api::ConditionType;
use hypermirror_api::report::{Admission, ControlPlaneReport, RolloutReport, RolloutState, TargetReport};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use maud::{Markup, html};

use super::super::cluster::ClusterView;
use super::super::html::{Tone, ago, codes, condition_state, empty, or_dash, section, state, table};
use super::super::layout::Page;
use super::super::links::Tab;
use super::Context;
use super::findings::table_of;
use crate::mirrors::{Origin, Resolved};

/// Everything about one hosted cluster.
pub fn page(view: &ClusterView<'_>, ctx: Context) -> Page {
    let content = html! {
        (summary(view, ctx))
        (section("conditions", "Conditions", &conditions(view, ctx)))
        (section("control-plane", "Control plane", &control_plane(view, ctx)))
        (section("map", "Mirrors of the control plane", &map(view)))
        (section("guest", "Guest cluster", &nodes::guest(view)))
        (section("pools", "Node pools", &nodes::pools(view)))
        (section("nodes", "Nodes", &nodes::nodes(view)))
        (section("findings", "Findings", &table_of(&view.findings, None, "Nothing is wrong with what is declared for this hosted cluster.")))
        (section("coverage", "Coverage", &proof::coverage(view, ctx)))
        (section("timeline", "Timeline", &timeline(view, ctx)))
        (section("commands", "Look further", &commands(view)))
    };
    Page { tab: Tab::Fleet, title: view.row.key.to_string(), lead: html! {}, content }
}

fn summary(view: &ClusterView<'_>, ctx: Context) -> Markup {
    let row = &view.row;
    let release = view.release();
    html! {
        div.summary {
            p { (state(row.state().0, row.state_name())) @if !row.reason().is_empty() { " " span.reason { (row.reason()) } } }
            @if !row.message().is_empty() { p { (row.message()) } }
            dl {
                div { dt { "Release" } dd { (or_dash(&release)) } }
                div { dt { "Control plane" } dd { (or_dash(row.control_plane())) } }
                div { dt { "Nodes" } dd { (or_dash(row.nodes())) } }
                div { dt { "In this state" } dd { @match row.changed() { Some(changed) => (ago(changed, ctx.now)), None => (or_dash("")) } } }
            }
            @if let Some(address) = view.release_image().and_then(|image| ctx.links.explain(image, &row.key)) {
                p { a href=(address) { "Where its release image is pulled from" } }
            }
        }
    }
}

fn conditions(view: &ClusterView<'_>, ctx: Context) -> Markup {
    let Some(report) = view.row.report else {
        return empty(
            "No report yet. The manager writes one when it has reconciled this HostedCluster; if it is not installed: kubectl apply --server-side -k manifests/base",
        );
    };
    let row = |condition: &Condition| {
        vec![
            html! { (condition.type_) },
            condition_state(condition),
            html! { (condition.message) },
            ago(condition.last_transition_time.0, ctx.now),
        ]
    };
    let rows: Vec<Vec<Markup>> = report.conditions.iter().map(row).collect();
    table("Conditions of its HostedClusterMirrors", &["Condition", "Status", "Message", "Since"], &rows)
}

fn control_plane(view: &ClusterView<'_>, ctx: Context) -> Markup {
    let Some(report) = view.row.report.map(|report| &report.control_plane) else {
        return empty("Nothing is reported about its Deployments yet.");
    };
    let row = |target: &TargetReport| {
        let (tone, text) = if target.up_to_date { (Tone::Good, "up to date") } else { (Tone::Bad, "not up to date") };
        vec![
            html! { (target.name) },
            html! { (state(tone, text)) @if !target.reason.is_empty() { " " span.reason { (target.reason) } } },
            or_dash(&target.message),
            or_dash(&target.foreign),
        ]
    };
    let rows: Vec<Vec<Markup>> = report.targets.iter().map(row).collect();
    html! {
        (rollout(report, ctx))
        @if rows.is_empty() { (empty("None of the target Deployments exists yet.")) } @else {
            (table("Target Deployments", &["Deployment", "State", "Message", "Entries of other managers"], &rows))
        }
    }
}

fn rollout(report: &ControlPlaneReport, ctx: Context) -> Markup {
    let started = |rollout: &RolloutReport| rollout.started.parse().ok();
    html! {
        @if let Some(rollout) = &report.rollout {
            p.note {
                "Last rollout: "
                @match rollout.state {
                    RolloutState::InFlight => (state(Tone::Unknown, "in flight")),
                    RolloutState::Failed => (state(Tone::Bad, "not complete in time")),
                    RolloutState::Done => (state(Tone::Good, "done")),
                }
                @if let Some(started) = started(rollout) { ", started " (ago(started, ctx.now)) }
            }
        }
        @if report.admission == Some(Admission::None) {
            p.note { (state(Tone::Warning, "no admission")) " A change by a stock operator restarts each Deployment twice." }
        }
    }
}

fn map(view: &ClusterView<'_>) -> Markup {
    match &view.map {
        Err(why) => html! { div.banner { p { "The map is not known:" } p.cause { (why) } } },
        Ok(map) if map.is_empty() => empty(
            "No mirrors apply to this control plane. Declare some: docs/tasks/hosted-cluster-mirrors.md has the objects and examples.",
        ),
        Ok(map) => map_table(map),
    }
}

fn map_table(map: &Resolved) -> Markup {
    let rows = map.sources.iter().map(|(source, resolved)| {
        let texts: Vec<String> = resolved.origins.iter().map(Origin::to_string).collect();
        vec![
            html! { code { (source) } },
            html! { ol.endpoints { @for mirror in resolved.all_mirrors() { li { code { (mirror) } } } } },
            html! { (resolved.policy.as_str()) },
            codes(texts.iter().map(String::as_str)),
        ]
    });
    table(
        "Sources and their mirrors, as they are declared now",
        &["Source", "Mirrors, in order", "Policy", "Declared by"],
        &rows.collect::<Vec<_>>(),
    )
}

fn timeline(view: &ClusterView<'_>, ctx: Context) -> Markup {
    if view.moments.is_empty() {
        return empty("Nothing has happened yet that its objects tell of.");
    }
    html! {
        ol.timeline {
            @for moment in &view.moments {
                li {
                    (state(moment.tone, &moment.what))
                    " " (ago(moment.time, ctx.now))
                    @if !moment.detail.is_empty() { p { (moment.detail) } }
                }
            }
        }
    }
}

fn commands(view: &ClusterView<'_>) -> Markup {
    let key = &view.row.key;
    let is_behind = view.row.condition(ConditionType::ControlPlaneUpToDate).is_some_and(|found| found.status != "True");
    html! {
        dl.commands {
            @if is_behind { dt { "What the manager would change now" } dd { code { "hypermirror diff" } } }
            dt { "Why a pod in its guest cluster cannot pull" }
            dd { code { "hypermirror why POD -n NAMESPACE --hosted-cluster " (key) } }
            dt { "Whether registries hold everything, asked now" }
            dd { code { "hypermirror coverage --hosted-cluster " (key) } }
        }
    }
}
