//! Lists: tags, referrers, repositories.

use std::ops::Bound::{Excluded, Unbounded};

use axum::body::Body;
use http::{HeaderName, Response, StatusCode, header, request::Parts};
use serde_json::{Value, json};

use super::answer;
use super::behavior::{Behavior, Paging, Referrers};
use super::digest::is_digest;
use super::route::{Route, query};
use super::store::Store;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(super) fn tags(store: &Store, behavior: &Behavior, route: &Route, parts: &Parts) -> Response<Body> {
    let Some(repository) = store.repositories.get(&route.repository) else {
        return answer::error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known to registry");
    };
    let text = parts.uri.query();
    let asked = query(text, "n").and_then(|count| count.parse().ok());
    let count = asked.unwrap_or(behavior.page_size).min(behavior.page_size);
    let last = query(text, "last").or_else(|| query(text, "cursor").map(|cursor| from_cursor(&cursor)));
    let name = |names: Vec<&String>| json!({ "name": route.repository, "tags": names });
    match &behavior.paging {
        Paging::Ignored => return answer::json(StatusCode::OK, &name(repository.tags.keys().collect())),
        Paging::Endless => return endless(route, last.as_deref(), count),
        _ => {}
    }
    let from = last.as_ref().map_or(Unbounded, Excluded);
    let after = repository.tags.range::<String, _>((from, Unbounded)).map(|(tag, _)| tag);
    let mut names: Vec<&String> = after.take(count + 1).collect();
    let has_more = names.len() > count;
    names.truncate(count);
    let next = names.last().filter(|_| has_more).map(|last| (*last).clone());
    let response = answer::json(StatusCode::OK, &name(names));
    match link(&behavior.paging, route, count, next.as_deref()) {
        Some(link) => answer::set(response, header::LINK, &link),
        None => response,
    }
}

/// The `Link` to the page after `next`.
fn link(paging: &Paging, route: &Route, count: usize, next: Option<&str>) -> Option<String> {
    let own = format!("/v2/{}/tags/list", route.repository);
    // It goes round, also after the last page.
    if *paging == Paging::SameCursor {
        return Some(format!("<{own}?n={count}&last=%20>; rel=\"next\""));
    }
    let next = next?;
    let by_last = format!("n={count}&last={next}");
    let target = match paging {
        Paging::Link => format!("{own}?{by_last}"),
        Paging::Cursor => format!("{own}?n={count}&cursor={}", to_cursor(next)),
        Paging::ForeignPath(path) => format!("{path}?{by_last}"),
        Paging::ForeignHost(host) => format!("{host}{own}?{by_last}"),
        Paging::NoLink | Paging::Ignored | Paging::SameCursor | Paging::Endless => return None,
    };
    Some(format!("<{target}>; rel=\"next\""))
}

/// What it means is the registry's own affair.
fn to_cursor(tag: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("after:{tag}"))
}

fn from_cursor(cursor: &str) -> String {
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
    let text = String::from_utf8(decoded).unwrap_or_default();
    text.strip_prefix("after:").unwrap_or_default().to_owned()
}

/// A page of tags that nobody pushed, and a link to the next one.
fn endless(route: &Route, last: Option<&str>, count: usize) -> Response<Body> {
    let begin: usize = last.and_then(|last| last.strip_prefix("tag-")?.parse().ok()).map_or(0, |last: usize| last + 1);
    let names: Vec<String> = (begin..begin + count).map(|number| format!("tag-{number:012}")).collect();
    let next = names.last().cloned().unwrap_or_default();
    let response = answer::json(StatusCode::OK, &json!({ "name": route.repository, "tags": names }));
    let link = format!("</v2/{}/tags/list?n={count}&last={next}>; rel=\"next\"", route.repository);
    answer::set(response, header::LINK, &link)
}

pub(super) fn referrers(store: &Store, behavior: &Behavior, route: &Route, parts: &Parts) -> Response<Body> {
    let page = match &behavior.referrers {
        Referrers::Listed { page } => *page,
        Referrers::Unsupported => return answer::error(StatusCode::NOT_FOUND, "UNSUPPORTED", "no such operation"),
        Referrers::Failing(status) => return answer::error(*status, "UNKNOWN", "out of order"),
        Referrers::Html => return answer::with_body(StatusCode::OK, "text/html", "<html>Sign in</html>"),
    };
    if !is_digest(&route.reference) {
        return answer::error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "not a digest");
    }
    let text = parts.uri.query();
    let kind = query(text, "artifactType");
    let mut all = store.referrers(&route.repository, &route.reference);
    if let Some(kind) = &kind {
        all.retain(|descriptor| descriptor["artifactType"] == **kind);
    }
    let begin: usize = query(text, "from").and_then(|from| from.parse().ok()).unwrap_or(0);
    let listed: Vec<&Value> = all.iter().skip(begin).take(page).collect();
    let body = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": listed });
    let mut response = answer::with_body(StatusCode::OK, INDEX, body.to_string());
    if kind.is_some() {
        response = answer::set(response, HeaderName::from_static("oci-filters-applied"), "artifactType");
    }
    if begin + page < all.len() {
        let kind = kind.map(|kind| format!("&artifactType={kind}")).unwrap_or_default();
        let (path, from) = (parts.uri.path(), begin + page);
        response = answer::set(response, header::LINK, &format!("<{path}?from={from}{kind}>; rel=\"next\""));
    }
    response
}

pub(super) fn catalog(store: &Store) -> Response<Body> {
    let names: Vec<&String> = store.repositories.keys().collect();
    answer::json(StatusCode::OK, &json!({ "repositories": names }))
}
