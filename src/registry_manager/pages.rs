//! Pages of an inventory. Pure.

use serde::Serialize;

use crate::registry::scan::inventory::{Inventory, ScannedTag};

/// Tags of one page, if nobody says how many.
pub const DEFAULT_LIMIT: usize = 500;
/// The most tags of one page.
const MAX_LIMIT: usize = 5_000;

/// One page.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<'a> {
    /// The repository with its registry.
    pub repository: &'a str,
    /// Of all tags and their digests.
    pub revision: &'a str,
    /// How many tags the repository has.
    pub tag_count: usize,
    /// How many were scanned: those on all pages together.
    pub scanned_count: usize,
    /// Compressed bytes of all scanned tags together, each blob once.
    pub unique_bytes: u64,
    /// Names the next page; absent on the last one.
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The tags.
    pub tags: &'a [ScannedTag],
}

/// Why there is no such page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The inventory changed since the first page.
    #[error("the inventory changed since the first page: start again without \"continue\"")]
    Changed,
    /// Not from a page before.
    #[error("\"continue\" is not that of a page")]
    Token,
}

/// The page that a token names; the first one without a token.
///
/// # Errors
/// [`PageError`].
pub fn page<'a>(inventory: &'a Inventory, limit: usize, token: Option<&str>) -> Result<Page<'a>, PageError> {
    let begin = match token.filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => {
            let (begin, revision) = token.split_once('@').ok_or(PageError::Token)?;
            if revision != inventory.revision {
                return Err(PageError::Changed);
            }
            begin.parse::<usize>().ok().filter(|begin| *begin < inventory.tags.len()).ok_or(PageError::Token)?
        }
    };
    let end = begin.saturating_add(limit.clamp(1, MAX_LIMIT)).min(inventory.tags.len());
    Ok(Page {
        repository: &inventory.repository,
        revision: &inventory.revision,
        tag_count: inventory.tag_count,
        scanned_count: inventory.tags.len(),
        unique_bytes: inventory.unique_bytes,
        next: (end < inventory.tags.len()).then(|| format!("{end}@{}", inventory.revision)),
        tags: inventory.tags.get(begin..end).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(count: usize) -> Inventory {
        let tag = |number: usize| ScannedTag::new(number.to_string());
        let tags: Vec<_> = (0..count).map(tag).collect();
        let (repository, revision) = ("r/a".to_owned(), "sha256:1".to_owned());
        Inventory { repository, revision, tag_count: count, excluded: 0, skipped: 0, unique_bytes: 0, tags }
    }

    #[test]
    fn the_pages_together_are_the_whole() {
        for (count, limit) in [(0, 10), (9, 10), (10, 10), (11, 10), (25, 10), (3, 0), (6_000, usize::MAX)] {
            let whole = inventory(count);
            let (mut token, mut found) = (None, Vec::new());
            loop {
                let page = page(&whole, limit, token.as_deref()).unwrap();
                assert!(page.tags.len() <= limit.clamp(1, MAX_LIMIT));
                found.extend(page.tags.iter().map(|tag| tag.tag.clone()));
                token = page.next;
                if token.is_none() {
                    break;
                }
            }
            assert_eq!(found, (0..count).map(|number| number.to_string()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_page_of_another_inventory_is_refused() {
        let whole = inventory(20);
        let next = page(&whole, 10, None).unwrap().next.unwrap();
        let changed = Inventory { revision: "sha256:2".to_owned(), ..whole.clone() };
        assert_eq!(page(&changed, 10, Some(&next)).unwrap_err(), PageError::Changed);
        for token in ["x", "x@sha256:1", "20@sha256:1", "-1@sha256:1", "99999999999999999999@sha256:1"] {
            assert_eq!(page(&whole, 10, Some(token)).unwrap_err(), PageError::Token, "{token}");
        }
        assert_eq!(page(&whole, 10, Some("")).unwrap().tags.len(), 10);
    }
}
