//! Where an image is pulled from, by each consumer, and the rule that decides. Pure.

use hypermirror_api::ClusterKey;
use hypermirror_api::hypershift::HostedCluster;
use maud::{Markup, html};

use super::super::consumers::{Answer, Puller, of_cluster, of_nodes, origin_of};
use super::super::html::{Tone, empty, or_dash, state, table};
use super::super::layout::Page;
use super::super::links::Tab;
use super::super::query::Query;
use crate::cli::input::Input;
use crate::mirrors::registries::Endpoint;

/// The box, and the answer if it is asked something.
pub fn page(input: &Input, query: &Query) -> Page {
    let chosen = chosen(input, &query.cluster);
    let content = html! {
        @if query.image.is_empty() {
            (empty("Enter an image as a pod names it, for example quay.io/org/app:v1, to see from where each consumer pulls it, in order, and which object declares that."))
        } @else {
            @match chosen {
                Err(why) => div.banner role="alert" { p.cause { (why) } },
                Ok(cluster) => (answer(input, cluster, &query.image)),
            }
        }
    };
    Page { tab: Tab::Explain, title: "Explain an image".to_owned(), lead: form(input, query), content }
}

/// The hosted cluster that is asked about: the named one, or the first.
fn chosen<'a>(input: &'a Input, name: &str) -> Result<Option<&'a HostedCluster>, String> {
    if name.is_empty() {
        return Ok(input.clusters.iter().min_by_key(|cluster| ClusterKey::of(*cluster)));
    }
    let found = input.clusters.iter().find(|cluster| ClusterKey::of(*cluster).to_string() == name);
    found.map(Some).ok_or_else(|| format!("There is no HostedCluster {name}. Names have the form namespace/name."))
}

fn form(input: &Input, query: &Query) -> Markup {
    let mut names: Vec<String> = input.clusters.iter().map(|cluster| ClusterKey::of(cluster).to_string()).collect();
    names.sort_unstable();
    html! {
        form.filter role="search" method="get" action="/explain" hx-get="/explain" hx-target="#live" hx-push-url="true" hx-sync="#live:replace" {
            label for="image" { "Image" }
            input #image.long type="text" name="image" value=(query.image) placeholder="quay.io/org/app:v1" autocomplete="off" spellcheck="false" required;
            @if !names.is_empty() {
                label for="cluster" { "Hosted cluster" }
                input #cluster type="text" name="cluster" value=(query.cluster) placeholder=(names.first().map_or("", String::as_str)) list="clusters" autocomplete="off" spellcheck="false";
                datalist #clusters { @for name in &names { option value=(name) {} } }
            }
            button { "Explain" }
        }
    }
}

fn answer(input: &Input, cluster: Option<&HostedCluster>, image: &str) -> Markup {
    let image = image.strip_prefix("docker://").unwrap_or(image);
    let pullers = cluster.map_or_else(|| of_nodes(input), |cluster| of_cluster(input, cluster));
    let releases = cluster.map(|cluster| [cluster.spec.release.as_ref(), cluster.spec.control_plane_release.as_ref()]);
    let is_release = releases.into_iter().flatten().flatten().any(|release| release.image == image);
    html! {
        p {
            code { (image) }
            @if let Some(cluster) = cluster { " for " strong { (ClusterKey::of(cluster)) } }
            @if is_release { ", its release image" }
        }
        @for puller in &pullers { (answer_of(puller, image, is_release)) }
    }
}

fn answer_of(puller: &Puller, image: &str, is_release: bool) -> Markup {
    let answer = puller.answer(image, is_release);
    let rows: Vec<Vec<Markup>> =
        answer.endpoints.iter().enumerate().map(|(place, endpoint)| row(place, endpoint)).collect();
    html! {
        section.answer {
            h2 { (heading(&answer)) }
            @if let Some(error) = &answer.error { p { (state(Tone::Bad, "cannot be pulled")) " " (error) } }
            @if answer.error.is_none() {
                p {
                    @match &answer.prefix {
                        Some(prefix) => { "The rule for " code { (prefix) } " decides." }
                        None => "No rule matches: the image is pulled from where its name says.",
                    }
                }
            }
            @if !rows.is_empty() { (table("Endpoints, in the order in which they are tried", &["Endpoint", "State", "Declared by"], &rows)) }
            @for note in &answer.notes { p.note { (note) } }
        }
    }
}

fn heading(answer: &Answer) -> String {
    match answer.consumer.as_str() {
        "look-ups" => "Look-ups of HyperShift's operators".to_owned(),
        "control-plane pods" => "Pods of the control plane".to_owned(),
        "nodes" => "Nodes".to_owned(),
        pool => format!("Nodes of NodePool {pool}"),
    }
}

fn row(place: usize, endpoint: &Endpoint) -> Vec<Markup> {
    let (tone, text) = match (endpoint.blocked, endpoint.insecure) {
        (true, _) => (Tone::Bad, "blocked: never contacted"),
        (_, true) => (Tone::Warning, "TLS not verified"),
        _ => (Tone::Quiet, "tried"),
    };
    vec![
        html! { span.place { (place + 1) ". " code { (endpoint.reference) } } },
        state(tone, text),
        or_dash(&origin_of(endpoint)),
    ]
}
