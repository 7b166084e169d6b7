//! The objects of the registry-manager: registries, images, imports, builds. Pure.

use hypermirror_api::image::ImagePhase;
use hypermirror_api::image_builder::BuildPhase;
use hypermirror_api::registry::ScanStatus;
use hypermirror_api::{Image, ImageBuilder, ImportRule, Registry};
use kube::{Resource, ResourceExt};
use maud::{Markup, html};

use super::super::html::{Tone, ago_or_dash, codes, condition_state, empty, or_dash, size, state, table};
use super::super::layout::Page;
use super::super::links::Tab;
use super::Context;
use crate::cli::input::{Input, Plane};

/// One of the four pages.
pub fn page(tab: Tab, input: &Input, ctx: Context) -> Page {
    let plane = &input.plane;
    let (kind, rows, shape) = match tab {
        Tab::Images => ("Image", rows(&plane.images, |image| image_row(image, ctx)), IMAGES),
        Tab::Imports => ("ImportRule", rows(&plane.import_rules, |rule| import_row(rule, ctx)), IMPORTS),
        Tab::Builds => ("ImageBuilder", rows(&plane.builders, |builder| build_row(builder, ctx)), BUILDS),
        _ => ("Registry", rows(&plane.registries, |registry| registry_row(registry, ctx)), REGISTRIES),
    };
    let is_absent = input.absent.iter().any(|absent| absent.0 == kind);
    let content = html! {
        @if plane.forbidden.contains(&kind) {
            div.banner { p { "You may not list objects of kind " (kind) ". Ask an administrator for the right to list them in all namespaces." } }
        } @else if is_absent {
            (empty(&format!("This cluster does not serve {kind}. Install the CRDs: hypermirror crd --for management | kubectl apply --server-side -f -")))
        } @else if rows.is_empty() { (empty(shape.nothing)) } @else { (table(shape.caption, shape.columns, &rows)) }
        @if tab == Tab::Imports { (imports(plane, ctx)) }
        @if tab == Tab::Builds { (logs(plane)) }
    };
    Page { tab, title: tab.title().to_owned(), lead: html! {}, content }
}

/// A table, and what to show in its place.
struct Shape {
    caption: &'static str,
    columns: &'static [&'static str],
    nothing: &'static str,
}

const REGISTRIES: Shape = Shape {
    caption: "Repositories that are scanned",
    columns: &["Registry", "Repository", "State", "Tags", "Newest", "Last scan", "Message"],
    nothing: "No Registry is declared. docs/registries.md shows how to have a repository scanned.",
};
const IMAGES: Shape = Shape {
    caption: "Images that are copied",
    columns: &["Image", "From", "To", "Mode", "State", "Tags", "Copied", "Last run", "Message"],
    nothing: "No Image is declared. docs/images.md shows how to have one copied.",
};
const IMPORTS: Shape = Shape {
    caption: "What may be imported for pods",
    columns: &["Import rule", "From", "To", "State", "Imported", "Failed", "Last import"],
    nothing: "No ImportRule is declared. docs/import.md shows how to have images copied for pods that cannot pull them.",
};
const BUILDS: Shape = Shape {
    caption: "Images that are built",
    columns: &["Image builder", "Image", "Architecture", "State", "Digest", "Last build", "Message"],
    nothing: "No ImageBuilder is declared. docs/builds.md shows how to have an image built.",
};

fn rows<K: ResourceExt>(objects: &[K], row: impl Fn(&K) -> Vec<Markup>) -> Vec<Vec<Markup>> {
    let mut objects: Vec<&K> = objects.iter().collect();
    objects.sort_by_key(|object| (object.namespace(), object.name_any()));
    objects.into_iter().map(row).collect()
}

fn name(object: &impl Resource) -> Markup {
    let meta = object.meta();
    let (namespace, name) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    html! { span.namespace { (namespace) "/" } (name) }
}

fn registry_row(registry: &Registry, ctx: Context) -> Vec<Markup> {
    let status = registry.status.clone().unwrap_or_default();
    let result = status.last_scan_result.unwrap_or_default();
    let shown = match (registry.spec.suspend, status.last_scan_status) {
        (true, _) => state(Tone::Quiet, "suspended"),
        (_, Some(ScanStatus::Success)) => state(Tone::Good, "scanned"),
        (_, Some(ScanStatus::Failed)) => state(Tone::Bad, "failed"),
        _ => state(Tone::Unknown, "not scanned yet"),
    };
    vec![
        name(registry),
        html! { code { (registry.spec.url) "/" (registry.spec.repository) } },
        shown,
        html! { (result.tag_count) },
        codes(result.latest_tags.iter().take(3).map(String::as_str)),
        ago_or_dash(status.last_scan_time.as_ref(), ctx.now),
        or_dash(status.message.as_deref().unwrap_or_default()),
    ]
}

