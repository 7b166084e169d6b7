//! `copy`: images between registries, OCI layouts and archives of these.

mod cost;
mod engine;
mod places;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::answer::{SchemaArg, or_unknown};
use super::console::{self, DataFormat};
use super::registry::ReachArgs;
use super::{Usage, list_file};
use crate::registry::transfer::{AnchorTemplate, CopyOptions, PlatformFilter};
pub use engine::Engine;
pub use places::of_want;
use places::{Destination, Item, Place};
use report::CopyReport;

/// Copies images.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror copy quay.io/org/app:v1 mirror.corp:5000/org/app
  hypermirror copy quay.io/org/app:v1 quay.io/org/db:v2 mirror.corp:5000/team
  hypermirror copy --want want.txt --dry-run
  hypermirror copy --want want.txt oci:/media/bundle
  hypermirror copy oci:/media/bundle mirror.corp:5000
  hypermirror copy --want want.txt --from oci-archive:bundle.tar
Several images go below DESTINATION, each with the path that it has in its own
registry. Images of a bundle go to the mirrors that its list named, if these are
below DESTINATION. Started again, it moves only what is missing.
Exit code: 0 if everything is there, 1 if something cannot be copied, 2 for bad
usage, 3 if a registry cannot be reached or asked, or the copy was stopped.")]
pub struct CopyArgs {
    /// Images, and where they go: HOST/REPOSITORY[:TAG], oci:DIR[:NAME], oci-archive:FILE[:NAME]
    #[arg(value_name = "SOURCE... DESTINATION", required_unless_present_any = ["want", "schema"])]
    places: Vec<String>,
    /// File with lines SOURCE=DESTINATION, as `coverage -o want` prints them
    #[arg(long, value_name = "FILE")]
    want: Option<PathBuf>,
    /// Further source: a registry with the same paths, or a layout
    #[arg(long, value_name = "HOST[/PATH]|oci:DIR")]
    from: Vec<String>,
    /// Only these platforms of an index (default: all)
    #[arg(long, value_name = "OS/ARCHITECTURE", value_delimiter = ',')]
    platforms: Vec<String>,
    /// Number of blobs, and of images, that are copied at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 32, value_parser = parse_jobs)]
    jobs: usize,
    /// Look for every blob, also where the tag names the right image (always with --want)
    #[arg(long)]
    thorough: bool,
    /// Print what would be copied and what it costs; write nothing
    #[arg(long)]
    dry_run: bool,
    /// JSON report of an earlier copy: its rate gives the time
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    rate_from: Option<PathBuf>,
    /// Leave out signatures, attestations and other referrers
    #[arg(long)]
    no_referrers: bool,
    /// Tag of images that are copied by digest, so that registries keep them
    #[arg(long, value_name = "TEMPLATE", default_value = "hypermirror-{digest}")]
    anchor_tag: String,
    #[command(flatten)]
    reach: ReachArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Options")]
    output: Output,
    #[command(flatten)]
    schema: SchemaArg,
}

/// Output formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

fn parse_jobs(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|jobs| (1..=256).contains(jobs)).ok_or_else(|| "give a number from 1 to 256".to_owned())
}

/// Copies; what fails as a whole is not known.
pub async fn run(args: &CopyArgs) -> Result<ExitCode> {
    if args.schema.print::<CopyReport>()? {
        return Ok(ExitCode::SUCCESS);
    }
    or_unknown(copy(args).await)
}

async fn copy(args: &CopyArgs) -> Result<ExitCode> {
    let options = args.options()?;
    args.reach.warn();
    let mut engine = Engine::new(&args.reach, options)?;
    let items = args.items(&mut engine).await?;
    let report = if args.dry_run {
        let rate = args.rate_from.as_deref().map(cost::rate_of).transpose()?;
        engine.survey(&items, rate).await?
    } else {
        engine.copy(&items).await?
    };
    report.warnings.iter().for_each(console::warning);
    match args.output {
        Output::Text => console::print(&report.text())?,
        Output::Json => console::print_data(&report, DataFormat::Json)?,
    }
    Ok(ExitCode::from(report.exit_code()))
}

impl CopyArgs {
    fn options(&self) -> Result<CopyOptions> {
        let usage = |error: &dyn std::fmt::Display| Usage::error(error.to_string());
        Ok(CopyOptions {
            concurrency: self.jobs,
            platforms: PlatformFilter::parse(self.platforms.iter().map(String::as_str))
                .map_err(|error| usage(&error))?,
            has_attachments: !self.no_referrers,
            is_thorough: self.thorough || self.want.is_some(),
            anchor: AnchorTemplate::parse(&self.anchor_tag).map_err(|error| usage(&error))?,
        })
    }

    async fn items(&self, engine: &mut Engine) -> Result<Vec<Item>> {
        let mut items = if let Some(file) = &self.want { self.of_want(file)? } else { self.of_places(engine).await? };
        places::add_sources(&mut items, &self.from)?;
        places::check_layouts(&items)?;
        Ok(items)
    }

    fn of_want(&self, file: &std::path::Path) -> Result<Vec<Item>> {
        let to = match self.places.as_slice() {
            [] => None,
            [to] => Some(places::destination(to, true)?),
            _ => return Err(Usage::error("--want names the images: give a destination or none")),
        };
        let text = list_file::read(file)?;
        let items =
            of_want(&text, to.as_ref()).map_err(|error| Usage::error(format!("{}: {error}", file.display())))?;
        Ok(items)
    }

    async fn of_places(&self, engine: &mut Engine) -> Result<Vec<Item>> {
        let Some((to, sources)) = self.places.split_last().filter(|(_, sources)| !sources.is_empty()) else {
            return Err(Usage::error(
                "give a source and a destination; to load a bundle to the mirrors of a list, use --want FILE --from oci:DIR",
            ));
        };
        let sources: Vec<Place> = sources.iter().map(|text| places::source(text)).collect::<Result<_>>()?;
        let to: Destination = places::destination(to, places::is_for_many(&sources, to))?;
        let mut items = Vec::new();
        for source in &sources {
            let entries = match source {
                Place::Image(_) => Vec::new(),
                Place::Layout(path) => engine.read(path).await?.entries(),
            };
            items.extend(places::items(source, &entries, &to)?);
        }
        Ok(items)
    }
}
