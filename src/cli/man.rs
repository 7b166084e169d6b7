//! `man`: writes the man pages.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory as _};

use super::{Cli, agent};

/// Flags of `man`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hypermirror man ~/.local/share/man/man1 && man hypermirror-explain")]
pub struct ManArgs {
    /// Directory for the pages, which is created if it does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub fn run(args: &ManArgs) -> Result<ExitCode> {
    let directory = &args.directory;
    std::fs::create_dir_all(directory).with_context(|| format!("failed to create {}", directory.display()))?;
    for program in [Cli::command(), agent::command()] {
        clap_mangen::generate_to(program, directory)
            .with_context(|| format!("failed to write the man pages to {}", directory.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
