//! Pages of a tag list.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::is_object;
use crate::mirrors::is_tag;

/// All pages of a list together. GHCR has lists of 160,000 tags with about 4 MiB.
pub const MAX_LIST_BYTES: usize = 64 * 1024 * 1024;
/// All pages of a list together.
pub const MAX_TAGS: usize = 1_000_000;
/// A list that goes on longer is taken for an endless one.
pub const MAX_PAGES: usize = 10_000;

/// One page.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TagPage {
    /// In the order of the registry.
    pub tags: Vec<String>,
    /// Entries that are no tags: digests, numbers, texts that are too long.
    pub skipped: usize,
    /// How many entries the page has, and the last that is a text: the cursor where a registry sends no `Link`.
    pub entries: usize,
    /// See `entries`.
    pub last: Option<String>,
}

impl TagPage {
    /// Reads `{"name": …, "tags": […]}`. `null` is an empty list, as Go prints one.
    ///
    /// # Errors
    /// The reader's message, if it is not such an object.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        if !is_object(bytes) {
            return Err(serde::de::Error::custom("it is no object"));
        }
        let raw: Raw = serde_json::from_slice(bytes)?;
        Ok(raw.tags.map(|tags| tags.0).unwrap_or_default())
    }
}

#[derive(Deserialize)]
struct Raw {
    tags: Option<Tags>,
}

struct Tags(TagPage);

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(TagsVisitor)
    }
}

struct TagsVisitor;

impl<'de> Visitor<'de> for TagsVisitor {
    type Value = Tags;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tags")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Tags, A::Error> {
        let mut page = TagPage::default();
        while let Some(Entry(entry)) = entries.next_element()? {
            page.entries += 1;
            if page.entries > MAX_TAGS {
                return Err(serde::de::Error::custom("more than 1000000 tags"));
            }
            match entry {
                Some(tag) if is_tag(&tag) => page.tags.push(tag),
                _ => page.skipped += 1,
            }
        }
        page.last = page.tags.last().cloned();
        Ok(Tags(page))
    }
}

/// A text, or something else that is dropped as it is read: a tree of a hostile list would need many times its bytes.
struct Entry(Option<String>);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tag")
    }

    fn visit_str<E>(self, text: &str) -> Result<Entry, E> {
        Ok(Entry(Some(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Entry, E> {
        Ok(Entry(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Entry, E> {
        Ok(Entry(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Entry, E> {
        Ok(Entry(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Entry, E> {
        Ok(Entry(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Entry, E> {
        Ok(Entry(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Entry, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Entry(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Entry, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Entry(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> (Vec<String>, usize) {
        let page = TagPage::parse(text.as_bytes()).unwrap();
        (page.tags, page.skipped)
    }

    #[test]
    fn b11_a_list_of_null_is_empty() {
        assert_eq!(tags(r#"{"name": "a", "tags": null}"#), (vec![], 0));
        assert_eq!(tags(r#"{"tags": []}"#), (vec![], 0));
        assert_eq!(tags("{}"), (vec![], 0));
    }

    #[test]
    fn b11_what_is_no_tag_is_skipped_and_counted() {
        let long = "a".repeat(129);
        let hex = "0".repeat(64);
        let text = format!(
            r#"{{"tags": ["v1", "{long}", "sha256:{hex}", "sha256-{hex}", 1, -1, 1.5, true, null, [[]], {{"a": {{}}}}, "", "-a", "v1"]}}"#
        );
        let (found, skipped) = tags(&text);
        assert_eq!(found, ["v1", &format!("sha256-{hex}"), "v1"]);
        assert_eq!(skipped, 11);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["", "[]", "[null]", "<html>", r#"{"tags": {}}"#, r#"{"tags": "v1"}"#, r#"{"tags": ["v1""#] {
            assert!(TagPage::parse(text.as_bytes()).is_err(), "{text}");
        }
        let deep = format!(r#"{{"tags": [{}"#, "[".repeat(100_000));
        assert!(TagPage::parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn b10_a_page_over_the_limit_is_refused() {
        let mut endless = String::from(r#"{"tags": ["#);
        endless.push_str(&"1,".repeat(MAX_TAGS));
        endless.push_str("1]}");
        assert!(TagPage::parse(endless.as_bytes()).unwrap_err().to_string().contains("1000000 tags"));
    }
}
