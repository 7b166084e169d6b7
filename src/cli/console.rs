//! What a person and a pipe see: data on stdout, everything else on stderr, colour only on a terminal.

use std::fmt::Display;
use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde::Serialize;

use super::yaml;

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
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
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

/// Text in a style; plain once it is known that nobody sees colours.
pub fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Tells of something that stopped the command, or an entry that was left out.
pub fn error(message: impl Display) {
    tell(ERROR, "error", message);
}

/// Tells of something that the reader should know although the command goes on.
pub fn warning(message: impl Display) {
    tell(WARNING, "warning", message);
}

/// Tells what was done or left alone.
pub fn note(message: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{message}"); // nobody to tell
}

fn tell(style: Style, weight: &str, message: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{style}{weight}:{style:#} {message}"); // nobody to tell
}
