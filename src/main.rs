//! Parse, run, and turn the outcome into an exit code.

use std::process::ExitCode;

use hypermirror::cli::{self, Usage};

#[tokio::main]
async fn main() -> ExitCode {
    let parsed = match cli::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => {
            let _ = error.print(); // nobody to tell
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match cli::run(parsed).await {
        Ok(code) => code,
        Err(error) => {
            cli::error(format_args!("{error:#}"));
            if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
