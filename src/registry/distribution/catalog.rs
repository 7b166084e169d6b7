//! The list of repositories of a registry, page by page. Not every registry has one, and not everybody may read it.

use std::collections::{BTreeSet, HashSet};

use http::Method;
use http::header::ACCEPT;
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::super::auth::Access;
use super::super::credentials::Credential;
use super::super::error::{Cause, Place, RegistryError};
use super::super::name::RegistryAddress;
use super::super::transport::Request;
use super::super::wire::is_object;
use super::super::wire::link::next_query;
use super::{Api, address};

const OPERATION: &str = "list the repositories of";
/// Names in one page; registries send fewer and a link.
const PAGE_SIZE: usize = 1_000;
/// A list that goes on longer is taken for an endless one.
const MAX_PAGES: usize = 200;
/// One page.
const MAX_BYTES: usize = 4 * 1024 * 1024;

#[derive(Deserialize)]
struct Page {
    repositories: Option<Vec<String>>,
}

/// Follows the pages of one list.
#[derive(Debug, Default)]
pub struct CatalogPaging {
    query: Option<String>,
    seen: HashSet<String>,
    /// Whether the registry sends links: then a page without one is the last.
    has_links: bool,
    names: BTreeSet<String>,
}

impl CatalogPaging {
    fn query(&self) -> String {
        self.query.clone().unwrap_or_else(|| format!("n={PAGE_SIZE}"))
    }

    /// Takes a page in; whether there is another one. A cursor that was seen ends the list.
    fn add(&mut self, names: Vec<String>, next: Option<String>) -> Result<bool, Cause> {
        self.seen.insert(self.query());
        self.has_links |= next.is_some();
        let last = names.last().filter(|_| names.len() == PAGE_SIZE && !self.has_links);
        let by_last = last.map(|last| {
            Serializer::new(String::new()).append_pair("n", &PAGE_SIZE.to_string()).append_pair("last", last).finish()
        });
        self.names.extend(names);
        let Some(next) = next.or(by_last).filter(|next| !self.seen.contains(next)) else { return Ok(false) };
        if self.seen.len() >= MAX_PAGES {
            let message = format!("more than {MAX_PAGES} pages");
            return Err(Cause::Invalid { what: "a list of repositories that ends", message });
        }
        self.query = Some(next);
        Ok(true)
    }

    /// The names, each once.
    pub fn finish(self) -> BTreeSet<String> {
        self.names
    }
}

impl Api {
    /// Reads one page of the list of repositories; whether there is another one.
    ///
    /// # Errors
    /// The registry has no such list, or does not show it.
    pub async fn catalog_page(
        &self,
        registry: &RegistryAddress,
        credential: &Credential,
        paging: &CatalogPaging,
    ) -> Result<(Vec<String>, Option<String>), RegistryError> {
        let failed = |cause| failed(registry, cause);
        let mut url = address(registry, "_catalog").map_err(failed)?;
        url.set_query(Some(&paging.query()));
        let request = Request::new(Method::GET, url).with(ACCEPT, "application/json");
        let answer = self.exchange(Access::pull(registry, credential, None), request).await.map_err(failed)?;
        if !answer.status.is_success() {
            return Err(failed(self.refused(registry, answer).await));
        }
        let next = next_query(answer.all("link"));
        let body = answer.body("list of repositories", MAX_BYTES).await.map_err(failed)?;
        let invalid = |message: String| failed(Cause::Invalid { what: "a list of repositories", message });
        if !is_object(&body) {
            return Err(invalid("it is no object".to_owned()));
        }
        let page: Page = serde_json::from_slice(&body).map_err(|error| invalid(error.to_string()))?;
        Ok((page.repositories.unwrap_or_default(), next))
    }

    /// Takes a page in; whether there is another one.
    ///
    /// # Errors
    /// The list does not end.
    pub fn add_catalog_page(
        registry: &RegistryAddress,
        paging: &mut CatalogPaging,
        (names, next): (Vec<String>, Option<String>),
    ) -> Result<bool, RegistryError> {
        paging.add(names, next).map_err(|cause| failed(registry, cause))
    }
}

fn failed(registry: &RegistryAddress, cause: Cause) -> RegistryError {
    let place = Place { registry: registry.name().to_owned(), repository: String::new(), reference: None };
    RegistryError { operation: OPERATION, place, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_followed_by_links_or_by_the_last_name_and_never_in_a_circle() {
        let mut linked = CatalogPaging::default();
        assert!(linked.add(vec!["a".to_owned()], Some("last=a".to_owned())).unwrap());
        assert_eq!(linked.query(), "last=a");
        assert!(!linked.add(vec!["b".to_owned(), "a".to_owned()], Some("last=a".to_owned())).unwrap(), "seen");
        assert_eq!(linked.finish().into_iter().collect::<Vec<_>>(), ["a", "b"]);
        let full: Vec<String> = (0..PAGE_SIZE).map(|number| format!("r{number:04}")).collect();
        let mut unlinked = CatalogPaging::default();
        assert!(unlinked.add(full, None).unwrap());
        assert_eq!(unlinked.query(), "n=1000&last=r0999");
        assert!(!unlinked.add(vec!["z".to_owned()], None).unwrap());
        let mut endless = CatalogPaging::default();
        let ends = (0..=MAX_PAGES).find(|page| endless.add(Vec::new(), Some(format!("last={page}"))).is_err());
        assert!(ends.is_some());
    }
}
