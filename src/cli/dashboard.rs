//! `dashboard`: the fleet as pages of a local server, or as files. It reads, and never a Secret.

mod assets;
pub mod bundle;
mod cluster;
mod consumers;
mod export;
mod fleet;
mod guard;
mod html;
mod layout;
mod links;
mod matrix;
mod pages;
mod query;
mod server;
mod site;
mod source;
mod timeline;

use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::process::Command;

use super::console;
use super::input::InputArgs;
use crate::manager::options::PlanOptions;
use server::Bound;
use source::Source;

/// Bytes of the token: nobody guesses 256 bits.
const TOKEN_BYTES: usize = 32;

/// The program that opens an address with the user's browser.
const OPENER: &str = "xdg-open";

/// Flags of `dashboard`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror dashboard --open
  hypermirror dashboard -f manifests/ --port 8080
  hypermirror dashboard --export report/
The printed address has a token: whoever opens it on this machine sees what
your kubeconfig may read. Secrets are never read.")]
pub struct DashboardArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    plan: PlanOptions,
    /// Port on 127.0.0.1 (0: any free port)
    #[arg(long, value_name = "PORT", default_value_t = 0, conflicts_with = "export")]
    port: u16,
    /// Open the dashboard in the browser
    #[arg(long, conflicts_with = "export")]
    open: bool,
    /// Write the pages as files to this directory, and exit
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
}

/// Serves pages until the process is interrupted, or exports them.
pub async fn run(args: &DashboardArgs) -> Result<ExitCode> {
    let source = Source::open(&args.input, args.plan.clone()).await?;
    if let Some(directory) = &args.export {
        let pages = export::export(&source, directory).await?;
        console::note(format!("{} written to {}", html::figure(pages, "page", "pages"), directory.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let bound = Bound::new(args.port, token()?).await?;
    let address = bound.address();
    console::print(&format!("{address}\n"))?;
    console::note("the dashboard is at this address until you press Ctrl-C");
    if args.open {
        open(&address).await;
    }
    tokio::select! {
        () = bound.serve(source) => Ok(ExitCode::SUCCESS),
        stopped = tokio::signal::ctrl_c() => {
            stopped.context("failed to wait for Ctrl-C")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn token() -> Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow!("failed to read random bytes for the token"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Opens the address. The dashboard runs without a browser, too.
async fn open(address: &str) {
    let mut command = Command::new(OPENER);
    let quiet = command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match quiet.status().await {
        Ok(status) if status.success() => {}
        Ok(status) => console::warning(format!("{OPENER} failed ({status}); open the address yourself")),
        Err(error) => console::warning(format!("failed to run {OPENER}: {error}; open the address yourself")),
    }
}

#[cfg(test)]
mod tests;
