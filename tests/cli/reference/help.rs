//! Help texts on terminals of usual widths.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};
use hypermirror::cli::Cli;

/// A terminal as it opens, and one that somebody made wider.
const WIDTHS: [usize; 2] = [80, 100];

#[test]
fn help_wraps_without_a_word_alone_on_a_line() {
    let mut wrong = String::new();
    for width in WIDTHS {
        let mut command = Cli::command().term_width(width);
        command.build();
        judge(&mut command, width, &mut wrong);
    }
    assert!(wrong.is_empty(), "shorten or reword the doc comments of these flags:\n{wrong}");
}

fn judge(command: &mut Command, width: usize, wrong: &mut String) {
    let name = command.get_bin_name().unwrap_or_default().to_owned();
    for (kind, help) in [("-h", command.render_help()), ("--help", command.render_long_help())] {
        let help = help.to_string();
        let lines: Vec<&str> = help.lines().collect();
        for pair in lines.windows(2) {
            if is_alone(pair[0], pair[1]) {
                let _ = writeln!(wrong, "{name} {kind} at {width} columns:\n{}\n{}", pair[0], pair[1]);
            }
        }
    }
    for sub in command.get_subcommands_mut() {
        judge(sub, width, wrong);
    }
}

/// Whether the second line holds one word that was too much for the first.
fn is_alone(above: &str, line: &str) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let word = line.trim();
    // Values in brackets are set by clap.
    let is_word = !word.is_empty() && !word.contains(' ') && !word.starts_with(['-', '[', '<']) && !word.ends_with(']');
    // In two columns the text begins at the right; above it there is text of the same paragraph.
    is_word
        && indent(line) > 0
        && above.len() > indent(line)
        && !above.trim().is_empty()
        && !above.trim_end().ends_with(':')
}
