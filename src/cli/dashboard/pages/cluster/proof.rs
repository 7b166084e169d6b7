//! Whether registries hold what a hosted cluster needs. Pure.

use hypermirror_api::mirror_coverage::{MissingImage, UnknownCause, UpdateCoverage};
use hypermirror_api::{CoverageConditionType, MirrorCoverageStatus};
use maud::{Markup, html};

use super::super::super::cluster::ClusterView;
use super::super::super::html::{Tone, ago, condition_state, empty, or_dash, state, table};
use super::super::super::matrix::{Cell, Need};
use super::super::Context;

/// The matrix, and what is missing.
pub fn coverage(view: &ClusterView<'_>, ctx: Context) -> Markup {
    html! {
        @match view.row.coverage {
            None => (empty("Nobody checks it. Run the registry-manager with --coverage, or ask once: hypermirror coverage --hosted-cluster NAMESPACE/NAME")),
            Some(coverage) => (age(coverage, ctx)),
        }
        @if !view.needs.is_empty() { (matrix(view)) }
        @if let Some(coverage) = view.row.coverage { (lists(coverage)) }
    }
}

fn age(coverage: &MirrorCoverageStatus, ctx: Context) -> Markup {
    let held = coverage.condition(CoverageConditionType::Held);
    html! {
        p {
            @if let Some(held) = held { (condition_state(held)) " " }
            (coverage.summary) " held, "
            @match &coverage.last_check_time { Some(checked) => { "checked " (ago(checked.0, ctx.now)) } None => "not checked yet" }
            @if !coverage.level.is_empty() { " at level " (coverage.level) }
        }
        @if let Some(held) = held { p { (held.message) } }
    }
}

fn matrix(view: &ClusterView<'_>) -> Markup {
    let mut columns = vec!["Needed"];
    columns.extend(view.pullers.iter().map(|puller| puller.consumer.name()));
    let row = |need: &Need| {
        let mut row = vec![html! { (need.group) code { (need.image) } }];
        row.extend(need.cells.iter().map(|found| found.as_ref().map_or_else(|| or_dash(""), cell)));
        row
    };
    let rows: Vec<Vec<Markup>> = view.needs.iter().map(row).collect();
    table("What it needs, who pulls it, and the registries that are asked, in order", &columns, &rows)
}

fn cell(cell: &Cell) -> Markup {
    html! {
        (state(cell.tone, &cell.text))
        ol.endpoints { @for registry in &cell.registries { li { code { (registry) } } } }
    }
}

fn lists(coverage: &MirrorCoverageStatus) -> Markup {
    let missing: Vec<Vec<Markup>> = coverage.missing.iter().map(missing_row).collect();
    let unknown: Vec<Vec<Markup>> = coverage.unknown.iter().map(unknown_row).collect();
    let updates: Vec<Vec<Markup>> = coverage.available_updates.iter().map(update_row).collect();
    html! {
        @if !missing.is_empty() { (table("What is missing", &["Image", "Part of", "For", "Lacking at", "Message"], &missing)) }
        @if coverage.missing_truncated { p.note { "More is missing: hypermirror coverage prints all." } }
        @if !unknown.is_empty() { (table("Why something is not known", &["Reason", "Images", "Message"], &unknown)) }
        @if !updates.is_empty() { (table("Available updates", &["Version", "State", "Held", "Message"], &updates)) }
    }
}

fn missing_row(missing: &MissingImage) -> Vec<Markup> {
    let platform = missing.platform.as_ref().map(|platform| format!(" ({platform})")).unwrap_or_default();
    vec![
        html! { code { (missing.image) } (platform) },
        html! { (missing.group) " " (missing.name) },
        html! { (missing.consumer) },
        html! { code { (missing.mirror) } },
        html! { (missing.message) },
    ]
}

fn unknown_row(cause: &UnknownCause) -> Vec<Markup> {
    vec![html! { (cause.reason) }, html! { (cause.images) }, html! { (cause.message) }]
}

fn update_row(update: &UpdateCoverage) -> Vec<Markup> {
    let tone = match update.verdict.as_str() {
        "Held" => Tone::Good,
        "Missing" => Tone::Bad,
        _ => Tone::Unknown,
    };
    let counts = &update.counts;
    let total = counts.held + counts.missing + counts.unknown;
    vec![
        html! { (update.version) },
        state(tone, &update.verdict),
        html! { (counts.held) "/" (total) },
        or_dash(&update.message),
    ]
}