fn image_row(image: &Image, ctx: Context) -> Vec<Markup> {
    let status = image.status.clone().unwrap_or_default();
    let shown = match status.phase {
        Some(ImagePhase::Completed) => state(Tone::Good, "copied"),
        Some(ImagePhase::Failed) => state(Tone::Bad, "failed"),
        Some(ImagePhase::Suspended) => state(Tone::Quiet, "suspended"),
        Some(ImagePhase::Running) => state(Tone::Unknown, "running"),
        None => state(Tone::Unknown, "not copied yet"),
    };
    vec![
        name(image),
        html! { code { (image.spec.source.name) ":" (image.spec.source.version) } },
        html! { code { (image.spec.destination.name) ":" (image.spec.destination.version) } },
        html! { (format!("{:?}", image.spec.mode)) },
        shown,
        html! { (status.synced_tags) "/" (status.matched_tags) },
        html! { (size(status.total_bytes)) },
        ago_or_dash(status.last_run_time.as_ref(), ctx.now),
        or_dash(status.message.as_deref().unwrap_or_default()),
    ]
}

fn import_row(rule: &ImportRule, ctx: Context) -> Vec<Markup> {
    let status = rule.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    let shown = match (rule.spec.suspend, ready) {
        (true, _) => state(Tone::Quiet, "suspended"),
        (_, Some(ready)) => condition_state(ready),
        _ => state(Tone::Unknown, "not read yet"),
    };
    vec![
        name(rule),
        html! { code { (rule.spec.source.prefix) } },
        html! { code { (rule.spec.destination.prefix) } },
        shown,
        html! { (status.imported) " (" (size(status.bytes)) ")" },
        html! { (status.failed) },
        ago_or_dash(status.last_import_time.as_ref(), ctx.now),
    ]
}

/// The last images that were imported.
fn imports(plane: &Plane, ctx: Context) -> Markup {
    let mut lines: Vec<_> =
        plane.import_rules.iter().filter_map(|rule| rule.status.as_ref()).flat_map(|status| &status.imports).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.time.as_ref().map(|time| time.0)));
    let rows: Vec<Vec<Markup>> = lines
        .into_iter()
        .take(100)
        .map(|line| {
            vec![
                html! { code { (line.image) } },
                html! { (line.pod) },
                html! { code { (line.destination) } },
                ago_or_dash(line.time.as_ref(), ctx.now),
            ]
        })
        .collect();
    html! { @if !rows.is_empty() { (table("Images that were imported last", &["Image", "For pod", "Copied to", "When"], &rows)) } }
}

fn build_row(builder: &ImageBuilder, ctx: Context) -> Vec<Markup> {
    let status = builder.status.clone().unwrap_or_default();
    let shown = match status.phase {
        Some(BuildPhase::Completed) => state(Tone::Good, "built"),
        Some(BuildPhase::Failed) => state(Tone::Bad, "failed"),
        Some(BuildPhase::Building) => state(Tone::Unknown, "building"),
        None => state(Tone::Unknown, "not built yet"),
    };
    vec![
        name(builder),
        html! { code { (builder.spec.image.name) ":" (builder.spec.image.version) } },
        html! { (format!("{:?}", builder.spec.architecture).to_lowercase()) },
        shown,
        html! { @match &status.digest { Some(digest) => code { (digest) }, None => (or_dash("")) } },
        ago_or_dash(status.last_run_time.as_ref(), ctx.now),
        or_dash(status.message.as_deref().unwrap_or_default()),
    ]
}

/// The ends of the logs of builds that failed.
fn logs(plane: &Plane) -> Markup {
    let logs = plane.builders.iter().filter_map(|builder| Some((builder, builder.status.as_ref()?.log.as_ref()?)));
    html! {
        @for (builder, log) in logs {
            details {
                summary { "End of the log of " (name(builder)) ", " (log.container) " for " (log.architecture) }
                pre tabindex="0" { (log.text) }
            }
        }
    }
}
