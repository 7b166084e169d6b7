//! What the programs share: from a parsed command line to an exit code.

use std::process::ExitCode;

use tokio::runtime::Builder;

use super::{Usage, console};

/// How many threads run a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// The agent runs on every node, so its memory matters more than its throughput.
    One,
    /// One for each processor.
    Many,
}

/// The parsed command line. Help, version and misuse are printed.
///
/// # Errors
/// The exit code, if there is nothing to run.
pub fn parsed<T>(result: Result<T, clap::Error>) -> Result<T, ExitCode> {
    result.map_err(|error| {
        if error.use_stderr() {
            console::misuse(&error);
            return ExitCode::from(2);
        }
        let _ = error.print(); // help or version: if stdout is closed, there is nowhere to report it
        ExitCode::SUCCESS
    })
}

/// Runs a command to its end. An error is printed.
pub fn block_on(threads: Threads, command: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let mut builder = match threads {
        Threads::One => Builder::new_current_thread(),
        Threads::Many => Builder::new_multi_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            console::error(format_args!("failed to start the async runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(command) {
        Ok(code) => code,
        Err(error) => {
            console::error(console::causes(&error));
            if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
