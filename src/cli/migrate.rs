//! `migrate`: converts ICSPs, and a HostedCluster's `imageContentSources`, to the kinds that replace them.

mod config_map;
mod sets;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::console;
use super::findings;
use super::input::{InputArgs, Repetition, Wanted};
use crate::mirrors::MirrorEntry;
use crate::mirrors::migrate::{Migration, differences};
use hypermirror_api::ClusterKey;

/// Differences that are printed: enough to find the cause, which is usually the same for all.
const SHOWN: usize = 10;

/// Flags of `migrate`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror migrate -f oc-mirror-workspace/results-1 \\
    -f oc-mirror-workspace/results-2 > mirrors.yaml
  hypermirror migrate --tags | kubectl apply --server-side -f -
  hypermirror migrate --to-config-map --hosted-cluster clusters/west
The command resolves sample images of every source with the old and the new
objects. If the endpoints of an image differ, it fails and prints no objects.
Exit code: 0 if all entries are converted, 1 if an entry cannot be converted.")]
pub struct MigrateArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Also print an ImageTagMirrorSet for each ImageDigestMirrorSet
    #[arg(long)]
    tags: bool,
    /// Print a HostedCluster's imageContentSources as a ConfigMap
    #[arg(long)]
    to_config_map: bool,
    /// HostedCluster to convert; required if the input has several
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "to_config_map")]
    hosted_cluster: Option<ClusterKey>,
    /// Name of the ConfigMap (default: the name of the HostedCluster with the suffix -mirrors)
    #[arg(long, value_name = "NAME", requires = "to_config_map", value_parser = parse_name)]
    name: Option<String>,
}

fn parse_name(text: &str) -> Result<String, String> {
    let is_valid = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b"-.".contains(&letter);
    let valid = !text.is_empty() && !text.starts_with(['.', '-']) && text.bytes().all(is_valid);
    valid.then(|| text.to_owned()).ok_or_else(|| format!("{text:?} is not a valid name for a ConfigMap"))
}

/// Prints the new objects. The exit code is 1 if an entry cannot be converted.
pub async fn run(args: &MigrateArgs) -> Result<ExitCode> {
    let input = args.input.load_with(Wanted::default(), Repetition::Kept).await?;
    findings::report_input(&input);
    let (migration, text) = if args.to_config_map {
        config_map::convert(&input, args.hosted_cluster.as_ref(), args.name.as_deref(), args.tags)?
    } else {
        sets::convert(&input, args.tags)?
    };
    findings::report(&migration.findings);
    console::print(&text)?;
    let is_whole = migration.findings.is_empty() && input.malformed.is_empty();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Verifies that sample images resolve identically with the old and the new objects.
fn prove(migration: &Migration, printed: &[MirrorEntry]) -> Result<()> {
    let (different, images) = differences(&migration.wanted, printed);
    if different.is_empty() {
        console::note(format!("verified: {images} sample images of all sources resolve identically before and after"));
        return Ok(());
    }
    findings::report(&migration.findings);
    for difference in different.iter().take(SHOWN) {
        console::error(format!(
            "the endpoints of {} would change\n  before: {}\n  after:  {}",
            difference.image, difference.before, difference.after
        ));
    }
    bail!("the endpoints of {} of {images} sample images would change; no objects are printed", different.len())
}
