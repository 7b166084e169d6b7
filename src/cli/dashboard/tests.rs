//! Golden pages, from the objects of a small fleet, some of them hostile.

use std::path::Path;

use hypermirror_api::ClusterKey;
use jiff::Timestamp;

use super::super::input::{InputArgs, Wanted};
use super::export::render;
use super::fleet::rows;
use super::layout::{Frame, Page, document, part};
use super::links::{Links, Tab};
use super::pages::Context;
use super::query::Query;
use super::site::{cluster_page, tab_page};
use super::source::{Snapshot, Source};
use crate::documents;
use crate::manager::options::PlanOptions;
use crate::redaction::Redactor;

const FILES: [&str; 6] = ["clusters", "mirrors", "pools", "report", "guest-report", "dashboard"];

async fn fleet() -> (Source, Snapshot) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/fleet");
    let files = FILES.map(|name| directory.join(format!("{name}.yaml"))).to_vec();
    let input = InputArgs { files, ..InputArgs::default() };
    let mut source = Source::open(&input, options()).await.unwrap();
    source.name = "the manifests of a test".to_owned();
    let wanted = Wanted { reports: true, pools: true, plane: true, ..Wanted::default() };
    (source, Snapshot::new(input.load(wanted).await.unwrap(), now()))
}

fn options() -> PlanOptions {
    use clap::Parser;
    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        plan: PlanOptions,
    }
    Flags::parse_from(["test"]).plan
}

fn now() -> Timestamp {
    "2026-01-01T06:12:00Z".parse().unwrap()
}

fn ctx(links: Links) -> Context {
    Context { links, now: now() }
}

fn frame(links: Links) -> Frame<'static> {
    Frame { links, origin: "the manifests of a test", read: now(), trouble: None, address: "/here" }
}

/// One element a line, so that a change is a small difference.
fn golden(page: &Page, links: Links) -> String {
    part(page, &frame(links)).text.replace("><", ">\n<")
}

fn key(namespace: &str, name: &str) -> ClusterKey {
    ClusterKey { namespace: namespace.to_owned(), name: name.to_owned() }
}

#[tokio::test]
async fn each_tab_is_as_it_was() {
    let (source, snapshot) = fleet().await;
    for tab in Tab::ALL {
        let query = Query::parse("image=source.example/ocp/release:4.20.1&cluster=clusters/north");
        let page = tab_page(&source, &snapshot, tab, &query, ctx(Links::Served));
        insta::assert_snapshot!(format!("tab-{}", tab.title().to_lowercase()), golden(&page, Links::Served));
    }
}

#[tokio::test]
async fn a_hosted_cluster_is_as_it_was() {
    let (source, snapshot) = fleet().await;
    for (name, links) in [("north", Links::Files(2)), ("lab", Links::Served)] {
        let page = cluster_page(&source, &snapshot, &key("clusters", name), ctx(links)).await.unwrap();
        insta::assert_snapshot!(format!("cluster-{name}"), golden(&page, links));
    }
    assert!(cluster_page(&source, &snapshot, &key("clusters", "none"), ctx(Links::Served)).await.is_none());
}

#[tokio::test]
async fn the_frame_is_as_it_was() {
    let (source, snapshot) = fleet().await;
    let page = tab_page(&source, &snapshot, Tab::Imports, &Query::default(), ctx(Links::Files(0)));
    let text = document(&page, &frame(Links::Files(0))).replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!("frame-file", text.replace("><", ">\n<"));
    let trouble = Frame { trouble: Some("<no> answer"), ..frame(Links::Served) };
    let text = document(&page, &trouble);
    assert!(text.contains("&lt;no&gt; answer") && text.contains("These data are old."), "{text}");
}

#[tokio::test]
async fn hostile_names_are_texts_everywhere() {
    let (source, snapshot) = fleet().await;
    let hostile = key("\"><img src=x onerror=alert(1)>", "<script>alert(1)</script>");
    let mut pages = vec![cluster_page(&source, &snapshot, &hostile, ctx(Links::Served)).await.unwrap()];
    let query = Query::parse("q=%3Cscript%3E&image=%22%3E%3Cscript%3E&cluster=%3Cscript%3E&sort=%22%3E%3Cb%3E");
    pages.extend(Tab::ALL.map(|tab| tab_page(&source, &snapshot, tab, &query, ctx(Links::Served))));
    for page in pages {
        let text = document(&page, &frame(Links::Served));
        // Those of the page itself.
        let scripts = ["<script src=\"/assets/htmx.js\" defer>", "<script src=\"/assets/dashboard.js\" defer>"];
        let rest = scripts.iter().fold(text.clone(), |text, own| text.replacen(own, "", 1));
        for markup in ["<script", "<img", "<svg", "<b>", "<i>", "onerror=alert(1)>\"", "\u{202e}"] {
            assert!(!rest.contains(markup), "{markup} on {}: {text}", page.title);
        }
    }
}

/// The words of a page's texts.
fn words(html: &str) -> impl Iterator<Item = &str> {
    html.split('<').filter_map(|part| part.split_once('>')).flat_map(|(_, text)| text.split_whitespace())
}

#[tokio::test]
async fn a_bundle_keeps_all_words_of_pages_and_only_those_of_others_are_dropped() {
    let (source, snapshot) = fleet().await;
    let mut redactor = Redactor::default();
    let (directory, shapes) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/fleet"), crate::redaction::shapes::of_kind);
    for name in FILES {
        let text = std::fs::read_to_string(directory.join(format!("{name}.yaml"))).unwrap();
        for document in documents::read(name, &text).unwrap() {
            let kind = document.value["kind"].as_str().unwrap_or_default().to_owned();
            redactor.learn(&document.value, &shapes(&kind));
        }
    }
    redactor.learn_text(env!("CARGO_PKG_VERSION"));
    let mut dropped = std::collections::BTreeSet::new();
    let keys = rows(&snapshot.input).into_iter().map(|row| row.key).collect();
    let add = |name: &str, content: String| {
        if name.starts_with("assets/") {
            return Ok(());
        }
        let kept = redactor.page(&content, &|_| true);
        assert_eq!(words(&kept).count(), words(&content).count(), "{name}");
        let lost = words(&content).zip(words(&kept)).filter(|(_, kept)| *kept == crate::redaction::DROPPED);
        dropped.extend(lost.map(|(word, _)| word.to_owned()));
        // What gives pages their look are words of the vocabulary.
        let classes = |html: &str| html.matches(" class=\"").count() - html.matches(" class=\"[dropped]").count();
        assert_eq!(classes(&kept), classes(&content), "{name}");
        Ok(())
    };
    render(&source, &snapshot, keys, add).await.unwrap();
    insta::assert_snapshot!("bundle-dropped", dropped.into_iter().collect::<Vec<_>>().join("\n"));
}

#[tokio::test]
async fn what_has_not_changed_has_the_same_digest() {
    let (source, snapshot) = fleet().await;
    let digest = |query: &str| {
        let page = tab_page(&source, &snapshot, Tab::Fleet, &Query::parse(query), ctx(Links::Served));
        part(&page, &frame(Links::Served)).digest
    };
    assert_eq!(digest(""), digest("seen=0123"));
    assert_ne!(digest(""), digest("q=north"));
}
