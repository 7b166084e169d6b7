//! The parts of pages: states, tables, times, texts for what is empty. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use maud::{Markup, html};

use super::super::status::age;
use crate::mirrors::finding::Severity;

/// How urgent something is, most urgent first. Each has a shape of its own, so that nothing depends on colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// Somebody has to act.
    Bad,
    /// Somebody should look.
    Warning,
    /// It is not known.
    Unknown,
    /// There is nothing to say.
    Quiet,
    /// All is well.
    Good,
}

impl Tone {
    const fn class(self) -> &'static str {
        match self {
            Self::Bad => "state bad",
            Self::Warning => "state warning",
            Self::Unknown => "state unknown",
            Self::Quiet => "state quiet",
            Self::Good => "state good",
        }
    }

    /// That of a condition, of which `True` is the healthy status.
    pub fn of(condition: &Condition) -> Self {
        match condition.status.as_str() {
            "True" => Self::Good,
            "False" => Self::Bad,
            _ => Self::Unknown,
        }
    }

    /// That of a finding.
    pub fn of_severity(severity: Severity) -> Self {
        match severity {
            Severity::Error => Self::Bad,
            Severity::Warning => Self::Warning,
            Severity::Info => Self::Quiet,
        }
    }
}

/// A state, as a shape and a text.
pub fn state(tone: Tone, text: &str) -> Markup {
    html! { span class=(tone.class()) { (text) } }
}

/// The state of a condition, with its reason.
pub fn condition_state(condition: &Condition) -> Markup {
    html! { (state(Tone::of(condition), &condition.status)) " " span.reason { (condition.reason) } }
}

/// A text, or a dash if there is none.
pub fn or_dash(text: &str) -> Markup {
    html! { @if text.is_empty() { span.none { "–" } } @else { (text) } }
}

/// Names in the type of code, each on a line of its own.
pub fn codes<'a>(names: impl IntoIterator<Item = &'a str>) -> Markup {
    html! { @for name in names { code { (name) } } }
}

/// How long ago something was. Coarse, so that a page does not change without a cause.
pub fn ago(then: Timestamp, now: Timestamp) -> Markup {
    let age = age(then, now);
    html! {
        time datetime=(then) title=(then) { @if age.ends_with('s') { "moments ago" } @else { (age) " ago" } }
    }
}

/// [`ago`], or a dash.
pub fn ago_or_dash(then: Option<&Time>, now: Timestamp) -> Markup {
    then.map_or_else(|| or_dash(""), |then| ago(then.0, now))
}

/// What a page shows in place of a table without rows: what that means, or what to do.
pub fn empty(text: &str) -> Markup {
    html! { p.empty { (text) } }
}

/// A table. The first column names the row.
pub fn table(caption: &str, columns: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        table {
            caption { (caption) }
            thead { tr { @for column in columns { th scope="col" { (column) } } } }
            tbody { @for row in rows { tr { (cells(columns, row)) } } }
        }
    }
}

/// The cells of a row. On a narrow screen each shows the name of its column, as the row becomes a card.
pub fn cells(columns: &[&str], row: &[Markup]) -> Markup {
    html! {
        @for (place, (cell, column)) in row.iter().zip(columns).enumerate() {
            @if place == 0 { th scope="row" { (cell) } } @else { td data-label=(column) { (cell) } }
        }
    }
}

/// A number with the name of what it counts.
pub fn figure(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A section with a heading.
pub fn section(id: &str, heading: &str, content: &Markup) -> Markup {
    html! { section id=(id) aria-labelledby={ (id) "-heading" } { h2 id={ (id) "-heading" } { (heading) } (content) } }
}

/// A size as people write it.
pub fn size(bytes: i64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let (mut whole, mut unit) = (bytes.max(0), "B");
    for next in UNITS {
        if whole < 1_000 {
            break;
        }
        (whole, unit) = ((whole + 500) / 1_000, next);
    }
    format!("{whole} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (bytes, expected) in [(0, "0 B"), (999, "999 B"), (1_499, "1 kB"), (2_600_000, "3 MB"), (-1, "0 B")] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn names_cannot_become_markup() {
        let hostile = "<script>alert(\"x\")</script>";
        for text in [state(Tone::Bad, hostile), or_dash(hostile), codes([hostile]), empty(hostile)] {
            assert!(!text.0.contains("<script"), "{}", text.0);
        }
    }
}
