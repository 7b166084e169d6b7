//! What registries answer: challenges, links, locations, tag lists, manifests, payloads of releases.

use std::sync::OnceLock;
use std::time::Duration;

use hypermirror::mirrors::is_tag;
use hypermirror::mirrors::signature_policy::{SignaturePolicy, demand_signature};
use hypermirror::registry::coverage::list;
use hypermirror::registry::coverage::payload::{InLayer, find, images};
use hypermirror::registry::wire::challenge::{Challenge, parse};
use hypermirror::registry::wire::link::next_query;
use hypermirror::registry::wire::location::{is_same_host, resolve};
use hypermirror::registry::wire::manifest::Manifest;
use hypermirror::registry::wire::media_type::ManifestType;
use hypermirror::registry::wire::tag_list::TagPage;
use url::Url;

use crate::cost::linear;
use crate::parts;

static CHALLENGE: OnceLock<Duration> = OnceLock::new();
static LINK: OnceLock<Duration> = OnceLock::new();
static TAG_LIST: OnceLock<Duration> = OnceLock::new();
static MANIFEST: OnceLock<Duration> = OnceLock::new();
static IMAGES: OnceLock<Duration> = OnceLock::new();
static LIST: OnceLock<Duration> = OnceLock::new();

/// Headers that are longer are not read.
const LONGEST: usize = 16 * 1024;
const REGISTRIES: [&str; 4] = [
    "https://r.example/v2/a",
    "http://r.example:5000/v2/a",
    "https://[fd00::1]:5000/v2/a",
    "https://r.example:8443/p/v2/a?q",
];

fn url(text: &str) -> Url {
    Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub fn challenge(input: &[u8]) {
    let text = parts(input).concat();
    let found = linear(&CHALLENGE, &text, |text| parse([text]));
    for challenge in &found {
        let is_word = !challenge.scheme.is_empty()
            && !challenge.scheme.contains(|it: char| it.is_ascii_whitespace() || it == ',');
        assert!(is_word && challenge.scheme == challenge.scheme.to_ascii_lowercase(), "{challenge:?}");
    }
    let printed = found.iter().map(print).collect::<Vec<_>>().join(", ");
    if printed.len() <= LONGEST {
        assert_eq!(parse([printed.as_str()]), found, "what is printed is read");
    }
}

fn print(challenge: &Challenge) -> String {
    let parameter =
        |(name, value): (&String, &String)| format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    let parameters: Vec<String> = challenge.parameters.iter().map(parameter).collect();
    format!("{} {}", challenge.scheme, parameters.join(","))
}

pub fn link(input: &[u8]) {
    let parts = parts(input);
    let next = linear(&LINK, &parts.concat(), |text| next_query([text]));
    let of_all = next_query(parts.iter().map(String::as_str));
    for query in next.into_iter().chain(of_all) {
        assert!(query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'>'), "{query:?}");
        let mut url = url(REGISTRIES[0]);
        url.set_query(Some(&query));
        assert_eq!(
            (url.host_str(), url.path()),
            (Some("r.example"), "/v2/a"),
            "the query changes nothing but the query"
        );
    }
}

pub fn location(input: &[u8]) {
    for part in parts(input) {
        for registry in REGISTRIES {
            let asked = url(registry);
            let Ok(next) = resolve(&asked, Some(&part)) else { continue };
            assert!(next.url.username().is_empty() && next.url.password().is_none() && next.url.fragment().is_none());
            assert!(asked.scheme() == "http" || next.url.scheme() == "https", "downgrade to {}", next.url);
            assert!(matches!(next.url.scheme(), "http" | "https") && next.url.host().is_some());
            assert!(!next.is_same_host || next.url.host() == asked.host(), "credentials for {}", next.url);
            assert_eq!(next.is_same_host, is_same_host(&asked, &next.url));
            if next.url.as_str().len() <= LONGEST {
                assert_eq!(resolve(&asked, Some(next.url.as_str())).as_ref(), Ok(&next), "an address leads to itself");
            }
        }
    }
}

pub fn tag_list(input: &[u8]) {
    let text = String::from_utf8_lossy(input).into_owned();
    let _ = TagPage::parse(input);
    let Ok(page) = linear(&TAG_LIST, &text, |text| TagPage::parse(text.as_bytes())) else { return };
    assert!(page.tags.iter().all(|tag| is_tag(tag)));
    assert_eq!(page.tags.len() + page.skipped, page.entries);
    assert_eq!(page.last.as_ref(), page.tags.last());
    let printed = serde_json::json!({"tags": page.tags}).to_string();
    let again = TagPage::parse(printed.as_bytes()).ok();
    assert_eq!(again.map(|again| (again.tags, again.skipped)), Some((page.tags, 0)), "what is printed is read");
}

pub fn manifest(input: &[u8]) {
    let text = String::from_utf8_lossy(input).into_owned();
    let alone = linear(&MANIFEST, &text, |text| Manifest::parse(text.as_bytes(), None));
    for kind in [ManifestType::OciImage, ManifestType::OciIndex, ManifestType::Schema1] {
        let typed = Manifest::parse(text.as_bytes(), Some(kind.name()));
        if let (Ok(alone), Ok(typed)) = (&alone, &typed) {
            assert_eq!(alone.kind.is_index(), typed.kind.is_index(), "one body is not two things");
        }
    }
    let Ok(manifest) = alone else { return };
    assert!(!manifest.kind.is_index() || manifest.config.is_none() && manifest.layers.is_empty());
    assert!(manifest.kind.is_index() || manifest.children.is_empty());
    assert!(manifest.blobs().all(|blob| !blob.is_foreign));
}

pub fn image_references(input: &[u8]) {
    let text = String::from_utf8_lossy(input).into_owned();
    if let Ok(images) = linear(&IMAGES, &text, |text| images(text.as_bytes())) {
        assert!(!images.is_empty(), "a release without images proves nothing");
    }
    if let Ok(InLayer::Found(content)) = find(input) {
        assert!(content.len() <= input.len() || input.starts_with(&[0x1f, 0x8b]), "a file is a part of its layer");
    }
}

/// Lists of images, as people and oc-mirror write them.
pub fn image_list(input: &[u8]) {
    let text = String::from_utf8_lossy(input).into_owned();
    if let Ok(images) = linear(&LIST, &text, list::parse) {
        let printed: Vec<String> = images.iter().map(|image| format!("docker://{image}")).collect();
        assert_eq!(list::parse(&printed.join("\n")).as_ref(), Ok(&images), "what is printed is read");
    }
}

/// Policies that demand signatures: an object, then an image.
pub fn image_policy(input: &[u8]) {
    let parts = parts(input);
    let Some(Ok(object)) = parts.first().map(|text| serde_json::from_str(text)) else { return };
    if let Ok(Some(policy)) = SignaturePolicy::of(&object) {
        for image in parts.iter().skip(1) {
            demand_signature(std::slice::from_ref(&policy), image);
        }
    }
}
