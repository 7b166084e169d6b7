//! What a person and a pipe see: data on stdout, everything else on stderr, colour only on a terminal, and no control
//! character of anybody else.

use std::fmt::{Display, Write as _};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::sync::LazyLock;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde::Serialize;

use super::yaml;
use crate::printable;

/// Something that is wrong.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Something that may be wrong.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Something that is as it should be, or that is added.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Something that is taken away.
pub const BAD: Style = AnsiColor::Red.on_default();
/// The name of what follows.
pub const HEADING: Style = Style::new().bold();

/// The styles that a text may have: a mark in it names one by its place.
const STYLES: [Style; 5] = [ERROR, WARNING, GOOD, BAD, HEADING];
/// In a mark, instead of a style: the end of the styled text.
const END: char = '-';

/// Precedes a style in a text that is not printed yet. It differs in each process, so that no other text can
/// hold one: whatever else looks like a colour is escaped.
static MARK: LazyLock<String> = LazyLock::new(|| format!("\u{fdd0}{:016x}", RandomState::new().hash_one(0)));

/// Forms for programs alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DataFormat {
    /// JSON.
    #[default]
    Json,
    /// YAML.
    Yaml,
}

/// Forms for people and for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl Format {
    /// The form for programs, if it is one.
    pub fn data(self) -> Option<DataFormat> {
        match self {
            Self::Table => None,
            Self::Json => Some(DataFormat::Json),
            Self::Yaml => Some(DataFormat::Yaml),
        }
    }
}

/// Writes text to stdout. A reader that has seen enough (`| head`) is no error.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(rendered(text).as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a value to stdout.
pub fn print_data(value: &impl Serialize, format: DataFormat) -> anyhow::Result<()> {
    let text = match format {
        DataFormat::Json => serde_json::to_string_pretty(value)? + "\n",
        DataFormat::Yaml => yaml::print(&serde_json::to_value(value)?)?,
    };
    Ok(print(&text)?)
}

/// Text in a style, on one line; plain once it is known that nobody sees colours. [`print`] and its neighbours alone may
/// write it.
pub fn styled(style: Style, text: impl Display) -> String {
    let text = text.to_string();
    let text = printable::line(&text);
    match STYLES.iter().position(|known| *known == style) {
        Some(place) => format!("{}{place}{text}{}{END}", *MARK, *MARK),
        None => text.into_owned(),
    }
}

/// Tells of something that stopped the command, or an entry that was left out.
pub fn error(message: impl Display) {
    tell(ERROR, "error", message);
}

/// An error with its causes, each printed once: libraries often repeat the text of a cause in their own.
pub fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Tells of something that the reader should know although the command goes on.
pub fn warning(message: impl Display) {
    tell(WARNING, "warning", message);
}

/// Tells what was done or left alone.
pub fn note(message: impl Display) {
    let message = further_lines(&message);
    let _ = writeln!(anstream::stderr().lock(), "{}", rendered(&message)); // nobody to tell
}

/// Indents every line but the first, so that no text can forge a separate message.
fn further_lines(message: impl Display) -> String {
    message.to_string().replace('\n', "\n  ")
}

/// Tells of a command line that does not parse.
pub fn misuse(error: &clap::Error) {
    let _ = write!(anstream::stderr().lock(), "{}", printable::lines(&error.render().to_string())); // nobody to tell
}

fn tell(style: Style, weight: &str, message: impl Display) {
    let weight = styled(style, format_args!("{weight}:"));
    let message = further_lines(message);
    let _ = writeln!(anstream::stderr().lock(), "{}", rendered(&format!("{weight} {message}"))); // nobody to tell
}

/// Escapes everything, and puts our styles in the place of their marks.
fn rendered(text: &str) -> String {
    let mut parts = text.split(MARK.as_str());
    let mut out = printable::lines(parts.next().unwrap_or_default()).into_owned();
    let mut current = Style::new();
    for part in parts {
        let mut letters = part.chars();
        let style = letters.next().and_then(|place| STYLES.get(usize::try_from(place.to_digit(10)?).ok()?));
        let _ = match style {
            Some(style) => {
                current = *style;
                write!(out, "{current}")
            }
            None => write!(out, "{current:#}"),
        };
        out.push_str(&printable::lines(letters.as_str()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_styles_pass_and_nothing_else_does() {
        let text = format!("{} and {}\n", styled(GOOD, "a\u{1b}[2J\nb"), "\u{1b}[32mforged\u{1b}[0m");
        assert_eq!(rendered(&text), format!("{GOOD}a\\u001b[2J\\nb{GOOD:#} and \\u001b[32mforged\\u001b[0m\n"));
        assert_eq!(rendered("\u{fdd0}0x"), "\u{fdd0}0x");
        assert_eq!(styled(Style::new(), "a\nb"), "a\\nb");
    }

    #[test]
    fn each_style_has_a_mark() {
        for style in STYLES {
            assert_eq!(rendered(&styled(style, "x")), format!("{style}x{style:#}"));
        }
    }

    #[test]
    fn a_cause_that_an_error_repeats_is_printed_once() {
        let error = anyhow::anyhow!("no such file").context("failed to read a: no such file").context("no cluster");
        assert_eq!(causes(&error), "no cluster: failed to read a: no such file");
        let error = anyhow::anyhow!("refused").context("failed to connect");
        assert_eq!(causes(&error), "failed to connect: refused");
    }
}
