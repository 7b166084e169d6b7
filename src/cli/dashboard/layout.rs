//! The frame of all pages. Pure.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::links::{Links, Tab};
use crate::digest::short_digest;
use crate::printable;

/// Pages ask for what has changed this often.
const REFRESH: &str = "every 2s";

/// What htmx must not do: evaluate code, add styles of its own, keep pages in the browser's storage.
const HTMX: &str = r#"{"allowEval":false,"allowScriptTags":false,"includeIndicatorStyles":false,"historyCacheSize":0,"historyEnabled":true,"selfRequestsOnly":true}"#;

/// A page.
pub struct Page {
    /// The tab that it belongs to.
    pub tab: Tab,
    /// Its heading.
    pub title: String,
    /// What does not change: forms.
    pub lead: Markup,
    /// What is brought up to date.
    pub content: Markup,
}

/// What a page is shown in.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// Where other pages are.
    pub links: Links,
    /// Where the data come from.
    pub origin: &'a str,
    /// When they were read.
    pub read: Timestamp,
    /// Why they are not newer, if that is known.
    pub trouble: Option<&'a str>,
    /// The page's own address, with its query. Only of a server.
    pub address: &'a str,
}

/// The content and what identifies it.
pub struct Part {
    /// The digest of what is shown.
    pub digest: String,
    /// HTML.
    pub text: String,
}

/// What is brought up to date.
pub fn part(page: &Page, frame: &Frame<'_>) -> Part {
    let shown = html! {
        @if let Some(trouble) = frame.trouble {
            div.banner role="alert" {
                p { strong { "These data are old. " } "The last attempt to read newer ones failed:" }
                p.cause { (trouble) }
            }
        }
        (page.content)
    };
    let digest = short_digest(&shown.0);
    let separator = if frame.address.contains('?') { '&' } else { '?' };
    let again = format!("{}{separator}seen={digest}", frame.address);
    let text = html! {
        @if frame.links.is_served() {
            div hidden data-poll hx-get=(again) hx-trigger=(REFRESH) hx-target="#live" hx-swap="innerHTML" hx-sync="#live:drop" {}
        }
        (shown)
    };
    Part { digest, text: printable::lines(&text.0).into_owned() }
}

/// The whole page.
pub fn document(page: &Page, frame: &Frame<'_>) -> String {
    let links = frame.links;
    let (title, content) = (&page.title, part(page, frame).text);
    let text = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · hypermirror" }
                link rel="icon" type="image/svg+xml" href=(links.asset("icon.svg"));
                link rel="stylesheet" href=(links.asset("style.css"));
                @if links.is_served() {
                    meta name="htmx-config" content=(HTMX);
                    script src=(links.asset("htmx.js")) defer {}
                    script src=(links.asset("dashboard.js")) defer {}
                }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (header(page.tab, frame))
                main #main tabindex="-1" {
                    h1 { (title) }
                    (page.lead)
                    div #live { (maud::PreEscaped(content)) }
                }
                (footer(frame))
            }
        }
    };
    printable::lines(&text.0).into_owned()
}

fn header(here: Tab, frame: &Frame<'_>) -> Markup {
    // In files nobody answers questions.
    let tabs = Tab::ALL.into_iter().filter(|tab| *tab != Tab::Explain || frame.links.is_served());
    html! {
        header {
            a.brand href=(frame.links.tab(Tab::Fleet)) { "hypermirror" }
            nav aria-label="Pages" {
                ul {
                    @for tab in tabs {
                        li { a href=(frame.links.tab(tab)) aria-current=[(tab == here).then_some("page")] { (tab.title()) } }
                    }
                }
            }
        }
        @if frame.links.is_served() {
            p #ended.banner role="status" hidden { "The dashboard does not answer any more: start it again and open its new address." }
        }
    }
}

fn footer(frame: &Frame<'_>) -> Markup {
    html! {
        footer {
            p {
                "Read from " strong { (frame.origin) } " at "
                time datetime=(frame.read) { (frame.read.strftime("%Y-%m-%d %H:%M:%S UTC")) }
                @if frame.links.is_served() { ". What changes later appears by itself; without JavaScript, reload the page." } @else { "." }
            }
            p { "hypermirror " (env!("CARGO_PKG_VERSION")) ", read only" }
        }
    }
}
