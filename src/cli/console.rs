//! Output: data on stdout, messages on stderr, colours only on a terminal. Control characters in data are escaped.

mod escaped;

use std::fmt::{Display, Write as _};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::sync::LazyLock;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde::Serialize;

use super::yaml;
use crate::client::cause::Cause;
use crate::printable;
use escaped::EscapedLines;

/// An error.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// A warning.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// A healthy state, or an addition.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// An unhealthy state, or a removal.
pub const BAD: Style = AnsiColor::Red.on_default();
/// A heading.
pub const HEADING: Style = Style::new().bold();

/// All styles. A mark in a text refers to a style by its index.
const STYLES: [Style; 5] = [ERROR, WARNING, GOOD, BAD, HEADING];
/// The end of styled text, in place of the index.
const END: char = '-';

/// Marks a style in text that is not printed yet. It is random in each process, so that untrusted text cannot contain it.
/// Real escape sequences in such text are escaped.
static MARK: LazyLock<String> = LazyLock::new(|| format!("\u{fdd0}{:016x}", RandomState::new().hash_one(0)));

/// Machine-readable output formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DataFormat {
    #[default]
    Json,
    Yaml,
}

/// Output formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Json,
    Yaml,
}

impl Format {
    /// The machine-readable format, if it is one.
    pub fn data(self) -> Option<DataFormat> {
        match self {
            Self::Table => None,
            Self::Json => Some(DataFormat::Json),
            Self::Yaml => Some(DataFormat::Yaml),
        }
    }
}

/// Writes text to stdout. A closed pipe, as with `| head`, is not an error.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(rendered(text).as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// A text for a file: without styles.
pub fn plain(text: &str) -> String {
    anstream::adapter::strip_str(&rendered(text)).to_string()
}

/// Writes a value to stdout, JSON piece by piece: a list of a hundred thousand tags is never held as one text.
pub fn print_data(value: &impl Serialize, format: DataFormat) -> anyhow::Result<()> {
    if matches!(format, DataFormat::Yaml) {
        return Ok(print(&yaml::print(&serde_json::to_value(value)?)?)?);
    }
    let mut out = EscapedLines::new(anstream::stdout().lock());
    let written = serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from);
    match written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Text in a style, on one line. The result has marks, so only [`print`], [`note`], [`warning`] and [`error`] may write it.
pub fn styled(style: Style, text: impl Display) -> String {
    let text = text.to_string();
    let text = printable::line(&text);
    match STYLES.iter().position(|known| *known == style) {
        Some(place) => format!("{}{place}{text}{}{END}", *MARK, *MARK),
        None => text.into_owned(),
    }
}

/// Writes an error: the command failed, or ignores an object or an entry.
pub fn error(message: impl Display) {
    write(ERROR, "error", message);
}

/// An error with its causes, each printed once. Libraries often include the text of a cause in their own.
pub fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        // Its text already has the innermost cause, and its source is the complete response.
        let request = cause.downcast_ref::<kube::Error>();
        let cause = request.map_or_else(|| cause.to_string(), |request| Cause(request).to_string());
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        if request.is_some() {
            break;
        }
    }
    text
}

/// Writes a warning: the command continues.
pub fn warning(message: impl Display) {
    write(WARNING, "warning", message);
}

/// Writes a note about the result or the progress.
pub fn note(message: impl Display) {
    let message = further_lines(&message);
    // If stderr is closed, there is nowhere to report it.
    let _ = writeln!(anstream::stderr().lock(), "{}", rendered(&message));
}

/// Indents all lines except the first, so that untrusted text cannot imitate a separate message.
fn further_lines(message: impl Display) -> String {
    message.to_string().replace('\n', "\n  ")
}

/// Writes the error for an invalid command line.
pub fn misuse(error: &clap::Error) {
    let _ = write!(anstream::stderr().lock(), "{}", printable::lines(&error.render().to_string()));
}

fn write(style: Style, severity: &str, message: impl Display) {
    let severity = styled(style, format_args!("{severity}:"));
    let message = further_lines(message);
    let _ = writeln!(anstream::stderr().lock(), "{}", rendered(&format!("{severity} {message}")));
}

/// Escapes the text and replaces marks with their styles.
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
    fn only_the_styles_of_the_command_line_pass() {
        let text = format!("{} and {}\n", styled(GOOD, "a\u{1b}[2J\nb"), "\u{1b}[32mforged\u{1b}[0m");
        assert_eq!(rendered(&text), format!("{GOOD}a\\u001b[2J\\nb{GOOD:#} and \\u001b[32mforged\\u001b[0m\n"));
        assert_eq!(plain(&text), "a\\u001b[2J\\nb and \\u001b[32mforged\\u001b[0m\n");
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
