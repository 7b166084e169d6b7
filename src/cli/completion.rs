//! `completion`: prints the completion script of a shell.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::Shell;

use super::{Cli, console};

/// Flags of `completion`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  source <(hypermirror completion bash)")]
pub struct CompletionArgs {
    /// Shell to print the script for
    #[arg(value_enum)]
    shell: KnownShell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

pub fn run(args: &CompletionArgs) -> Result<ExitCode> {
    let shell = match args.shell {
        KnownShell::Bash => Shell::Bash,
        KnownShell::Zsh => Shell::Zsh,
        KnownShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hypermirror", &mut script);
    console::print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}
