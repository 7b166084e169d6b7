//! `scan`: the tags of a repository, their digests and sizes.

mod text;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::Usage;
use super::answer::SchemaArg;
use super::console::{self, Format};
use super::progress::Bar;
use super::registry::RegistryArgs;
use crate::mirrors::ImageReference;
use crate::registry::scan::filter::{TagFilter, TagPattern};
use crate::registry::scan::inventory::{Inventory, ScannedTag};
use crate::registry::scan::{ContentCache, Progress, ScanOptions, Sort, scan};
use crate::registry::{RegistryAddress, Repository, Target};

/// Tags that could not be read are named one by one up to this number.
const NAMED: usize = 10;

/// Scans a repository.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror scan quay.io/prometheus/node-exporter
  hypermirror scan quay.io/app --tags 'v1\\..*' --sort created --limit 5
  hypermirror scan app --registry https://artifacts.corp/api/docker/team
  hypermirror scan mirror.corp:5000/app -o json
Exit code: 0 if everything was read, 1 if the tags cannot be listed or a tag
could not be read, 2 for bad usage.")]
pub struct ScanArgs {
    /// Repository, as in an image reference: quay.io/org/app
    #[arg(value_name = "REPO", required_unless_present = "schema")]
    repository: Option<String>,
    /// Address of the registry; REPO is then a path in it
    #[arg(long, value_name = "URL")]
    registry: Option<String>,
    /// Regular expression that a whole tag must match
    #[arg(long, value_name = "PATTERN")]
    tags: Option<String>,
    /// Regular expression that no whole tag may match; may be repeated
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Also list tags of attached signatures, attestations and SBOMs
    #[arg(long)]
    attachments: bool,
    /// Order of the tags
    #[arg(long, value_enum, default_value_t, value_name = "ORDER")]
    sort: Order,
    /// Only the first tags in this order
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// One line for each platform; reads the platforms of single images
    #[arg(long)]
    platforms: bool,
    #[command(flatten)]
    access: RegistryArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Options")]
    output: Format,
    #[command(flatten)]
    schema: SchemaArg,
}

/// The order of tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Order {
    /// Newest version first, then other tags by name
    #[default]
    Semver,
    /// By name
    Name,
    /// Newest build first
    Created,
}

impl From<Order> for Sort {
    fn from(order: Order) -> Self {
        match order {
            Order::Semver => Self::Version,
            Order::Name => Self::Name,
            Order::Created => Self::Created,
        }
    }
}

impl ScanArgs {
    fn repository(&self) -> Result<Repository> {
        let text = self.repository.as_deref().unwrap_or_default().trim();
        let text = text.strip_prefix("docker://").unwrap_or(text);
        let usage = |error: &dyn std::fmt::Display| Usage::error(format!("{text}: {error}"));
        let mut repository = if let Some(registry) = &self.registry {
            let registry = RegistryAddress::parse(registry).map_err(|error| usage(&error))?;
            Repository::new(registry, text).map_err(|error| usage(&error))?
        } else {
            let image = ImageReference::parse(text).map_err(|error| usage(&error))?;
            if image.tag.is_some() || image.digest.is_some() {
                return Err(usage(&"give a repository without tag and digest; --tags selects tags"));
            }
            Repository::of(&image).map_err(|error| usage(&error))?
        };
        if self.access.reach.plain_http {
            repository.registry = repository.registry.over_http();
        }
        Ok(repository)
    }

    fn options(&self) -> Result<ScanOptions> {
        let pattern = |text: &String| TagPattern::new(text).map_err(|error| Usage::error(error.to_string()));
        let filter = TagFilter {
            include: self.tags.as_ref().map(pattern).transpose()?,
            exclude: self.exclude.iter().map(pattern).collect::<Result<_>>()?,
            has_attachments: self.attachments,
        };
        Ok(ScanOptions { filter, sort: self.sort.into(), limit: self.limit, has_platforms: self.platforms })
    }
}

/// Prints the tags; the exit code is 1 if something could not be read.
pub async fn run(args: &ScanArgs) -> Result<ExitCode> {
    if args.schema.print::<Inventory>()? {
        return Ok(ExitCode::SUCCESS);
    }
    let (repository, options) = (args.repository()?, args.options()?);
    let access = args.access.access()?;
    let credential = access.keychain.credential(&repository).await;
    let credential =
        credential.map_err(|cause| anyhow::Error::msg(format!("no credentials for {repository}: {cause}")))?;
    let target = Target { repository: &repository, credential: &credential };
    let bar = Bar::new();
    let found = scan(&access.client, target, &ContentCache::default(), &options, |progress| show(&bar, progress)).await;
    bar.end();
    for notice in access.client.take_notices() {
        console::warning(notice);
    }
    let inventory = found?;
    match args.output.data() {
        Some(format) => console::print_data(&inventory, format)?,
        None => console::print(&text::print(&inventory, args.platforms, options.sort == Sort::Created))?,
    }
    Ok(if name_errors(&inventory) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn show(bar: &Bar, progress: Progress) {
    match progress {
        Progress::Listed(tags) => bar.say(&format!("{tags} tags listed")),
        Progress::Resolved(done, total) => bar.count("tags resolved", done, total),
        Progress::Read(done, total) => bar.count("manifests read", done, total),
    }
}

/// Tells what could not be read; whether anything.
fn name_errors(inventory: &Inventory) -> bool {
    let of_tags = inventory.tags.iter().filter_map(ScannedTag::error);
    let of_images =
        inventory.tags.iter().flat_map(|tag| &tag.content.platforms).filter_map(|image| image.error.as_ref());
    let errors: Vec<_> = of_tags.chain(of_images).collect();
    for error in errors.iter().take(NAMED) {
        console::error(&error.message);
    }
    if errors.len() > NAMED {
        console::error(format!("{} more could not be read; -o json has all", errors.len() - NAMED));
    }
    !errors.is_empty()
}
