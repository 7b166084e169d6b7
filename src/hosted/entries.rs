//! The entries of an override value.
//!
//! A value is split once, where an annotation, an environment variable, an argument or a report is read, and joined once, where a
//! new value is computed. Which entries hypermirror manages is decided in [`super::known`].

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use crate::mirrors::overrides::is_same_map;

/// An override value: its `source=mirror` entries, in order, and its exact text.
///
/// As in HyperShift (`ConvertImageRegistryOverrideStringToMap`), invalid parts of the text are no entries: `""` and `=` have none.
/// The text is kept because the guards of a patch need it byte for byte. Clones share it.
#[derive(Clone, Default)]
pub struct Entries(Arc<Value>);

#[derive(Default)]
struct Value {
    text: Box<str>,
    /// The place of each entry in the text.
    places: Box<[Range<usize>]>,
}

impl Entries {
    /// The exact text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.places.iter().filter_map(|place| self.0.text.get(place.clone()))
    }

    /// The entries as pairs of source and mirror, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.iter().filter_map(|entry| entry.split_once('='))
    }

    /// The entries without duplicates.
    pub fn set(&self) -> HashSet<&str> {
        self.iter().collect()
    }

    /// Whether there are no entries. The text can still be `=` or invalid.
    pub fn is_empty(&self) -> bool {
        self.0.places.is_empty()
    }

    /// Whether both values have the same map: the same mirrors for each source, in the same order.
    pub fn is_same_map(&self, other: &Self) -> bool {
        // Most targets are up to date, so equal texts are the frequent case.
        self == other || is_same_map(self.pairs(), other.pairs())
    }

    /// Whether there is another clone of this value.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl From<String> for Entries {
    fn from(text: String) -> Self {
        let is_entry =
            |part: &str| part.split_once('=').is_some_and(|(source, mirror)| !source.is_empty() && !mirror.is_empty());
        let (mut places, mut start) = (Vec::new(), 0);
        for part in text.split(',') {
            let end = start + part.len();
            if is_entry(part) {
                places.push(start..end);
            }
            start = end + 1; // the comma
        }
        Self(Arc::new(Value { text: text.into(), places: places.into() }))
    }
}

impl From<&str> for Entries {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl<S: AsRef<str>> FromIterator<S> for Entries {
    fn from_iter<I: IntoIterator<Item = S>>(entries: I) -> Self {
        let mut text = String::new();
        for entry in entries {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(entry.as_ref());
        }
        Self::from(text)
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.text == other.0.text
    }
}

impl Eq for Entries {}

impl Hash for Entries {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl fmt::Display for Entries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.text)
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.text, formatter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn invalid_parts_are_no_entries_as_in_hypershift() {
        for (value, expected) in [
            ("", vec![]),
            ("=", vec![]),
            ("foo", vec![]),
            (",,", vec![]),
            ("=,a=b", vec!["a=b"]),
            ("a=b, c=d", vec!["a=b", " c=d"]),
            ("a=b=c", vec!["a=b=c"]),
            ("a=,=b", vec![]),
            ("a=b,a=b", vec!["a=b", "a=b"]),
            ("ä=ö,foo,ü=ß", vec!["ä=ö", "ü=ß"]),
        ] {
            let entries = Entries::from(value);
            assert_eq!(entries.iter().collect::<Vec<_>>(), expected, "{value:?}");
            assert_eq!((entries.is_empty(), entries.as_str()), (expected.is_empty(), value));
        }
        let pairs = Entries::from("=,a=b=c");
        assert_eq!(pairs.pairs().collect::<Vec<_>>(), [("a", "b=c")]);
    }

    #[test]
    fn values_are_equal_by_text_and_the_same_map_by_the_order_of_mirrors() {
        let same = |a: &str, b: &str| (Entries::from(a) == Entries::from(b), Entries::from(a).is_same_map(&b.into()));
        assert_eq!(same("a=b", "a=b"), (true, true));
        assert_eq!(same("=,a=b", "a=b"), (false, true));
        assert_eq!(same("", "="), (false, true));
        assert_eq!(same("a=b,c=d", "c=d,a=b"), (false, true));
        assert_eq!(same("a=b,a=c", "a=c,a=b"), (false, false));
        assert_eq!(same("a=b", "="), (false, false));
    }

    #[test]
    fn a_clone_shares_the_value_and_equal_values_do_not() {
        let value = Entries::from("a=b");
        let equal = Entries::from("a=b");
        assert!(!value.is_shared() && value == equal);
        let clone = value.clone();
        assert!(value.is_shared() && clone.is_shared() && !equal.is_shared());
    }

    proptest! {
        #[test]
        fn printing_keeps_the_text_and_joined_entries_split_into_themselves(text in "[a-c=, ]{0,24}") {
            let value = Entries::from(text.as_str());
            prop_assert_eq!(value.to_string(), text);
            let joined: Entries = value.iter().collect();
            prop_assert!(joined.iter().eq(value.iter()));
            prop_assert!(joined.is_same_map(&value));
        }
    }
}
