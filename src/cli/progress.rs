//! How far a command is, on a terminal and nowhere else.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::printable;

const TICK: Duration = Duration::from_millis(100);

/// A bar on standard error, or nothing.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar, if somebody sees it.
    pub fn new() -> Self {
        if !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Shows what is done while nothing can be counted.
    pub fn say(&self, what: &str) {
        self.0.set_message(printable::line(what).into_owned());
    }

    /// Shows how many of all are done, how fast, and the time that is left.
    pub fn count(&self, what: &'static str, done: usize, total: usize) {
        if done == 1
            && let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {per_sec}, {eta} left")
        {
            self.0.set_style(style);
            self.0.reset();
            self.0.set_message(what);
        }
        self.0.set_length(total as u64);
        self.0.set_position(done as u64);
    }

    /// Takes it off the terminal.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}
