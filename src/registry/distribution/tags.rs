//! Tag lists, page by page, with every kind of paging that registries have.

use std::collections::HashSet;

use http::Method;
use http::header::ACCEPT;
use url::form_urlencoded::Serializer;

use super::super::error::{Cause, RegistryError};
use super::super::quirks::Quirks;
use super::super::transport::Request;
use super::super::wire::link::next_query;
use super::super::wire::tag_list::{MAX_LIST_BYTES, MAX_PAGES, MAX_TAGS, TagPage};
use super::{Api, Target, address, error};

const OPERATION: &str = "list the tags of";

/// A page and where the next one is.
#[derive(Debug)]
pub struct Page {
    tags: TagPage,
    /// The query of its `Link`.
    next: Option<String>,
    bytes: usize,
}

/// Follows the pages of one list: pure, so that every kind of paging is a table.
#[derive(Debug)]
pub struct Paging {
    page_size: usize,
    query: String,
    seen: HashSet<String>,
    /// Whether the registry sends links: then a page without one is the last.
    has_links: bool,
    bytes: usize,
    tags: Vec<String>,
    skipped: usize,
}

/// A whole list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagList {
    /// Each tag once, in the order of the registry.
    pub tags: Vec<String>,
    /// How many entries are no tags.
    pub skipped: usize,
    /// How many entries were there before.
    pub duplicates: usize,
    /// How many requests it took.
    pub pages: usize,
}

impl Paging {
    /// Of a registry.
    pub fn new(quirks: &Quirks) -> Self {
        let query = format!("n={}", quirks.page_size);
        let (seen, tags) = (HashSet::new(), Vec::new());
        Self { page_size: quirks.page_size, query, seen, has_links: false, bytes: 0, tags, skipped: 0 }
    }

    /// The query of the page to read.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// How many tags there are so far.
    pub const fn len(&self) -> usize {
        self.tags.len()
    }

    /// Whether there is none so far.
    pub const fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// How many bytes the page may have.
    const fn room(&self) -> usize {
        MAX_LIST_BYTES.saturating_sub(self.bytes)
    }

    /// Takes a page in; whether there is another one.
    ///
    /// A registry without `Link` has another page if this one is full: it is asked for with `last`. A cursor that was seen
    /// ends the list, because some registries ignore cursors and send the same page for ever.
    ///
    /// # Errors
    /// The list is longer than any honest one.
    pub fn add(&mut self, page: Page) -> Result<bool, Cause> {
        self.seen.insert(std::mem::take(&mut self.query));
        self.bytes += page.bytes;
        self.skipped += page.tags.skipped;
        self.has_links |= page.next.is_some();
        let is_full = page.tags.entries == self.page_size && !self.has_links;
        let by_last = || page.tags.last.as_deref().filter(|_| is_full).map(|last| self.after(last));
        let next = page.next.or_else(by_last);
        self.tags.extend(page.tags.tags);
        if self.tags.len() > MAX_TAGS {
            return Err(too_long(format!("more than {MAX_TAGS} tags")));
        }
        let Some(next) = next.filter(|next| !self.seen.contains(next)) else { return Ok(false) };
        if self.seen.len() >= MAX_PAGES {
            return Err(too_long(format!("more than {MAX_PAGES} pages")));
        }
        self.query = next;
        Ok(true)
    }

    fn after(&self, last: &str) -> String {
        Serializer::new(String::new()).append_pair("n", &self.page_size.to_string()).append_pair("last", last).finish()
    }

    /// The list.
    pub fn finish(self) -> TagList {
        let pages = self.seen.len();
        let all = self.tags.len();
        let mut known = HashSet::with_capacity(all);
        let is_first: Vec<bool> = self.tags.iter().map(|tag| known.insert(tag.as_str())).collect();
        let mut is_first = is_first.into_iter();
        let mut tags = self.tags;
        tags.retain(|_| is_first.next().unwrap_or(true));
        TagList { duplicates: all - tags.len(), tags, skipped: self.skipped, pages }
    }
}

fn too_long(message: String) -> Cause {
    Cause::Invalid { what: "a tag list that ends", message }
}

impl Api {
    /// Reads one page of a tag list. Only the query of a cursor is taken: host and path are always ours.
    ///
    /// # Errors
    /// The repository is not there, or the answer is no tag list.
    pub async fn tags_page(&self, target: Target<'_>, paging: &Paging) -> Result<Page, RegistryError> {
        let failed = |cause| error(OPERATION, target, None, cause);
        let registry = &target.repository.registry;
        let mut url = address(registry, &format!("{}/tags/list", target.repository.path())).map_err(failed)?;
        url.set_query(Some(paging.query()));
        let request = Request::new(Method::GET, url).with(ACCEPT, "application/json");
        let answer = self.ask(target, request).await.map_err(failed)?;
        if !answer.status.is_success() {
            return Err(failed(self.refused(registry, answer).await));
        }
        let next = next_query(answer.all("link"));
        let body = answer.body("tag list", paging.room()).await.map_err(failed)?;
        let invalid = |error: serde_json::Error| Cause::Invalid { what: "a tag list", message: error.to_string() };
        let tags = TagPage::parse(&body).map_err(invalid).map_err(failed)?;
        Ok(Page { tags, next, bytes: body.len() })
    }
}

#[cfg(test)]
mod tests;
