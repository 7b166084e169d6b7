//! Parses the command line, runs the command and returns its exit code.

use std::process::ExitCode;

use hypermirror::cli::{self, Usage};
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let parsed = match cli::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => {
            if error.use_stderr() {
                cli::misuse(&error);
                return ExitCode::from(2);
            }
            let _ = error.print(); // help or version: if stdout is closed, there is nowhere to report it
            return ExitCode::SUCCESS;
        }
    };
    let mut threads = if parsed.is_frugal() { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    let runtime = match threads.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            cli::error(format_args!("failed to start the async runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli::run(parsed)) {
        Ok(code) => code,
        Err(error) => {
            cli::error(cli::causes(&error));
            if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
