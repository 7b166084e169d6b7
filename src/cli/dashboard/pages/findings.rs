//! The findings of `check`. Pure.

use maud::{Markup, html};

use super::super::super::check::Row;
use super::super::html::{Tone, empty, state, table};
use super::super::layout::Page;
use super::super::links::{Links, Tab};
use super::super::query::Query;
use super::Context;
use crate::mirrors::finding::Severity;

/// Rows of the page; `check` prints all.
const ROWS: usize = 500;

const SEVERITIES: [(Severity, &str); 3] =
    [(Severity::Error, "Errors"), (Severity::Warning, "Warnings"), (Severity::Info, "Notes")];

/// Everything that `check` finds in the objects that are read.
pub fn page(rows: &[Row], query: &Query, is_live: bool, ctx: Context) -> Page {
    let text = query.text.to_lowercase();
    let is_wanted = |row: &&Row| {
        if !query.state.is_empty() && row.severity.as_str() != query.state {
            return false;
        }
        let texts =
            [row.object.as_str(), row.reason, row.message.as_str(), row.hosted_cluster.as_deref().unwrap_or_default()];
        texts.iter().any(|of_row| of_row.to_lowercase().contains(&text))
    };
    let selected: Vec<Row> = rows.iter().filter(is_wanted).take(ROWS).cloned().collect();
    let content = html! {
        (figures(rows, query, ctx.links))
        (table_of(&selected, Some(ctx.links), if rows.is_empty() { "Nothing is wrong with what is declared." } else { "No finding matches the filter." }))
        @if selected.len() == ROWS { p.note { "These are the first " (ROWS) ". Filter them, or run hypermirror check, which prints all." } }
        @if is_live { p.note { "What only the Deployments of a control plane show is on the page of its hosted cluster, and in hypermirror check." } }
    };
    Page { tab: Tab::Findings, title: "Findings".to_owned(), lead: form(query, ctx.links), content }
}

/// How many findings have each severity. On a server each number is a filter.
fn figures(rows: &[Row], query: &Query, links: Links) -> Markup {
    html! {
        ul.figures aria-label="Findings by severity" {
            @for (severity, name) in SEVERITIES {
                @let count = rows.iter().filter(|row| row.severity == severity).count();
                @let figure = html! { strong { (count) } " " (state(if count == 0 { Tone::Quiet } else { Tone::of_severity(severity) }, name)) };
                li {
                    @if links.is_served() {
                        a href=(Query { state: severity.as_str().to_owned(), page: 1, ..query.clone() }.address("/findings")) { (figure) }
                    } @else { (figure) }
                }
            }
        }
    }
}

fn form(query: &Query, links: Links) -> Markup {
    html! {
        @if links.is_served() {
            form.filter role="search" method="get" action="/findings" hx-get="/findings" hx-target="#live" hx-push-url="true"
                hx-sync="#live:replace" hx-trigger="input changed delay:150ms from:#q, change from:#state, submit" {
                label for="q" { "Object, reason or message" }
                input #q type="search" name="q" value=(query.text) autocomplete="off" spellcheck="false";
                label for="state" { "Severity" }
                select #state name="state" {
                    option value="" selected[query.state.is_empty()] { "Any" }
                    @for (severity, name) in SEVERITIES {
                        option value=(severity.as_str()) selected[query.state == severity.as_str()] { (name) }
                    }
                }
                button { "Filter" }
            }
        }
    }
}

/// Findings as a table, or what it means that there are none.
pub fn table_of(rows: &[Row], links: Option<Links>, nothing: &str) -> Markup {
    if rows.is_empty() {
        return empty(nothing);
    }
    let cells: Vec<Vec<Markup>> = rows.iter().map(|row| row_of(row, links)).collect();
    let columns = ["Where", "Severity", "Reason", "What is wrong, and what to do"];
    html! { div.findings { (table("Findings, errors first", &columns, &cells)) } }
}

fn row_of(row: &Row, links: Option<Links>) -> Vec<Markup> {
    let cluster = row.hosted_cluster.as_ref().and_then(|cluster| cluster.parse().ok());
    let address = links.zip(cluster).map(|(links, key)| links.cluster(&key));
    vec![
        html! {
            code { (row.object) }
            @if !row.field.is_empty() { code { (row.field) } }
            @if let (Some(address), Some(cluster)) = (address, &row.hosted_cluster) { " " a href=(address) { (cluster) } }
        },
        state(Tone::of_severity(row.severity), row.severity.as_str()),
        html! { span.reason { (row.reason) } },
        html! { (row.message) @if !row.cure.is_empty() { p { (row.cure) } } },
    ]
}
