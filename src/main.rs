//! Parse, run, and turn the outcome into an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use hypermirror::cli::{Cli, run};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("hypermirror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
