//! Answers addresses with pages.

use hypermirror_api::ClusterKey;
use jiff::Timestamp;
use maud::html;

use super::cluster::{ClusterView, narrowed};
use super::fleet::rows;
use super::layout::{Frame, Page, Part, document, part};
use super::links::{Links, Tab, segment};
use super::pages::{self, Context};
use super::query::Query;
use super::source::{Known, Snapshot, Source};

/// A page as a browser gets it.
pub enum Answer {
    /// A whole page.
    Page(String),
    /// The changed part of it.
    Part(String),
    /// Nothing has changed.
    Same,
    /// There is no such page.
    Absent(String),
    /// There is nothing to show yet.
    Unavailable(String),
}

/// Answers an address. `is_part` is whether the browser has the page and asks for what has changed.
pub async fn answer(source: &Source, path: &str, query: &Query, is_part: bool) -> Answer {
    let tab = Tab::at(path).unwrap_or(Tab::Fleet);
    let (known, links) = (source.known().await, Links::Served);
    let Known { snapshot, trouble } = match known {
        Ok(known) => known,
        Err(cause) => return unavailable(source, tab, &cause, &query.address(path), is_part),
    };
    let ctx = Context { links, now: Timestamp::now() };
    let page = match path.strip_prefix("/clusters/") {
        Some(rest) => match key_at(&snapshot, rest) {
            Some(key) => cluster_page(source, &snapshot, &key, ctx).await,
            None => None,
        },
        None => Tab::at(path).map(|tab| tab_page(source, &snapshot, tab, query, ctx)),
    };
    let address = query.address(path);
    let frame =
        Frame { links, origin: &source.name, read: snapshot.read, trouble: trouble.as_deref(), address: &address };
    match page {
        None => {
            let advice = "It may have been removed. The fleet has all that there are.";
            let page = pages::failure::page(tab, "No such page", path, advice);
            // A browser shows no part that came with an error.
            if is_part { Answer::Part(part(&page, &frame).text) } else { Answer::Absent(document(&page, &frame)) }
        }
        Some(page) if is_part => {
            let Part { digest, text } = part(&page, &frame);
            if digest == query.seen { Answer::Same } else { Answer::Part(text) }
        }
        Some(page) => Answer::Page(document(&page, &frame)),
    }
}

fn unavailable(source: &Source, tab: Tab, cause: &str, address: &str, is_part: bool) -> Answer {
    let advice = "The page tries again by itself. Check the kubeconfig, the context and your rights: hypermirror status reads the same objects.";
    let page = pages::failure::page(tab, &format!("Cannot read {}", source.name), cause, advice);
    let frame = Frame { links: Links::Served, origin: &source.name, read: Timestamp::now(), trouble: None, address };
    if is_part { Answer::Part(part(&page, &frame).text) } else { Answer::Unavailable(document(&page, &frame)) }
}

/// The hosted cluster that a path names.
fn key_at(snapshot: &Snapshot, rest: &str) -> Option<ClusterKey> {
    let (namespace, name) = rest.split_once('/')?;
    let is_it = |key: &ClusterKey| segment(&key.namespace) == namespace && segment(&key.name) == name;
    rows(&snapshot.input).into_iter().map(|row| row.key).find(is_it)
}

/// The page of a hosted cluster. What its control plane has of its own is read now.
pub async fn cluster_page(source: &Source, snapshot: &Snapshot, key: &ClusterKey, ctx: Context) -> Option<Page> {
    let own = source.control_plane(&snapshot.input, key).await;
    let trouble = own.as_ref().err().cloned();
    let input = narrowed(&snapshot.input, key, own.unwrap_or_default());
    let mut page = pages::cluster::page(&ClusterView::of(&input, key, &source.options)?, ctx);
    if let Some(trouble) = trouble {
        let content = page.content;
        page.content = html! {
            div.banner role="alert" { p { "Its Deployments and rollouts cannot be read, so findings about them and rollouts are missing:" } p.cause { (trouble) } }
            (content)
        };
    }
    Some(page)
}

/// The page of a tab.
pub fn tab_page(source: &Source, snapshot: &Snapshot, tab: Tab, query: &Query, ctx: Context) -> Page {
    let input = &snapshot.input;
    match tab {
        Tab::Fleet => pages::fleet::page(input, query, ctx),
        Tab::Coverage => pages::coverage::page(input, ctx),
        Tab::Findings => pages::findings::page(snapshot.findings(&source.options), query, input.is_live, ctx),
        Tab::Explain => pages::explain::page(input, query),
        Tab::Registries | Tab::Images | Tab::Imports | Tab::Builds => pages::plane::page(tab, input, ctx),
    }
}
