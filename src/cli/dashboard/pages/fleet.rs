//! The fleet: how many are ready, what rolls out, a row for each hosted cluster. Pure.

use hypermirror_api::ConditionType;
use maud::{Markup, html};

use super::super::super::status::rollout_summary;
use super::super::fleet::{COLUMNS, FleetRow, STATES, rows, select};
use super::super::html::{Tone, ago, cells, condition_state, empty, figure, or_dash, state};
use super::super::layout::Page;
use super::super::links::Tab;
use super::super::query::Query;
use super::Context;
use crate::cli::input::Input;

/// Rows of one page: what a browser shows at once without delay.
const ROWS: usize = 1_000;

/// The fleet, filtered and sorted.
pub fn page(input: &Input, query: &Query, ctx: Context) -> Page {
    let all = rows(input);
    let selected = select(&all, query);
    let pages = selected.len().div_ceil(ROWS).max(1);
    let page = query.page.clamp(1, pages);
    let shown = selected.iter().skip((page - 1) * ROWS).take(ROWS);
    let content = html! {
        (figures(&all, query, ctx))
        @if let Some(rollouts) = rollout_summary(all.iter().filter_map(|row| Some((&row.key, row.report?)))) { p.note { (rollouts) } }
        @if all.is_empty() { (nothing(input)) } @else if selected.is_empty() {
            (empty("No hosted cluster matches the filter."))
        } @else {
            table.fleet {
                caption { (figure(selected.len(), "hosted cluster", "hosted clusters")) @if pages > 1 { ", page " (page) " of " (pages) } }
                thead { tr { @for (column, title) in COLUMNS { (heading(column, title, query, ctx)) } } }
                tbody { @for row in shown { tr { (cells(&COLUMNS.map(|(_, title)| title), &row_of(row, ctx))) } } }
            }
            @if pages > 1 && ctx.links.is_served() { (pager(page, pages, query)) }
        }
    };
    Page { tab: Tab::Fleet, title: "Fleet".to_owned(), lead: form(query, ctx), content }
}

fn form(query: &Query, ctx: Context) -> Markup {
    html! {
        @if ctx.links.is_served() {
            form.filter role="search" method="get" action="/" hx-get="/" hx-target="#live" hx-push-url="true" hx-sync="#live:replace"
                hx-trigger="input changed delay:150ms from:#q, change from:#state, submit" {
                label for="q" { "Name, reason or message" }
                input #q type="search" name="q" value=(query.text) autocomplete="off" spellcheck="false";
                label for="state" { "State" }
                select #state name="state" {
                    option value="" selected[query.state.is_empty()] { "Any" }
                    @for (value, name) in STATES { option value=(value) selected[query.state == value] { (name) } }
                }
                @if !query.sort.is_empty() { input type="hidden" name="sort" value=(query.sort); }
                @if query.is_reversed { input type="hidden" name="order" value="reverse"; }
                button { "Filter" }
            }
        }
    }
}

/// How many hosted clusters have each state. On a server each number is a filter.
fn figures(all: &[FleetRow<'_>], query: &Query, ctx: Context) -> Markup {
    let count = |wanted: &str| all.iter().filter(|row| row.state().1 == wanted).count();
    let tone = |value: &str| match value {
        "ready" => Tone::Good,
        "not-ready" => Tone::Bad,
        _ => Tone::Unknown,
    };
    html! {
        ul.figures aria-label="Hosted clusters by state" {
            @for (value, name) in STATES {
                @let number = count(value);
                @let figure = html! { strong { (number) } " " (state(if number == 0 { Tone::Quiet } else { tone(value) }, name)) };
                li {
                    @if ctx.links.is_served() {
                        a href=(Query { state: value.to_owned(), page: 1, ..query.clone() }.address("/")) { (figure) }
                    } @else { (figure) }
                }
            }
        }
    }
}

fn heading(column: &str, title: &str, query: &Query, ctx: Context) -> Markup {
    let current = if query.sort.is_empty() { "state" } else { &query.sort };
    let is_current = current == column;
    let sorted = is_current.then_some(if query.is_reversed { "descending" } else { "ascending" });
    let next =
        Query { sort: column.to_owned(), is_reversed: is_current && !query.is_reversed, page: 1, ..query.clone() };
    html! {
        th scope="col" aria-sort=[sorted] {
            @if ctx.links.is_served() { a href=(next.address("/")) { (title) } } @else { (title) }
        }
    }
}

fn row_of(row: &FleetRow<'_>, ctx: Context) -> [Markup; COLUMNS.len()] {
    let coverage = row.coverage.map(|coverage| {
        let counts = &coverage.counts;
        let tone = match (counts.missing, counts.unknown) {
            (1.., _) => Tone::Bad,
            (_, 1..) => Tone::Unknown,
            _ => Tone::Good,
        };
        state(
            if coverage.summary.is_empty() { Tone::Quiet } else { tone },
            if coverage.summary.is_empty() { "not checked" } else { &coverage.summary },
        )
    });
    let sources = row.report.map(|report| report.source_count.to_string()).unwrap_or_default();
    [
        html! { a href=(ctx.links.cluster(&row.key)) { span.namespace { (row.key.namespace) "/" } (row.key.name) } },
        state(row.state().0, row.state_name()),
        html! { @if row.reason().is_empty() { (or_dash("")) } @else { span title=(row.message()) { (row.reason()) } } },
        or_dash(row.control_plane()),
        row.condition(ConditionType::GuestSynced).map_or_else(|| or_dash(""), condition_state),
        or_dash(row.nodes()),
        coverage.unwrap_or_else(|| or_dash("")),
        or_dash(&sources),
        row.changed().map_or_else(|| or_dash(""), |changed| ago(changed, ctx.now)),
    ]
}

fn nothing(input: &Input) -> Markup {
    let is_absent = input.absent.iter().any(|absent| absent.0 == "HostedCluster");
    empty(if is_absent {
        "This cluster does not serve HostedClusters: it is no management cluster of HyperShift. Choose another one with --context."
    } else if input.is_live {
        "There is no HostedCluster yet. Create one, and it appears here."
    } else {
        "The manifests have no HostedCluster. Add files with -f."
    })
}

fn pager(page: usize, pages: usize, query: &Query) -> Markup {
    let at = |page: usize| Query { page, ..query.clone() }.address("/");
    html! {
        nav.pager aria-label="Pages of hosted clusters" {
            @if page > 1 { a href=(at(page - 1)) rel="prev" { "Previous" } }
            @if page < pages { a href=(at(page + 1)) rel="next" { "Next" } }
        }
    }
}
