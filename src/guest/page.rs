//! Decodes one page of a list item by item, so that only the required data of an item is in memory.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The metadata of a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PageEnd {
    /// The continue token. `None` after the last page.
    pub(super) next: Option<String>,
    /// The number of items.
    pub(super) items: usize,
}

/// Why decoding stopped.
#[derive(Debug)]
pub(super) enum PageError {
    /// The page has too many items.
    TooMany,
    /// The text is not a list.
    Malformed(serde_json::Error),
}

/// Decodes a page of at most `left` items and calls `take` for each.
pub(super) fn read<T: for<'de> Deserialize<'de>>(
    bytes: &[u8],
    left: usize,
    take: &mut impl FnMut(T),
) -> Result<PageEnd, PageError> {
    let mut page = Page { left, items: 0, too_many: false, take, item: PhantomData };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = (&mut page).deserialize(&mut deserializer).and_then(|next| deserializer.end().map(|()| next));
    match read {
        Ok(next) => Ok(PageEnd { next, items: page.items }),
        Err(_) if page.too_many => Err(PageError::TooMany),
        Err(error) => Err(PageError::Malformed(error)),
    }
}

struct Page<'f, T, F> {
    left: usize,
    items: usize,
    too_many: bool,
    take: &'f mut F,
    item: PhantomData<T>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Metadata,
    Items,
    #[serde(other)]
    Other,
}

#[derive(Default, Deserialize)]
struct ListMeta {
    #[serde(rename = "continue")]
    next: Option<String>,
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> DeserializeSeed<'de> for &mut Page<'_, T, F> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for &mut Page<'_, T, F> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut next = None;
        while let Some(field) = map.next_key()? {
            match field {
                Field::Metadata => next = map.next_value::<Option<ListMeta>>()?.unwrap_or_default().next,
                Field::Items => map.next_value_seed(Items(&mut *self))?,
                Field::Other => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(next.filter(|token| !token.is_empty()))
    }
}

/// The list. Null if a list of metadata has no items.
struct Items<'p, 'f, T, F>(&'p mut Page<'f, T, F>);

impl<'de, T: Deserialize<'de>, F: FnMut(T)> DeserializeSeed<'de> for Items<'_, '_, T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Items<'_, '_, T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let page = self.0;
        while page.items < page.left {
            let Some(item) = list.next_element()? else { return Ok(()) };
            page.items += 1;
            (page.take)(item);
        }
        // Stop without decoding the item: skipping a million small items would cost as much as decoding them.
        if list.next_element::<IgnoredAny>()?.is_some() {
            page.too_many = true;
            return Err(A::Error::custom("too many items"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Item {
        name: String,
    }

    fn of(text: &str, left: usize) -> (Result<PageEnd, PageError>, Vec<String>) {
        let mut names = Vec::new();
        let end = read(text.as_bytes(), left, &mut |item: Item| names.push(item.name));
        (end, names)
    }

    #[test]
    fn items_come_one_by_one_and_the_token_wherever_it_is() {
        let (end, names) =
            of(r#"{"kind":"List","items":[{"name":"a","x":[{}]},{"name":"b"}],"metadata":{"continue":"t"}}"#, 9);
        assert_eq!(end.unwrap(), PageEnd { next: Some("t".into()), items: 2 });
        assert_eq!(names, ["a", "b"]);
        for empty in [r#"{"items":null,"metadata":{"continue":""}}"#, r#"{"metadata":null}"#, "{}"] {
            assert_eq!(of(empty, 9).0.unwrap(), PageEnd::default(), "{empty}");
        }
    }

    #[test]
    fn reading_stops_at_the_first_item_that_is_too_many() {
        let (end, names) = of(r#"{"items":[{"name":"a"},{"name":"b"},{"name":"c"} and nothing of the rest is read"#, 2);
        assert!(matches!(end, Err(PageError::TooMany)), "{end:?}");
        assert_eq!(names.len(), 2);
        assert!(of(r#"{"items":[{"name":"a"},{"name":"b"}]}"#, 2).0.is_ok());
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for text in [r#"[{"":0},{"":0}]"#, r#"{"items":[{"":0}]}"#, r#"{"items":{}}"#, "{", r#"{"items":[]} x"#, ""] {
            assert!(matches!(of(text, 9).0, Err(PageError::Malformed(_))), "{text}");
        }
    }
}
