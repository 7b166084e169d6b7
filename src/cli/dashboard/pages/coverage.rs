//! Whether registries hold what the fleet needs. Pure.

use std::collections::BTreeMap;

use hypermirror_api::CoverageConditionType;
use maud::{Markup, html};

use super::super::fleet::{FleetRow, rows};
use super::super::html::{Tone, ago_or_dash, condition_state, empty, or_dash, state, table};
use super::super::layout::Page;
use super::super::links::Tab;
use super::Context;
use crate::cli::input::Input;
use crate::mirrors::ImageReference;

/// What registries hold, by hosted cluster, and what they lack, by registry.
pub fn page(input: &Input, ctx: Context) -> Page {
    let all = rows(input);
    let checked: Vec<&FleetRow<'_>> = all.iter().filter(|row| row.coverage.is_some()).collect();
    let lacking = lacking(&checked);
    let content = html! {
        @if checked.is_empty() {
            (empty("No hosted cluster is checked. Run the registry-manager with --coverage, or ask registries once: hypermirror coverage"))
        } @else {
            (by_cluster(&checked, ctx))
            h2 { "What is missing, by registry" }
            @if lacking.is_empty() { (empty("Nothing is known to be missing.")) } @else { (by_registry(&lacking)) }
        }
        @if !checked.is_empty() && checked.len() < all.len() {
            p.note { (all.len() - checked.len()) " hosted clusters are not checked." }
        }
    };
    Page { tab: Tab::Coverage, title: "Coverage".to_owned(), lead: html! {}, content }
}

fn by_cluster(checked: &[&FleetRow<'_>], ctx: Context) -> Markup {
    let cells: Vec<Vec<Markup>> = checked.iter().map(|row| row_of(row, ctx)).collect();
    let columns = ["Hosted cluster", "All held", "Images", "Missing", "Unknown", "Updates held", "Checked"];
    table("What each hosted cluster needs", &columns, &cells)
}

fn row_of(row: &FleetRow<'_>, ctx: Context) -> Vec<Markup> {
    let Some(coverage) = row.coverage else { return Vec::new() };
    let held = coverage.condition(CoverageConditionType::Held);
    let count = |count: i64, tone| state(if count == 0 { Tone::Good } else { tone }, &count.to_string());
    vec![
        html! { a href={ (ctx.links.cluster(&row.key)) "#coverage" } { span.namespace { (row.key.namespace) "/" } (row.key.name) } },
        held.map_or_else(|| or_dash(""), condition_state),
        or_dash(&coverage.summary),
        count(coverage.counts.missing, Tone::Bad),
        count(coverage.counts.unknown, Tone::Unknown),
        or_dash(&coverage.updates_summary),
        ago_or_dash(coverage.last_check_time.as_ref(), ctx.now),
    ]
}

/// How many images a registry lacks, for how many hosted clusters, and one of them.
#[derive(Default)]
struct Lacking<'a> {
    images: usize,
    clusters: usize,
    example: &'a str,
}

fn lacking<'a>(checked: &[&FleetRow<'a>]) -> BTreeMap<String, Lacking<'a>> {
    let mut by_registry: BTreeMap<String, Lacking<'a>> = BTreeMap::new();
    for coverage in checked.iter().filter_map(|row| row.coverage) {
        let mut of_cluster = BTreeMap::<String, usize>::new();
        for missing in &coverage.missing {
            let registry =
                ImageReference::parse(&missing.mirror).map_or_else(|_| missing.mirror.clone(), |image| image.registry);
            *of_cluster.entry(registry.clone()).or_default() += 1;
            by_registry.entry(registry).or_default().example = &missing.mirror;
        }
        for (registry, images) in of_cluster {
            let known = by_registry.entry(registry).or_default();
            known.images += images;
            known.clusters += 1;
        }
    }
    by_registry
}

fn by_registry(lacking: &BTreeMap<String, Lacking<'_>>) -> Markup {
    let row = |(registry, lacking): (&String, &Lacking<'_>)| {
        vec![
            html! { code { (registry) } },
            html! { (lacking.images) },
            html! { (lacking.clusters) },
            html! { code { (lacking.example) } },
        ]
    };
    let rows: Vec<Vec<Markup>> = lacking.iter().map(row).collect();
    html! {
        (table("Registries that lack something", &["Registry", "Missing", "Hosted clusters", "For example"], &rows))
        p.note { "To copy what is missing: " code { "hypermirror coverage --fill" } ", or the annotation " code { "hypermirror.dev/fill" } " on a HostedCluster." }
    }
}
