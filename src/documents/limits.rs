//! What a text may cost: the YAML reader takes a square of time for deep nesting, and of memory for aliases.
//!
//! Whoever may write a ConfigMap could otherwise hold the manager up for minutes, or have it killed, with one that is far
//! below the API server's limit of 1 MiB. What is read at all is as before.

use std::cell::Cell;
use std::fmt;

use granit_parser::{Event, Parser};
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

/// How deep values may be nested; the readers of YAML and JSON refuse more, the former after it has paid for it.
const MAX_DEPTH: usize = 128;
/// Brackets below which nesting costs nothing worth looking for.
const FREE_BRACKETS: usize = 1000;
/// Brackets below which it costs a few seconds at most.
const BEARABLE_BRACKETS: usize = 4000;
/// `%TAG` directives of one document; a reader compares each with all before it.
const MAX_TAG_DIRECTIVES: usize = 64;
/// What aliases may add to any text; a longer text may have more.
const FREE_BYTES: usize = 1 << 20;

/// Refuses a document that would cost far more than its length.
pub(super) fn check(text: &str) -> Result<(), String> {
    if text.lines().filter(|line| line.starts_with("%TAG")).nth(MAX_TAG_DIRECTIVES).is_some() {
        return Err(format!("more than {MAX_TAG_DIRECTIVES} %TAG directives"));
    }
    let brackets = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if brackets > FREE_BRACKETS {
        check_depth(text, brackets)?;
    }
    if text.contains('&') && text.contains('*') {
        check_aliases(text)?;
    }
    Ok(())
}

/// Follows the nesting with a reader that tells it as it goes, and that is stricter than the one that counts.
fn check_depth(text: &str, brackets: usize) -> Result<(), String> {
    let mut parser = Parser::new_from_str(text);
    let mut depth = 0_usize;
    while let Some(event) = parser.next_event() {
        match event.map(|(event, _)| event) {
            Ok(Event::SequenceStart(..) | Event::MappingStart(..)) if depth == MAX_DEPTH => {
                return Err(format!("values are nested more than {MAX_DEPTH} deep"));
            }
            Ok(Event::SequenceStart(..) | Event::MappingStart(..)) => depth += 1,
            Ok(Event::SequenceEnd | Event::MappingEnd) => depth = depth.saturating_sub(1),
            Ok(_) => {}
            Err(error) if brackets > BEARABLE_BRACKETS => return Err(error.to_string()),
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Counts what a document comes to with its aliases written out, without keeping any of it.
fn check_aliases(text: &str) -> Result<(), String> {
    let left = Cell::new(text.len().saturating_mul(2).saturating_add(FREE_BYTES));
    let counted = Cost { left: &left }.deserialize(serde_yaml::Deserializer::from_str(text));
    match counted {
        Err(_) if left.get() == 0 => Err("aliases make it many times as long as it is".to_owned()),
        // What else is wrong with it is told by who reads it.
        _ => Ok(()),
    }
}

/// Takes one for each value, and one for each byte of a text, from what is left.
#[derive(Clone, Copy)]
struct Cost<'l> {
    left: &'l Cell<usize>,
}

impl Cost<'_> {
    fn pay<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.left.get().saturating_sub(bytes.saturating_add(1));
        self.left.set(left);
        if left == 0 { Err(E::custom("too long")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Cost<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cost<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.pay(0)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.pay(0)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.pay(0)
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        self.pay(0)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        self.pay(0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.pay(0)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.pay(0)
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.pay(0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.pay(text.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.pay(0)?;
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.pay(0)?;
        while map.next_key_seed(self)?.is_some() {
            map.next_value_seed(self)?;
        }
        Ok(())
    }

    /// A value with a tag.
    fn visit_enum<A: EnumAccess<'de>>(self, value: A) -> Result<(), A::Error> {
        value.variant_seed(self)?.1.newtype_variant_seed(self)
    }
}

#[cfg(test)]
mod tests;
