//! Rejects syntax of TOML 1.1, because nodes parse TOML 1.0.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::FileError;
use super::error::line_of;

/// Rejects line breaks and trailing commas in inline tables, the escapes `\e` and `\x`, times without seconds, and
/// integers beyond 64 bits.
pub(super) fn refuse_later_toml(text: &str, table: &DeTable<'_>) -> Result<(), FileError> {
    for (key, value) in table {
        check_escapes(text, &key.span())?;
        check_value(text, value)?;
    }
    Ok(())
}

fn check_value(text: &str, value: &Spanned<DeValue<'_>>) -> Result<(), FileError> {
    let fail = |message: &str| refuse(text, value.span().start, message);
    match value.get_ref() {
        DeValue::String(_) => check_escapes(text, &value.span()),
        DeValue::Integer(number) if i64::from_str_radix(number.as_str(), number.radix()).is_err() => {
            fail("value is out of range for int64")
        }
        DeValue::Datetime(moment) if moment.time.is_some_and(|time| time.second.is_none()) => {
            fail("invalid datetime: the seconds are missing")
        }
        DeValue::Array(list) => list.iter().try_for_each(|item| check_value(text, item)),
        DeValue::Table(table) => {
            if is_inline(text, &value.span()) {
                check_inline_table(text, value.span(), table)?;
            }
            refuse_later_toml(text, table)
        }
        _ => Ok(()),
    }
}

fn check_escapes(text: &str, span: &Range<usize>) -> Result<(), FileError> {
    let raw = text.get(span.clone()).unwrap_or_default();
    if !raw.starts_with('"') {
        return Ok(());
    }
    let mut letters = raw.char_indices();
    while let Some((_, letter)) = letters.next() {
        if letter != '\\' {
            continue;
        }
        if let Some((at, escape @ ('e' | 'x'))) = letters.next() {
            return refuse(text, span.start + at, &format!("invalid escape character '{escape}'"));
        }
    }
    Ok(())
}

fn check_inline_table(text: &str, span: Range<usize>, table: &DeTable<'_>) -> Result<(), FileError> {
    let mut inner = Vec::new();
    collect_spans(text, table, &mut inner);
    inner.sort_by_key(|range| range.start);
    let mut at = span.start;
    let mut between = String::new();
    for range in inner {
        between.push_str(text.get(at..range.start).unwrap_or_default());
        // A placeholder for a key or a value.
        between.push('v');
        at = at.max(range.end);
    }
    between.push_str(text.get(at..span.end).unwrap_or_default());
    if between.contains('\n') {
        return refuse(text, span.start, "newlines not allowed within inline tables");
    }
    let last = between.trim_end_matches('}').trim_end();
    if last.ends_with(',') {
        return refuse(text, span.start, "trailing comma not allowed in inline tables");
    }
    Ok(())
}

/// The spans of all keys and values. A dotted key has no value of its own.
fn collect_spans(text: &str, table: &DeTable<'_>, spans: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        spans.push(key.span());
        match value.get_ref() {
            DeValue::Table(inner) if !is_inline(text, &value.span()) => collect_spans(text, inner, spans),
            _ => spans.push(value.span()),
        }
    }
}

fn is_inline(text: &str, span: &Range<usize>) -> bool {
    text.get(span.clone()).is_some_and(|raw| raw.starts_with('{'))
}

fn refuse(text: &str, at: usize, message: &str) -> Result<(), FileError> {
    Err(FileError::Syntax { line: line_of(text, at), message: message.to_owned() })
}
