//! Parses the command line, runs the command and returns its exit code.

use std::process::ExitCode;

use hypermirror::cli::{self, start};

fn main() -> ExitCode {
    match start::parsed(cli::parse(std::env::args_os())) {
        Ok(parsed) => start::block_on(parsed.threads(), cli::run(parsed)),
        Err(code) => code,
    }
}
